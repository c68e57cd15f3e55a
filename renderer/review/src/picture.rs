//! What the closures of environments consist of, for a picture of their sizes.

use std::collections::{BTreeMap, HashMap, HashSet};

use niphas_api::ClosureLines;

use crate::closure;
use crate::files::{Content, read_path};
use crate::package::split_name;
use crate::review::{ChangeKind, Review};
use crate::words::word;

/// The system whose closures are shown where there are several.
const PREFERRED: &str = "x86_64-linux";

/// The closures of environments.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Picture {
    pub(crate) environments: Vec<EnvironmentPicture>,
}

/// The closures of environments that have the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvironmentPicture {
    /// The environments' names.
    pub(crate) names: Vec<String>,
    /// The system that the closures are for.
    pub(crate) system: String,
    /// The sum of the NAR sizes of all store paths, each once.
    pub(crate) size: u64,
    /// The number of store paths, each once.
    pub(crate) paths: usize,
    /// The workloads, the largest first.
    pub(crate) workloads: Vec<WorkloadPicture>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkloadPicture {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) change: Option<ChangeKind>,
    /// The packages, the largest first.
    pub(crate) packages: Vec<Part>,
}

/// What a workload has of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) size: u64,
    pub(crate) state: State,
    /// The number of the environment's workloads that have the same store paths of it.
    pub(crate) sharers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum State {
    Same,
    Changed,
    New,
}

impl Picture {
    /// Adds an environment, by the paths and bytes of its files. `review` says what of it changes.
    pub fn add<'f>(
        &mut self,
        environment: &str,
        files: impl Iterator<Item = (&'f str, &'f [u8])>,
        review: &Review,
    ) {
        let mut systems: BTreeMap<&str, Vec<(&str, &[u8])>> = BTreeMap::new();
        for (path, bytes) in files {
            if let Some((workload, Content::Closure { system })) = read_path(environment, path) {
                systems.entry(system).or_default().push((workload, bytes));
            }
        }
        let system = systems.keys().copied().find(|system| *system == PREFERRED);
        let Some(system) = system.or_else(|| systems.keys().next().copied()) else {
            return;
        };
        // Two passes, so that not all closures are held at once.
        let files = &systems[system];
        let closures = || {
            files
                .iter()
                .filter_map(|(workload, bytes)| Some((*workload, closure::read(Some(bytes))?)))
        };
        let mut paths: HashMap<[u8; 20], Known> = HashMap::new();
        let mut size = 0_u64;
        for (workload, lines) in closures() {
            let change = Change::of(environment, workload, system, review);
            for line in lines.as_slice() {
                let known = paths.entry(line.path.hash_bytes()).or_default();
                known.sharers += 1;
                known.was_there |= change.keeps(split_name(line.path.name()).0);
                if known.sharers == 1 {
                    size = size.saturating_add(line.nar_size);
                }
            }
        }
        let mut workloads: Vec<WorkloadPicture> = closures()
            .map(|(workload, lines)| {
                let change = Change::of(environment, workload, system, review);
                picture(workload, &change, &lines, &paths)
            })
            .collect();
        workloads.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
        let picture = EnvironmentPicture {
            names: vec![word(environment)],
            system: word(system),
            size,
            paths: paths.len(),
            workloads,
        };
        let same = self.environments.iter_mut().find(|other| {
            (&other.system, other.size, &other.workloads)
                == (&picture.system, picture.size, &picture.workloads)
        });
        match same {
            Some(same) => same.names.extend(picture.names),
            None => self.environments.push(picture),
        }
    }
}

/// What is known of a store path in an environment.
#[derive(Default, Clone, Copy)]
struct Known {
    /// The workloads that have it.
    sharers: usize,
    /// Whether a workload had it before.
    was_there: bool,
}

/// How a workload's closure changes.
struct Change<'r> {
    kind: Option<ChangeKind>,
    /// The packages that it changes.
    states: HashMap<&'r str, State>,
}

impl<'r> Change<'r> {
    fn of(environment: &str, workload: &str, system: &str, review: &'r Review) -> Self {
        let mut changes = review.workloads.iter();
        let change =
            changes.find(|change| change.name == workload && change.environment == environment);
        let closure = change.and_then(|change| change.closures.get(system));
        let packages = closure.map_or(&[][..], |closure| &closure.packages);
        let state = |is_new| if is_new { State::New } else { State::Changed };
        Self {
            kind: change.map(|change| change.change),
            states: packages
                .iter()
                .map(|package| {
                    (
                        package.name.as_str(),
                        state(package.before.versions.is_empty()),
                    )
                })
                .collect(),
        }
    }

    /// Whether the workload has the same of a package as before.
    fn keeps(&self, package: &str) -> bool {
        self.kind != Some(ChangeKind::Added) && !self.states.contains_key(package)
    }
}

fn picture(
    name: &str,
    change: &Change<'_>,
    lines: &ClosureLines,
    paths: &HashMap<[u8; 20], Known>,
) -> WorkloadPicture {
    let is_added = change.kind == Some(ChangeKind::Added);
    let mut parts: BTreeMap<(&str, &str, State, usize), u64> = BTreeMap::new();
    for line in lines.as_slice() {
        let (package, version) = split_name(line.path.name());
        let known = paths
            .get(&line.path.hash_bytes())
            .copied()
            .unwrap_or_default();
        let state = match change.states.get(package) {
            Some(state) => *state,
            None if is_added && !known.was_there => State::New,
            None => State::Same,
        };
        let size = parts
            .entry((package, version, state, known.sharers))
            .or_insert(0);
        *size = size.saturating_add(line.nar_size);
    }
    let part = |((name, version, state, sharers), size): ((&str, &str, State, usize), u64)| Part {
        name: name.to_owned(),
        version: version.to_owned(),
        size,
        state,
        sharers,
    };
    let mut packages: Vec<Part> = parts
        .into_iter()
        .map(part)
        .filter(|part| part.size > 0)
        .collect();
    packages.sort_by(|a, b| {
        b.size
            .cmp(&a.size)
            .then_with(|| (&a.name, &a.version).cmp(&(&b.name, &b.version)))
    });
    WorkloadPicture {
        name: word(name),
        size: lines.nar_size(),
        change: change.kind,
        packages,
    }
}

impl EnvironmentPicture {
    /// The sizes of all closures, as if each had its own copy of what is shared.
    pub(crate) fn sum(&self) -> u64 {
        self.workloads
            .iter()
            .fold(0, |sum, workload| sum.saturating_add(workload.size))
    }

    /// The states that are shown.
    pub(crate) fn states(&self) -> HashSet<(State, bool)> {
        let parts = self
            .workloads
            .iter()
            .flat_map(|workload| &workload.packages);
        parts
            .map(|part| (part.state, part.sharers > 1))
            .collect::<HashSet<_>>()
    }
}
