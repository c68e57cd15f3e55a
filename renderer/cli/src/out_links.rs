//! Links to what was built: `result` and the like.
//!
//! A build store has no files to link to, so the closure of a link is exported: files, as they would lie in `/nix/store`. A link
//! leads to its path there, and keeps the closure and its export, as long as it does.
//!
//! | in the store's folder | |
//! |---|---|
//! | `results/<digest>` | the files of a closure, as a pod sees them at `/nix` |
//! | `links/<name>` | a symlink to an out-link; the store's root of the same name keeps the closure |

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use niphas_store::{RootHold, RootName, Store};
use nix_formats::{HashAlgorithm, HashFormat, StorePath};

use crate::failure::Failure;

/// Digits of a SHA-256 hash.
const HASH_DIGITS: usize = 64;

/// The out-links to what is in a build store.
pub(crate) struct OutLinks<'s> {
    store: &'s Store,
}

impl<'s> OutLinks<'s> {
    pub(crate) fn of(store: &'s Store) -> Self {
        Self { store }
    }

    fn results(&self) -> PathBuf {
        self.store.dir().join("results")
    }

    fn links(&self) -> PathBuf {
        self.store.dir().join("links")
    }

    /// Exports the closure of a path, and links to the path in there. A link that is there is replaced.
    pub(crate) fn make(&self, link: &Path, path: &StorePath) -> Result<(), Failure> {
        check(link)?;
        let link = std::path::absolute(link)?;
        let closure = self.store.stored_closure(&path.clone().into())?;
        let name = name_of(&link);
        self.store.add_root(
            &name.parse()?,
            &RootHold {
                roots: closure.roots.clone(),
                digest: Some(closure.digest),
                holder: format!("out-link {}", link.display()),
            },
        )?;
        fs::create_dir_all(self.links())?;
        replace(&self.links().join(&name), &link)?;
        let export = self
            .results()
            .join(closure.digest.to_string().replace(':', "-"));
        if !export.is_dir() {
            let new = self.results().join(format!(".new-{}", std::process::id()));
            remove_tree(&new)?;
            let written = self.store.export(&closure, &new);
            if let Err(error) = written {
                remove_tree(&new)?;
                return Err(error.into());
            }
            fs::rename(&new, &export)?;
        }
        replace(&link, &export.join("store").join(path.base_name()))
    }

    /// Removes the files of inputs that builds left, where those cannot be mounted: the next builds write them again. No build may
    /// be running.
    pub(crate) fn forget_inputs(&self) -> Result<(), Failure> {
        let exports = self.store.dir().join("exports");
        for name in names(&exports)? {
            // Whole closures are named by a hash. Single paths, by their packs, are the store's own to collect.
            if name.len() == HASH_DIGITS {
                remove_tree(&exports.join(&name))?;
            }
        }
        Ok(())
    }

    /// Lets go of what links kept that were removed, or lead elsewhere by now, and of exports that no link leads to.
    pub(crate) fn forget_removed(&self) -> Result<(), Failure> {
        let results = self.results();
        let mut used = BTreeSet::new();
        for name in names(&self.links())? {
            let entry = self.links().join(&name);
            let leads_to = fs::read_link(&entry).and_then(fs::read_link);
            let export = leads_to.ok().and_then(|target| {
                let inside = target.strip_prefix(&results).ok()?;
                Some(inside.components().next()?.as_os_str().to_owned())
            });
            if let Some(export) = export {
                used.insert(export);
                continue;
            }
            if let Some(Ok(root)) = name.to_str().map(str::parse::<RootName>) {
                self.store.remove_root(&root)?;
            }
            fs::remove_file(&entry)?;
        }
        for name in names(&results)? {
            if !used.contains(&name) {
                remove_tree(&results.join(&name))?;
            }
        }
        Ok(())
    }
}

/// Fails if something else than an earlier link is where a link would be made: best called before anything is built.
pub(crate) fn check(link: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => Err(Failure::with_hint(
            anyhow!(
                "cannot create symlink '{}': it already exists",
                link.display()
            ),
            "name another with --out-link, or leave it out with --no-link",
        )),
        _ => Ok(()),
    }
}

/// The name of what keeps a link's closure.
fn name_of(link: &Path) -> String {
    let digest = HashAlgorithm::Sha256.digest(link.as_os_str().as_bytes());
    let digest = digest.to_string(HashFormat::Base16, false);
    format!("link-{}", &digest[..32])
}

/// Makes a symlink in one step, in place of an older one.
fn replace(link: &Path, target: &Path) -> Result<(), Failure> {
    let mut new = link.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let made = symlink(target, &new).and_then(|()| {
        let moved = fs::rename(&new, link);
        if moved.is_err() {
            let _ = fs::remove_file(&new);
        }
        moved
    });
    Ok(made.with_context(|| format!("cannot create symlink '{}'", link.display()))?)
}

/// The names in a folder; none if it is not there.
fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, Failure> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to read '{}'", folder.display()))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name()));
    names.collect()
}

/// Removes exported files, of which folders are read-only. Nothing happens if there are none.
fn remove_tree(path: &Path) -> Result<(), Failure> {
    fn remove(path: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(path)?.is_dir() {
            return fs::remove_file(path);
        }
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(path)? {
            remove(&entry?.path())?;
        }
        fs::remove_dir(path)
    }
    match remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let error = anyhow::Error::new(error);
            Err(error
                .context(format!("failed to remove '{}'", path.display()))
                .into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use niphas_store::{NewPath, Options};
    use nix_formats::nar::Writer;

    use super::*;

    /// A store with one path.
    fn store(folder: &Path) -> (Store, StorePath) {
        let store = Store::open(folder, Options::default()).unwrap();
        let path = StorePath::from_base_name(format!("{}-text", "0".repeat(32))).unwrap();
        let mut nar = Writer::new(Vec::new());
        nar.begin_directory().unwrap();
        nar.entry(b"file").unwrap();
        nar.file(false, b"text").unwrap();
        nar.end_directory().unwrap();
        let nar = nar.finish().unwrap();
        let packed = store.pack(&nar[..], Some(nar.len() as u64)).unwrap();
        let new = NewPath {
            path: path.clone(),
            references: BTreeSet::new(),
            deriver: None,
            content_address: None,
        };
        store.add(packed, new).unwrap();
        (store, path)
    }

    fn collected(store: &Store) -> usize {
        let report = store.collect_garbage(&niphas_store::GcOptions::default());
        report.unwrap().collected.len()
    }

    #[test]
    fn a_link_keeps_what_it_leads_to_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (store, path) = store(&folder.path().join("store"));
        let (links, link) = (OutLinks::of(&store), folder.path().join("result"));
        symlink("elsewhere", &link).unwrap();
        for _ in 0..2 {
            links.make(&link, &path).unwrap();
            assert_eq!(fs::read(link.join("file")).unwrap(), b"text");
        }
        links.forget_removed().unwrap();
        assert_eq!(collected(&store), 0);
        assert!(link.join("file").exists());

        fs::remove_file(&link).unwrap();
        symlink("elsewhere", &link).unwrap();
        links.forget_removed().unwrap();
        assert_eq!(collected(&store), 1);
        assert_eq!(names(&links.results()).unwrap().len(), 0);
        assert_eq!(names(&links.links()).unwrap().len(), 0);
    }

    #[test]
    fn a_link_that_cannot_be_made_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (store, path) = store(&folder.path().join("store"));
        let links = OutLinks::of(&store);
        // Longer than names of files may be, and into a folder that is not there.
        for name in ["x".repeat(300), "none/result".to_owned()] {
            let error = links.make(&folder.path().join(name), &path).unwrap_err();
            assert!(
                error.message().starts_with("cannot create symlink"),
                "{}",
                error.message()
            );
        }
        links.forget_removed().unwrap();
        assert_eq!(names(&links.results()).unwrap().len(), 0);
        assert_eq!(names(&links.links()).unwrap().len(), 0);
        assert_eq!(collected(&store), 1);
    }

    /// As many links as a closure has outputs share one export.
    #[test]
    fn many_links_to_a_closure_are_one_export() {
        let folder = tempfile::tempdir().unwrap();
        let (store, path) = store(&folder.path().join("store"));
        let links = OutLinks::of(&store);
        for number in 0..200 {
            let link = folder.path().join(format!("result-{number}"));
            links.make(&link, &path).unwrap();
        }
        assert_eq!(names(&links.results()).unwrap().len(), 1);
        assert_eq!(names(&links.links()).unwrap().len(), 200);
    }

    #[test]
    fn what_is_no_link_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (store, path) = store(&folder.path().join("store"));
        let file = folder.path().join("result");
        fs::write(&file, "mine").unwrap();
        let error = OutLinks::of(&store).make(&file, &path).unwrap_err();
        assert!(matches!(error, Failure::Other { hint: Some(_), .. }));
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        assert!(store.roots().unwrap().is_empty());
    }
}
