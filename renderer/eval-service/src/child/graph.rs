//! What builds environments, as the process that evaluated them gives it: derivations and sources.
//!
//! It is gathered before the first byte is written, so that what cannot be given whole is an error with a message.

use std::collections::BTreeSet;
use std::io::{self, Write};

use niphas_environments::{EvaluatedEnvironments, EvaluationRecord};
use nix_builder::{Sources as _, UnreadSource};
use nix_formats::derivation::DerivationError;
use nix_formats::store_path::StorePathError;
use nix_formats::{Derivation, StoreDir, StorePath};

use super::protocol::{GraphLimits, Piece};

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
pub(super) enum GraphError {
    #[error(transparent)]
    Path(#[from] StorePathError),
    #[error("failed to read the derivation '{path}'")]
    Read {
        path: StorePath,
        #[source]
        source: io::Error,
    },
    #[error("failed to parse the derivation '{path}'")]
    Parse {
        path: StorePath,
        #[source]
        source: DerivationError,
    },
    #[error(transparent)]
    Source(#[from] UnreadSource),
    #[error(
        "what has to be built is made of more than {} derivations and sources; the administrator of niphas-eval can allow more in 'builds.limits.derivations'", .0.count
    )]
    Count(GraphLimits),
    #[error(
        "the derivations and sources of what has to be built have more than {} bytes; the administrator of niphas-eval can allow more in 'builds.limits.mebibytes'", .0.bytes
    )]
    Bytes(GraphLimits),
}

/// Derivations and sources.
pub(super) struct Pieces {
    found: Vec<(Piece, Vec<u8>)>,
    limits: GraphLimits,
    bytes: u64,
}

impl Pieces {
    /// All that the roots of environments are built from, as far as the evaluation knows it.
    pub(super) fn of(
        evaluated: &EvaluatedEnvironments,
        record: &EvaluationRecord,
        limits: GraphLimits,
    ) -> Result<Self, GraphError> {
        let store_dir = StoreDir::default();
        let mut all = Self {
            found: Vec::new(),
            limits,
            bytes: 0,
        };
        let mut left = Vec::new();
        for root in evaluated.roots() {
            left.push(match root.built {
                Some(built) => store_dir.parse(&built.drv_path)?,
                None => root.path.clone(),
            });
        }
        let mut seen: BTreeSet<StorePath> = BTreeSet::new();
        while let Some(path) = left.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            if path.is_derivation()
                && let Some(derivation) = all.add_derivation(&path, record)?
            {
                left.extend(derivation.input_derivations.into_keys());
                left.extend(derivation.input_sources);
            } else if let Some(references) = record.references(&path) {
                all.add_source(&path, &references, record)?;
                left.extend(references);
            }
            // What else there may be, caches must have.
        }
        Ok(all)
    }

    fn add_derivation(
        &mut self,
        path: &StorePath,
        record: &EvaluationRecord,
    ) -> Result<Option<Derivation>, GraphError> {
        let text = record.text(path).map_err(|source| GraphError::Read {
            path: path.clone(),
            source,
        })?;
        let Some(text) = text else {
            return Ok(None);
        };
        let name = path.name().strip_suffix(".drv").unwrap_or(path.name());
        let derivation = Derivation::parse_aterm(&StoreDir::default(), name, &text);
        let derivation = derivation.map_err(|source| GraphError::Parse {
            path: path.clone(),
            source,
        })?;
        let piece = Piece::Derivation {
            path: path.base_name().to_owned(),
            size: text.len() as u64,
        };
        self.add(piece, text)?;
        Ok(Some(derivation))
    }

    fn add_source(
        &mut self,
        path: &StorePath,
        references: &BTreeSet<StorePath>,
        record: &EvaluationRecord,
    ) -> Result<(), GraphError> {
        let mut nar = Bounded {
            bytes: Vec::new(),
            left: self.limits.bytes.saturating_sub(self.bytes),
        };
        let written = record.write_nar(path, &mut nar);
        if nar.left == 0 {
            return Err(GraphError::Bytes(self.limits));
        }
        let references = references.iter().map(|it| it.base_name().to_owned());
        let piece = Piece::Source {
            path: path.base_name().to_owned(),
            references: references.collect(),
            content_address: written?.to_string(),
            size: nar.bytes.len() as u64,
        };
        self.add(piece, nar.bytes)
    }

    fn add(&mut self, piece: Piece, bytes: Vec<u8>) -> Result<(), GraphError> {
        self.bytes += bytes.len() as u64;
        if self.found.len() >= self.limits.count {
            return Err(GraphError::Count(self.limits));
        }
        if self.bytes >= self.limits.bytes {
            return Err(GraphError::Bytes(self.limits));
        }
        self.found.push((piece, bytes));
        Ok(())
    }

    /// Writes them, each after the line that announces it.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\n")?;
        for (piece, bytes) in &self.found {
            serde_json::to_writer(&mut *out, piece)?;
            out.write_all(b"\n")?;
            out.write_all(bytes)?;
        }
        serde_json::to_writer(&mut *out, &Piece::End)?;
        out.write_all(b"\n")
    }
}

/// Takes no more bytes than may be written; then none is left.
struct Bounded {
    bytes: Vec<u8>,
    left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if length >= self.left {
            self.left = 0;
            return Err(io::Error::other("the source is too large"));
        }
        self.left -= length;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
