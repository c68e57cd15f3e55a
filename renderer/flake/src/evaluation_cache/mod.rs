//! What evaluations of a flake gave, kept from one run to the next.
//!
//! Answers are kept in one file for each flake, lock file and kind of evaluation, with everything that was read on the way to
//! them: files, folders, links, variables, and whether the flake looked at where its own tree is. An answer counts as long as
//! reading all that again gives the same. What a locked input holds is known from the lock file, and not read again.
//!
//! The evaluator computes each value once, when it is first needed. So an answer depends on everything that was read before it
//! in its evaluation, whether for it or for another. Answers are therefore kept in sessions, one for each evaluation, each
//! answer with how much of the session's reads came before it; what was seen to change is evaluated last the next time.

mod file;
mod key;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nix_evaluator::Settings;
use nix_evaluator::io::EvalIo;
use nix_formats::store_path::StoreDir;

use crate::error::FlakeError;
use crate::fetch::Fetcher;
use crate::lock::LockedFlake;
use crate::lock_file::LockedInput;
use file::{Answer, Stored, StoredSession};
pub use key::program;
use key::{EvaluationKey, SettingsKey};
use record::Root;
pub use record::{Read, RecordingIo};

/// More sessions are not kept: what is only in older ones is evaluated again.
const MOST_SESSIONS: usize = 16;

/// What one evaluation read and found.
#[derive(Debug)]
pub struct Session {
    /// What it read, in that order; nothing where something was asked whose answer may be another the next time.
    pub reads: Option<Vec<Read>>,
    /// What it found, in that order.
    pub found: Vec<Found>,
}

/// An answer that was not known.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// This many of the evaluation's reads came before it was there.
    pub reads: usize,
    /// The answer.
    pub data: Vec<u8>,
}

/// A digest, as BLAKE3 makes them.
pub type Digest = [u8; 32];

/// The answers about one flake, on its way through a run.
#[derive(Debug)]
pub struct EvaluationCache {
    file: PathBuf,
    root: Root,
    stored: Stored,
    /// By name: the session and the place in it of answers that still count.
    valid: BTreeMap<String, (usize, usize)>,
    /// Answers that no longer count since what was read for them has changed, not only something that was read before.
    changed: BTreeSet<String>,
}

impl LockedFlake {
    /// The answers of earlier evaluations of this flake, as far as they still count; nothing where an evaluation of it may
    /// depend on what cannot be told. `about` says what else answers depend on: the kind of question, and settings.
    pub fn evaluation_cache(
        &self,
        folder: &Path,
        store_dir: &StoreDir,
        settings: &Settings,
        about: &str,
    ) -> Result<Option<EvaluationCache>, FlakeError> {
        let is_locked = |lock: &LockedInput| {
            let input = &lock.locked.input;
            input.relative_path().is_some() || matches!(input.nar_hash(), Ok(Some(_)))
        };
        if !settings.pure || !self.lock_file.locks().all(is_locked) {
            return Ok(None);
        }
        let root = Root {
            path: store_dir
                .print(&self.flake.place.fetched.store_path)
                .into_bytes(),
            identity: digest(&[self.sources_json(store_dir)?.as_bytes()]),
        };
        let (program, lock_file) = (program(), self.lock_file.to_json());
        let key = EvaluationKey {
            program: &program,
            about,
            settings: SettingsKey::of(settings),
            flake: &self.flake.resolved.expose(),
            subdir: &self.flake.locked.subdir,
            lock_file: &lock_file,
        };
        Ok(Some(EvaluationCache {
            file: folder.join("evaluations").join(hex(&key.digest())),
            root,
            stored: Stored::default(),
            valid: BTreeMap::new(),
            changed: BTreeSet::new(),
        }))
    }
}

impl EvaluationCache {
    /// Finds out which of the answers that are kept still count: what was read for them is read again through `io`.
    pub fn read(&mut self, io: &dyn EvalIo) {
        self.stored = file::read(&self.file).unwrap_or_default();
        let mut same: Vec<Option<bool>> = vec![None; self.stored.reads.len()];
        for (index, session) in self.stored.sessions.iter().enumerate() {
            let mut is_same = |read: &u32| {
                let known = &mut same[*read as usize];
                *known.get_or_insert_with(|| {
                    self.stored.reads[*read as usize].is_same(io, &self.root)
                })
            };
            let first_changed = session.reads.iter().position(|read| !is_same(read));
            let mut before = 0;
            for (place, answer) in session.answers.iter().enumerate() {
                let until = answer.reads as usize;
                if first_changed.is_none_or(|changed| until <= changed) {
                    self.valid.insert(answer.name.clone(), (index, place));
                } else if session.reads[before..until]
                    .iter()
                    .any(|read| !is_same(read))
                {
                    self.changed.insert(answer.name.clone());
                }
                before = until;
            }
        }
    }

    /// The answer of that name, if it still counts.
    pub fn answer(&self, name: &str) -> Option<&[u8]> {
        let &(session, place) = self.valid.get(name)?;
        Some(&self.stored.sessions[session].answers[place].data)
    }

    /// How many answers still count.
    pub fn known_answers(&self) -> usize {
        self.valid.len()
    }

    /// How many answers there were and no longer count; more than any number if nothing is kept of the flake.
    pub fn missing_answers(&self) -> usize {
        let sessions = self.stored.sessions.iter();
        let answers = sessions.flat_map(|session| &session.answers);
        let names: BTreeSet<&str> = answers.map(|answer| answer.name.as_str()).collect();
        if names.is_empty() {
            return usize::MAX;
        }
        names.len() - self.valid.len()
    }

    /// Whether what the answer of that name depends on has changed since it was kept, as far as can be told. Such answers
    /// are best found last: then the next change of the same leaves all others as they are.
    pub fn has_changed(&self, name: &str) -> bool {
        self.changed.contains(name)
    }

    /// The world, with everything recorded that is read in it but not in what the fetcher brought.
    pub fn record<'f, I: EvalIo>(&self, io: I, fetcher: &'f Fetcher) -> RecordingIo<'f, I> {
        RecordingIo::new(io, self.root.clone(), fetcher)
    }

    /// The rest of a path that is in the flake's own tree, whose store path changes with every file in it.
    pub fn below_root<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = self.root.below(path.as_bytes())?;
        path.get(path.len() - rest.len()..)
    }

    /// The store path of the flake's own tree.
    pub fn root(&self) -> String {
        String::from_utf8_lossy(&self.root.path).into_owned()
    }

    /// What was said on the way to the answers that count.
    pub fn messages(&self) -> Vec<String> {
        // Of a session's answers the last depends on most.
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        for &(session, place) in self.valid.values() {
            let last = last.entry(session).or_default();
            *last = place.max(*last);
        }
        let mut reads: BTreeSet<u32> = BTreeSet::new();
        for (session, place) in last {
            let session = &self.stored.sessions[session];
            let until = session.answers[place].reads as usize;
            reads.extend(&session.reads[..until]);
        }
        reads
            .into_iter()
            .filter_map(|read| self.stored.reads[read as usize].message())
            .collect()
    }

    /// Keeps what evaluations found, with the answers before that still count. Where that cannot be done the next run is
    /// slower; nothing else is lost.
    pub fn keep(&self, sessions: Vec<Session>) {
        let mut stored = Stored::default();
        let mut numbers = BTreeMap::new();
        let mut number = |stored: &mut Stored, read: Read| {
            *numbers.entry(read.clone()).or_insert_with(|| {
                stored.reads.push(read);
                (stored.reads.len() - 1) as u32
            })
        };
        // What an evaluation depends on that has no reads cannot be told.
        let known: Vec<(Vec<Read>, Vec<Found>)> = sessions
            .into_iter()
            .filter_map(|session| Some((session.reads?, session.found)))
            .filter(|(_, found)| !found.is_empty())
            .collect();
        if known.is_empty() {
            return;
        }
        let new: BTreeSet<String> = known
            .iter()
            .flat_map(|(_, found)| found.iter().map(|found| found.name.clone()))
            .collect();
        for (index, session) in self.stored.sessions.iter().enumerate() {
            let mut kept = StoredSession::default();
            for (place, answer) in session.answers.iter().enumerate() {
                if !new.contains(&answer.name)
                    && self.valid.get(&answer.name) == Some(&(index, place))
                {
                    kept.answers.push(answer.clone());
                }
            }
            let until = kept
                .answers
                .last()
                .map_or(0, |answer| answer.reads as usize);
            for read in &session.reads[..until] {
                let read = self.stored.reads[*read as usize].clone();
                kept.reads.push(number(&mut stored, read));
            }
            if !kept.answers.is_empty() {
                stored.sessions.push(kept);
            }
        }
        for (reads, found) in known {
            let mut session = StoredSession::default();
            for read in reads {
                session.reads.push(number(&mut stored, read));
            }
            let answers = found.into_iter().map(|found| Answer {
                name: found.name,
                reads: found.reads as u32,
                data: found.data,
            });
            session.answers = answers.collect();
            stored.sessions.push(session);
        }
        let too_many = stored.sessions.len().saturating_sub(MOST_SESSIONS);
        stored.sessions.drain(..too_many);
        if let Err(error) = file::write(&self.file, &stored) {
            tracing::debug!(
                "the evaluation cannot be kept in '{}': {error}",
                self.file.display()
            );
        }
    }
}

/// A digest of several parts: of others, or parted elsewhere, it is another.
pub fn digest(parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// A digest as a file is named by it: 64 hexadecimal digits.
pub fn hex(digest: &Digest) -> String {
    data_encoding::HEXLOWER.encode(digest)
}
