//! What sandboxes this process can make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::cancel::Cancel;
use super::error::SandboxError;
use super::outcome::End;
use super::request::{Inputs, Limits, Request};
use super::run::run_job;
use super::scratch::Scratch;
use crate::Process;

/// What sandboxes this process can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Builders are users of their own, so this is root, which can also mount closure images. Else they are the calling user.
    pub build_users: bool,
    /// The memory of a builder can be limited. Else, why not.
    pub memory_limit: Result<(), String>,
    /// `/dev/kvm` can be used.
    pub kvm: bool,
}

/// Finds out by setting up a sandbox in `parent`, a folder for scratch folders. If none can be made, the error says what is
/// missing and how to get it.
pub fn probe(parent: &Path) -> Result<Abilities, SandboxError> {
    let owner = try_with(parent, Limits::default())?;
    let limited = Limits {
        memory: Some(1 << 30),
        ..Limits::default()
    };
    Ok(Abilities {
        build_users: owner != rustix::process::geteuid().as_raw(),
        memory_limit: try_with(parent, limited)
            .map(drop)
            .map_err(|error| error.to_string()),
        kvm: access("/dev/kvm", Access::READ_OK | Access::WRITE_OK).is_ok(),
    })
}

/// Gives the owner of what a builder would have made.
fn try_with(parent: &Path, limits: Limits) -> Result<u32, SandboxError> {
    let failed = |action: &str| {
        let action = format!("{action} '{}'", parent.display());
        move |source| SandboxError::Setup {
            action,
            hint: None,
            source,
        }
    };
    let scratch = Scratch::new(parent).map_err(failed("create a folder in"))?;
    let request = Request {
        process: Process {
            env: BTreeMap::new(),
            ..Process::default()
        },
        inputs: Inputs::default(),
        shell: None::<PathBuf>,
        network: None,
        kvm: false,
        limits,
        scratch: scratch.path().to_owned(),
    };
    let cancel = Cancel::new().map_err(SandboxError::Start)?;
    let mut said = Vec::new();
    let outcome = run_job(
        &request,
        true,
        &mut |piece| said.extend_from_slice(piece),
        &cancel,
    );
    scratch.remove().map_err(failed("remove a folder in"))?;
    match outcome? {
        outcome if outcome.end == End::Exited(0) => Ok(outcome.owner),
        _ => Err(SandboxError::Vanished),
    }
}
