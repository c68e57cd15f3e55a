//! Builds by the engine, as the calling user.
//!
//! Needs busybox-static (`/bin/busybox`) and user namespaces. Without one of them nothing is tested, which is said.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests without the usual harness"
)]

mod ends;
mod inputs;
mod world;

use std::future::Future;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use niphas_store::Store;
use nix_builder::engine::log_file;
use nix_formats::{StoreDir, StorePath};

use world::{World, build, engine, request, settings};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("a_derivation_is_built_once", a_derivation_is_built_once),
    ("failures_are_those_of_nix", failures_are_those_of_nix),
    (
        "what_content_addressed_inputs_become_is_remembered",
        what_content_addressed_inputs_become_is_remembered,
    ),
    ("limits_have_messages", limits_have_messages),
    ("a_second_build_is_compared", a_second_build_is_compared),
    (
        "equal_requests_are_built_once",
        equal_requests_are_built_once,
    ),
    (
        "what_caches_have_is_fetched",
        inputs::what_caches_have_is_fetched,
    ),
    (
        "what_caches_promise_and_do_not_give_is_built",
        inputs::what_caches_promise_and_do_not_give_is_built,
    ),
    (
        "sources_are_inputs_with_what_they_refer_to",
        inputs::sources_are_inputs_with_what_they_refer_to,
    ),
    (
        "paths_of_the_machine_are_used_in_place",
        inputs::paths_of_the_machine_are_used_in_place,
    ),
    (
        "cancelling_ends_builders_and_leaves_nothing",
        ends::cancelling_ends_builders_and_leaves_nothing,
    ),
    (
        "what_is_killed_leaves_nothing_to_the_next",
        ends::what_is_killed_leaves_nothing_to_the_next,
    ),
    (
        "the_folder_of_a_failed_build_is_kept_if_asked_for",
        ends::the_folder_of_a_failed_build_is_kept_if_asked_for,
    ),
    (
        "a_store_in_use_is_waited_for",
        ends::a_store_in_use_is_waited_for,
    ),
    (
        "what_cannot_be_built_says_why",
        ends::what_cannot_be_built_says_why,
    ),
];

fn main() -> ExitCode {
    nix_builder::sandbox::child_main();
    if !Path::new("/bin/busybox").exists() {
        println!("skipped: /bin/busybox is not there: install busybox-static");
        return ExitCode::SUCCESS;
    }
    if let [_, first, folder] = std::env::args().collect::<Vec<_>>().as_slice()
        && first == ends::BUILD_AND_WAIT
    {
        ends::build_and_wait(Path::new(folder));
    }
    let filters: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    for (name, test) in TESTS {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter)) {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    { runtime }
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

fn contents(store: &Store, path: &str) -> String {
    let path = StoreDir::default().parse(path).unwrap();
    let mut text = Vec::new();
    store
        .read_file(&store.info(&path).unwrap(), b"", &mut text)
        .unwrap();
    String::from_utf8(text).unwrap()
}

fn a_derivation_is_built_once() {
    let mut world = World::default();
    let one = world.script("one", "echo building; echo one > $out").add();
    let two = world
        .script("two", "read line < $one; echo $line two > $out")
        .input("one", &one, "out")
        .add();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let engine = engine(folder.path(), &world, settings());
        let first = build(&engine, &request(&[&two])).await;
        assert_eq!(first.messages(), Vec::<String>::new());
        assert_eq!(first.started(), ["one.drv", "two.drv"]);
        assert_eq!(first.lines(), ["building"]);
        let second = build(&engine, &request(&[&two, &one])).await;
        assert!(second.started().is_empty());
        assert_eq!(second.report().outputs.len(), 2);
    });
    let store = world::open(folder.path());
    assert_eq!(contents(&store, &world.out(&two, "out")), "one two\n");
}

fn failures_are_those_of_nix() {
    let mut world = World::default();
    let fails = world
        .script("fails", "for i in 1 2 3; do echo line $i; done; exit 3")
        .add();
    let other = world.script("other", "exit 1").add();
    let quiet = world.script("quiet", "sleep 30").add();
    let needs = world
        .script("needs", "echo > $out")
        .input("a", &fails, "out")
        .input("b", &other, "out")
        .add();
    let folder = tempfile::tempdir().unwrap();
    let print = |path: &StorePath| StoreDir::default().print(path);
    let cannot = |path: &StorePath, reason: &str| {
        format!(
            "Cannot build '{}'.\nReason: {reason}.\nOutput paths:\n  {}",
            print(path),
            world.out(path, "out")
        )
    };
    run(async {
        let engine = engine(folder.path(), &world, settings());
        let mut all = request(&[&needs]);
        all.keep_going = true;
        let done = build(&engine, &all).await;
        let mut messages = done.messages();
        assert_eq!(
            messages.pop(),
            Some(cannot(&needs, "2 dependencies failed"))
        );
        messages.sort();
        let mut expected = [
            cannot(&fails, "builder failed with exit code 3"),
            cannot(&other, "builder failed with exit code 1"),
        ];
        expected.sort();
        assert_eq!(messages, expected);
        assert_eq!(done.report().status().code(), 100);
        assert_eq!(done.report().failed, [needs.clone()].into());
        let failed = done
            .report()
            .failures
            .iter()
            .find(|it| it.derivation == fails);
        assert_eq!(failed.unwrap().log_tail, [b"line 1", b"line 2", b"line 3"]);
        assert_eq!(log(folder.path(), &fails), "line 1\nline 2\nline 3\n");
        // The first failure ends all others.
        let begun = Instant::now();
        let done = build(&engine, &request(&[&quiet, &needs])).await;
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!(
            done.messages().last(),
            Some(&cannot(&needs, "1 dependency failed"))
        );
        assert_eq!(done.report().failed.len(), 2);
    });
    assert!(is_empty(&folder.path().join("builds")));
}

fn what_content_addressed_inputs_become_is_remembered() {
    let mut world = World::default();
    let one = world.script("one", "echo same > $out").floating().add();
    let other = world
        .script("one", "echo same > $out; : other")
        .floating()
        .add();
    let two = world
        .script("two", "echo $one > $out")
        .input("one", &one, "out")
        .add();
    let again = world
        .script("two", "echo $one > $out")
        .input("one", &other, "out")
        .add();
    let last = world
        .script("last", "read line < $two; echo $line > $out")
        .input("two", &two, "out");
    let last = last.add();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let engine = engine(folder.path(), &world, settings());
        let done = build(&engine, &request(&[&last])).await;
        assert_eq!(done.messages(), Vec::<String>::new());
        assert_eq!(done.started().len(), 3);
        let path = done.report().outputs[&last]["out"].clone();
        // What it depends on is other, but comes to the same: nothing but that is built.
        let done = build(&engine, &request(&[&again])).await;
        assert_eq!(done.messages(), Vec::<String>::new());
        assert_eq!(done.started().len(), 1);
        // And all of it is known without building.
        let done = build(&engine, &request(&[&again, &last, &one])).await;
        assert_eq!(done.started().len(), 0);
        assert_eq!(done.report().outputs[&last]["out"], path);
    });
}

fn limits_have_messages() {
    let mut world = World::default();
    let slow = world.script("slow", "sleep 60").add();
    let loud = world
        .script("loud", "while :; do echo yyyyyyyyyyyyyyyy; done")
        .add();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let mut settings = settings();
        settings.limits.timeout = Some(Duration::from_secs(1));
        settings.limits.max_log_size = Some(1000);
        let engine = engine(folder.path(), &world, settings);
        let done = build(&engine, &request(&[&slow])).await;
        assert_eq!(done.messages(), ["timed out after 1 seconds"]);
        assert_eq!(done.report().status().code(), 101);
        let done = build(&engine, &request(&[&loud])).await;
        let path = StoreDir::default().print(&loud);
        let message = format!(
            "building derivation '{path}' killed after writing more than 1000 bytes of log output"
        );
        assert_eq!(done.messages(), [message]);
        assert_eq!(done.report().status().code(), 1);
    });
}

fn a_second_build_is_compared() {
    let mut world = World::default();
    let same = world.script("same", "echo same > $out").add();
    let differs = world
        .script("differs", "cat /proc/sys/kernel/random/uuid > $out")
        .add();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let engine = engine(folder.path(), &world, settings());
        let mut check = request(&[&same]);
        check.check = true;
        let done = build(&engine, &check).await;
        assert!(done.messages()[0].contains("are not valid, so checking is not possible"));
        assert!(done.started().is_empty());
        build(&engine, &request(&[&same, &differs])).await;
        let done = build(&engine, &check).await;
        assert_eq!(
            (done.messages(), done.started()),
            (vec![], vec!["same.drv"])
        );
        check.wanted = request(&[&differs]).wanted;
        let done = build(&engine, &check).await;
        assert!(
            done.messages()[0].contains("may not be deterministic"),
            "{:?}",
            done.messages()
        );
        assert_eq!(done.report().status().code(), 104);
    });
}

fn equal_requests_are_built_once() {
    let mut world = World::default();
    let slow = world
        .script("slow", "sleep 1; echo done; echo > $out")
        .add();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let engine = engine(folder.path(), &world, settings());
        let slow = request(&[&slow]);
        let (one, other) = tokio::join!(build(&engine, &slow), build(&engine, &slow));
        assert_eq!(one.started().len() + other.started().len(), 1);
        assert!(one.report().is_success() && other.report().is_success());
    });
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

fn log(store: &Path, derivation: &StorePath) -> String {
    let file = std::fs::File::open(log_file(store, derivation)).unwrap();
    let mut text = Vec::new();
    // The log of a run that was killed has no end.
    let _ = zstd::Decoder::new(file).unwrap().read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}
