//! `niphas instantiate --add-root`: links to derivations.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use niphas_terminal::print_line;
use nix_evaluator::FoundDerivation;

use super::output_suffix;
use crate::failure::Failure;

/// Links `root` to the first derivation in `folder`, `root-2` to the second and so on, and prints the links. A link into the
/// folder is replaced; anything else is left as it is, and an error.
pub(super) fn link(
    root: &Path,
    folder: &Path,
    derivations: &[FoundDerivation],
    indirect: bool,
) -> Result<(), Failure> {
    if indirect {
        tracing::debug!("--indirect makes no difference: links are no roots of a store");
    }
    let folder =
        fs::canonicalize(folder).with_context(|| format!("cannot read '{}'", folder.display()))?;
    let root = std::path::absolute(root)?;
    for (index, derivation) in derivations.iter().enumerate() {
        let link = match index {
            0 => root.clone(),
            index => PathBuf::from(format!("{}-{}", root.display(), index + 1)),
        };
        let name = derivation.drv_path.rsplit('/').next().unwrap_or_default();
        replace(&link, &folder.join(name), &folder)?;
        print_line(format!("{}{}", link.display(), output_suffix(derivation)));
    }
    Ok(())
}

fn replace(link: &Path, target: &Path, folder: &Path) -> Result<(), Failure> {
    match fs::read_link(link) {
        Ok(old) if old == target => return Ok(()),
        Ok(old) if old.starts_with(folder) => {
            fs::remove_file(link).with_context(|| format!("cannot remove '{}'", link.display()))?;
        }
        _ if fs::symlink_metadata(link).is_ok() => {
            let message = format!(
                "cannot create symlink '{}': it already exists",
                link.display()
            );
            return Err(anyhow::anyhow!(message).into());
        }
        _ => {}
    }
    symlink(target, link).with_context(|| format!("cannot create symlink '{}'", link.display()))?;
    Ok(())
}
