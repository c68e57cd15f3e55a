//! As large as it is meant to be.

use std::time::Instant;

use super::*;

const BUILDS: usize = 2000;
const SOURCES: u64 = 100;

/// Runs whose first half is that of all: 100 sources on one package set.
fn run(source: u64) -> Vec<Need> {
    let build = |place: usize| {
        let is_shared = place < BUILDS / 2;
        let owner = if is_shared { 0 } else { source };
        let needs: Vec<usize> = (1..=5)
            .filter_map(|step| place.checked_sub(step * step * 7))
            .collect();
        Need {
            is_local: place.is_multiple_of(5),
            ..need(&format!("p{owner}-{place}"), &needs)
        }
    };
    (0..BUILDS).map(build).collect()
}

/// All of it, step by step: how long a step takes is bounded generously, for machines that do other things too.
#[test]
fn steps_of_two_thousand_builds_of_a_hundred_sources_are_quick() {
    let mut schedule = Schedule::new(limits(100));
    let mut longest = Duration::ZERO;
    let mut timed = |what: &mut dyn FnMut()| {
        let begun = Instant::now();
        what();
        longest = longest.max(begun.elapsed());
    };
    let begun = Instant::now();
    for source in 0..SOURCES {
        let needs = run(source);
        timed(&mut || {
            add(
                &mut schedule,
                source,
                &format!("n{}/s{source}", source % 10),
                &needs,
            );
        });
    }
    let added = begun.elapsed();
    let (begun, mut steps, mut running) = (Instant::now(), 0_u32, Vec::new());
    let mut longest_step = Duration::ZERO;
    loop {
        let begun = Instant::now();
        while let Some(start) = schedule.next_start() {
            running.push(start.derivation);
        }
        let Some(ended) = running.pop() else { break };
        schedule.ended(&ended, &JobEnd::Built);
        longest_step = longest_step.max(begun.elapsed());
        steps += 1;
    }
    let step = begun.elapsed() / steps;
    for source in 0..SOURCES {
        assert_eq!(schedule.run_progress(RunId(source)).unwrap().built, BUILDS);
    }
    println!(
        "{SOURCES} runs taken on in {added:?} (longest {longest:?}); {steps} steps, {step:?} each, longest {longest_step:?}"
    );
    assert!(longest < Duration::from_secs(5) && step < Duration::from_millis(20));
}
