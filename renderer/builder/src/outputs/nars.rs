//! NARs that are said to be the outputs of a derivation: read and checked, and kept by the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix_formats::nar::{Checker, Event, Reader};
use nix_formats::{Derivation, Hash, HashAlgorithm, Hasher, StoreDir, StorePath};

use super::contents::{Nar, Source, unread};
use super::error::OutputError;
use super::pass::BEFORE_CONTENTS;
use super::tree::MAX_ENTRIES;
use super::{BuiltOutput, Case, checks, register};
use crate::environment::PathInfos;
use crate::options::Options;

/// NARs of which another says that they are the outputs of a derivation, each at its final path.
#[derive(Clone, Copy)]
pub struct Nars<'a> {
    /// The store folder.
    pub store_dir: &'a StoreDir,
    /// The path of the derivation.
    pub path: &'a StorePath,
    /// The derivation, resolved.
    pub derivation: &'a Derivation,
    /// What it asks for.
    pub options: &'a Options,
    /// Knows the input closure.
    pub infos: &'a dyn PathInfos,
    /// The input closure: what the outputs may refer to besides each other.
    pub inputs: &'a BTreeSet<StorePath>,
    /// The path that each output is said to have, by name.
    pub paths: &'a BTreeMap<String, StorePath>,
    /// Opens the NAR of an output, from its start, as often as it is asked.
    pub open: &'a dyn Fn(&str) -> io::Result<Box<dyn Read>>,
}

/// Finds what the outputs are, and checks them as [`super::finish`] does: their paths come of the derivation or of the contents,
/// not of what is said, and the error says where that differs. Each NAR is read once; those of content-addressed outputs that name
/// themselves twice. Memory does not grow with them.
pub fn judge(nars: &Nars<'_>) -> Result<BTreeMap<String, BuiltOutput>, OutputError> {
    let nothing_valid = BTreeMap::new();
    let case = Case {
        store_dir: nars.store_dir,
        store: None,
        path: nars.path,
        derivation: nars.derivation,
        options: nars.options,
        infos: nars.infos,
        scratch: nars.paths,
        inputs: nars.inputs,
        valid: &nothing_valid,
    };
    for (name, output) in &nars.derivation.outputs {
        let said = case.scratch(name)?;
        let known = output.path(nars.store_dir, &nars.derivation.name, name)?;
        nars.is_at(name, known.as_ref().unwrap_or(said))?;
    }
    let open = |name, scratch| {
        let source = Received::look(nars, name, scratch)?;
        Ok(Box::new(source) as Box<dyn Source>)
    };
    let made = register::outputs(&case, &BTreeSet::new(), open)?;
    checks::check(&case, &made.outputs)?;
    for (name, output) in &made.outputs {
        nars.is_at(name, &output.path)?;
    }
    Ok(made.outputs)
}

impl Nars<'_> {
    fn is_at(&self, name: &str, path: &StorePath) -> Result<(), OutputError> {
        match self.paths.get(name) {
            Some(said) if said != path => Err(OutputError::OtherPath {
                output: name.to_owned(),
                path: self.store_dir.print(path),
                said: self.store_dir.print(said),
            }),
            _ => Ok(()),
        }
    }
}

/// The NAR of an output.
struct Received<'a> {
    nars: &'a Nars<'a>,
    name: &'a str,
    shown: PathBuf,
    plain_file: Option<u64>,
}

impl<'a> Received<'a> {
    fn look(nars: &'a Nars<'a>, name: &'a str, path: &StorePath) -> Result<Self, OutputError> {
        let mut received = Self {
            nars,
            name,
            shown: nars.store_dir.print(path).into(),
            plain_file: None,
        };
        // What cannot be read as a NAR is refused by the pass that reads it all.
        let first = Reader::of_size(received.nar()?, 0).next_event();
        if let Ok(Some(Event::File {
            executable: false,
            size,
            ..
        })) = first
        {
            received.plain_file = Some(size);
        }
        Ok(received)
    }
}

impl Source for Received<'_> {
    fn shown(&self) -> &Path {
        &self.shown
    }

    fn plain_file(&self) -> Option<u64> {
        self.plain_file
    }

    fn nar(&self) -> Result<Box<dyn Read + '_>, OutputError> {
        let nar = (self.nars.open)(self.name);
        nar.map_err(|error| unread(&self.shown, error))
    }

    fn file(&self) -> Result<Box<dyn Read + '_>, OutputError> {
        let mut nar = self.nar()?;
        let skipped = io::copy(&mut (&mut nar).take(BEFORE_CONTENTS), &mut io::sink());
        skipped.map_err(|error| unread(&self.shown, error))?;
        Ok(Box::new(nar.take(self.plain_file.unwrap_or_default())))
    }

    fn take(&self, nar: &mut dyn Read) -> Result<Nar, OutputError> {
        Ok(Nar::hashed(self.checked(nar)?))
    }
}

impl Received<'_> {
    /// The hash and size of a NAR that is sound.
    fn checked(&self, nar: &mut dyn Read) -> Result<(Hash, u64), OutputError> {
        let unsound = |source| OutputError::Nar {
            output: self.name.to_owned(),
            source,
        };
        let (mut checker, mut hasher) = (Checker::default(), Hasher::new(HashAlgorithm::Sha256));
        let mut piece = vec![0; 256 << 10];
        loop {
            let count = match nar.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unread(&self.shown, error)),
            };
            hasher.update(&piece[..count]);
            checker.update(&piece[..count]).map_err(unsound)?;
            if checker.objects() > MAX_ENTRIES {
                return Err(OutputError::TooManyFiles {
                    path: self.shown.clone(),
                    limit: MAX_ENTRIES,
                });
            }
        }
        checker.finish().map_err(unsound)?;
        let size = hasher.written();
        Ok((hasher.finish(), size))
    }
}
