use niphas_store::{Limit, LimitExceeded};
use nix_formats::StorePath;
use tonic::Code;

use super::*;
use crate::pod::Pod;

const TARGET: &str = "/pods/a/mount";
const ELSEWHERE: &str = "/pods/b/mount";

/// A record of closure 1 or 2, at a target.
fn record(volume: &str, target: &str, closure: u8) -> Record {
    let root = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
    Record {
        volume: volume.to_owned(),
        target: target.into(),
        roots: StorePath::from_base_name(root).unwrap().into(),
        digest: format!("sha256:{}", closure.to_string().repeat(64))
            .parse()
            .unwrap(),
        pod: Pod {
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            uid: "7".to_owned(),
        },
        boot: "this".to_owned(),
    }
}

fn wanted() -> Record {
    record("csi-a", TARGET, 1)
}

/// Nothing of the volume is there.
fn nothing() -> Seen {
    Seen {
        record: None,
        other: None,
        target: Target::Free,
        view: ViewState::Absent,
    }
}

fn step_of(seen: &Seen, closure: Known<&'static str>) -> Step<&'static str> {
    publish(seen, &wanted(), closure).unwrap()
}

fn step(actions: &[Action<&'static str>], then: Then) -> Step<&'static str> {
    let actions = actions.to_vec();
    Step { actions, then }
}

#[test]
fn a_cold_volume_is_recorded_and_held_before_it_is_realised_and_mounted_after() {
    use Action::{Bind, Hold, Mount, Record};
    for known in [Known::Nothing, Known::Vouched] {
        assert_eq!(
            step_of(&nothing(), known),
            step(&[Record, Hold], Then::Realise)
        );
    }
    let recorded = Seen {
        record: Some(wanted()),
        ..nothing()
    };
    assert_eq!(
        step_of(&recorded, Known::Fetched("it")),
        step(&[Mount("it"), Bind], Then::Answer(Start::Cold))
    );
    assert_eq!(
        step_of(&recorded, Known::Stored("it")),
        step(&[Mount("it"), Bind], Then::Answer(Start::Realised))
    );
    // kubelet asks again, also after the driver was killed in the middle.
    assert_eq!(
        step_of(&recorded, Known::Nothing),
        step(&[Hold], Then::Realise)
    );
}

#[test]
fn a_mounted_closure_is_bound_once_the_pods_section_vouches_for_it() {
    use Action::{Bind, Record};
    let mounted = Seen {
        view: ViewState::Mounted,
        ..nothing()
    };
    assert_eq!(
        step_of(&mounted, Known::Nothing),
        step(&[Record], Then::Realise)
    );
    for known in [Known::Vouched, Known::Stored("it"), Known::Fetched("it")] {
        assert_eq!(
            step_of(&mounted, known),
            step(&[Record, Bind], Then::Answer(Start::Mounted))
        );
    }
}

#[test]
fn a_published_volume_is_answered_at_once() {
    let published = Seen {
        record: Some(wanted()),
        target: Target::Recorded,
        view: ViewState::Mounted,
        ..nothing()
    };
    assert_eq!(
        step_of(&published, Known::Nothing),
        step(&[], Then::Answer(Start::Published))
    );
    // Its record was lost, what is mounted is the closure.
    let lost = Seen {
        record: None,
        target: Target::View(wanted().key()),
        ..published
    };
    assert_eq!(
        step_of(&lost, Known::Vouched),
        step(&[Action::Record], Then::Answer(Start::Mounted))
    );
}

#[test]
fn what_else_is_mounted_at_the_target_is_never_covered() {
    let taken = |target: Target| Seen {
        target,
        ..nothing()
    };
    let cases = [
        (
            "another closure of the same volume",
            Seen {
                record: Some(record("csi-a", TARGET, 2)),
                ..taken(Target::Recorded)
            },
            Code::AlreadyExists,
        ),
        (
            "another volume",
            Seen {
                other: Some(record("csi-b", TARGET, 1)),
                ..taken(Target::View(wanted().key()))
            },
            Code::AlreadyExists,
        ),
        (
            "another closure, of which no record is there",
            taken(Target::View(record("csi-a", TARGET, 2).key())),
            Code::AlreadyExists,
        ),
        (
            "a view that is no longer mounted",
            taken(Target::Former),
            Code::FailedPrecondition,
        ),
        (
            "what is not the driver's",
            taken(Target::Foreign),
            Code::FailedPrecondition,
        ),
        (
            "the volume itself at another target",
            Seen {
                record: Some(record("csi-a", ELSEWHERE, 1)),
                ..nothing()
            },
            Code::FailedPrecondition,
        ),
    ];
    for (what, seen, code) in cases {
        for known in [Known::Nothing, Known::Vouched, Known::Stored("it")] {
            let refused = publish(&seen, &wanted(), known).unwrap_err();
            assert_eq!(refused.code(), code, "{what}: {refused}");
        }
    }
}

/// All that can be seen of a volume.
fn everything() -> Vec<Seen> {
    let records = [
        None,
        Some(wanted()),
        Some(record("csi-a", TARGET, 2)),
        Some(record("csi-a", ELSEWHERE, 1)),
    ];
    let targets = [
        Target::Free,
        Target::Recorded,
        Target::View(wanted().key()),
        Target::View(record("csi-a", TARGET, 2).key()),
        Target::Former,
        Target::Foreign,
    ];
    let mut all = Vec::new();
    for record_seen in &records {
        for other in [None, Some(record("csi-b", TARGET, 1))] {
            for target in &targets {
                for view in [ViewState::Absent, ViewState::Mounted] {
                    all.push(Seen {
                        record: record_seen.clone(),
                        other: other.clone(),
                        target: target.clone(),
                        view,
                    });
                }
            }
        }
    }
    all
}

#[test]
fn whatever_is_seen_steps_come_to_an_end_and_keep_their_order() {
    for seen in everything() {
        for known in [
            Known::Nothing,
            Known::Vouched,
            Known::Stored("it"),
            Known::Fetched("it"),
        ] {
            let Ok(next) = publish(&seen, &wanted(), known) else {
                continue;
            };
            let is_there = matches!(known, Known::Stored(_) | Known::Fetched(_));
            let case = format!("{seen:?}, {known:?}: {next:?}");
            // A closure that was realised is not realised again: so a publish ends.
            assert!(!is_there || next.then != Then::Realise, "{case}");
            let place = |action: &Action<_>| match action {
                Action::Record => 0,
                Action::Hold => 1,
                Action::Mount(_) => 2,
                Action::Bind => 3,
            };
            assert!(next.actions.is_sorted_by_key(place), "{case}");
            let has = |number| next.actions.iter().any(|action| place(action) == number);
            let is_published = matches!(next.then, Then::Answer(_));
            // What is mounted or about to come has a record, and a root unless its view is mounted.
            assert!(
                has(0) || seen.record.as_ref() == Some(&wanted()) || next.actions.is_empty(),
                "{case}"
            );
            assert_eq!(
                has(1),
                !is_published && seen.view == ViewState::Absent,
                "{case}"
            );
            assert!(
                !has(2) || seen.view == ViewState::Absent && is_published,
                "{case}"
            );
            // Nothing is covered, and nothing is bound before it is mounted.
            assert!(
                !has(3) || seen.target == Target::Free && is_published,
                "{case}"
            );
            assert!(
                has(3) || seen.target != Target::Free || !is_published,
                "{case}"
            );
            assert!(
                !has(3) || has(2) || seen.view == ViewState::Mounted,
                "{case}"
            );
        }
    }
}

#[test]
fn a_record_counts_as_long_as_it_is_what_is_asked_for_or_mounted() {
    let outdated = |record: Record, is_mounted| {
        let recorded = Recorded { record, is_mounted };
        is_outdated(&recorded, &wanted())
    };
    for (record, is_other) in [
        (wanted(), false),
        (
            Record {
                boot: "before".to_owned(),
                pod: Pod::default(),
                ..wanted()
            },
            false,
        ),
        (record("csi-a", TARGET, 2), true),
        (record("csi-a", ELSEWHERE, 1), true),
        (record("csi-a", ELSEWHERE, 2), true),
    ] {
        assert_eq!(outdated(record.clone(), false), is_other, "{record:?}");
        assert!(!outdated(record, true));
    }
}

#[test]
fn closures_that_no_cache_gives_are_refused_after_three_minutes() {
    let error = || {
        Arc::new(RealiseError::Unavailable(
            binary_cache::ClosureError::Unavailable(Vec::new()),
        ))
    };
    let almost = MAY_COME.checked_sub(Duration::from_millis(1)).unwrap();
    for passed in [Duration::ZERO, almost] {
        let answer = not_realised(error(), passed);
        assert_eq!(answer.code(), Code::Unavailable);
        assert_eq!(leftover(&answer), Leftover::Kept);
    }
    let answer = not_realised(error(), MAY_COME);
    assert!(matches!(answer, VolumeError::Realise(_)));
    // What does not come of itself is refused at once.
    let limit = LimitExceeded {
        limit: Limit::Paths,
        allowed: 1,
        found: 2,
    };
    let answer = not_realised(Arc::new(RealiseError::Limit(limit)), Duration::ZERO);
    assert_eq!(answer.code(), Code::FailedPrecondition);
    assert_eq!(leftover(&answer), Leftover::Removed);
}

#[test]
fn a_volume_is_unpublished_from_where_it_is_and_leaves_nothing() {
    use Removal::{Clear, Forget, Release};
    let (one, two) = (wanted().key(), record("csi-a", TARGET, 2).key());
    let at = |target: &str, is_mounted| {
        let record = record("csi-a", target, 1);
        Some(Recorded { record, is_mounted })
    };
    let clear = || Clear(TARGET.into());
    let cases = [
        (
            "published here",
            at(TARGET, true),
            Target::Recorded,
            vec![clear(), Forget, Release(one)],
        ),
        (
            "about to be published here",
            at(TARGET, false),
            Target::Free,
            vec![clear(), Forget, Release(one)],
        ),
        ("not known", None, Target::Free, vec![clear()]),
        (
            "not known, and a view is mounted",
            None,
            Target::View(two),
            vec![clear(), Release(two)],
        ),
        (
            "not known, and a view of before is mounted",
            None,
            Target::Former,
            vec![clear()],
        ),
        (
            "published elsewhere",
            at(ELSEWHERE, true),
            Target::Free,
            vec![clear()],
        ),
        (
            "about to be published elsewhere",
            at(ELSEWHERE, false),
            Target::Free,
            vec![clear(), Forget, Release(one)],
        ),
        (
            "published elsewhere, and another view is mounted",
            at(ELSEWHERE, true),
            Target::View(two),
            vec![clear(), Release(two)],
        ),
        (
            "recorded elsewhere without a mount, and another view is mounted",
            at(ELSEWHERE, false),
            Target::View(two),
            vec![clear(), Forget, Release(two), Release(one)],
        ),
        (
            "recorded elsewhere without a mount, and its view is mounted",
            at(ELSEWHERE, false),
            Target::View(one),
            vec![clear(), Forget, Release(one)],
        ),
    ];
    for (what, recorded, mounted, expected) in cases {
        let removals = unpublish(recorded.as_ref(), Path::new(TARGET), &mounted).unwrap();
        assert_eq!(removals, expected, "{what}");
    }
    // What is not the driver's stays mounted.
    for recorded in [None, at(ELSEWHERE, true), at(ELSEWHERE, false)] {
        let refused =
            unpublish(recorded.as_ref(), Path::new(TARGET), &Target::Foreign).unwrap_err();
        assert!(matches!(refused, VolumeError::Foreign(_)), "{recorded:?}");
    }
}

#[test]
fn a_volume_is_gone_with_its_mount_and_its_pods_folder_or_with_the_nodes_last_life() {
    for (boot, is_mounted, has_folder, expected) in [
        ("this", true, true, false),
        ("this", true, false, false),
        ("this", false, true, false),
        ("this", false, false, true),
        ("before", false, true, true),
        ("before", false, false, true),
        ("before", true, true, true),
    ] {
        let record = Record {
            boot: boot.to_owned(),
            ..wanted()
        };
        let recorded = Recorded { record, is_mounted };
        assert_eq!(
            is_gone(&recorded, "this", has_folder),
            expected,
            "{boot}, mounted: {is_mounted}, folder: {has_folder}"
        );
    }
}
