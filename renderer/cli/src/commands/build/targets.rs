//! What a command line names that can be built without evaluating anything: `.drv` files and store paths.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_formats::{StoreDir, StorePath};

use crate::failure::Failure;
use crate::flake::without_outputs;

/// A word of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Outputs of a derivation, whose file is in a folder with those that it needs.
    Derivation { folder: PathBuf, wanted: Wanted },
    /// A store path.
    Path(StorePath),
    /// Something that has to be evaluated.
    Expression,
}

impl Target {
    /// What a word names. Relative paths of `.drv` files and links to them count, too.
    pub(crate) fn of(word: &str) -> Result<Self, Failure> {
        let (name, store_dir) = (without_outputs(word)?, StoreDir::default());
        let is_file = Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "drv");
        let is_link = || {
            let leads_to = Path::new(name).read_link().ok();
            leads_to.is_some_and(|target| target.extension().is_some_and(|it| it == "drv"))
        };
        if !name.contains('#') && (is_file || is_link()) {
            let file = match Path::new(name).canonicalize() {
                // An evaluation or a store may know it all the same.
                Err(_) if store_dir.contains(name) => PathBuf::from(name),
                file => file.with_context(|| format!("failed to read derivation '{name}'"))?,
            };
            let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
            let base_name = file.file_name().unwrap_or_default().as_encoded_bytes();
            let derivation = StorePath::from_base_name(base_name).map_err(|error| {
                Failure::with_hint(
                    anyhow::Error::new(error)
                        .context(format!("'{name}' is not named as derivations are")),
                    "niphas instantiate --output-dir DIR writes derivations as DIR/HASH-NAME.drv",
                )
            })?;
            let outputs = outputs(word.strip_prefix(name).unwrap_or_default());
            let wanted = Wanted::Outputs {
                derivation,
                outputs,
            };
            return Ok(Self::Derivation { folder, wanted });
        }
        if !store_dir.contains(name) || name.contains('#') {
            return Ok(Self::Expression);
        }
        if name != word {
            return Err(anyhow!("'{word}': only derivations have outputs").into());
        }
        let path = store_dir.parse(name);
        Ok(Self::Path(
            path.with_context(|| format!("'{name}' is no store path"))?,
        ))
    }
}

/// Outputs by what stands behind a name: `^out,dev`, `^*`, or nothing for all.
pub(crate) fn outputs(text: &str) -> WantedOutputs {
    match text.strip_prefix('^') {
        None | Some("*") => WantedOutputs::All,
        Some(names) => WantedOutputs::Named(names.split(',').map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web.drv";

    fn wanted(target: Target) -> (PathBuf, WantedOutputs) {
        match target {
            Target::Derivation {
                folder,
                wanted:
                    Wanted::Outputs {
                        derivation,
                        outputs,
                    },
            } => {
                assert_eq!(derivation.base_name(), NAME);
                (folder, outputs)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_of_derivations_are_told_from_what_is_evaluated() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (file, link) = (folder.join(NAME), folder.join("link"));
        std::fs::write(&file, "Derive(").unwrap();
        std::os::unix::fs::symlink(NAME, &link).unwrap();
        let of = |word: String| Target::of(&word).unwrap();
        let named = |names: &[&str]| {
            WantedOutputs::Named(names.iter().map(|&name| name.to_owned()).collect())
        };
        for (words, outputs) in [
            ("", WantedOutputs::All),
            ("^*", WantedOutputs::All),
            ("^out,dev", named(&["dev", "out"])),
        ] {
            for path in [&file, &link] {
                let target = of(format!("{}{words}", path.display()));
                assert_eq!(wanted(target), (folder.clone(), outputs.clone()));
            }
        }
        let there = of(format!("/nix/store/{NAME}^out"));
        assert_eq!(wanted(there).0, Path::new("/nix/store"));
        let path = NAME.trim_end_matches(".drv");
        assert_eq!(
            of(format!("/nix/store/{path}")),
            Target::Path(StorePath::from_base_name(path).unwrap())
        );
        for word in ["", ".#x", ".#x.drv", "nixpkgs#hello^dev", "github:a/b"] {
            assert_eq!(of(word.to_owned()), Target::Expression, "{word}");
        }
        for word in [
            format!("/nix/store/{path}^out"),
            "/nix/store/web".to_owned(),
            "./none.drv".to_owned(),
            format!("{}^", file.display()),
        ] {
            assert!(Target::of(&word).is_err(), "{word}");
        }
    }
}
