//! Where the derivations of a run stand in its picture: in layers, inputs on the left of what needs them.
//!
//! A picture of 2,000 boxes shows nothing. Few derivations matter at a time: those that failed, are being built or wait. They have a
//! box each, up to a limit; all others of one layer and state share a box with their number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{BuildNode, BuildState};

/// A graph of at most this many derivations has a box for each.
const SMALL: usize = 24;
/// Boxes of single derivations in a larger one.
const SINGLE: usize = 40;
/// Of these, in one layer.
const SINGLE_OF_LAYER: usize = 8;
/// Layers. Deeper graphs have several steps in each.
const LAYERS: usize = 6;
/// Lines between boxes.
const EDGES: usize = 600;
/// Derivations and inputs that are looked at.
const NODES: usize = 10_000;
const INPUTS: usize = 200_000;

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A derivation.
    Single(usize),
    /// Some derivations in this state.
    Group(BuildState, usize),
}

/// Boxes in layers, and the lines between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) cells: Vec<Cell>,
    /// Boxes from the top to the bottom, of each layer.
    pub(crate) layers: Vec<Vec<usize>>,
    /// From an input to what needs it.
    pub(crate) edges: Vec<(usize, usize)>,
    /// Derivations that are not looked at.
    pub(crate) more: usize,
}

pub(crate) fn graph(builds: &[BuildNode]) -> Graph {
    let more = builds.len().saturating_sub(NODES);
    let builds = &builds[..builds.len() - more];
    let inputs = inputs_of(builds);
    let depths = depths(&inputs);
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let layer_of = |node: usize| match deepest {
        0..LAYERS => depths[node],
        _ => depths[node] * LAYERS / (deepest + 1),
    };
    let singles = singles(builds, &layer_of);

    let mut graph = Graph {
        layers: vec![Vec::new(); deepest.min(LAYERS - 1) + 1],
        more,
        ..Graph::default()
    };
    let mut cell_of = vec![0; builds.len()];
    let mut groups: BTreeMap<(usize, BuildState), usize> = BTreeMap::new();
    for (node, build) in builds.iter().enumerate() {
        let layer = layer_of(node);
        let new = graph.cells.len();
        cell_of[node] = if singles.contains(&node) {
            graph.cells.push(Cell::Single(node));
            new
        } else {
            let cell = *groups.entry((layer, build.state)).or_insert(new);
            if cell == new {
                graph.cells.push(Cell::Group(build.state, 0));
            }
            if let Cell::Group(_, count) = &mut graph.cells[cell] {
                *count += 1;
            }
            cell
        };
        if graph.cells.len() > new {
            graph.layers[layer].push(new);
        }
    }
    let mut edges = BTreeSet::new();
    for (node, inputs) in inputs.iter().enumerate() {
        for &input in inputs {
            let (from, to) = (cell_of[input], cell_of[node]);
            if from != to && edges.len() < EDGES {
                edges.insert((from, to));
            }
        }
    }
    graph.edges = edges.into_iter().collect();
    graph.layers.retain(|layer| !layer.is_empty());
    graph.order();
    graph
}

/// The inputs of each derivation that are among them, each once.
fn inputs_of(builds: &[BuildNode]) -> Vec<Vec<usize>> {
    let mut room = INPUTS;
    let inputs = builds.iter().enumerate().map(|(node, build)| {
        let is_other = |input: &usize| *input < builds.len() && *input != node;
        let mut inputs: Vec<usize> = build
            .inputs
            .iter()
            .copied()
            .take(room)
            .filter(is_other)
            .collect();
        room -= build.inputs.len().min(room);
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    });
    inputs.collect()
}

/// The length of the longest way from a derivation without inputs. Derivations do not need each other in a circle; if what is
/// handed in does, those of the circle stand where it was first reached.
fn depths(inputs: &[Vec<usize>]) -> Vec<usize> {
    let mut needed_by = vec![Vec::new(); inputs.len()];
    let mut missing: Vec<usize> = inputs.iter().map(Vec::len).collect();
    for (node, inputs) in inputs.iter().enumerate() {
        for &input in inputs {
            needed_by[input].push(node);
        }
    }
    let mut depths = vec![0; inputs.len()];
    let mut ready: Vec<usize> = (0..inputs.len())
        .filter(|&node| missing[node] == 0)
        .collect();
    while let Some(input) = ready.pop() {
        for &node in &needed_by[input] {
            depths[node] = depths[node].max(depths[input] + 1);
            missing[node] -= 1;
            if missing[node] == 0 {
                ready.push(node);
            }
        }
    }
    depths
}

/// The derivations that have a box of their own: what failed first, then what is under way, the longest builds first.
fn singles(builds: &[BuildNode], layer_of: &dyn Fn(usize) -> usize) -> BTreeSet<usize> {
    if builds.len() <= SMALL {
        return (0..builds.len()).collect();
    }
    let is_done = |state| matches!(state, BuildState::Built | BuildState::Cached);
    let rank = |state| match state {
        BuildState::Failed => 0,
        BuildState::Running => 1,
        BuildState::DependencyFailed => 2,
        _ => 3,
    };
    let mut nodes: Vec<usize> = (0..builds.len())
        .filter(|&node| !is_done(builds[node].state))
        .collect();
    nodes.sort_by_key(|&node| (rank(builds[node].state), Reverse(builds[node].took), node));
    let mut of_layer = [0; LAYERS];
    let mut singles = BTreeSet::new();
    for node in nodes {
        let count = &mut of_layer[layer_of(node)];
        if *count < SINGLE_OF_LAYER && singles.len() < SINGLE {
            *count += 1;
            singles.insert(node);
        }
    }
    singles
}

impl Graph {
    /// Puts the boxes of each layer where their neighbours are, so that fewer lines cross.
    fn order(&mut self) {
        let mut neighbours = vec![Vec::new(); self.cells.len()];
        for &(from, to) in &self.edges {
            neighbours[from].push(to);
            neighbours[to].push(from);
        }
        let mut places = vec![0.0; self.cells.len()];
        for sweep in 0..6 {
            let place = |layers: &Vec<Vec<usize>>, places: &mut Vec<f64>| {
                for layer in layers {
                    for (at, &cell) in layer.iter().enumerate() {
                        places[cell] = at as f64 - (layer.len() as f64 - 1.0) / 2.0;
                    }
                }
            };
            place(&self.layers, &mut places);
            let count = self.layers.len();
            for step in 0..count {
                // To the right and back.
                let layer = if sweep % 2 == 0 {
                    step
                } else {
                    count - 1 - step
                };
                let middle = |cell: usize| {
                    let around = &neighbours[cell];
                    if around.is_empty() {
                        return places[cell];
                    }
                    around.iter().map(|&other| places[other]).sum::<f64>() / around.len() as f64
                };
                let mut cells: Vec<(f64, usize)> = self.layers[layer]
                    .iter()
                    .map(|&cell| (middle(cell), cell))
                    .collect();
                cells.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                self.layers[layer] = cells.iter().map(|&(_, cell)| cell).collect();
                let length = cells.len() as f64;
                for (at, (_, cell)) in cells.into_iter().enumerate() {
                    places[cell] = at as f64 - (length - 1.0) / 2.0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(state: BuildState, inputs: &[usize]) -> BuildNode {
        BuildNode {
            derivation: String::new(),
            system: String::new(),
            state,
            took: None,
            job: None,
            inputs: inputs.to_vec(),
            has_log: false,
        }
    }

    #[test]
    fn inputs_stand_on_the_left() {
        use BuildState::Built;
        // 3 needs 1 and 2, which need 0.
        let builds = [
            node(Built, &[]),
            node(Built, &[0]),
            node(Built, &[0, 0, 99]),
            node(Built, &[1, 2]),
        ];
        let graph = graph(&builds);
        assert_eq!(graph.layers, [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(graph.edges, [(0, 1), (0, 2), (1, 3), (2, 3)]);
    }

    #[test]
    fn many_derivations_are_few_boxes() {
        use BuildState::{Built, Failed, Waiting};
        let builds: Vec<BuildNode> = (0..2_000)
            .map(|number: usize| {
                let state = match number {
                    1_500 => Failed,
                    1_600.. => Waiting,
                    _ => Built,
                };
                let inputs: Vec<usize> = (1..4)
                    .filter_map(|back| number.checked_sub(back * 7))
                    .collect();
                node(state, &inputs)
            })
            .collect();
        let graph = graph(&builds);
        assert!(
            graph.cells.len() <= SINGLE + LAYERS * 6,
            "{}",
            graph.cells.len()
        );
        assert_eq!(graph.layers.len(), LAYERS);
        assert!(graph.cells.contains(&Cell::Single(1_500)));
        let of_groups = |cell: &Cell| match cell {
            Cell::Single(_) => 1,
            Cell::Group(_, count) => *count,
        };
        assert_eq!(graph.cells.iter().map(of_groups).sum::<usize>(), 2_000);
        let placed: usize = graph.layers.iter().map(Vec::len).sum();
        assert_eq!(placed, graph.cells.len());
    }

    #[test]
    fn circles_and_floods_end() {
        use BuildState::Running;
        let circle = [
            node(Running, &[1]),
            node(Running, &[0]),
            node(Running, &[2]),
        ];
        assert_eq!(graph(&circle).cells.len(), 3);
        let all: Vec<usize> = (0..1_000).collect();
        let flood: Vec<BuildNode> = (0..12_000).map(|_| node(Running, &all)).collect();
        let graph = graph(&flood);
        assert_eq!(graph.more, 2_000);
        assert!(graph.edges.len() <= EDGES);
        assert_eq!(super::graph(&[]).cells.len(), 0);
    }
}
