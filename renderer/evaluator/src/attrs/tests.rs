//! Sets hold what maps would.

use super::*;
use crate::position::PosIdx;
use crate::value::Value;

/// A set of these names, whose values say which set it is.
fn set(arena: &Bump, names: impl Iterator<Item = u32>, number: i64) -> &Attrs<'_> {
    let attrs = names.map(|name| Attr::new(Symbol(name), PosIdx::NONE, Value::Int(number)));
    Attrs::from_unsorted(arena, attrs.collect())
}

fn int(attr: AttrRef<'_>) -> (u32, i64) {
    match attr.value.get() {
        Value::Int(number) => (attr.name.0, number),
        _ => unreachable!("all values are numbers"),
    }
}

/// Updates of sets of all sizes, in all orders and groupings, hold what a map would.
#[test]
fn updated_sets_hold_what_maps_would() {
    let arena = Bump::new();
    let mut shapes = Shapes::default();
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    let mut pool = vec![(Attrs::empty(&arena), std::collections::BTreeMap::new())];
    for number in 0..3_000 {
        if pool.len() > 40 {
            pool.swap_remove(next(40) as usize);
        }
        let size = [1, 3, 10, 40, 200][next(5) as usize];
        let names: Vec<u32> = (0..size).map(|_| next(400) as u32).collect();
        let fresh = set(&arena, names.iter().copied(), number);
        let map = names.into_iter().map(|name| (name, number)).collect();
        pool.push((fresh, map));
        let (l, r) = (next(pool.len() as u64), next(pool.len() as u64));
        let ((left, mut all), (right, more)) = (pool[l as usize].clone(), pool[r as usize].clone());
        let updated = left.update(&arena, &mut shapes, right);
        all.extend(more);
        for name in 0..400 {
            let found = updated.get(Symbol(name)).map(int);
            let expected = all.get(&name).map(|&number| (name, number));
            assert_eq!(found, expected);
            let hint = Cell::new(next(9) as u32);
            let hinted = updated.get_hinted(Symbol(name), &hint).map(int);
            assert_eq!(hinted, expected);
            assert_eq!(
                updated.value_hinted(Symbol(name), &hint).is_some(),
                expected.is_some()
            );
        }
        let common = updated.intersect(&arena, fresh).entries(&arena);
        let expected: Vec<_> = all
            .iter()
            .filter(|(name, _)| fresh.get(Symbol(**name)).is_some())
            .map(|(&name, &number)| (name, number))
            .collect();
        assert_eq!(common.iter().map(int).collect::<Vec<_>>(), expected);
        let (layers, _) = updated.extent();
        assert!(layers <= MOST_LAYERS);
        if next(4) == 0 {
            let entries: Vec<_> = updated.entries(&arena).iter().map(int).collect();
            assert_eq!(entries, all.clone().into_iter().collect::<Vec<_>>());
        }
        pool.push((updated, all));
    }
}
