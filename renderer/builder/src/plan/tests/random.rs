use std::collections::{BTreeMap, BTreeSet};

use nix_formats::{DerivationOutput, StorePath};
use proptest::prelude::*;

use super::{World, built, drv, fetched, out};
use crate::plan::Place;

/// A plain model of what a plan finds: it asks about the derivations that must be built again and again, until nothing changes.
fn expected(world: &World, wanted: &[(usize, &str)]) -> (BTreeSet<StorePath>, BTreeSet<StorePath>) {
    fn closure(world: &World, path: &StorePath, seen: &mut BTreeSet<StorePath>) -> bool {
        if !seen.insert(path.clone()) {
            return true;
        }
        match world.places.get(path) {
            None | Some(Place::Nowhere) => false,
            Some(Place::Valid) => true,
            Some(Place::Here { references } | Place::Cached { references, .. }) => {
                references.iter().all(|path| closure(world, path, seen))
            }
        }
    }
    let mut wants: BTreeMap<StorePath, BTreeSet<String>> = BTreeMap::new();
    for (number, output) in wanted {
        wants
            .entry(drv(*number))
            .or_default()
            .insert((*output).to_owned());
    }
    loop {
        let (mut builds, mut all) = (BTreeSet::new(), wants.clone());
        let mut needed = BTreeSet::new();
        for (path, outputs) in &wants {
            let derivation = &world.derivations[path];
            let mut seen = BTreeSet::new();
            let mut paths = outputs.iter().map(|name| match &derivation.outputs[name] {
                DerivationOutput::InputAddressed(path) => path,
                _ => unreachable!(),
            });
            if paths.all(|path| closure(world, path, &mut seen)) {
                needed.append(&mut seen);
                continue;
            }
            builds.insert(path.clone());
            for (input, outputs) in &derivation.input_derivations {
                all.entry(input.clone())
                    .or_default()
                    .extend(outputs.names.iter().cloned());
            }
        }
        if all == wants {
            needed.retain(|path| matches!(world.places[path], Place::Cached { .. }));
            return (builds, needed);
        }
        wants = all;
    }
}

fn worlds() -> impl Strategy<Value = World> {
    const COUNT: usize = 12;
    let input = (0..COUNT, prop_oneof![Just("out"), Just("dev")]);
    let derivation = prop::collection::vec(input, 0..4);
    let place = (0..3_u8, prop::collection::vec(0..2 * COUNT, 0..3));
    let derivations = prop::collection::vec(derivation, COUNT);
    let places = prop::collection::vec(place, 2 * COUNT);
    (derivations, places).prop_map(|(derivations, places)| {
        let mut world = World::default();
        for (number, mut inputs) in derivations.into_iter().enumerate() {
            inputs.retain(|(input, _)| *input < number);
            world = world.with(number, &inputs);
        }
        let nth = |number: usize| out(number / 2, ["out", "dev"][number % 2]);
        for (number, (kind, references)) in places.into_iter().enumerate() {
            let references: Vec<StorePath> = references.into_iter().map(nth).collect();
            world = match kind {
                0 => world,
                1 => world.cached(nth(number), &references),
                _ => world.here(nth(number), &references),
            };
        }
        world
    })
}

proptest! {
    #[test]
    fn plans_are_the_same_in_whatever_order_answers_come(
        world in worlds(),
        picks in prop::collection::vec(any::<usize>(), 1..20),
        wanted in prop::collection::vec((0..12_usize, prop_oneof![Just("out"), Just("dev")]), 1..4),
    ) {
        let (builds, fetches) = expected(&world, &wanted);
        let first = world.plan(&wanted);
        let mut picks = picks.into_iter().cycle();
        let other = world.plan_with(&wanted, |_| picks.next().unwrap()).unwrap();
        prop_assert_eq!(built(&first).into_iter().collect::<BTreeSet<_>>(), builds);
        prop_assert_eq!(fetched(&first).into_iter().collect::<BTreeSet<_>>(), fetches);
        prop_assert_eq!(built(&first), built(&other));
        prop_assert_eq!(&first.fetches, &other.fetches);
        for (place, build) in first.builds.iter().enumerate() {
            prop_assert!(build.needs.iter().all(|&need| need < place));
        }
    }
}
