//! What evaluations add to the store, kept until it is built from: there is no store that it is written to.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nix_builder::{Derivations, Sources, UnreadDerivation, UnreadSource};
use nix_evaluator::io::{EntryKind, EvalIo, FileType, KeptObject, LocalIo, Outputs, StoreObjects};
use nix_evaluator::join;
use nix_flake::{FileKind, SourceTree, SourceTrees};
use nix_formats::nar::{Writer, WriterError};
use nix_formats::{
    ContentAddress, ContentAddressMethod, Derivation, FixedOutput, Hash, HashAlgorithm, HashWriter,
    StoreDir, StorePath,
};

/// The derivations, sources and texts of evaluations, by store path. Evaluators on several threads, and several evaluations,
/// may share one. Derivations and texts are kept themselves. Sources stay where they are, and are read when they are packed;
/// what has changed by then is noticed, because their paths are made of their contents.
///
/// Give it to [`Evaluation::record`](crate::Evaluation::record).
#[derive(Debug)]
pub struct EvaluationRecord {
    store_dir: StoreDir,
    objects: Arc<StoreObjects>,
    /// What the evaluations' fetchers fetched.
    fetched: Mutex<Vec<SourceTrees>>,
}

/// What a recorded path is.
enum Recorded {
    Object(KeptObject),
    Fetched(Arc<SourceTree>),
}

impl EvaluationRecord {
    /// One in which nothing is yet.
    pub fn new(store_dir: StoreDir) -> Self {
        Self {
            store_dir,
            objects: Arc::default(),
            fetched: Mutex::default(),
        }
    }

    /// Lets evaluations read outputs that are built for them. Only the first call counts.
    pub fn set_outputs(&self, outputs: Arc<dyn Outputs>) {
        self.objects.set_outputs(outputs);
    }

    /// There were more derivations than are kept: not all of what the evaluations made can be built.
    pub fn is_full(&self) -> bool {
        self.objects.is_full()
    }

    /// The store that paths are of.
    pub(crate) fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// What evaluators put into the store.
    pub(crate) fn objects(&self) -> &Arc<StoreObjects> {
        &self.objects
    }

    /// Sees what a fetcher has fetched and will fetch.
    pub(crate) fn see(&self, trees: SourceTrees) {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if !fetched.iter().any(|known| known.is_same(&trees)) {
            fetched.push(trees);
        }
    }

    fn find(&self, path: &StorePath) -> Option<Recorded> {
        let printed = self.store_dir.print(path);
        if let Some(object) = self.objects.get(printed.as_bytes()) {
            return Some(Recorded::Object(object));
        }
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = fetched.iter().find_map(|trees| trees.get(path))?;
        Some(Recorded::Fetched(tree))
    }

    /// The text of a derivation: a recorded one, or one in the store of this machine. None: it is not known.
    pub fn text(&self, path: &StorePath) -> io::Result<Option<Vec<u8>>> {
        if !path.is_derivation() {
            return Ok(None);
        }
        let io = LocalIo::default().with_objects(Arc::clone(&self.objects));
        match io.read_file(self.store_dir.print(path).as_bytes()) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the NAR of a recorded path: its hash, and that of its bytes if it is a file.
    fn write(
        &self,
        path: &StorePath,
        recorded: &Recorded,
        out: &mut dyn Write,
    ) -> io::Result<(Hash, Option<Hash>)> {
        let mut writer = Writer::new(HashWriter::new(HashAlgorithm::Sha256, out));
        let mut flat = None;
        let mut file = |executable: bool, contents: &[u8], writer: &mut Writer<_>| {
            if !executable {
                flat = Some(HashAlgorithm::Sha256.digest(contents));
            }
            writer.file(executable, contents).map_err(nar_error)
        };
        match recorded {
            Recorded::Object(_) => {
                let io = LocalIo::default().with_objects(Arc::clone(&self.objects));
                let path = self.store_dir.print(path);
                match io.file_type(path.as_bytes())? {
                    Some(FileType::Regular { executable }) => {
                        file(executable, &io.read_file(path.as_bytes())?, &mut writer)?;
                    }
                    found => write_tree(&io, path.as_bytes(), found, &mut writer)?,
                }
            }
            Recorded::Fetched(tree) => match tree.kind(Path::new("")).map_err(io::Error::other)? {
                // The hash may be that of the bytes: they must be the same ones.
                Some(FileKind::Regular { executable, .. }) => {
                    let contents = regular_file::read(tree.root())?;
                    file(executable, &contents, &mut writer)?;
                }
                _ => tree
                    .write_nar(Path::new(""), &mut writer, &mut |_, _| Ok(true))
                    .map_err(io::Error::other)?,
            },
        }
        let (_, hash, _) = writer.finish().map_err(nar_error)?.finish();
        Ok((hash, flat))
    }

    /// What the path is made of, if these hashes give it.
    fn address(
        &self,
        path: &StorePath,
        (nar, flat): (Hash, Option<Hash>),
        references: &BTreeSet<StorePath>,
    ) -> Option<ContentAddress> {
        let mut candidates = vec![(ContentAddressMethod::Recursive, nar)];
        candidates.extend(flat.map(|flat| (ContentAddressMethod::Text, flat)));
        candidates.extend(flat.map(|flat| (ContentAddressMethod::Flat, flat)));
        let found = candidates.into_iter().find(|(method, hash)| {
            let fixed = FixedOutput {
                method: *method,
                hash: *hash,
                references: references.clone(),
                self_reference: false,
            };
            let made = self.store_dir.make_fixed_output_path(&fixed, path.name());
            made.is_ok_and(|made| made == *path)
        });
        found.map(|(method, hash)| ContentAddress { method, hash })
    }
}

impl Derivations for EvaluationRecord {
    fn derivation(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation> {
        let text = self.text(path).map_err(|source| UnreadDerivation::Io {
            path: path.clone(),
            source,
        })?;
        let Some(text) = text else {
            return Ok(None);
        };
        let name = path.name().strip_suffix(".drv").unwrap_or(path.name());
        let parsed = Derivation::parse_aterm(&self.store_dir, name, &text);
        let derivation = parsed.map_err(|source| UnreadDerivation::Malformed {
            path: path.clone(),
            source,
        })?;
        Ok(Some(Arc::new(derivation)))
    }
}

impl Sources for EvaluationRecord {
    fn references(&self, path: &StorePath) -> Option<BTreeSet<StorePath>> {
        match self.find(path)? {
            Recorded::Object(KeptObject::Text { references, .. }) => {
                Some(references.iter().cloned().collect())
            }
            Recorded::Object(KeptObject::Tree { .. }) | Recorded::Fetched(_) => {
                Some(BTreeSet::new())
            }
        }
    }

    fn write_nar(
        &self,
        path: &StorePath,
        out: &mut dyn Write,
    ) -> Result<ContentAddress, UnreadSource> {
        let unknown = || UnreadSource::Unknown(path.clone());
        let recorded = self.find(path).ok_or_else(unknown)?;
        let references = self.references(path).ok_or_else(unknown)?;
        let hashes = self.write(path, &recorded, out);
        let hashes = hashes.map_err(|source| UnreadSource::Io {
            path: path.clone(),
            source,
        })?;
        let changed = || UnreadSource::Changed { path: path.clone() };
        self.address(path, hashes, &references).ok_or_else(changed)
    }
}

fn nar_error(error: WriterError) -> io::Error {
    match error {
        WriterError::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Writes what lies at a path, which is no file alone.
fn write_tree<W: Write>(
    io: &LocalIo,
    path: &[u8],
    found: Option<FileType>,
    writer: &mut Writer<W>,
) -> io::Result<()> {
    match found {
        None => return Err(io::ErrorKind::NotFound.into()),
        Some(FileType::Unknown) => {
            let shown = String::from_utf8_lossy(path);
            let message = format!("file '{shown}' has an unsupported type");
            return Err(io::Error::other(message));
        }
        Some(FileType::Regular { executable }) => {
            return writer
                .file(executable, &io.read_file(path)?)
                .map_err(nar_error);
        }
        Some(FileType::Symlink) => {
            return writer.symlink(&io.read_link(path)?).map_err(nar_error);
        }
        Some(FileType::Directory) => writer.begin_directory().map_err(nar_error)?,
    }
    let mut entries: Vec<(Vec<u8>, EntryKind)> = io.read_dir(path)?;
    entries.sort_unstable();
    for (name, _) in entries {
        let path = join(path, &name);
        writer.entry(&name).map_err(nar_error)?;
        write_tree(io, &path, io.file_type(&path)?, writer)?;
    }
    writer.end_directory().map_err(nar_error)
}
