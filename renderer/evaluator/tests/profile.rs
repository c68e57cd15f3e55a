//! Profiles: which functions the time goes to.

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, Evaluator, Origin, Settings};

fn profile_of(source: &str) -> String {
    let (arena, io) = (Bump::new(), LocalIo::default());
    let settings = Settings {
        profile: true,
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let value = evaluator.eval_source(source.as_bytes(), Origin::String, b"/");
    assert!(value.is_ok());
    let mut out = Vec::new();
    evaluator.write_profile(&mut out).expect("memory takes it");
    String::from_utf8(out).expect("a profile is UTF-8")
}

/// The microseconds of all stacks with `frame` in them, and of all.
fn time_in(profile: &str, frame: &str) -> (u64, u64) {
    let (mut inside, mut all) = (0, 0);
    for line in profile.lines() {
        let (stack, time) = line.rsplit_once(' ').expect("a stack and a number");
        let time: u64 = time.parse().expect("a number");
        all += time;
        if stack.split(';').any(|part| part == frame) {
            inside += time;
        }
    }
    (inside, all)
}

#[test]
fn the_time_goes_to_the_function_that_takes_it() {
    let profile = profile_of(
        "let\n  slow = n: if n < 2 then n else slow (n - 1) + slow (n - 2);\n  quick = n: n + 1;\n  both = n: slow n + quick n;\nin both 24",
    );
    let (slow, all) = time_in(&profile, "«string»:2:10:slow");
    assert!(slow * 10 > all * 8, "{profile}");
    let (both, all) = time_in(&profile, "«string»:4:10:both");
    assert!(both * 10 > all * 8, "{profile}");
    let (quick, all) = time_in(&profile, "«string»:3:11:quick");
    assert!(quick * 10 < all, "{profile}");
}

#[test]
fn builtins_have_frames_of_their_own() {
    let profile = profile_of(
        "builtins.length (builtins.sort (a: b: a < b) (builtins.genList (x: 50000 - x) 50000))",
    );
    let (sort, all) = time_in(&profile, "primop sort");
    assert!(sort * 10 > all * 5, "{profile}");
}
