//! The walk over inputs and old locks that makes a new lock file.

use std::collections::{BTreeMap, BTreeSet};

use super::{LockOptions, Reader, read_lock_file};
use crate::attrs::Attrs;
use crate::decl::{Flake, InputDecl, Place, below};
use crate::error::FlakeError;
use crate::flake_ref::FlakeRef;
use crate::input_path::InputPath;
use crate::lock_file::{Edge, LockFile, LockedInput, MAX_DEPTH, MAX_NODES, NodeId};
use crate::registry::UseRegistries;

type Inputs = BTreeMap<String, InputDecl>;

/// What an input becomes instead of what its flake says.
#[derive(Clone)]
struct Override {
    input: InputDecl,
    /// The folder that a relative path in it starts at; as in [`Task::place`].
    place: Option<Place>,
    /// The flake that says so; none for the command line.
    by: Option<InputPath>,
}

pub(super) struct Locker<'a> {
    reader: &'a Reader<'a>,
    options: &'a LockOptions,
    name: String,
    registries: UseRegistries,
    overrides: BTreeMap<InputPath, Override>,
    /// Those of the command line.
    explicit: BTreeSet<InputPath>,
    overrides_used: BTreeSet<InputPath>,
    updates_used: BTreeSet<InputPath>,
    lock_file: LockFile,
    places: BTreeMap<NodeId, Place>,
    /// The references of the flakes that are being locked, outermost first.
    parents: Vec<FlakeRef>,
}

/// A node whose inputs have to be locked.
struct Task<'t> {
    /// From flake.nix, or from the lock file where flake.nix needn't be read.
    inputs: &'t Inputs,
    node: NodeId,
    /// The node's place in the new lock file.
    path: &'t InputPath,
    /// The lock file that old locks are taken from, and the node in it.
    old: Option<(&'t LockFile, NodeId)>,
    /// What follows in that lock file are relative to.
    follows_prefix: &'t InputPath,
    /// The folder of the node's flake; `None` if the flake is as the lock file has it, and was not fetched.
    place: Option<&'t Place>,
    /// Whether the inputs are those of the lock file.
    trust_lock: bool,
}

impl<'a> Locker<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, options: &'a LockOptions, top: &Flake) -> Self {
        let mut overrides = BTreeMap::new();
        for (path, reference) in &options.overrides {
            overrides.entry(path.clone()).or_insert_with(|| Override {
                input: InputDecl::at(reference.clone()),
                place: Some(top.place.clone()),
                by: None,
            });
        }
        Self {
            reader,
            options,
            name: top.locked.to_string(),
            registries: if options.use_registries {
                UseRegistries::Limited
            } else {
                UseRegistries::No
            },
            explicit: overrides.keys().cloned().collect(),
            overrides,
            overrides_used: BTreeSet::new(),
            updates_used: BTreeSet::new(),
            lock_file: LockFile::default(),
            places: BTreeMap::from([(LockFile::ROOT, top.place.clone())]),
            parents: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, top: &Flake, old: &LockFile) -> Result<(), FlakeError> {
        let root = InputPath::default();
        self.lock_inputs(&Task {
            inputs: &top.decl.inputs,
            node: LockFile::ROOT,
            path: &root,
            old: (!self.options.recreate).then_some((old, LockFile::ROOT)),
            follows_prefix: &root,
            place: Some(&top.place),
            trust_lock: false,
        })
    }

    pub(super) fn finish(self) -> Result<(LockFile, BTreeMap<NodeId, Place>), FlakeError> {
        for (path, reference) in &self.options.overrides {
            if !self.overrides_used.contains(path) {
                tracing::warn!(
                    "the flag '--override-input {path} {reference}' does not match any input"
                );
            }
        }
        for path in &self.options.updates {
            if !self.updates_used.contains(path) {
                tracing::warn!("'{path}' does not match any input of this flake");
            }
        }
        self.lock_file.check_follows()?;
        Ok((self.lock_file, self.places))
    }

    fn lock_inputs(&mut self, task: &Task<'_>) -> Result<(), FlakeError> {
        if task.path.0.len() > MAX_DEPTH {
            return Err(FlakeError::TooDeep {
                flake: self.name.clone(),
                limit: MAX_DEPTH,
            });
        }
        for (name, input) in task.inputs {
            self.add_overrides(task, input, &task.path.child(name));
        }
        for path in self.overrides.keys() {
            if let Some((parent, name)) = path.split_last()
                && parent == task.path.0
                && !task.inputs.contains_key(name)
            {
                tracing::warn!(
                    "input '{}' has an override for a non-existent input '{name}'",
                    task.path
                );
            }
        }
        for (name, input) in task.inputs {
            let path = task.path.child(name);
            self.lock_input(task, name, input, &path)
                .map_err(|source| FlakeError::UpdatingInput {
                    path: path.to_string(),
                    source: Box::new(source),
                })?;
        }
        Ok(())
    }

    /// Takes in what `inputs.x.inputs.y` says, at all levels. What an outer flake says counts.
    fn add_overrides(&mut self, task: &Task<'_>, input: &InputDecl, path: &InputPath) {
        for (name, input) in &input.overrides {
            let path = path.child(name);
            if input.reference.is_some() || input.follows.is_some() {
                self.overrides
                    .entry(path.clone())
                    .or_insert_with(|| Override {
                        input: input.clone(),
                        place: task.place.cloned(),
                        by: Some(task.path.clone()),
                    });
            }
            self.add_overrides(task, input, &path);
        }
    }

    fn lock_input(
        &mut self,
        task: &Task<'_>,
        name: &str,
        declared: &InputDecl,
        path: &InputPath,
    ) -> Result<(), FlakeError> {
        let replaced = self.overrides.get(path).cloned();
        if replaced.is_some() {
            self.overrides_used.insert(path.clone());
        }
        let input = replaced.as_ref().map_or(declared, |by| &by.input);
        // Whether it is a flake is for the flake to say that uses it.
        let is_flake = declared.is_flake;
        if let Some(target) = &input.follows {
            self.connect(task, name, Edge::Follows(target.clone()));
            return Ok(());
        }
        let reference = if let Some(reference) = &input.reference {
            reference.clone()
        } else {
            let attrs = [("type", "indirect"), ("id", name)];
            FlakeRef::from_attrs(Attrs::from_iter(attrs))?
        };
        let relative = reference.input.relative_path().map(str::to_owned);
        let parent = relative.as_ref().and_then(|_| match &replaced {
            Some(by) => by.by.clone(),
            None => Some(task.path.clone()),
        });
        let base = match &replaced {
            Some(by) => by.place.as_ref(),
            None => task.place,
        };
        let local = match (relative, base) {
            (None, _) => Local::No,
            (Some(path), Some(base)) => Local::At(base.join(&path)?),
            (Some(path), None) => Local::Unfetched(path),
        };
        let wanted = Wanted {
            reference,
            is_flake,
            local,
            parent,
        };
        self.updates_used.insert(path.clone());
        let is_explicit = self.explicit.contains(path);
        match self.old_lock(task, name, path) {
            Some((file, old, lock))
                if !is_explicit
                    && lock.original.canonical() == wanted.reference.canonical()
                    && lock.parent == wanted.parent =>
            {
                self.keep(task, name, path, &wanted, (file, old, lock))
            }
            _ => {
                // The original stays, so that the next run without the override keeps the lock.
                let original = match &declared.reference {
                    Some(reference) if is_explicit => reference.clone(),
                    _ => wanted.reference.clone(),
                };
                self.lock_anew(task, name, path, &wanted, original)
            }
        }
    }

    fn old_lock<'t>(
        &self,
        task: &Task<'t>,
        name: &str,
        path: &InputPath,
    ) -> Option<(&'t LockFile, NodeId, &'t LockedInput)> {
        if self.options.updates.contains(path) {
            return None;
        }
        let (file, node) = task.old?;
        let Some(Edge::Node(old)) = file.node(node).inputs.get(name) else {
            return None;
        };
        Some((file, *old, file.node(*old).lock.as_ref()?))
    }

    /// Takes an input over from the old lock file, with its inputs if nothing speaks against it.
    fn keep(
        &mut self,
        task: &Task<'_>,
        name: &str,
        path: &InputPath,
        wanted: &Wanted,
        (file, old, lock): (&LockFile, NodeId, &LockedInput),
    ) -> Result<(), FlakeError> {
        let node = self.add(lock.clone())?;
        self.connect(task, name, Edge::Node(node));
        // An update further down needs the flake itself.
        let updates_within = self
            .options
            .updates
            .range(path..)
            .next()
            .is_some_and(|update| update.0.len() > path.0.len() && update.0.starts_with(&path.0));
        let inputs = if updates_within {
            None
        } else {
            self.inputs_of_lock(task, path, file, old)
        };
        if let Some(inputs) = inputs {
            let place = wanted.local.known();
            let place = place.map(|place| place.join(&wanted.reference.subdir));
            let place = place.transpose()?;
            return self.lock_inputs(&Task {
                inputs: &inputs,
                node,
                path,
                old: Some((file, old)),
                follows_prefix: task.follows_prefix,
                place: place.as_ref(),
                trust_lock: true,
            });
        }
        let flake = self.input_flake(&lock.locked, wanted, self.registries)?;
        self.places.insert(node, flake.place.clone());
        self.lock_inputs(&Task {
            inputs: &below(&flake.decl.inputs, path),
            node,
            path,
            old: Some((file, old)),
            follows_prefix: task.follows_prefix,
            place: Some(&flake.place),
            trust_lock: false,
        })
    }

    /// The inputs of a locked flake as its lock file has them. None if the flake itself has to
    /// be asked: what it follows may have changed with the overrides.
    fn inputs_of_lock(
        &self,
        task: &Task<'_>,
        path: &InputPath,
        file: &LockFile,
        old: NodeId,
    ) -> Option<Inputs> {
        let mut inputs = Inputs::new();
        for (name, edge) in &file.node(old).inputs {
            let input = match edge {
                Edge::Node(child) => {
                    let lock = file.node(*child).lock.as_ref()?;
                    InputDecl {
                        is_flake: lock.is_flake,
                        ..InputDecl::at(lock.original.clone())
                    }
                }
                Edge::Follows(target) => {
                    if !task.trust_lock && !self.overrides.contains_key(&path.child(name)) {
                        return None;
                    }
                    InputDecl {
                        follows: Some(task.follows_prefix.join(target)),
                        ..InputDecl::default()
                    }
                }
            };
            inputs.insert(name.clone(), input);
        }
        Some(inputs)
    }

    fn lock_anew(
        &mut self,
        task: &Task<'_>,
        name: &str,
        path: &InputPath,
        wanted: &Wanted,
        original: FlakeRef,
    ) -> Result<(), FlakeError> {
        let reference = &wanted.reference;
        let is_local = !matches!(wanted.local, Local::No);
        if !self.options.allow_unlocked && !is_local && !reference.input.is_locked()? {
            return Err(FlakeError::UnlockedInPureMode(path.to_string()));
        }
        let lock = |locked: FlakeRef| LockedInput {
            locked,
            original,
            is_flake: wanted.is_flake,
            parent: wanted.parent.clone(),
        };
        if !wanted.is_flake {
            let (place, locked) = if let Some(place) = wanted.local.place()? {
                (place.clone(), reference.clone())
            } else {
                let fetcher = self.reader.fetcher;
                let fetched = fetcher.fetch(&reference.input, self.registries)?.fetched;
                let locked = FlakeRef {
                    input: fetched.input.clone(),
                    subdir: reference.subdir.clone(),
                };
                (Place::new(fetched, "")?, locked)
            };
            let node = self.add(lock(locked))?;
            self.places.insert(node, place);
            self.connect(task, name, Edge::Node(node));
            return Ok(());
        }
        let registries = if self.explicit.contains(path) && self.options.use_registries {
            UseRegistries::All
        } else {
            self.registries
        };
        let flake = self.input_flake(reference, wanted, registries)?;
        let node = self.add(lock(flake.locked.clone()))?;
        self.connect(task, name, Edge::Node(node));
        if let Some(parent) = self.parents.iter().find(|parent| *parent == reference) {
            return Err(FlakeError::CircularImport(parent.to_string()));
        }
        self.parents.push(reference.clone());
        self.places.insert(node, flake.place.clone());
        // A flake's own lock file says how its inputs are locked.
        let old = read_lock_file(&flake.place)?;
        self.lock_inputs(&Task {
            inputs: &below(&flake.decl.inputs, path),
            node,
            path,
            old: Some((&old, LockFile::ROOT)),
            follows_prefix: path,
            place: Some(&flake.place),
            trust_lock: false,
        })?;
        self.parents.pop();
        Ok(())
    }

    fn input_flake(
        &self,
        reference: &FlakeRef,
        wanted: &Wanted,
        registries: UseRegistries,
    ) -> Result<Flake, FlakeError> {
        match wanted.local.place()? {
            Some(place) => self.reader.flake_at(reference, place),
            None => self.reader.flake(reference, registries),
        }
    }

    fn add(&mut self, lock: LockedInput) -> Result<NodeId, FlakeError> {
        if self.lock_file.len() > MAX_NODES {
            return Err(FlakeError::TooManyInputs {
                flake: self.name.clone(),
                limit: MAX_NODES,
            });
        }
        Ok(self.lock_file.add(lock))
    }

    fn connect(&mut self, task: &Task<'_>, name: &str, edge: Edge) {
        let node = self.lock_file.node_mut(task.node);
        node.inputs.insert(name.to_owned(), edge);
    }
}

/// What an input becomes, overrides considered.
struct Wanted {
    reference: FlakeRef,
    is_flake: bool,
    local: Local,
    /// Which flake a relative path is relative to.
    parent: Option<InputPath>,
}

/// Where a relative path leads.
enum Local {
    /// It is no relative path.
    No,
    At(Place),
    /// The flake that has this path was not fetched: what is locked below it needs no place.
    Unfetched(String),
}

impl Local {
    fn known(&self) -> Option<&Place> {
        match self {
            Self::At(place) => Some(place),
            Self::No | Self::Unfetched(_) => None,
        }
    }

    fn place(&self) -> Result<Option<&Place>, FlakeError> {
        match self {
            Self::Unfetched(path) => Err(FlakeError::UnfetchedParent(path.clone())),
            _ => Ok(self.known()),
        }
    }
}
