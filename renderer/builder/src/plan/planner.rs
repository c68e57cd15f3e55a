//! Finding out what has to be done.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use nix_formats::derivation::DerivationKind;
use nix_formats::{StoreDir, StorePath};

use super::node::Node;
use super::trace::Traces;
use super::{Fetch, OutputId, Place, Plan, PlanError, Question, Wanted, WantedOutputs, order};
use crate::Derivations;
use crate::options::Machine;

/// Finds out what has to be done. See [the module](super).
pub struct Planner {
    derivations: Arc<dyn Derivations>,
    store_dir: StoreDir,
    machine: Machine,
    nodes: HashMap<StorePath, Node>,
    paths: HashMap<StorePath, Known>,
    /// Whose outputs realisations are that were asked for.
    realisations: HashMap<OutputId, Vec<StorePath>>,
    traces: Traces,
    questions: Vec<Question>,
    /// Paths that are wanted themselves: as they were asked for, and as sources of what is built.
    roots: BTreeSet<StorePath>,
    /// Derivations that are not known.
    unknown: BTreeSet<StorePath>,
}

/// What is known of a path.
#[derive(Debug, Default)]
struct Known {
    /// None as long as it was not answered.
    place: Option<Place>,
    /// Whether it is missing, or something that it needs.
    is_broken: bool,
    /// Paths that refer to it.
    referrers: Vec<StorePath>,
    /// Derivations of which it is an output that the plan is for.
    outputs_of: Vec<StorePath>,
}

/// Outputs of derivations that are wanted, and not yet looked at.
type Todo = Vec<(StorePath, BTreeSet<String>)>;

impl Planner {
    /// It is for nothing yet.
    pub fn new(derivations: Arc<dyn Derivations>, store_dir: StoreDir, machine: Machine) -> Self {
        Self {
            derivations,
            store_dir,
            machine,
            nodes: HashMap::new(),
            paths: HashMap::new(),
            realisations: HashMap::new(),
            traces: Traces::default(),
            questions: Vec::new(),
            roots: BTreeSet::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// The plan is for this, too.
    pub fn want(&mut self, wanted: &Wanted) -> Result<(), PlanError> {
        match wanted {
            Wanted::Path(path) => {
                self.roots.insert(path.clone());
                self.ask(path);
                Ok(())
            }
            Wanted::Outputs {
                derivation,
                outputs,
            } => {
                let names = match outputs {
                    WantedOutputs::Named(names) => names.clone(),
                    WantedOutputs::All => match self.node(derivation)? {
                        Some(node) => node.derivation.outputs.keys().cloned().collect(),
                        None => return Ok(()),
                    },
                };
                self.demand(vec![(derivation.clone(), names)])
            }
        }
    }

    /// A derivation is built again, whatever there is.
    pub fn rebuild(&mut self, derivation: &StorePath) -> Result<(), PlanError> {
        self.want(&Wanted::Outputs {
            derivation: derivation.clone(),
            outputs: WantedOutputs::All,
        })?;
        self.build([derivation.clone()])
    }

    /// What has to be known next. Each question is asked once.
    pub fn questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    /// The answer to [`Question::Path`].
    pub fn answer_path(&mut self, path: &StorePath, place: Place) -> Result<(), PlanError> {
        let mut is_broken = place == Place::Nowhere;
        if let Place::Here { references } | Place::Cached { references, .. } = &place {
            for reference in references.iter().filter(|&reference| reference != path) {
                let known = self.ask(reference);
                known.referrers.push(path.clone());
                is_broken |= known.is_broken;
            }
        }
        let is_cached = matches!(place, Place::Cached { .. });
        let known = self.paths.entry(path.clone()).or_default();
        known.place = Some(place);
        let mut builds = Vec::new();
        if is_broken {
            builds = self.break_path(path);
        } else if is_cached {
            let nodes = &self.nodes;
            let may_not = |it: &&StorePath| {
                nodes
                    .get(*it)
                    .is_some_and(|it| !it.options.allow_substitutes)
            };
            builds.extend(known.outputs_of.iter().filter(may_not).cloned());
        }
        self.build(builds)
    }

    /// The answer to [`Question::Realisation`]: the path, if there is one.
    pub fn answer_realisation(
        &mut self,
        id: &OutputId,
        path: Option<&StorePath>,
    ) -> Result<(), PlanError> {
        for derivation in self.realisations.remove(id).unwrap_or_default() {
            let node = self.nodes.get_mut(&derivation);
            let is_there = match (path, node) {
                (Some(path), Some(node)) => {
                    node.wanted.insert(id.output.clone(), Some(path.clone()));
                    self.rely(&derivation, path)
                }
                _ => false,
            };
            if !is_there {
                self.build([derivation])?;
            }
        }
        Ok(())
    }

    /// The plan, once there are no more questions.
    pub fn finish(self) -> Result<Plan, PlanError> {
        let mut plan = Plan {
            unknown: self.unknown.clone(),
            ..Plan::default()
        };
        let mut wanted: Vec<&StorePath> = self.roots.iter().collect();
        for (path, node) in &self.nodes {
            if node.wanted.is_empty() {
                continue;
            }
            let known = node.wanted.iter();
            let known = known.filter_map(|(name, path)| Some((name.clone(), path.clone()?)));
            plan.outputs.insert(path.clone(), known.collect());
            if !node.is_built {
                wanted.extend(node.wanted.values().flatten());
            }
        }
        self.add_fetches(&mut plan, wanted);
        plan.builds = order::builds(&self.nodes, &self.machine, &self.store_dir)?;
        Ok(plan)
    }

    fn add_fetches<'a>(&'a self, plan: &mut Plan, mut wanted: Vec<&'a StorePath>) {
        let mut seen: HashSet<&StorePath> = wanted.iter().copied().collect();
        while let Some(path) = wanted.pop() {
            let place = self.paths.get(path).and_then(|known| known.place.as_ref());
            let references = match place {
                Some(Place::Valid) => continue,
                Some(Place::Nowhere) | None => {
                    plan.unknown.insert(path.clone());
                    continue;
                }
                Some(Place::Here { references }) => references,
                Some(Place::Cached {
                    download_size,
                    nar_size,
                    references,
                }) => {
                    plan.download_size = plan.download_size.saturating_add(*download_size);
                    plan.nar_size = plan.nar_size.saturating_add(*nar_size);
                    plan.fetches.push(Fetch {
                        path: path.clone(),
                        download_size: *download_size,
                        nar_size: *nar_size,
                    });
                    references
                }
            };
            wanted.extend(
                references
                    .iter()
                    .filter(|&reference| seen.insert(reference)),
            );
        }
        let key = |fetch: &Fetch| (fetch.path.name().to_owned(), fetch.path.clone());
        plan.fetches.sort_by_cached_key(key);
    }

    /// The node of a derivation, if it is known.
    fn node(&mut self, path: &StorePath) -> Result<Option<&mut Node>, PlanError> {
        if !self.nodes.contains_key(path) {
            let Some(derivation) = self.derivations.derivation(path)? else {
                self.unknown.insert(path.clone());
                return Ok(None);
            };
            let mut node = Node::new(path, derivation, &self.store_dir)?;
            if node.has_unknown_paths() && node.kind != DerivationKind::Impure {
                let derivations = &*self.derivations;
                node.trace = Some(self.traces.of(path, derivations, &self.store_dir)?);
            }
            self.nodes.insert(path.clone(), node);
        }
        Ok(self.nodes.get_mut(path))
    }

    fn demand(&mut self, mut todo: Todo) -> Result<(), PlanError> {
        while let Some((path, outputs)) = todo.pop() {
            let store_dir = self.store_dir.clone();
            let Some(node) = self.node(&path)? else {
                continue;
            };
            let (derivation, trace) = (Arc::clone(&node.derivation), node.trace);
            let (mut is_built, may_substitute) = (node.is_built, node.options.allow_substitutes);
            for name in outputs {
                if self.nodes[&path].wanted.contains_key(&name) {
                    continue;
                }
                let Some(output) = derivation.outputs.get(&name) else {
                    let output = name;
                    let path = store_dir.print(&path);
                    return Err(PlanError::NoSuchOutput { path, output });
                };
                let known = output.path(&store_dir, &derivation.name, &name);
                let known = known.map_err(|error| PlanError::Invalid {
                    path: store_dir.print(&path),
                    source: error.into(),
                })?;
                if let Some(node) = self.nodes.get_mut(&path) {
                    node.wanted.insert(name.clone(), known.clone());
                }
                if is_built {
                    continue;
                }
                match (known, trace) {
                    (Some(known), _) => is_built |= !self.rely(&path, &known),
                    (None, Some(hash)) => self.ask_realisation(&path, hash, name, may_substitute),
                    (None, None) => is_built = true,
                }
            }
            if is_built {
                self.begin_build(&path, &mut todo)?;
            }
        }
        Ok(())
    }

    fn ask_realisation(
        &mut self,
        derivation: &StorePath,
        hash: nix_formats::Hash,
        output: String,
        from_caches: bool,
    ) {
        let id = OutputId { hash, output };
        let asked = self.realisations.entry(id.clone()).or_default();
        if asked.is_empty() {
            self.questions
                .push(Question::Realisation { id, from_caches });
        }
        asked.push(derivation.clone());
    }

    /// Asks for a path, if that was not done.
    fn ask(&mut self, path: &StorePath) -> &mut Known {
        if !self.paths.contains_key(path) {
            self.questions.push(Question::Path(path.clone()));
        }
        self.paths.entry(path.clone()).or_default()
    }

    /// Asks for the path of an output. Whether it may do, as far as is known.
    fn rely(&mut self, derivation: &StorePath, path: &StorePath) -> bool {
        let may_substitute = self
            .nodes
            .get(derivation)
            .is_some_and(|it| it.options.allow_substitutes);
        let known = self.ask(path);
        known.outputs_of.push(derivation.clone());
        let is_cached = matches!(known.place, Some(Place::Cached { .. }));
        !known.is_broken && (may_substitute || !is_cached)
    }

    /// A path is missing: with it, all that refer to it. The derivations of which these are outputs.
    fn break_path(&mut self, path: &StorePath) -> Vec<StorePath> {
        let (mut broken, mut builds) = (vec![path.clone()], Vec::new());
        while let Some(path) = broken.pop() {
            if let Some(known) = self.paths.get_mut(&path)
                && !std::mem::replace(&mut known.is_broken, true)
            {
                broken.append(&mut known.referrers);
                builds.extend(known.outputs_of.iter().cloned());
            }
        }
        builds
    }

    /// Derivations have to be built.
    fn build(&mut self, derivations: impl IntoIterator<Item = StorePath>) -> Result<(), PlanError> {
        let mut todo = Todo::new();
        for path in derivations {
            self.begin_build(&path, &mut todo)?;
        }
        self.demand(todo)
    }

    /// A derivation has to be built: so its inputs are wanted.
    fn begin_build(&mut self, path: &StorePath, todo: &mut Todo) -> Result<(), PlanError> {
        let Some(node) = self.nodes.get_mut(path).filter(|node| !node.is_built) else {
            return Ok(());
        };
        node.is_built = true;
        let (derivation, kind) = (Arc::clone(&node.derivation), node.kind);
        if derivation.has_dynamic_inputs() {
            return Err(PlanError::Dynamic(self.store_dir.print(path)));
        }
        for (input, outputs) in &derivation.input_derivations {
            if let Some(found) = self.node(input)?
                && found.kind == DerivationKind::Impure
                && !matches!(kind, DerivationKind::Impure | DerivationKind::FixedOutput)
            {
                return Err(PlanError::ImpureInput {
                    path: self.store_dir.print(path),
                    input: self.store_dir.print(input),
                });
            }
            todo.push((input.clone(), outputs.names.clone()));
        }
        for source in &derivation.input_sources {
            self.roots.insert(source.clone());
            self.ask(source);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner")
            .field("nodes", &self.nodes.len())
            .field("paths", &self.paths.len())
            .finish_non_exhaustive()
    }
}
