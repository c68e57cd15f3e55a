//! Schedules by hand, by chance, and at size.

mod random;
mod size;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use nix_formats::StorePath;

use super::*;
use crate::failure::Cause;

fn path(name: &str) -> StorePath {
    let hash = nix_formats::HashAlgorithm::Sha256.digest(name.as_bytes());
    let bytes: [u8; 20] = hash.as_bytes()[..20].try_into().unwrap();
    StorePath::from_parts(bytes, &format!("{name}.drv")).unwrap()
}

fn source(name: &str) -> SourceRef {
    let (namespace, name) = name.split_once('/').unwrap();
    SourceRef {
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn need(name: &str, needs: &[usize]) -> Need {
    Need {
        derivation: path(name),
        needs: needs.to_vec(),
        system: "x86_64-linux".into(),
        features: BTreeSet::new(),
        is_local: name.starts_with("local"),
    }
}

fn limits(total: usize) -> Limits {
    Limits {
        total,
        per_namespace: usize::MAX,
        per_system: BTreeMap::new(),
        grace: Duration::from_mins(1),
    }
}

fn add(schedule: &mut Schedule, run: u64, name: &str, needs: &[Need]) {
    schedule
        .add_run(RunId(run), &source(name), None, needs, &HashMap::new())
        .unwrap();
}

/// All that starts now, with what is built in the same pod.
fn starts(schedule: &mut Schedule) -> Vec<String> {
    let starts = std::iter::from_fn(|| schedule.next_start());
    starts
        .map(|start| {
            let all = start.members.iter().chain([&start.derivation]);
            let names: Vec<&str> = all.map(|it| it.name().trim_end_matches(".drv")).collect();
            names.join("+")
        })
        .collect()
}

fn failure(cause: Cause) -> Failure {
    Failure::new(cause, "it failed")
}

const T0: Duration = Duration::ZERO;

#[test]
fn what_two_runs_need_is_started_once_after_what_it_needs() {
    let mut schedule = Schedule::new(limits(10));
    add(&mut schedule, 1, "a/a", &[need("x", &[]), need("y", &[0])]);
    add(&mut schedule, 2, "b/b", &[need("x", &[]), need("z", &[0])]);
    assert_eq!(starts(&mut schedule), ["x"]);
    schedule.ended(&path("x"), &JobEnd::Built);
    let mut both = starts(&mut schedule);
    both.sort();
    assert_eq!(both, ["y", "z"]);
    schedule.ended(&path("y"), &JobEnd::Built);
    let done = RunProgress {
        states: vec![BuildState::Built; 2],
        built: 2,
        ..RunProgress::default()
    };
    assert_eq!(schedule.run_progress(RunId(1)), Some(done));
    assert!(!schedule.run_progress(RunId(2)).unwrap().is_done());
    assert_eq!(schedule.running(), 1);
}

#[test]
fn the_longest_way_goes_first() {
    let mut schedule = Schedule::new(limits(2));
    let needs = [
        need("quick-1.0", &[]),
        need("slow-1.0", &[]),
        need("middle-1.0", &[]),
        need("end", &[0, 1, 2]),
    ];
    let seconds = |name: &str, system: &str, seconds| {
        (duration_key(name, system), Duration::from_secs(seconds))
    };
    // Those of other versions.
    let durations = [
        seconds("quick", "x86_64-linux", 1),
        seconds("quick", "aarch64-linux", 2000),
        seconds("slow-0.9", "x86_64-linux", 900),
        seconds("middle", "x86_64-linux", 30),
    ]
    .into();
    schedule
        .add_run(RunId(1), &source("a/a"), None, &needs, &durations)
        .unwrap();
    assert_eq!(starts(&mut schedule), ["slow-1.0", "middle-1.0"]);
}

#[test]
fn sources_take_turns_however_much_they_want() {
    let mut schedule = Schedule::new(limits(4));
    let many: Vec<Need> = (0..50).map(|i| need(&format!("a{i}"), &[])).collect();
    add(&mut schedule, 1, "a/a", &many);
    assert_eq!(starts(&mut schedule).len(), 4);
    add(&mut schedule, 2, "b/b", &[need("b0", &[]), need("b1", &[])]);
    for (ended, started) in [("a0", "b0"), ("a1", "b1"), ("b0", "a4")] {
        schedule.ended(&path(ended), &JobEnd::Built);
        assert_eq!(starts(&mut schedule), [started]);
    }
}

#[test]
fn each_limit_holds() {
    let mut schedule = Schedule::new(Limits {
        per_namespace: 3,
        per_system: [("aarch64-linux".to_owned(), 1)].into(),
        ..limits(4)
    });
    let on = |name: &str, system: &str| Need {
        system: system.into(),
        ..need(name, &[])
    };
    let arm = |name: &str| on(name, "aarch64-linux");
    schedule
        .add_run(
            RunId(1),
            &source("a/one"),
            Some(1),
            &[need("a", &[]), need("b", &[])],
            &HashMap::new(),
        )
        .unwrap();
    assert_eq!(starts(&mut schedule).len(), 1, "the source's own");
    add(
        &mut schedule,
        2,
        "a/two",
        &[arm("c"), arm("d"), need("e", &[]), need("f", &[])],
    );
    let started = starts(&mut schedule);
    assert_eq!(started.len(), 2, "the namespace's: {started:?}");
    assert_eq!(
        started
            .iter()
            .filter(|it| ["c", "d"].contains(&it.as_str()))
            .count(),
        1
    );
    add(&mut schedule, 3, "b/b", &[need("g", &[]), need("h", &[])]);
    assert_eq!(starts(&mut schedule).len(), 1, "that of all");
    assert_eq!(schedule.running(), 4);
}

#[test]
fn what_is_not_worth_a_pod_is_built_in_that_of_the_one_that_needs_it() {
    let mut schedule = Schedule::new(limits(10));
    let needs = [
        need("base", &[]),
        need("local-a", &[0]),
        need("local-b", &[1]),
        need("end", &[2]),
        need("local-end", &[]),
    ];
    add(&mut schedule, 1, "a/a", &needs);
    assert_eq!(starts(&mut schedule), ["base", "local-end"]);
    schedule.ended(&path("base"), &JobEnd::Built);
    assert_eq!(starts(&mut schedule), ["local-a+local-b+end"]);
    // Outputs arrive one by one.
    schedule.built(&path("local-a"));
    assert_eq!(schedule.progress(&path("local-b")), Some(Progress::Running));
    // The pod says which of them it was.
    let failed = Failure {
        derivation: Some(path("local-b")),
        ..failure(Cause::Build(100))
    };
    schedule.ended(&path("end"), &JobEnd::Failed(failed));
    assert!(matches!(
        schedule.progress(&path("local-b")),
        Some(Progress::Failed(_))
    ));
    let blocked = Progress::Blocked {
        by: path("local-b"),
    };
    assert_eq!(schedule.progress(&path("end")), Some(blocked));
}

#[test]
fn what_several_need_or_another_machine_builds_has_a_pod_of_its_own() {
    let mut schedule = Schedule::new(limits(10));
    add(
        &mut schedule,
        1,
        "a/a",
        &[need("local-a", &[]), need("x", &[0])],
    );
    add(
        &mut schedule,
        2,
        "b/b",
        &[need("local-a", &[]), need("y", &[0])],
    );
    assert_eq!(starts(&mut schedule), ["local-a"]);
    let arm = Need {
        system: "aarch64-linux".into(),
        ..need("local-arm", &[])
    };
    let kvm = Need {
        features: ["kvm".to_owned()].into(),
        ..need("local-kvm", &[])
    };
    let any = Need {
        system: "builtin".into(),
        ..need("local-any", &[])
    };
    add(
        &mut schedule,
        3,
        "c/c",
        &[arm, kvm, any, need("z", &[0, 1, 2])],
    );
    let mut started = starts(&mut schedule);
    started.sort();
    assert_eq!(started, ["local-arm", "local-kvm"]);
    for name in ["local-arm", "local-kvm"] {
        schedule.ended(&path(name), &JobEnd::Built);
    }
    assert_eq!(starts(&mut schedule), ["local-any+z"]);
}

#[test]
fn a_pod_does_not_build_more_than_a_job_can_name() {
    let local = |name: String, needs: &[usize]| need(&format!("local-{name}"), needs);
    let mut schedule = Schedule::new(limits(10_000));
    let count = graph::MAX_MEMBERS + 3;
    let mut needs: Vec<Need> = (0..count).map(|i| local(i.to_string(), &[])).collect();
    needs.push(need("end", &(0..count).collect::<Vec<_>>()));
    add(&mut schedule, 1, "a/a", &needs);
    assert_eq!(starts(&mut schedule).len(), count, "side by side");
    // Of two levels, one part after the other.
    let mut needs: Vec<Need> = (0..600).map(|i| local(format!("of-{i}"), &[])).collect();
    needs.push(local("one".to_owned(), &(0..300).collect::<Vec<_>>()));
    needs.push(local("two".to_owned(), &(300..600).collect::<Vec<_>>()));
    needs.push(need("last", &[600, 601]));
    add(&mut schedule, 2, "b/b", &needs);
    let first = schedule.next_start().unwrap();
    assert_eq!(first.members.len(), 300);
    assert_eq!(schedule.next_start(), None);
    schedule.ended(&first.derivation, &JobEnd::Built);
    let last = schedule.next_start().unwrap();
    assert_eq!((last.derivation, last.members.len()), (path("last"), 301));
}

#[test]
fn failures_last_until_they_are_forgotten_and_all_else_goes_on() {
    let mut schedule = Schedule::new(limits(10));
    let needs = [
        need("bad", &[]),
        need("mid", &[0]),
        need("end", &[1]),
        need("good", &[]),
    ];
    add(&mut schedule, 1, "a/a", &needs);
    assert_eq!(starts(&mut schedule).len(), 2);
    schedule.ended(&path("bad"), &JobEnd::Failed(failure(Cause::Build(100))));
    schedule.ended(&path("good"), &JobEnd::Built);
    let progress = schedule.run_progress(RunId(1)).unwrap();
    assert!(progress.is_done());
    assert_eq!(progress.failed, [(path("bad"), failure(Cause::Build(100)))]);
    let blocked = |name: &str| (path(name), path("bad"));
    assert_eq!(progress.blocked, [blocked("mid"), blocked("end")]);
    // A second run finds it failed, also when no run has needed it meanwhile.
    schedule.remove_run(RunId(1), T0);
    assert_eq!(schedule.progress(&path("bad")), None);
    add(&mut schedule, 2, "a/a", &needs[..2]);
    assert!(starts(&mut schedule).is_empty());
    schedule.forget(&path("bad"));
    assert_eq!(starts(&mut schedule), ["bad"]);
    // What broke for a passing reason is tried by the next run.
    schedule.ended(&path("bad"), &JobEnd::Failed(failure(Cause::Machine)));
    assert!(schedule.run_progress(RunId(2)).unwrap().is_done());
    add(&mut schedule, 3, "b/b", &needs[..2]);
    assert_eq!(starts(&mut schedule), ["bad"]);
}

#[test]
fn jobs_that_no_run_needs_end_after_a_while() {
    let mut schedule = Schedule::new(limits(10));
    let second = Duration::from_secs;
    add(&mut schedule, 1, "a/a", &[need("x", &[]), need("y", &[])]);
    assert_eq!(starts(&mut schedule).len(), 2);
    schedule.remove_run(RunId(1), second(10));
    assert_eq!(schedule.unneeded(second(69)), Vec::<StorePath>::new());
    // The next push needs one of them.
    add(&mut schedule, 2, "a/a", &[need("x", &[])]);
    assert_eq!(schedule.unneeded(second(70)), [path("y")]);
    assert_eq!(schedule.running(), 2, "until it is gone");
    schedule.ended(&path("y"), &JobEnd::Gone);
    assert_eq!(schedule.running(), 1);
    assert_eq!(schedule.progress(&path("y")), None);
}

#[test]
fn jobs_that_are_there_count_before_any_run_is_known() {
    let mut schedule = Schedule::new(limits(2));
    let (x, local) = (path("x"), path("local-a"));
    schedule.attach(&x, std::slice::from_ref(&local), "x86_64-linux", T0);
    schedule.failed(&path("bad"), failure(Cause::Build(100)));
    assert_eq!(schedule.running(), 1);
    let needs = [
        need("local-a", &[]),
        need("x", &[0]),
        need("bad", &[]),
        need("y", &[]),
        need("z", &[]),
    ];
    add(&mut schedule, 1, "a/a", &needs);
    assert_eq!(schedule.progress(&local), Some(Progress::Running));
    assert_eq!(starts(&mut schedule), ["y"]);
    assert!(matches!(
        schedule.progress(&path("bad")),
        Some(Progress::Failed(_))
    ));
    schedule.ended(&x, &JobEnd::Built);
    assert_eq!(schedule.progress(&local), Some(Progress::Built));
    assert_eq!(starts(&mut schedule), ["z"]);
}

#[test]
fn a_job_that_is_gone_is_made_again_and_what_a_cache_lost_too() {
    let mut schedule = Schedule::new(limits(10));
    add(
        &mut schedule,
        1,
        "a/a",
        &[need("local-a", &[]), need("x", &[0])],
    );
    assert_eq!(starts(&mut schedule), ["local-a+x"]);
    schedule.built(&path("local-a"));
    schedule.ended(&path("x"), &JobEnd::Gone);
    assert_eq!(starts(&mut schedule), ["x"]);
    schedule.ended(&path("x"), &JobEnd::Built);
    add(&mut schedule, 2, "b/b", &[need("x", &[])]);
    assert_eq!(starts(&mut schedule), ["x"]);
}

#[test]
fn lists_that_are_no_plans_are_refused() {
    let mut schedule = Schedule::new(limits(10));
    let mut add = |run, needs: &[Need]| {
        schedule.add_run(RunId(run), &source("a/a"), None, needs, &HashMap::new())
    };
    assert_eq!(add(1, &[need("x", &[0])]), Err(BadRun::Order(path("x"))));
    assert_eq!(
        add(1, &[need("x", &[]), need("x", &[])]),
        Err(BadRun::Twice(path("x")))
    );
    assert_eq!(add(1, &[]), Ok(()));
    assert_eq!(add(1, &[]), Err(BadRun::Known(RunId(1))));
}

#[test]
fn durations_are_those_of_other_versions() {
    for (name, key) in [
        ("gcc-14.2.0.drv", "x86_64-linux gcc"),
        ("python3-3.12.1-env", "x86_64-linux python3-env"),
        ("hello", "x86_64-linux hello"),
        ("libfoo-unstable-2024-01-02", "x86_64-linux libfoo-unstable"),
    ] {
        assert_eq!(duration_key(name, "x86_64-linux"), key);
    }
}
