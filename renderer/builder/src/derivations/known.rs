//! Derivations from memory, from a folder, and from several of these.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nix_formats::derivation::DerivationError;
use nix_formats::{Derivation, StoreDir, StorePath};

use super::{Derivations, UnreadDerivation};

/// A file of a derivation has no more bytes than this.
const MAX_FILE: u64 = 64 << 20;

impl Derivations for BTreeMap<StorePath, Arc<Derivation>> {
    fn derivation(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation> {
        Ok(self.get(path).cloned())
    }
}

/// Asked one after the other; the first that knows a derivation counts.
impl Derivations for Vec<Arc<dyn Derivations>> {
    fn derivation(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation> {
        for derivations in self {
            if let Some(found) = derivations.derivation(path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The `.drv` files in a folder, such as a machine's `/nix/store`. Each is read once, and must have the contents that its
/// name says.
#[derive(Debug)]
pub struct DerivationFolder {
    folder: PathBuf,
    store_dir: StoreDir,
    read: Mutex<HashMap<StorePath, Option<Arc<Derivation>>>>,
}

impl DerivationFolder {
    /// The files in `folder`, which name paths in `store_dir`.
    pub fn new(folder: PathBuf, store_dir: StoreDir) -> Self {
        Self {
            folder,
            store_dir,
            read: Mutex::default(),
        }
    }

    fn read(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation> {
        let Some(name) = path.name().strip_suffix(".drv") else {
            return Ok(None);
        };
        let failed = |source| UnreadDerivation::Io {
            path: path.clone(),
            source,
        };
        let text = match read_file(&self.folder.join(path.base_name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(failed)?,
        };
        let malformed = |source| UnreadDerivation::Malformed {
            path: path.clone(),
            source,
        };
        let derivation =
            Derivation::parse_aterm(&self.store_dir, name, &text).map_err(malformed)?;
        let actual = derivation.store_path(&self.store_dir, &text);
        if actual.map_err(|error| malformed(DerivationError::from(error)))? != *path {
            return Err(failed(io::Error::other(
                "its contents are not those that its name says",
            )));
        }
        Ok(Some(Arc::new(derivation)))
    }
}

fn read_file(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut text = Vec::new();
    if file.take(MAX_FILE + 1).read_to_end(&mut text)? as u64 > MAX_FILE {
        return Err(io::Error::other(format!(
            "it has more than {MAX_FILE} bytes"
        )));
    }
    Ok(text)
}

impl Derivations for DerivationFolder {
    fn derivation(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation> {
        let known = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(path) {
            return Ok(found.clone());
        }
        let found = self.read(path)?;
        known().insert(path.clone(), found.clone());
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::DerivationOutput;

    use super::*;

    fn instantiated(name: &str) -> (StorePath, Vec<u8>) {
        let mut derivation = Derivation {
            name: name.to_owned(),
            outputs: [("out".to_owned(), DerivationOutput::Deferred)].into(),
            builder: b"/bin/sh".to_vec(),
            ..Derivation::default()
        };
        let lookup = |_: &StorePath| Err(DerivationError::NoOutput);
        let done = derivation.instantiate(&StoreDir::default(), lookup);
        let done = done.unwrap();
        (done.path, done.aterm)
    }

    #[test]
    fn a_file_whose_contents_are_not_those_of_its_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ((one, text), (other, _)) = (instantiated("one"), instantiated("other"));
        std::fs::write(folder.path().join(one.base_name()), &text).unwrap();
        std::fs::write(folder.path().join(other.base_name()), &text).unwrap();
        let known = DerivationFolder::new(folder.path().to_owned(), StoreDir::default());
        let found = known.derivation(&one).unwrap().unwrap();
        assert_eq!(found.name, "one");
        let refused = known.derivation(&other).unwrap_err();
        assert_eq!(
            nix_formats::chain(&refused),
            format!(
                "failed to read derivation '{other}': its contents are not those that its name says"
            )
        );
        let (missing, _) = instantiated("missing");
        assert!(known.derivation(&missing).unwrap().is_none());
    }

    #[test]
    fn several_are_asked_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let (path, text) = instantiated("one");
        std::fs::write(folder.path().join(path.base_name()), &text).unwrap();
        let folder = DerivationFolder::new(folder.path().to_owned(), StoreDir::default());
        let renamed = Derivation {
            name: "from memory".to_owned(),
            ..Derivation::default()
        };
        let memory: BTreeMap<_, _> = [(path.clone(), Arc::new(renamed))].into();
        let (folder, memory): (Arc<dyn Derivations>, Arc<dyn Derivations>) =
            (Arc::new(folder), Arc::new(memory));
        let name = |known: &dyn Derivations| known.derivation(&path).unwrap().unwrap().name.clone();
        assert_eq!(
            name(&vec![Arc::clone(&memory), Arc::clone(&folder)]),
            "from memory"
        );
        assert_eq!(name(&vec![folder, memory]), "one");
        assert!(Vec::new().derivation(&path).unwrap().is_none());
    }
}
