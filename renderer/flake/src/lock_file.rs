//! flake.lock: the model, read from versions 5 to 7 and written as version 7, byte for byte as
//! Nix writes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::attrs::Attrs;
use crate::error::{LockFileError, RefError};
use crate::flake_ref::FlakeRef;
use crate::input_path::InputPath;

/// A node of a [`LockFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// Where an input of a node leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// To a node.
    Node(NodeId),
    /// To wherever that input of the top flake leads.
    Follows(InputPath),
}

/// What an input is locked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedInput {
    /// Exactly what to fetch.
    pub locked: FlakeRef,
    /// What flake.nix says.
    pub original: FlakeRef,
    /// Whether it is a flake.
    pub is_flake: bool,
    /// The input that a relative path is relative to.
    pub parent: Option<InputPath>,
}

/// A flake or source of a [`LockFile`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its inputs.
    pub inputs: BTreeMap<String, Edge>,
    /// What it is locked to. The root, and it alone, has none.
    pub lock: Option<LockedInput>,
}

/// A lock file: a graph of nodes from a root.
#[derive(Debug, Clone)]
pub struct LockFile {
    nodes: Vec<Node>,
}

/// No real flake comes near.
pub(crate) const MAX_NODES: usize = 50_000;
/// Nor this deep.
pub(crate) const MAX_DEPTH: usize = 250;

impl Default for LockFile {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

#[derive(Deserialize)]
struct FileJson {
    root: String,
    nodes: BTreeMap<String, NodeJson>,
}

#[derive(Deserialize, Serialize, Default)]
struct NodeJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    flake: Option<bool>,
    // Version 5 keeps what a fetch found out apart.
    #[serde(skip_serializing)]
    info: Option<Attrs>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<String, EdgeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked: Option<Attrs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Attrs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<InputPath>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum EdgeJson {
    Node(String),
    Follows(InputPath),
}

/// Keys in the order Nix writes them: sorted.
#[derive(Serialize)]
struct OutJson<'a> {
    nodes: BTreeMap<&'a str, NodeJson>,
    root: &'a str,
    version: u64,
}

impl LockFile {
    /// The node of the flake itself.
    pub const ROOT: NodeId = NodeId(0);

    /// Reads a lock file. `path` is for messages.
    pub fn parse(contents: &str, path: &str) -> Result<Self, LockFileError> {
        let parse_error = |reason: serde_json::Error| LockFileError::Parse {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        // The version first: a file of another one may have any shape.
        #[derive(Deserialize)]
        struct Version {
            #[serde(default)]
            version: u64,
        }
        let Version { version } = serde_json::from_str(contents).map_err(parse_error)?;
        if !(5..=7).contains(&version) {
            return Err(LockFileError::Version {
                path: path.to_owned(),
                version,
            });
        }
        let json: FileJson = serde_json::from_str(contents).map_err(parse_error)?;
        if json.nodes.len() > MAX_NODES {
            return Err(LockFileError::TooLarge(MAX_NODES));
        }
        let mut lock_file = Self::default();
        let mut ids = HashMap::from([(json.root.as_str(), Self::ROOT)]);
        // Nodes whose inputs have to be read, deepest last.
        let mut pending = vec![json.root.as_str()];
        while let Some(key) = pending.pop() {
            let id = ids[key];
            let Some(node) = json.nodes.get(key) else {
                // Only the root can be missing: the others were looked up.
                continue;
            };
            for (name, edge) in &node.inputs {
                let edge = match edge {
                    EdgeJson::Follows(path) => Edge::Follows(path.clone()),
                    EdgeJson::Node(target) => match ids.get(target.as_str()) {
                        Some(&Self::ROOT) => return Err(LockFileError::CycleToRoot),
                        Some(&known) => Edge::Node(known),
                        None => {
                            let (target, node) = json
                                .nodes
                                .get_key_value(target)
                                .ok_or_else(|| LockFileError::MissingNode(target.clone()))?;
                            let child = lock_file.add(read_locked(node)?);
                            ids.insert(target, child);
                            pending.push(target);
                            Edge::Node(child)
                        }
                    },
                };
                lock_file.node_mut(id).inputs.insert(name.clone(), edge);
            }
        }
        lock_file.check_acyclic(&ids)?;
        Ok(lock_file)
    }

    fn check_acyclic(&self, ids: &HashMap<&str, NodeId>) -> Result<(), LockFileError> {
        // Nodes without inputs left to check go first (Kahn's algorithm, backwards).
        let mut unchecked: Vec<usize> = self
            .nodes
            .iter()
            .map(|node| node.children().count())
            .collect();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (user, node) in self.nodes.iter().enumerate() {
            for child in node.children() {
                users[child.0].push(user);
            }
        }
        let mut ready: Vec<usize> = (0..self.nodes.len())
            .filter(|&n| unchecked[n] == 0)
            .collect();
        while let Some(done) = ready.pop() {
            for &user in &users[done] {
                unchecked[user] -= 1;
                if unchecked[user] == 0 {
                    ready.push(user);
                }
            }
        }
        let Some(mut at) = unchecked.iter().position(|&count| count > 0) else {
            return Ok(());
        };
        // Each of those has such a child, so that the way ends in the cycle.
        let mut seen = BTreeSet::new();
        while seen.insert(at) {
            let mut children = self.nodes[at].children();
            at = children
                .find(|child| unchecked[child.0] > 0)
                .map_or(at, |child| child.0);
        }
        let key = ids.iter().find(|(_, id)| id.0 == at).map(|(key, _)| *key);
        Err(LockFileError::Cycle(key.unwrap_or_default().to_owned()))
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    /// Adds a node that nothing leads to yet.
    pub(crate) fn add(&mut self, lock: LockedInput) -> NodeId {
        self.nodes.push(Node {
            inputs: BTreeMap::new(),
            lock: Some(lock),
        });
        NodeId(self.nodes.len() - 1)
    }

    /// How every input is locked.
    pub(crate) fn locks(&self) -> impl Iterator<Item = &LockedInput> {
        self.nodes.iter().filter_map(|node| node.lock.as_ref())
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node that an input leads to, through follows.
    pub fn find(&self, path: &InputPath) -> Result<Option<NodeId>, LockFileError> {
        self.find_from(path, &mut Vec::new())
    }

    fn find_from(
        &self,
        path: &InputPath,
        visited: &mut Vec<InputPath>,
    ) -> Result<Option<NodeId>, LockFileError> {
        if let Some(start) = visited.iter().position(|seen| seen == path) {
            let cycle: Vec<String> = visited[start..]
                .iter()
                .chain([path])
                .map(ToString::to_string)
                .collect();
            return Err(LockFileError::FollowCycle(cycle.join(" -> ")));
        }
        if visited.len() > MAX_DEPTH {
            return Err(LockFileError::TooLarge(MAX_DEPTH));
        }
        visited.push(path.clone());
        let mut at = Self::ROOT;
        for element in &path.0 {
            at = match self.node(at).inputs.get(element) {
                None => return Ok(None),
                Some(Edge::Node(child)) => *child,
                Some(Edge::Follows(target)) => match self.find_from(target, visited)? {
                    None => return Ok(None),
                    Some(node) => node,
                },
            };
        }
        Ok(Some(at))
    }

    /// All inputs of all nodes, each node by the first way that leads to it.
    pub fn all_inputs(&self) -> BTreeMap<InputPath, Edge> {
        fn visit(
            file: &LockFile,
            node: NodeId,
            prefix: &InputPath,
            done: &mut BTreeSet<NodeId>,
            all: &mut BTreeMap<InputPath, Edge>,
        ) {
            if prefix.0.len() > MAX_DEPTH || !done.insert(node) {
                return;
            }
            for (name, edge) in &file.node(node).inputs {
                let path = prefix.child(name);
                all.insert(path.clone(), edge.clone());
                if let Edge::Node(child) = edge {
                    visit(file, *child, &path, done, all);
                }
            }
        }
        let mut all = BTreeMap::new();
        visit(
            self,
            Self::ROOT,
            &InputPath::default(),
            &mut BTreeSet::new(),
            &mut all,
        );
        all
    }

    /// Checks that all follows lead somewhere.
    pub(crate) fn check_follows(&self) -> Result<(), LockFileError> {
        for (input, edge) in self.all_inputs() {
            if let Edge::Follows(target) = edge
                && !target.0.is_empty()
                && self.find(&target)?.is_none()
            {
                return Err(LockFileError::FollowsNothing {
                    input: input.to_string(),
                    target: target.to_string(),
                });
            }
        }
        Ok(())
    }

    /// An input that isn't locked, if there is one. `accept_hashed` lets those through that have
    /// a NAR hash: they can be checked, though perhaps not fetched again.
    pub fn unlocked_input(&self, accept_hashed: bool) -> Result<Option<&FlakeRef>, RefError> {
        for node in &self.nodes {
            let Some(lock) = &node.lock else { continue };
            let input = &lock.locked.input;
            if input.relative_path().is_some() {
                continue;
            }
            let locked = input.is_locked()? || (accept_hashed && input.nar_hash()?.is_some());
            if !locked || !input.is_final() {
                return Ok(Some(&lock.locked));
            }
        }
        Ok(None)
    }

    /// The key of each node in the file: the name of the first input that leads to it, with a
    /// number where that is taken.
    pub fn keys(&self) -> BTreeMap<NodeId, String> {
        fn visit(
            file: &LockFile,
            name: &str,
            node: NodeId,
            keys: &mut BTreeMap<NodeId, String>,
            taken: &mut HashMap<String, u64>,
        ) {
            if keys.contains_key(&node) {
                return;
            }
            let mut key = name.to_owned();
            if let Some(&next) = taken.get(name) {
                let mut number = next;
                while taken.contains_key(&key) {
                    key = format!("{name}_{number}");
                    number += 1;
                }
                taken.insert(name.to_owned(), number);
            }
            taken.insert(key.clone(), 2);
            keys.insert(node, key);
            for (name, edge) in &file.node(node).inputs {
                if let Edge::Node(child) = edge {
                    visit(file, name, *child, keys, taken);
                }
            }
        }
        let (mut keys, mut taken) = (BTreeMap::new(), HashMap::new());
        visit(self, "root", Self::ROOT, &mut keys, &mut taken);
        keys
    }

    /// The file's JSON, without the newline at the end of the file.
    pub fn to_json(&self) -> String {
        let keys = self.keys();
        let nodes = keys
            .iter()
            .map(|(id, key)| (key.as_str(), self.node_json(*id, &keys)))
            .collect();
        let json = OutJson {
            nodes,
            root: "root",
            version: 7,
        };
        serde_json::to_string_pretty(&json).expect("strings, numbers and lists of them are JSON")
    }

    fn node_json(&self, id: NodeId, keys: &BTreeMap<NodeId, String>) -> NodeJson {
        let node = self.node(id);
        let inputs = node
            .inputs
            .iter()
            .map(|(name, edge)| {
                let edge = match edge {
                    Edge::Node(child) => EdgeJson::Node(keys[child].clone()),
                    Edge::Follows(path) => EdgeJson::Follows(path.clone()),
                };
                (name.clone(), edge)
            })
            .collect();
        let Some(lock) = &node.lock else {
            return NodeJson {
                inputs,
                ..NodeJson::default()
            };
        };
        let mut locked = lock.locked.to_attrs();
        locked.remove("__final");
        NodeJson {
            flake: (!lock.is_flake).then_some(false),
            info: None,
            inputs,
            locked: Some(locked),
            original: Some(lock.original.to_attrs()),
            parent: lock.parent.clone(),
        }
    }

    /// What changed from `old` to this, a line or three per input, as Nix tells it.
    pub fn diff(&self, old: &Self) -> String {
        let (before, after) = (old.all_inputs(), self.all_inputs());
        let paths: BTreeSet<&InputPath> = before.keys().chain(after.keys()).collect();
        let change = |path: &InputPath| {
            let was = before.get(path).map(|edge| old.describe(edge));
            let is = after.get(path).map(|edge| self.describe(edge));
            match (was, is) {
                (None, Some(is)) => Some(format!("• Added input '{path}':\n    {is}\n")),
                (Some(_), None) => Some(format!("• Removed input '{path}'\n")),
                (Some(was), Some(is)) if was != is => {
                    Some(format!("• Updated input '{path}':\n    {was}\n  → {is}\n"))
                }
                _ => None,
            }
        };
        paths.into_iter().filter_map(change).collect()
    }

    fn describe(&self, edge: &Edge) -> String {
        match edge {
            Edge::Follows(path) => format!("follows '{path}'"),
            Edge::Node(id) => match &self.node(*id).lock {
                None => "the flake itself".to_owned(),
                Some(lock) => {
                    let date = match lock.locked.input.last_modified() {
                        Ok(Some(seconds)) => {
                            let date = crate::date::Date::from_unix(seconds);
                            format!(" ({date})")
                        }
                        _ => String::new(),
                    };
                    format!("'{}'{date}", lock.locked)
                }
            },
        }
    }
}

/// Two lock files are the same when they print the same.
impl PartialEq for LockFile {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

impl Node {
    fn children(&self) -> impl Iterator<Item = NodeId> {
        self.inputs.values().filter_map(|edge| match edge {
            Edge::Node(child) => Some(*child),
            Edge::Follows(_) => None,
        })
    }
}

fn read_locked(json: &NodeJson) -> Result<LockedInput, LockFileError> {
    let mut locked = json
        .locked
        .clone()
        .ok_or(LockFileError::Missing("locked"))?;
    for (name, value) in json.info.clone().unwrap_or_default() {
        locked.set(&name, value);
    }
    let original = json
        .original
        .clone()
        .ok_or(LockFileError::Missing("original"))?;
    let mut locked = FlakeRef::from_attrs(locked)?;
    let original = FlakeRef::from_attrs(original)?;
    let input = &mut locked.input;
    if input.relative_path().is_none() && !input.is_locked()? {
        if input.nar_hash()?.is_none() {
            return Err(LockFileError::Unlocked(input.attrs().to_json()));
        }
        tracing::warn!(
            "Lock file entry '{input}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. This is not reproducible and will break after garbage collection or when shared."
        );
    }
    input.set_final();
    Ok(LockedInput {
        locked,
        original,
        is_flake: json.flake.unwrap_or(true),
        parent: json.parent.clone(),
    })
}
