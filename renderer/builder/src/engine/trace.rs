//! The build trace of this store: what outputs became whose paths are not known before they are built.
//!
//! `realisations/<hash of the output's id>` in the store's folder: the id and the base name of the path, a line each.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix_formats::{HashAlgorithm, HashFormat, StorePath};

use crate::plan::OutputId;

/// The build trace of a build store.
#[derive(Debug, Clone)]
pub struct BuildTrace {
    folder: PathBuf,
    /// What a process that is killed leaves here, the next removes.
    tmp: PathBuf,
}

/// No entry has as many bytes.
const MAX_ENTRY: u64 = 4096;

impl BuildTrace {
    /// That of a store in a folder.
    pub fn new(store: &Path) -> Self {
        Self {
            folder: store.join("realisations"),
            tmp: store.join("tmp"),
        }
    }

    /// Names of outputs are longer than names of files may be, together with the hash.
    fn file(&self, id: &str) -> PathBuf {
        let hash = HashAlgorithm::Sha256.digest(id.as_bytes());
        self.folder.join(hash.to_string(HashFormat::Base16, false))
    }

    /// What an output became. What is damaged says nothing.
    pub fn get(&self, id: &OutputId) -> io::Result<Option<StorePath>> {
        let id = id.to_string();
        let file = self.file(&id);
        match fs::metadata(&file) {
            Ok(metadata) if metadata.len() > MAX_ENTRY => return Ok(None),
            _ => {}
        }
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            text => text?,
        };
        let mut lines = text.lines();
        let is_its = lines.next() == Some(&id);
        let path = lines.next().filter(|_| is_its);
        Ok(path.and_then(|path| StorePath::from_base_name(path).ok()))
    }

    /// Remembers what an output became. It is there as a whole or not at all.
    pub fn set(&self, id: &OutputId, path: &StorePath) -> io::Result<()> {
        if self.get(id)?.as_ref() == Some(path) {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let id = id.to_string();
        let mut file = tempfile::NamedTempFile::new_in(&self.tmp)?;
        file.write_all(format!("{id}\n{path}\n").as_bytes())?;
        file.persist(self.file(&id))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written_and_damaged_ones_are_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        let trace = BuildTrace::new(folder.path());
        let id = |output: &str| OutputId {
            hash: HashAlgorithm::Sha256.digest(b"x"),
            output: output.to_owned(),
        };
        let path = |name: &str| {
            StorePath::from_base_name(format!("44r15qp3hx522xqaf9szcv8j812p14b7-{name}")).unwrap()
        };
        let long = "o".repeat(200);
        assert_eq!(trace.get(&id("out")).unwrap(), None);
        trace.set(&id("out"), &path("x")).unwrap();
        trace.set(&id(&long), &path("y")).unwrap();
        trace.set(&id("out"), &path("z")).unwrap();
        assert_eq!(trace.get(&id("out")).unwrap(), Some(path("z")));
        assert_eq!(trace.get(&id(&long)).unwrap(), Some(path("y")));
        let file = trace.file(&id("out").to_string());
        for damaged in ["", "other!out\n", "\u{0}", &"x".repeat(5000)] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(trace.get(&id("out")).unwrap(), None);
        }
        fs::copy(trace.file(&id(&long).to_string()), &file).unwrap();
        assert_eq!(trace.get(&id("out")).unwrap(), None);
    }
}
