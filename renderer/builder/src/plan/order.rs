//! The builds of a plan in the order in which Nix tells them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use nix_formats::{StoreDir, StorePath};

use super::node::Node;
use super::{Build, PlanError};
use crate::options::Machine;

/// What is built, each after what it needs.
pub(super) fn builds(
    nodes: &HashMap<StorePath, Node>,
    machine: &Machine,
    store_dir: &StoreDir,
) -> Result<Vec<Build>, PlanError> {
    let built: BTreeMap<&StorePath, &Node> =
        nodes.iter().filter(|(_, node)| node.is_built).collect();
    let sorted = sorted(&built, store_dir)?;
    let places: HashMap<&StorePath, usize> = sorted
        .iter()
        .enumerate()
        .map(|(place, path)| (*path, place))
        .collect();
    let mut builds: Vec<Build> = Vec::with_capacity(sorted.len());
    for path in &sorted {
        let node = built[*path];
        let inputs = node.derivation.input_derivations.keys();
        builds.push(Build {
            path: (*path).clone(),
            derivation: Arc::clone(&node.derivation),
            wanted: node.wanted.keys().cloned().collect(),
            needs: inputs
                .filter_map(|input| places.get(input).copied())
                .collect(),
            height: 1,
            options: Arc::clone(&node.options),
            trace: node.trace,
            refusal: machine.refuses(
                &node.derivation.platform,
                &node.derivation.builder,
                &node.options,
                node.kind,
            ),
        });
    }
    for place in (0..builds.len()).rev() {
        let height = builds[place].height + 1;
        for need in builds[place].needs.clone() {
            builds[need].height = builds[need].height.max(height);
        }
    }
    Ok(builds)
}

/// Depth first from the smallest path on, each after what it refers to.
fn sorted<'a>(
    built: &BTreeMap<&'a StorePath, &'a Node>,
    store_dir: &StoreDir,
) -> Result<Vec<&'a StorePath>, PlanError> {
    let mut sorted = Vec::with_capacity(built.len());
    let (mut opened, mut closed) = (BTreeSet::new(), BTreeSet::new());
    for root in built.keys() {
        let mut stack = vec![(*root, false)];
        while let Some((path, is_done)) = stack.pop() {
            if is_done {
                closed.insert(path);
                sorted.push(path);
                continue;
            }
            if closed.contains(path) {
                continue;
            }
            if !opened.insert(path) {
                return Err(PlanError::Cycle(store_dir.print(path)));
            }
            stack.push((path, true));
            let references: BTreeSet<StorePath> = built[path].derivation.references();
            // The smallest comes off the stack first.
            for reference in references.iter().rev() {
                if reference != path
                    && let Some((reference, _)) = built.get_key_value(reference)
                    && !closed.contains(*reference)
                {
                    stack.push((*reference, false));
                }
            }
        }
    }
    Ok(sorted)
}
