//! Options of Nix's builds, for scripts that give them to commands which only evaluate here.

/// Options that Nix's commands take and that make no difference: nothing is built, copied or substituted.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of Nix's commands"
)]
pub(crate) struct BuildArgs {
    #[arg(long, hide = true, value_name = "STORE")]
    store: Option<String>,
    #[arg(long, hide = true, value_name = "STORE")]
    eval_store: Option<String>,
    #[arg(short = 'j', long, hide = true, value_name = "N")]
    max_jobs: Option<String>,
    #[arg(long, hide = true, value_name = "N")]
    cores: Option<String>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    timeout: Option<String>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    max_silent_time: Option<String>,
    #[arg(long, hide = true, value_name = "URLS")]
    substituters: Option<String>,
    #[arg(long, hide = true, value_name = "FORMAT")]
    log_format: Option<String>,
    #[arg(long, hide = true)]
    no_substitute: bool,
    #[arg(short, long, hide = true)]
    keep_going: bool,
    #[arg(short = 'K', long, hide = true)]
    keep_failed: bool,
    #[arg(long, hide = true)]
    fallback: bool,
    #[arg(long, hide = true)]
    repair: bool,
    #[arg(short = 'Q', long, hide = true)]
    no_build_output: bool,
    #[arg(short = 'L', long, hide = true)]
    print_build_logs: bool,
    #[arg(long, hide = true)]
    no_allow_import_from_derivation: bool,
    #[arg(long, alias = "readonly-mode", hide = true)]
    read_only: bool,
}

impl BuildArgs {
    /// Says with `--debug` which of them were given.
    pub(crate) fn mention(&self) {
        let given = self.given();
        if !given.is_empty() {
            tracing::debug!(
                "these options make no difference, for nothing is built: {}",
                given.join(", ")
            );
        }
    }

    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("--store", self.store.is_some()),
            ("--eval-store", self.eval_store.is_some()),
            ("--max-jobs", self.max_jobs.is_some()),
            ("--cores", self.cores.is_some()),
            ("--timeout", self.timeout.is_some()),
            ("--max-silent-time", self.max_silent_time.is_some()),
            ("--substituters", self.substituters.is_some()),
            ("--log-format", self.log_format.is_some()),
            ("--no-substitute", self.no_substitute),
            ("--keep-going", self.keep_going),
            ("--keep-failed", self.keep_failed),
            ("--fallback", self.fallback),
            ("--repair", self.repair),
            ("--no-build-output", self.no_build_output),
            ("--print-build-logs", self.print_build_logs),
            (
                "--no-allow-import-from-derivation",
                self.no_allow_import_from_derivation,
            ),
            ("--read-only", self.read_only),
        ];
        let given = all.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| name).collect()
    }
}
