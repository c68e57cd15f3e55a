//! The store's own key: it signs what was made on this machine, and nothing that was fetched.
//!
//! `key` in the store's folder has it in Nix's form, mode 0600. It is made on first use, in one step, and never written over.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix_formats::{PublicKey, SecretKey, nix32};

use crate::error::{StoreError, failed};
use crate::layout::Layout;
use crate::store::Store;

/// More than a key with any name that this store gives has.
const MOST: u64 = 4 << 10;

impl Store {
    /// The public half of the key that signs what is [added](Self::add), for a policy that
    /// [trusts it](binary_cache::TrustPolicy::with_own). It is made if there is none yet.
    pub fn own_key(&self) -> Result<PublicKey, StoreError> {
        Ok(self.signing_key()?.public_key())
    }

    pub(crate) fn signing_key(&self) -> Result<&SecretKey, StoreError> {
        let known = &self.shared.key;
        if let Some(key) = known.get() {
            return Ok(key);
        }
        let layout = &self.shared.layout;
        let key = if let Some(key) = read(layout)? {
            key
        } else {
            self.writable()?;
            self.make_key()?
        };
        Ok(known.get_or_init(|| key))
    }

    /// Another thread may make one at the same time: the first that has the name counts.
    fn make_key(&self) -> Result<SecretKey, StoreError> {
        let layout = &self.shared.layout;
        let path = layout.key();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| failed("make", &path)(io::Error::from(error)))?;
        // Keys of different stores have different names, so that signatures tell them apart.
        let mut name = [0; 10];
        getrandom::fill(&mut name)
            .map_err(|error| failed("make", &path)(io::Error::from(error)))?;
        let name = format!("niphas-store-{}", nix32::encode(&name));
        let key = SecretKey::from_seed(&name, seed);
        let made = self.shared.temporary()?;
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&made)
            .and_then(|mut file| {
                writeln!(file, "{}", key.to_secret_string())?;
                // A power cut leaves the whole key or none.
                file.sync_all()
            });
        let linked = written.map_err(failed("write", &made)).and_then(|()| {
            match fs::hard_link(&made, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked.map_err(failed("create", &path)),
            }
        });
        // It may not be there, and is in the folder of what is being made if it is.
        let _ = fs::remove_file(&made);
        linked?;
        let read = read(layout)?;
        read.ok_or(StoreError::BadKey { path, source: None })
    }
}

/// Nothing if there is none.
fn read(layout: &Layout) -> Result<Option<SecretKey>, StoreError> {
    let path = layout.key();
    let file = match regular_file::open_no_follow(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed("read", &path))?,
    };
    let mut text = String::new();
    file.take(MOST)
        .read_to_string(&mut text)
        .map_err(failed("read", &path))?;
    match text.trim().parse() {
        Ok(key) => Ok(Some(key)),
        Err(source) => Err(StoreError::BadKey {
            path,
            source: Some(source),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::Options;

    fn open(folder: &std::path::Path) -> Store {
        Store::open(folder, Options::default()).unwrap()
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let keys: Vec<PublicKey> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| store.own_key().unwrap()))
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        let file = folder.path().join("key");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(store.shared.layout.tmp()).unwrap().count(), 0);
        drop(store);
        assert_eq!(open(folder.path()).own_key().unwrap(), keys[0]);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(open(other.path()).own_key().unwrap().name(), keys[0].name());
    }

    #[test]
    fn what_is_no_key_is_neither_followed_nor_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let elsewhere = folder.path().join("elsewhere");
        let store = open(folder.path());
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert!(store.own_key().is_err());
        assert!(!elsewhere.exists());
        fs::remove_file(&file).unwrap();
        fs::write(&file, "no key").unwrap();
        let error = store.own_key().unwrap_err();
        assert!(matches!(error, StoreError::BadKey { .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"no key");
    }

    #[test]
    fn who_only_reads_makes_no_key() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()));
        let store = Store::open_read_only(folder.path(), Options::default()).unwrap();
        assert!(matches!(store.own_key(), Err(StoreError::ReadOnly(_))));
    }
}
