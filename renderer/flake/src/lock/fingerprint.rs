//! What tells two locked flakes apart, as Nix has it.

use niphas_http::redacted;
use nix_formats::hash::{HashAlgorithm, HashFormat};

use super::LockedFlake;
use crate::error::FlakeError;
use crate::input::{Input, Scheme};
use crate::lock_file::LockFile;

impl LockedFlake {
    /// The fingerprint that Nix gives the flake, in hexadecimal digits; none if the flake or an input of it is not locked, as
    /// that of a work tree with changes.
    pub fn fingerprint(&self) -> Result<Option<String>, FlakeError> {
        if self.lock_file.unlocked_input(false)?.is_some() {
            return Ok(None);
        }
        let locked = &self.flake.locked;
        let input = &locked.input;
        let Some(contents) = contents(input)? else {
            return Ok(None);
        };
        let (subdir, lock_file) = (&locked.subdir, self.lock_file.to_json());
        let count = input.rev_count()?;
        let count = count.map(|count| format!(";revCount={count}"));
        let seconds = input.last_modified()?;
        let seconds = seconds.map(|seconds| format!(";lastModified={seconds}"));
        let text = format!(
            "{contents};{subdir};{lock_file}{}{}",
            count.unwrap_or_default(),
            seconds.unwrap_or_default()
        );
        let hash = HashAlgorithm::Sha256.digest(text.as_bytes());
        Ok(Some(hash.to_string(HashFormat::Base16, false)))
    }
}

impl LockFile {
    /// [`LockFile::to_json`] for people to see: what is secret in URLs is left out.
    pub fn to_shown_json(&self) -> String {
        redacted(&self.to_json())
    }
}

/// What stands for an input's files.
fn contents(input: &Input) -> Result<Option<String>, FlakeError> {
    let nar_hash = input.nar_hash()?;
    let nar_hash = nar_hash.map(|hash| hash.to_string(HashFormat::Sri, true));
    Ok(match input.scheme() {
        None | Some(Scheme::Indirect) => None,
        Some(Scheme::Path) => nar_hash.map(|hash| format!("path:{hash}")),
        Some(Scheme::File | Scheme::Tarball) => nar_hash,
        Some(Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut) => input.rev()?,
        Some(Scheme::Git) => match input.rev()? {
            None => None,
            Some(mut contents) => {
                for (flag, letter) in [("submodules", ";s"), ("exportIgnore", ";e"), ("lfs", ";l")]
                {
                    if input.flag(flag)? {
                        contents += letter;
                    }
                }
                Some(contents)
            }
        },
    })
}
