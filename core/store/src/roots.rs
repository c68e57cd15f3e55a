//! Garbage collection roots: closures that stay.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io};

use hashbrown::HashSet;
use niphas_api::{ClosureDigest, Roots};
use nix_formats::StorePath;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::{FileError, StoreError, failed};
use crate::layout::{Layout, PackId};
use crate::state::replace;
use crate::store::Store;

/// The name of a root: 1 to 200 letters, digits, `.`, `_` and `-`, no `.` first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootName(String);

/// A text is not the name of a root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' is not a name of a root: want 1 to 200 letters, digits, '.', '_' and '-', no '.' first"
)]
pub struct RootNameError(String);

impl FromStr for RootName {
    type Err = RootNameError;

    fn from_str(text: &str) -> Result<Self, RootNameError> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name =
            (1..=200).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_fine);
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(RootNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for RootName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a root holds, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RootHold {
    /// The paths whose closure stays.
    pub roots: Roots,
    /// The closure's digest. If it is known, what stays is that very closure; otherwise the closure of all contents that the
    /// roots have in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ClosureDigest>,
    /// Who wants it, for people.
    pub holder: String,
}

impl Store {
    /// Makes a closure stay, whatever a root of this name held before. All of its roots must be in the store; hold the
    /// [`RealisedClosure`](crate::RealisedClosure) until this returns, so that they are.
    pub fn add_root(&self, name: &RootName, hold: &RootHold) -> Result<(), StoreError> {
        self.writable()?;
        for root in &hold.roots {
            if self.shared.index().variants(root).is_empty() {
                return Err(StoreError::NotStored(root.clone()));
            }
        }
        self.write_root(name, hold)
    }

    /// As [`add_root`](Self::add_root), but for a closure that need not be there: what there is of it stays, and what comes.
    pub fn reserve_root(&self, name: &RootName, hold: &RootHold) -> Result<(), StoreError> {
        self.writable()?;
        self.write_root(name, hold)
    }

    fn write_root(&self, name: &RootName, hold: &RootHold) -> Result<(), StoreError> {
        let path = self.root_file(name);
        let text = serde_json::to_vec(hold).map_err(io::Error::from);
        let text = text.map_err(failed("write", &path))?;
        // A garbage collection that goes on may have read the roots before.
        let is_idle = self.shared.collecting.try_lock();
        let held = match is_idle {
            Ok(_) => HashSet::new(),
            Err(_) => self.held_by(hold),
        };
        replace(&self.shared.temporary()?, &path, &text)?;
        let mut index = self.shared.index_mut();
        let collection = index.collection;
        for pack in held {
            if let Some(pack) = index.pack_mut(pack) {
                pack.held_in = collection;
            }
        }
        Ok(())
    }

    /// Lets go of what a root holds. Fine if there is no such root.
    pub fn remove_root(&self, name: &RootName) -> Result<(), StoreError> {
        self.writable()?;
        let path = self.root_file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::new("remove", path, error).into())
            }
            _ => Ok(()),
        }
    }

    /// All roots, sorted by name.
    pub fn roots(&self) -> Result<Vec<(RootName, RootHold)>, StoreError> {
        let mut roots = Vec::new();
        for (name, path) in files(&self.shared.layout)? {
            let text = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                text => text.map_err(failed("read", &path))?,
            };
            let hold = parse(&path, &text)?;
            roots.push((name, hold));
        }
        roots.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(roots)
    }

    /// The names of all roots, sorted: also of those whose file is damaged, which [`roots`](Self::roots) fails on.
    pub fn root_names(&self) -> Result<Vec<RootName>, StoreError> {
        let files = files(&self.shared.layout)?.into_iter();
        let mut names: Vec<RootName> = files.map(|(name, _)| name).collect();
        names.sort();
        Ok(names)
    }

    fn root_file(&self, name: &RootName) -> PathBuf {
        self.shared.layout.roots().join(&name.0)
    }

    /// The packs of the paths that a root holds, as far as they are there.
    pub(crate) fn held_by(&self, hold: &RootHold) -> HashSet<PackId> {
        let lines = hold.digest.and_then(|digest| self.closure_lines(&digest));
        let index = self.shared.index();
        let mut held = HashSet::new();
        if let Some(lines) = lines {
            for line in lines.as_slice() {
                let variants = index.variants(&line.path).iter().copied();
                held.extend(variants.filter(|&id| {
                    let info = index.pack(id).and_then(|pack| pack.info.as_ref());
                    info.is_some_and(|info| info.nar_hash == line.nar_hash)
                }));
            }
            return held;
        }
        let mut wanted: Vec<&StorePath> = hold.roots.iter().collect();
        while let Some(path) = wanted.pop() {
            for &id in index.variants(path) {
                if held.insert(id)
                    && let Some(info) = index.pack(id).and_then(|pack| pack.info.as_ref())
                {
                    wanted.extend(&info.references);
                }
            }
        }
        held
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<RootHold, StoreError> {
    serde_json::from_slice(text).map_err(|error| StoreError::BadRoot {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn files(layout: &Layout) -> Result<Vec<(RootName, PathBuf)>, FileError> {
    let folder = layout.roots();
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
        let entry = entry.map_err(failed("read", &folder))?;
        match entry.file_name().to_str().map(str::parse) {
            Some(Ok(name)) => found.push((name, entry.path())),
            _ => {
                tracing::warn!(path = %entry.path().display(), "a file that is no root is among the roots");
            }
        }
    }
    Ok(found)
}

/// Removes roots that a power cut damaged. What they held did not survive it either: pods start again, and ask again.
pub(crate) fn remove_damaged(layout: &Layout) -> Result<(), FileError> {
    for (_, path) in files(layout)? {
        let text = fs::read(&path).map_err(failed("read", &path))?;
        if let Err(error) = parse(&path, &text) {
            tracing::warn!(%error, "a root is removed");
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "a\0b",
            "ü",
            &"a".repeat(201),
        ] {
            assert_eq!(name.parse::<RootName>(), Err(RootNameError(name.into())));
        }
        for name in ["web", "csi-0a1b.c_d", &"a".repeat(200)] {
            assert_eq!(name.parse::<RootName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn holds_are_read_as_they_were_written() {
        let hold = RootHold {
            roots: StorePath::from_base_name("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0")
                .unwrap()
                .into(),
            digest: None,
            holder: "pod default/web".into(),
        };
        let text = serde_json::to_string(&hold).unwrap();
        assert_eq!(
            text,
            r#"{"roots":["0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0"],"holder":"pod default/web"}"#
        );
        assert_eq!(serde_json::from_str::<RootHold>(&text).unwrap(), hold);
        let none = text.replace("\"0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0\"", "");
        assert!(serde_json::from_str::<RootHold>(&none).is_err());
    }
}
