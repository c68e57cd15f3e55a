//! Options of Nix's builds, for scripts that give them to commands which evaluate.

/// Options that Nix's commands take. Some count where the evaluation imports from a derivation; the others make no difference.
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
    #[arg(long, alias = "readonly-mode", hide = true)]
    read_only: bool,
}

impl BuildArgs {
    /// Says with `--debug` which of them were given.
    pub(crate) fn mention(&self) {
        let given = self.given();
        if !given.is_empty() {
            tracing::debug!("these options make no difference: {}", given.join(", "));
        }
    }

    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("--store", self.store.is_some() && self.folder().is_none()),
            ("--eval-store", self.eval_store.is_some()),
            ("--substituters", self.substituters.is_some()),
            ("--log-format", self.log_format.is_some()),
            ("--repair", self.repair),
            ("--read-only", self.read_only),
        ];
        let given = all.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| name).collect()
    }

    /// The store, if it is a folder: stores of Nix are not built in.
    fn folder(&self) -> Option<&String> {
        let store = self.store.as_ref();
        store.filter(|store| store.starts_with(['/', '.']))
    }

    /// Those that count, as words of a command line that builds.
    pub(crate) fn words(&self) -> Vec<String> {
        let values = [
            ("--store", self.folder()),
            ("--max-jobs", self.max_jobs.as_ref()),
            ("--cores", self.cores.as_ref()),
            ("--timeout", self.timeout.as_ref()),
            ("--max-silent-time", self.max_silent_time.as_ref()),
        ];
        let flags = [
            ("--no-substitute", self.no_substitute),
            ("--keep-going", self.keep_going),
            ("--keep-failed", self.keep_failed),
            ("--fallback", self.fallback),
            ("--no-build-output", self.no_build_output),
            ("--print-build-logs", self.print_build_logs),
        ];
        let values = values.into_iter();
        let values = values.filter_map(|(name, value)| Some([name.to_owned(), value?.clone()]));
        let flags = flags.into_iter().filter(|(_, is_given)| *is_given);
        let flags = flags.map(|(name, _)| name.to_owned());
        values.flatten().chain(flags).collect()
    }
}
