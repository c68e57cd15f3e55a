//! Makes requests for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nix_builder::Process;
use nix_builder::sandbox::{Cancel, End, Inputs, Limits, Outcome, Request, SandboxError, run};
use tempfile::TempDir;

/// Where the first output is built.
pub(crate) const OUT: &str = "0000000000000000000000000000000a-out";

/// A builder that is a script of busybox's shell.
pub(crate) struct Build {
    request: Request,
    scratch: TempDir,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) log: String,
    pub(crate) result: Result<Outcome, SandboxError>,
    pub(crate) _scratch: TempDir,
}

impl Build {
    pub(crate) fn new(script: &str) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let env = [("PATH", "/bin"), ("out", &format!("/nix/store/{OUT}"))];
        let request = Request {
            process: Process {
                program: b"/bin/sh".to_vec(),
                args: vec![b"-c".to_vec(), script.into()],
                env: env
                    .iter()
                    .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                    .collect(),
                files: BTreeMap::new(),
                is_32_bit: false,
                builtin: None,
            },
            inputs: Inputs::default(),
            shell: Some(PathBuf::from("/bin/busybox")),
            network: None,
            kvm: false,
            limits: Limits::default(),
            scratch: scratch.path().to_owned(),
        };
        Self { request, scratch }
    }

    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.request
            .process
            .args
            .extend(args.iter().map(|arg| arg.as_bytes().to_vec()));
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    pub(crate) fn run(self) -> Run {
        let cancel = Cancel::new().expect("an event");
        self.run_with(&cancel)
    }

    pub(crate) fn run_with(self, cancel: &Cancel) -> Run {
        let mut log = Vec::new();
        let result = run(
            &self.request,
            &mut |piece| log.extend_from_slice(piece),
            cancel,
        );
        Run {
            log: String::from_utf8_lossy(&log).into_owned(),
            result,
            _scratch: self.scratch,
        }
    }
}

impl Run {
    pub(crate) fn outcome(&self) -> &Outcome {
        self.result
            .as_ref()
            .unwrap_or_else(|error| panic!("{}: {}", report(error), self.log))
    }

    pub(crate) fn end(&self) -> End {
        self.outcome().end
    }
}

fn report(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", report(source)),
        None => error.to_string(),
    }
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
