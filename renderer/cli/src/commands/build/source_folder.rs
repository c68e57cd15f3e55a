//! Sources in a folder with derivations, as `niphas instantiate --output-dir` writes them: `DIR/HASH-NAME`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use nix_builder::{Sources, UnreadSource};
use nix_formats::references::RefScanner;
use nix_formats::{
    ContentAddress, ContentAddressMethod, FixedOutput, Hash, HashAlgorithm, HashWriter, StoreDir,
    StorePath,
};

/// A text that refers to something has no more bytes than this.
const MOST_TEXT: u64 = 16 << 20;

/// The sources in a folder. What they are made of is not noted there: it is found out, as their paths come of it.
pub(super) struct SourceFolder {
    folder: PathBuf,
    store_dir: StoreDir,
}

impl SourceFolder {
    pub(super) fn new(folder: PathBuf, store_dir: StoreDir) -> Self {
        Self { folder, store_dir }
    }

    fn file(&self, path: &StorePath) -> PathBuf {
        self.folder.join(path.base_name())
    }

    /// The contents of a path that is one file, not executable.
    fn text(&self, path: &StorePath) -> io::Result<Option<Vec<u8>>> {
        use std::os::unix::fs::PermissionsExt as _;
        let about = fs::symlink_metadata(self.file(path))?;
        let is_text = about.is_file() && about.permissions().mode() & 0o100 == 0;
        if !is_text || about.len() > MOST_TEXT {
            return Ok(None);
        }
        let mut text = Vec::new();
        let file = fs::File::open(self.file(path))?;
        file.take(MOST_TEXT + 1).read_to_end(&mut text)?;
        Ok(Some(text))
    }

    /// What a text names of what is in the folder.
    fn named(&self, text: &[u8]) -> io::Result<BTreeSet<StorePath>> {
        let entries = fs::read_dir(&self.folder)?;
        let paths = entries.filter_map(|entry| {
            StorePath::from_base_name(entry.ok()?.file_name().as_encoded_bytes()).ok()
        });
        let mut scanner = RefScanner::new(paths);
        scanner.update(text);
        Ok(scanner.found().clone())
    }

    /// What a path is made of, if it is of this and refers to nothing else.
    fn made_of(
        &self,
        path: &StorePath,
        method: ContentAddressMethod,
        hash: Hash,
        references: BTreeSet<StorePath>,
    ) -> Option<ContentAddress> {
        let made_of = FixedOutput {
            method,
            hash,
            references,
            self_reference: false,
        };
        let made = self.store_dir.make_fixed_output_path(&made_of, path.name());
        (made.ok()? == *path).then_some(ContentAddress { method, hash })
    }

    /// What a text is made of, and what it refers to.
    fn of_text(
        &self,
        path: &StorePath,
        text: &[u8],
    ) -> io::Result<Option<(ContentAddress, BTreeSet<StorePath>)>> {
        let hash = HashAlgorithm::Sha256.digest(text);
        let of = |method, references: BTreeSet<StorePath>| {
            let made_of = self.made_of(path, method, hash, references.clone());
            made_of.map(|made_of| (made_of, references))
        };
        let simple = of(ContentAddressMethod::Flat, BTreeSet::new());
        let simple = simple.or_else(|| of(ContentAddressMethod::Text, BTreeSet::new()));
        match simple {
            Some(found) => Ok(Some(found)),
            None => Ok(of(ContentAddressMethod::Text, self.named(text)?)),
        }
    }
}

impl Sources for SourceFolder {
    fn references(&self, path: &StorePath) -> Option<BTreeSet<StorePath>> {
        let text = self.text(path).ok()?;
        let found = text.and_then(|text| self.of_text(path, &text).ok()?);
        Some(found.map(|(_, references)| references).unwrap_or_default())
    }

    fn write_nar(
        &self,
        path: &StorePath,
        out: &mut dyn Write,
    ) -> Result<ContentAddress, UnreadSource> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => UnreadSource::Unknown(path.clone()),
            _ => UnreadSource::Io {
                path: path.clone(),
                source,
            },
        };
        let text = self.text(path).map_err(failed)?;
        let found = match text {
            Some(text) => self.of_text(path, &text).map_err(failed)?,
            None => None,
        };
        let mut out = HashWriter::new(HashAlgorithm::Sha256, out);
        let written = binary_cache::write_tree(&self.file(path), &mut out);
        written.map_err(|error| failed(io::Error::other(error)))?;
        let (_, hash, _) = out.finish();
        let tree = || self.made_of(path, ContentAddressMethod::Recursive, hash, BTreeSet::new());
        let found = found.map(|(made_of, _)| made_of).or_else(tree);
        found.ok_or_else(|| UnreadSource::Changed { path: path.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sources_are_made_of_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let store_dir = StoreDir::default();
        let text = store_dir
            .make_text_path("text", b"a text", &BTreeSet::new())
            .unwrap();
        fs::write(folder.path().join(text.base_name()), "a text").unwrap();
        let contents = format!("see {}", store_dir.print(&text));
        let references = BTreeSet::from([text.clone()]);
        let naming = store_dir.make_text_path("naming", contents.as_bytes(), &references);
        let naming = naming.unwrap();
        fs::write(folder.path().join(naming.base_name()), contents).unwrap();
        let new = folder.path().join("new");
        fs::create_dir(&new).unwrap();
        fs::write(new.join("a"), "a").unwrap();
        let mut nar = HashWriter::new(HashAlgorithm::Sha256, io::sink());
        binary_cache::write_tree(&new, &mut nar).unwrap();
        let made_of = FixedOutput {
            method: ContentAddressMethod::Recursive,
            hash: nar.finish().1,
            references: BTreeSet::new(),
            self_reference: false,
        };
        let tree = store_dir.make_fixed_output_path(&made_of, "tree").unwrap();
        fs::rename(&new, folder.path().join(tree.base_name())).unwrap();

        let sources = SourceFolder::new(folder.path().to_owned(), store_dir);
        let method = |path| {
            sources
                .write_nar(path, &mut io::sink())
                .map(|made| made.method)
        };
        assert_eq!(method(&text).unwrap(), ContentAddressMethod::Text);
        assert_eq!(method(&naming).unwrap(), ContentAddressMethod::Text);
        assert_eq!(method(&tree).unwrap(), ContentAddressMethod::Recursive);
        assert_eq!(sources.references(&naming), Some(references));
        assert_eq!(sources.references(&tree), Some(BTreeSet::new()));

        fs::write(folder.path().join(text.base_name()), "another text").unwrap();
        assert!(matches!(method(&text), Err(UnreadSource::Changed { .. })));
        fs::remove_file(folder.path().join(text.base_name())).unwrap();
        assert!(matches!(method(&text), Err(UnreadSource::Unknown(_))));
        assert_eq!(sources.references(&text), None);
    }
}
