//! Views: each closure mounted once on the node, in the driver's own folder, and bound from there into every pod.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use data_encoding::HEXLOWER;
use niphas_api::{ClosureDigest, Roots};
use niphas_store::mount::{self, Mount, MountError, MountTable, Mounted, View};
use niphas_store::{RealisedClosure, RootHold, RootName, Store};
use nix_formats::hash::HashAlgorithm;
use tracing::{info, warn};

use crate::error::VolumeError;
use crate::record::failed;

/// What garbage collection roots of the driver start with.
pub(crate) const ROOT_PREFIX: &str = "csi-";

/// Which view it is: a closure, and the roots that `/nix/root` and `/nix/roots` lead to. Two workloads may have one closure and
/// differ in that. It names folders, so the roots stand there by a hash of their names: the whole names do not fit beside the digest, and the hash
/// part of a store path alone is the same for two paths that differ in the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ViewKey {
    digest: ClosureDigest,
    /// The first bytes of the SHA-256 of what the links are.
    root: [u8; 16],
}

impl ViewKey {
    pub(crate) fn new(digest: ClosureDigest, roots: &Roots) -> Self {
        let hash = HashAlgorithm::Sha256.digest(roots.view().as_bytes());
        let mut root = [0; 16];
        root.copy_from_slice(&hash.as_bytes()[..16]);
        Self { digest, root }
    }

    fn parse(name: &str) -> Option<Self> {
        let (digest, root) = name.split_once('.')?;
        let digest = ClosureDigest::from_hex(digest).ok()?;
        let root = HEXLOWER.decode(root.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { digest, root })
    }

    /// The garbage collection root that holds the view's closure.
    pub(crate) fn root_name(&self) -> RootName {
        format!("{ROOT_PREFIX}{self}")
            .parse()
            .expect("a prefix, hexadecimal digits and a dot are a root's name")
    }
}

impl fmt::Display for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = HEXLOWER.encode(&self.root);
        write!(f, "{}.{root}", self.digest.hex())
    }
}

/// The node's views.
#[derive(Debug)]
pub(crate) struct Views {
    store: Store,
    kind: View,
    /// Where closures are mounted.
    mounted: PathBuf,
    /// The store's folder, as mounts name it.
    images: PathBuf,
    /// Where closures are exported to, on kernels without EROFS.
    exported: PathBuf,
}

impl Views {
    /// In the driver's folder, which is accessible to root only: a pod sees its own closure only.
    pub(crate) fn open(state: &Path, store: Store, kind: View) -> Result<Self, VolumeError> {
        let dir = store.dir().to_owned();
        Ok(Self {
            store,
            kind,
            images: fs::canonicalize(&dir).map_err(failed("find", &dir))?,
            mounted: folder(state, "views")?,
            exported: folder(state, "exports")?,
        })
    }

    /// Where a view is mounted.
    pub(crate) fn path(&self, key: &ViewKey) -> PathBuf {
        self.mounted.join(key.to_string())
    }

    /// How many views are mounted.
    pub(crate) fn count(&self, mounts: &MountTable) -> usize {
        let keys = mounts.below(&self.mounted);
        keys.filter(|mount| self.key_of_path(&mount.target).is_some())
            .count()
    }

    fn key_of_path(&self, path: &Path) -> Option<ViewKey> {
        let name = path.strip_prefix(&self.mounted).ok()?;
        ViewKey::parse(name.to_str()?)
    }

    /// What is mounted as this view, if it is mounted.
    pub(crate) fn mounted(&self, key: &ViewKey) -> Result<Option<Mounted>, VolumeError> {
        mounted_at(&self.path(key))
    }

    /// Whether this view is mounted anywhere but at its own place.
    pub(crate) fn is_shown(&self, mounts: &MountTable, key: &ViewKey) -> bool {
        let place = self.path(key);
        let Some(view) = mounts.at(&place) else {
            return false;
        };
        mounts.iter().any(|mount| {
            mount.target != place && mount.device == view.device && mount.root == view.root
        })
    }

    /// The view that is mounted somewhere, if it is one of those that are mounted.
    pub(crate) fn owner(&self, shown: Mounted) -> Result<Option<ViewKey>, VolumeError> {
        for entry in fs::read_dir(&self.mounted).map_err(failed("read", &self.mounted))? {
            let path = entry.map_err(failed("read", &self.mounted))?.path();
            if mounted_at(&path)? == Some(shown) {
                return Ok(self.key_of_path(&path));
            }
        }
        Ok(None)
    }

    /// Whether a mount is of a view that is no longer mounted.
    pub(crate) fn is_former(&self, mount: &Mount) -> bool {
        mount
            .image()
            .is_some_and(|image| image.starts_with(&self.images))
            || mount.filesystem == "overlay" && Path::new(&mount.source).starts_with(&self.exported)
    }

    /// Mounts a view. Its closure must be held.
    pub(crate) fn mount(
        &self,
        key: &ViewKey,
        closure: &RealisedClosure,
    ) -> Result<(), VolumeError> {
        let path = self.path(key);
        fs::create_dir_all(&path).map_err(failed("create", &path))?;
        let mount_error = |source: MountError| VolumeError::Mount {
            what: format!("closure {} cannot be mounted", closure.digest),
            source: Box::new(source),
        };
        match self.kind {
            View::Export => {
                let exported = self.export(key, closure)?;
                mount::mount_folder(&exported, &path).map_err(mount_error)?;
            }
            kind => {
                let image = self.store.image(closure)?;
                mount::mount_image(&image.file, &image.devices, kind, &path)
                    .map_err(mount_error)?;
            }
        }
        Self::check(&path, closure)?;
        info!(closure = %closure.digest, paths = closure.lines.path_count(), kind = %self.kind, "mounted a closure");
        Ok(())
    }

    /// `/nix/root` and what is in `/nix/roots` is what a pod runs: they must lead to the programs that were asked for.
    fn check(path: &Path, closure: &RealisedClosure) -> Result<(), VolumeError> {
        let roots = &closure.roots;
        let first = Path::new("store").join(roots.first().base_name());
        Self::check_link(path, &path.join("root"), first)?;
        for (name, root) in roots.names() {
            let wanted = Path::new("../store").join(root.base_name());
            Self::check_link(path, &path.join("roots").join(name.as_str()), wanted)?;
        }
        Ok(())
    }

    fn check_link(path: &Path, link: &Path, wanted: PathBuf) -> Result<(), VolumeError> {
        let found = fs::read_link(link).map_err(failed("read", link));
        if found.as_ref().is_ok_and(|found| *found == wanted) {
            return Ok(());
        }
        let _ = mount::detach(path);
        match found {
            Err(error) => Err(error.into()),
            Ok(found) => Err(VolumeError::WrongRoot { wanted, found }),
        }
    }

    fn export(&self, key: &ViewKey, closure: &RealisedClosure) -> Result<PathBuf, VolumeError> {
        let path = self.exported.join(key.to_string());
        if path.is_dir() {
            return Ok(path);
        }
        let made = self.exported.join(format!("{key}.new"));
        remove_tree(&made)?;
        let exported = self
            .store
            .export(closure, &made)
            .map_err(VolumeError::from)
            .and_then(|()| Ok(fs::rename(&made, &path).map_err(failed("create", &path))?));
        if exported.is_err() {
            let _ = remove_tree(&made);
        }
        exported.map(|()| path)
    }

    /// Unmounts a view that no volume shows, and lets its closure go.
    pub(crate) fn unmount(&self, key: &ViewKey) -> Result<(), VolumeError> {
        let path = self.path(key);
        mount::detach(&path).map_err(|source| VolumeError::Mount {
            what: format!("'{}' cannot be unmounted", path.display()),
            source: Box::new(source),
        })?;
        remove_folder(&path)?;
        remove_tree(&self.exported.join(key.to_string()))?;
        self.let_go(key);
        info!(view = %key, "unmounted a closure that no volume shows any more");
        Ok(())
    }

    /// Makes a closure a root of garbage collection: from before it is realised until its view is unmounted.
    pub(crate) fn hold(&self, key: &ViewKey, roots: &Roots) -> Result<(), VolumeError> {
        let name = key.root_name();
        let hold = RootHold {
            roots: roots.clone(),
            digest: Some(key.digest),
            holder: "csi.niphas.io: volumes of pods; `niphas-csi status` tells which".to_owned(),
        };
        Ok(self.store.reserve_root(&name, &hold)?)
    }

    fn let_go(&self, key: &ViewKey) {
        let name = key.root_name();
        if let Err(error) = self.store.remove_root(&name) {
            // It goes at the next start.
            warn!(root = %name, error = nix_formats::chain(&error), "a root cannot be removed");
        }
    }

    /// The views that have anything on this node: a folder, an export or a root.
    pub(crate) fn known(&self) -> Result<Vec<ViewKey>, VolumeError> {
        let mut keys = Vec::new();
        for folder in [&self.mounted, &self.exported] {
            for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
                let entry = entry.map_err(failed("read", folder))?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                keys.extend(ViewKey::parse(name.strip_suffix(".new").unwrap_or(&name)));
            }
        }
        // By name: a root whose file is damaged goes or is written again like the others.
        for name in self.store.root_names()? {
            let name = name.to_string();
            keys.extend(name.strip_prefix(ROOT_PREFIX).and_then(ViewKey::parse));
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// Removes exports that were not finished when the driver was killed.
    pub(crate) fn remove_unfinished(&self) -> Result<(), VolumeError> {
        for entry in fs::read_dir(&self.exported).map_err(failed("read", &self.exported))? {
            let path = entry.map_err(failed("read", &self.exported))?.path();
            if path.extension().is_some_and(|end| end == "new") {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }
}

/// What is mounted at a place.
pub(crate) fn mounted_at(path: &Path) -> Result<Option<Mounted>, VolumeError> {
    mount::mounted_at(path).map_err(|source| VolumeError::Mount {
        what: format!("what is mounted at '{}' cannot be told", path.display()),
        source: Box::new(source),
    })
}

/// A folder in the driver's own, without symlinks in its path, for the driver alone.
fn folder(state: &Path, name: &str) -> Result<PathBuf, VolumeError> {
    use std::os::unix::fs::PermissionsExt;
    let path = state.join(name);
    fs::create_dir_all(&path).map_err(failed("create", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
        .map_err(failed("protect", &path))?;
    Ok(fs::canonicalize(&path).map_err(failed("find", &path))?)
}

/// Removes an empty folder, if it is there.
fn remove_folder(path: &Path) -> Result<(), VolumeError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", path)(error).into())
        }
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<(), VolumeError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", path)(error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::StorePath;

    use super::*;

    #[test]
    fn roots_that_differ_in_their_names_only_have_views_of_their_own() {
        let digest: ClosureDigest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
        let hash = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h";
        let key = |name: &str| {
            let root = StorePath::from_base_name(format!("{hash}-{name}")).unwrap();
            ViewKey::new(digest, &root.into())
        };
        assert_ne!(key("web"), key("web-1.0"));
        for name in ["web", "web-1.0", &"x".repeat(211)] {
            let key = key(name);
            assert_eq!(ViewKey::parse(&key.to_string()), Some(key));
            assert_eq!(key.root_name().to_string(), format!("csi-{key}"));
        }
    }

    #[test]
    fn names_that_are_no_views_are_not_taken_for_one() {
        let (digest, root) = ("1".repeat(64), "2".repeat(32));
        assert!(ViewKey::parse(&format!("{digest}.{root}")).is_some());
        for name in [
            String::new(),
            digest.clone(),
            format!("{digest}."),
            format!("{digest}.{root}2"),
            format!("{}.{root}", &digest[1..]),
            format!("{digest}.{}", "X".repeat(32)),
            format!("{}.{root}", "A".repeat(64)),
            format!("{digest}.{root}.new"),
        ] {
            assert_eq!(ViewKey::parse(&name), None, "{name}");
        }
    }
}
