//! What the mesh is for, as figures that must hold.

use niphas_mesh_simulation::{Outcome, Setting, Shape, closure, simulate};

const SECOND: u64 = 1_000_000_000;

fn alone(shape: Shape) -> f64 {
    simulate(&Setting::new(1, closure(shape))).last()
}

/// All nodes have all, and what holds of every run.
fn check(setting: &Setting) -> Outcome {
    let outcome = simulate(setting);
    let ready = outcome.ready.iter().flatten().count();
    assert_eq!(
        ready,
        setting.nodes - setting.deaths.len(),
        "nodes that have all"
    );
    outcome
}

#[test]
fn without_the_mesh_the_origin_sends_all_to_each_node() {
    let with = Setting::new(10, closure(Shape::Service));
    let setting = Setting {
        with_mesh: false,
        ..with
    };
    let outcome = check(&setting);
    assert_eq!(outcome.from_origin, 10 * outcome.closure);
    assert!(outcome.last() > 9.0 * alone(Shape::Service));
}

#[test]
fn one_node_alone_is_as_fast_as_the_origin() {
    let sum: u64 = closure(Shape::Application).iter().sum();
    let seconds = sum as f64 / 25e6;
    let alone = alone(Shape::Application);
    assert!(
        alone > seconds && alone < 1.05 * seconds,
        "{alone} s, of at least {seconds} s"
    );
}

#[test]
fn nodes_that_start_at_once_take_the_closure_from_the_origin_once() {
    for shape in Shape::ALL {
        let alone = alone(shape);
        for nodes in [2, 10, 50, 200] {
            let outcome = check(&Setting::new(nodes, closure(shape)));
            let what = format!("{nodes} nodes, {}", shape.name());
            assert_eq!(outcome.from_origin, outcome.closure, "{what}");
            assert!(
                outcome.most_sent() <= 3.0,
                "{what}: {}",
                outcome.most_sent()
            );
            assert!(
                outcome.last() <= 1.3 * alone,
                "{what}: {} s, alone {alone} s",
                outcome.last()
            );
        }
    }
}

#[test]
fn each_other_zone_takes_the_closure_once() {
    for (nodes, zones) in [(10, 2), (60, 3), (100, 10)] {
        let setting = Setting {
            zones,
            ..Setting::new(nodes, closure(Shape::Application))
        };
        let outcome = check(&setting);
        assert_eq!(outcome.from_origin, outcome.closure);
        assert_eq!(outcome.across, (zones as u64 - 1) * outcome.closure);
        assert!(
            outcome.most_sent() <= 3.0,
            "{zones} zones: {}",
            outcome.most_sent()
        );
    }
}

#[test]
fn nodes_that_come_later_are_served_by_those_that_have_it() {
    let setting = Setting {
        starts_within: 60 * SECOND,
        ..Setting::new(40, closure(Shape::Application))
    };
    let outcome = check(&setting);
    assert_eq!(outcome.from_origin, outcome.closure);
    assert!(outcome.most_sent() <= 3.0, "{}", outcome.most_sent());
    // The last finds all of it in the zone: five times the origin's rate.
    let last = outcome.ready.last().copied().flatten();
    assert!(
        last.is_some_and(|last| last < alone(Shape::Application) / 3.0),
        "{last:?}"
    );
}

#[test]
fn nodes_that_die_cost_what_they_were_fetching() {
    let deaths = (0..10).map(|number| (3 * number, (1 + number as u64) * SECOND));
    let setting = Setting {
        deaths: deaths.collect(),
        ..Setting::new(50, closure(Shape::Application))
    };
    let outcome = check(&setting);
    assert!(outcome.egress() <= 1.5, "{}", outcome.egress());
    let last = outcome.last();
    assert!(last <= 1.5 * alone(Shape::Application), "{last}");
}

#[test]
fn the_same_setting_has_the_same_outcome() {
    let setting = Setting::new(30, closure(Shape::Service));
    assert_eq!(simulate(&setting), simulate(&setting));
}
