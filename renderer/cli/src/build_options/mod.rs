//! How builds are done: options of the commands that build.

mod configured;
mod emulators;
mod nix_store;
mod shell;

use std::fs::{self, File};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use niphas_store::Watermark;
use nix_builder::engine::{InputFolder, Settings};
use nix_builder::options::Machine;
use nix_builder::sandbox::{FlowPolicy, Limits, Network};

use crate::failure::Failure;
use configured::Configured;
pub(crate) use shell::hint as shell_hint;

/// Options of all commands that build.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Builds")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of nix build")]
pub(crate) struct BuildOptions {
    /// Build at most this many derivations at the same time; `auto` for one for each processor, 0 to build nothing [default: max-jobs
    /// of nix.conf, else 1]
    #[arg(
        short = 'j',
        long,
        value_name = "N",
        value_parser = jobs,
        hide_short_help = true
    )]
    max_jobs: Option<usize>,
    /// Let each builder use this many processors; 0 for all [default: cores of nix.conf, else 0]
    #[arg(long, value_name = "N", hide_short_help = true)]
    cores: Option<u32>,
    /// Go on with builds that do not need one that failed
    #[arg(short = 'k', long, hide_short_help = true)]
    keep_going: bool,
    /// Keep the build directories of builds that fail, and say where they are
    #[arg(short = 'K', long, hide_short_help = true)]
    keep_failed: bool,
    /// Print the logs of builds while they run, with names
    #[arg(short = 'L', long, hide_short_help = true)]
    print_build_logs: bool,
    /// End builds that take longer [default: timeout of nix.conf, else none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, hide_short_help = true)]
    timeout: Option<Limit<Duration>>,
    /// End builds that print nothing for longer [default: max-silent-time of nix.conf, else none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, hide_short_help = true)]
    max_silent_time: Option<Limit<Duration>>,
    /// End builds that print more, such as 64MiB [default: max-build-log-size of nix.conf, else none]
    #[arg(long, value_name = "SIZE", value_parser = bytes, hide_short_help = true)]
    max_build_log_size: Option<Limit<u64>>,
    /// End builds that need more memory, such as 8GiB; needs control groups
    #[arg(long, value_name = "SIZE", value_parser = bytes, hide_short_help = true)]
    memory: Option<Limit<u64>>,
    /// Let a build have no more processes and threads
    #[arg(long, value_name = "N", hide_short_help = true)]
    processes: Option<NonZeroU64>,
    /// The shell that builders see as /bin/sh: a program that is linked statically [default: this machine's static busybox]
    #[arg(
        long,
        value_name = "FILE",
        env = "NIPHAS_SANDBOX_SHELL",
        hide_env_values = true,
        hide_short_help = true
    )]
    sandbox_shell: Option<PathBuf>,
    /// What builders with network may reach: rules, of which the first that matches counts [default: deny metadata; allow any]
    ///
    /// Only builders whose outputs have fixed hashes have network. A rule is `allow` or `deny`, and `any`, `loopback`, `private`,
    /// `metadata` (the clouds' services that give credentials) or addresses such as 10.0.0.0/8, and maybe `port 443,8000-8999`.
    /// Rules are separated by `;`. What no rule matches is denied.
    #[arg(long, value_name = "RULES", hide_short_help = true)]
    network_policy: Option<FlowPolicy>,
    /// Ask no binary cache: build everything
    #[arg(long, hide_short_help = true)]
    no_substitute: bool,
    /// Build what caches have and cannot give; also if nix.conf has fallback
    #[arg(long, hide_short_help = true)]
    fallback: bool,
    /// Use the valid paths of a Nix store of this machine as inputs: of the one at /, or below ROOT
    ///
    /// They are taken where they are, without asking for signatures, and kept from being collected until the end. Nix's daemon
    /// says which are valid, or without one nix-daemon of PATH; nothing is written to the store.
    #[arg(
        long,
        value_name = "ROOT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "/",
        hide_short_help = true
    )]
    nix_store: Option<PathBuf>,
    /// Print no logs of builds, as without any option
    #[arg(short = 'Q', long, hide = true, overrides_with = "print_build_logs")]
    no_build_output: bool,
    /// Taken for scripts that give it to Nix, and ignored
    #[arg(long, hide = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// Where distributions have the certificates of authorities.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl BuildOptions {
    /// How to build on this machine.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let configured = Configured::read()?;
        let mut settings = Settings::new(machine());
        settings.max_jobs = self.max_jobs.or(configured.max_jobs).unwrap_or(1);
        if let Some(cores) = self.cores.or(configured.cores).filter(|&cores| cores > 0) {
            settings.cores = cores;
        }
        settings.limits = self.limits(&configured);
        settings.shell = shell::find(self.sandbox_shell.as_deref())?;
        settings.network = Network {
            policy: self.network_policy.clone().unwrap_or_default(),
            certificates: certificates(),
        };
        settings.keep_failed = self.keep_failed;
        settings.fallback = self.fallback || configured.fallback;
        settings.fetch = configured.fetch;
        // What derivations ask for by `impureEnvVars`.
        settings.caller_variables = std::env::vars_os()
            .map(|(name, value)| (name.into_vec(), value.into_vec()))
            .collect();
        Ok(settings)
    }

    /// Whether builds that do not need one that failed go on.
    pub(crate) fn keep_going(&self) -> bool {
        self.keep_going
    }

    /// Whether logs are printed while they are written.
    pub(crate) fn prints_logs(&self) -> bool {
        self.print_build_logs && !self.no_build_output
    }

    /// Whether caches count.
    pub(crate) fn substitutes(&self) -> bool {
        !self.no_substitute
    }

    /// Where to look for inputs besides the build store.
    pub(crate) fn inputs(&self) -> Result<Option<InputFolder>, Failure> {
        self.nix_store.as_deref().map(nix_store::open).transpose()
    }

    fn limits(&self, configured: &Configured) -> Limits {
        Limits {
            timeout: self
                .timeout
                .or(configured.timeout)
                .and_then(|limit| limit.0),
            max_silent_time: self
                .max_silent_time
                .or(configured.max_silent_time)
                .and_then(|limit| limit.0),
            max_log_size: self
                .max_build_log_size
                .or(configured.max_log_size)
                .and_then(|limit| limit.0),
            memory: self.memory.and_then(|limit| limit.0),
            processes: self.processes.map(NonZeroU64::get),
        }
    }
}

/// What this machine can build.
fn machine() -> Machine {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    let mut machine = Machine::linux(std::env::consts::ARCH, &cpu_info, kvm.is_ok());
    machine.extra_platforms.extend(emulators::systems());
    machine
}

/// The certificates that fetches trust.
fn certificates() -> Option<PathBuf> {
    let named = std::env::var_os("NIX_SSL_CERT_FILE")
        .filter(|value| !value.is_empty())
        .or_else(|| std::env::var_os("SSL_CERT_FILE").filter(|value| !value.is_empty()));
    let mut files = CERTIFICATES.iter().map(Path::new);
    named
        .map(PathBuf::from)
        .or_else(|| files.find(|file| file.is_file()).map(Path::to_owned))
}

/// A number of builds, or `auto`.
fn jobs(text: &str) -> Result<usize, String> {
    match text {
        "auto" => Ok(available_parallelism().map_or(1, usize::from)),
        text => text
            .parse()
            .map_err(|_| "expected a number, or auto".to_owned()),
    }
}

/// A time; as Nix has it, 0 is no limit.
fn seconds(text: &str) -> Result<Limit<Duration>, String> {
    let seconds: u64 = text
        .parse()
        .map_err(|_| "expected a number of seconds; 0 is no limit".to_owned())?;
    Ok(Limit((seconds > 0).then(|| Duration::from_secs(seconds))))
}

/// A number of bytes; 0 is no limit.
fn bytes(text: &str) -> Result<Limit<u64>, String> {
    match text.parse() {
        Ok(Watermark::Bytes(bytes)) => Ok(Limit((bytes > 0).then_some(bytes))),
        _ => Err("expected a size, such as 500MiB or 2GiB".to_owned()),
    }
}

/// A limit, of which there may be none.
#[derive(Clone, Copy, Debug)]
struct Limit<T>(Option<T>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_nix_does() {
        assert_eq!(seconds("0").unwrap().0, None);
        assert_eq!(seconds("90").unwrap().0, Some(Duration::from_secs(90)));
        assert!(seconds("1.5").is_err() && seconds("-1").is_err());
        assert_eq!(bytes("2GiB").unwrap().0, Some(2 << 30));
        assert_eq!(bytes("0").unwrap().0, None);
        assert!(bytes("80%").is_err() && bytes("many").is_err());
        assert_eq!(jobs("3"), Ok(3));
        assert!(jobs("auto").is_ok_and(|jobs| jobs > 0));
        assert!(jobs("-1").is_err());
    }
}
