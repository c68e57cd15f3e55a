//! What builds the environments of a run, as a process wrote it that evaluated them. It is a stranger's: each path is believed only
//! when it was made again of what it stands for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use binary_cache::{NarSource, PathInfo, SourceError};
use nix_builder::{Derivations, UnreadDerivation};
use nix_formats::derivation::{DerivationError, HashModulo};
use nix_formats::nar::{self, Checker};
use nix_formats::store_path::StorePathError;
use nix_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, FixedOutput, HashAlgorithm,
    HashWriter, NarHash, StoreDir, StorePath,
};

use crate::child::protocol::{GraphLimits, Piece};

/// The longest line that announces something.
const MAX_LINE: u64 = 4 << 20;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// A graph that is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GraphError {
    #[error("failed to read it")]
    Io(#[from] io::Error),
    #[error("it is not of the form that it should have")]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Path(#[from] StorePathError),
    #[error("it has more than {} derivations and sources, or {} bytes of them", .0.count, .0.bytes)]
    Limits(GraphLimits),
    #[error("the derivation '{path}' cannot be read")]
    Derivation {
        path: StorePath,
        #[source]
        source: DerivationError,
    },
    #[error("the derivation '{0}' has another text, or other output paths, than its own path says")]
    OtherDerivation(StorePath),
    #[error("the derivation '{path}' needs '{input}', which is missing")]
    MissingInput { path: StorePath, input: StorePath },
    #[error("the source '{0}' has other contents than its path says")]
    OtherSource(StorePath),
    #[error("the source '{path}' is no archive")]
    Nar {
        path: StorePath,
        #[source]
        source: nar::ReaderError,
    },
}

/// A source in the file.
#[derive(Debug, Clone)]
struct Source {
    offset: u64,
    size: u64,
    nar_hash: NarHash,
    references: BTreeSet<StorePath>,
    content_address: ContentAddress,
}

/// Derivations and sources that were checked. The sources stay in the file.
#[derive(Debug)]
pub(crate) struct Graph {
    store_dir: StoreDir,
    derivations: BTreeMap<StorePath, Arc<Derivation>>,
    sources: BTreeMap<StorePath, Source>,
    file: File,
}

impl Graph {
    /// Reads and checks what a process wrote. Blocks.
    pub(crate) fn read(mut from: BufReader<File>, limits: GraphLimits) -> Result<Self, GraphError> {
        let store_dir = StoreDir::default();
        let (mut derivations, mut sources) = (BTreeMap::new(), BTreeMap::new());
        let (mut count, mut bytes) = (0, 0_u64);
        loop {
            let mut line = Vec::new();
            (&mut from).take(MAX_LINE).read_until(b'\n', &mut line)?;
            let piece: Piece = serde_json::from_slice(&line)?;
            count += 1;
            if let Piece::Derivation { size, .. } | Piece::Source { size, .. } = &piece {
                bytes = bytes.saturating_add(*size);
                if count > limits.count || bytes > limits.bytes {
                    return Err(GraphError::Limits(limits));
                }
            }
            match piece {
                Piece::End => break,
                Piece::Derivation { path, size } => {
                    let path = StorePath::from_base_name(path)?;
                    let mut text = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
                    from.read_exact(&mut text)?;
                    let derivation = parse(&store_dir, &path, &text)?;
                    derivations.insert(path, derivation);
                }
                Piece::Source {
                    path,
                    references,
                    content_address,
                    size,
                } => {
                    let path = StorePath::from_base_name(path)?;
                    let references = references.into_iter().map(StorePath::from_base_name);
                    let references = references.collect::<Result<BTreeSet<_>, _>>()?;
                    let content_address = content_address
                        .parse()
                        .map_err(|_| GraphError::OtherSource(path.clone()))?;
                    let offset = from.stream_position()?;
                    let read = Reading {
                        path: &path,
                        size,
                        content_address,
                        references: &references,
                    };
                    let nar_hash = read.check(&store_dir, &mut from)?;
                    let source = Source {
                        offset,
                        size,
                        nar_hash,
                        references,
                        content_address,
                    };
                    sources.insert(path, source);
                }
            }
        }
        check_outputs(&store_dir, &derivations)?;
        Ok(Self {
            store_dir,
            derivations: { derivations }
                .into_iter()
                .map(|(path, derivation)| (path, Arc::new(derivation)))
                .collect(),
            sources,
            file: from.into_inner(),
        })
    }

    /// What a source refers to. None: it is none that is known here.
    pub(crate) fn references(&self, path: &StorePath) -> Option<&BTreeSet<StorePath>> {
        self.sources.get(path).map(|source| &source.references)
    }

    /// All sources among paths, and those that they refer to.
    pub(crate) fn sources_of<'a>(
        &'a self,
        paths: impl IntoIterator<Item = &'a StorePath>,
    ) -> BTreeSet<StorePath> {
        let mut left: Vec<&StorePath> = paths.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(path) = left.pop() {
            if let Some(references) = self.references(path)
                && found.insert(path.clone())
            {
                left.extend(references);
            }
        }
        found
    }

    /// What is known of a source.
    pub(crate) fn info(&self, path: &StorePath) -> Option<PathInfo> {
        let source = self.sources.get(path)?;
        Some(PathInfo {
            path: path.clone(),
            nar_hash: source.nar_hash,
            nar_size: source.size,
            references: source.references.clone(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(source.content_address),
        })
    }
}

impl Derivations for Graph {
    fn derivation(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation> {
        Ok(self.derivations.get(path).cloned())
    }
}

impl NarSource for Graph {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        Ok(paths.iter().map(|path| self.info(path)).collect())
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        let source = self.sources.get(&info.path);
        let source = source.ok_or_else(|| SourceError::Missing {
            path: info.path.clone(),
            needed_by: None,
        })?;
        let mut piece = vec![0; BUFFER];
        let mut done = 0;
        while done < source.size {
            let most = (source.size - done).min(BUFFER as u64);
            let piece = &mut piece[..usize::try_from(most).unwrap_or(BUFFER)];
            let read = self.file.read_exact_at(piece, source.offset + done);
            read.map_err(|source| SourceError::Read {
                path: info.path.to_string(),
                source,
            })?;
            out.write_all(piece).map_err(SourceError::Write)?;
            done += most;
        }
        Ok(())
    }
}

fn parse(store_dir: &StoreDir, path: &StorePath, text: &[u8]) -> Result<Derivation, GraphError> {
    let name = path.name().strip_suffix(".drv").unwrap_or_default();
    let derivation = Derivation::parse_aterm(store_dir, name, text);
    let derivation = derivation.map_err(|source| GraphError::Derivation {
        path: path.clone(),
        source,
    })?;
    if derivation.store_path(store_dir, text)? != *path {
        return Err(GraphError::OtherDerivation(path.clone()));
    }
    Ok(derivation)
}

/// Makes the output paths of all derivations again: one that names the paths of another would be built in its place.
fn check_outputs(
    store_dir: &StoreDir,
    derivations: &BTreeMap<StorePath, Derivation>,
) -> Result<(), GraphError> {
    let mut known: HashMap<&StorePath, HashModulo> = HashMap::new();
    for root in derivations.keys() {
        let mut left = vec![(root, false)];
        while let Some((path, is_ready)) = left.pop() {
            if known.contains_key(path) {
                continue;
            }
            let Some(derivation) = derivations.get(path) else {
                continue;
            };
            // Paths are hashes of texts, which name the paths of their inputs: there are no circles.
            if !is_ready {
                left.push((path, true));
                left.extend(derivation.input_derivations.keys().map(|it| (it, false)));
                continue;
            }
            known.insert(path, modulo(store_dir, path, derivation, &known)?);
        }
    }
    Ok(())
}

fn modulo(
    store_dir: &StoreDir,
    path: &StorePath,
    derivation: &Derivation,
    known: &HashMap<&StorePath, HashModulo>,
) -> Result<HashModulo, GraphError> {
    let inputs = derivation.input_derivations.keys();
    if let Some(missing) = { inputs }.find(|it| !known.contains_key(it)) {
        return Err(GraphError::MissingInput {
            path: path.clone(),
            input: missing.clone(),
        });
    }
    let mut again = derivation.clone();
    for output in again.outputs.values_mut() {
        if matches!(output, DerivationOutput::InputAddressed(_)) {
            *output = DerivationOutput::Deferred;
        }
    }
    let done = again.instantiate::<DerivationError>(store_dir, |input| {
        known.get(input).copied().ok_or(DerivationError::NoOutput)
    });
    let done = done.map_err(|source| GraphError::Derivation {
        path: path.clone(),
        source,
    })?;
    if done.path != *path {
        return Err(GraphError::OtherDerivation(path.clone()));
    }
    Ok(done.modulo)
}

/// A source while it is read.
struct Reading<'a> {
    path: &'a StorePath,
    size: u64,
    content_address: ContentAddress,
    references: &'a BTreeSet<StorePath>,
}

impl Reading<'_> {
    /// Reads the NAR, and checks that it is what the path was made of.
    fn check(&self, store_dir: &StoreDir, from: &mut impl Read) -> Result<NarHash, GraphError> {
        let other = || GraphError::OtherSource(self.path.clone());
        let address = self.content_address;
        if address.hash.algorithm() != HashAlgorithm::Sha256 {
            return Err(other());
        }
        let mut checker = Checker::default();
        let mut whole = HashWriter::new(HashAlgorithm::Sha256, io::sink());
        // A text or a plain file is hashed without what makes it a NAR.
        let mut contents = match address.method {
            ContentAddressMethod::Recursive => None,
            ContentAddressMethod::Text | ContentAddressMethod::Flat => Some(Vec::new()),
            ContentAddressMethod::Git => return Err(other()),
        };
        let mut left = self.size;
        let mut piece = vec![0; BUFFER];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let piece = &mut piece[..most];
            from.read_exact(piece)?;
            checker
                .update(piece)
                .map_err(|source| self.no_nar(source))?;
            whole.write_all(piece)?;
            if let Some(contents) = &mut contents {
                contents.extend_from_slice(piece);
            }
            left -= most as u64;
        }
        checker.finish().map_err(|source| self.no_nar(source))?;
        let (_, hash, _) = whole.finish();
        let made_of = match &contents {
            None => hash,
            Some(nar) => HashAlgorithm::Sha256.digest(contents_of(nar).ok_or_else(other)?),
        };
        let fixed = FixedOutput {
            method: address.method,
            hash: address.hash,
            references: self.references.clone(),
            self_reference: false,
        };
        let made = store_dir.make_fixed_output_path(&fixed, self.path.name());
        if made_of != address.hash || made? != *self.path {
            return Err(other());
        }
        NarHash::try_from(hash).map_err(|_| other())
    }

    fn no_nar(&self, source: nar::ReaderError) -> GraphError {
        GraphError::Nar {
            path: self.path.clone(),
            source,
        }
    }
}

/// The contents of a NAR that is one plain file.
fn contents_of(nar: &[u8]) -> Option<&[u8]> {
    let mut reader = nar::Reader::of_size(nar, nar.len() as u64);
    let Ok(Some(nar::Event::File {
        executable: false,
        size,
        offset,
    })) = reader.next_event()
    else {
        return None;
    };
    let (offset, size) = (usize::try_from(offset).ok()?, usize::try_from(size).ok()?);
    nar.get(offset..offset.checked_add(size)?)
}

#[cfg(test)]
mod tests;
