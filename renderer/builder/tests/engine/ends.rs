//! How runs end before their time, and what they leave.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix_builder::engine::{EngineError, Event, log_file, open_store};
use nix_formats::StorePath;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::world::{World, build, engine, open, request, settings};
use crate::{is_empty, log, run};

/// Asks this program to build, as another would.
pub(crate) const BUILD_AND_WAIT: &str = "build-and-wait";

/// A derivation that begins, and ends a minute later.
fn slow() -> (World, StorePath) {
    let mut world = World::default();
    let slow = world
        .script(
            "slow",
            "echo begun; echo half > $out; chmod 0 /build; sleep 60",
        )
        .add();
    (world, slow)
}

pub(crate) fn build_and_wait(folder: &Path) {
    let (world, slow) = slow();
    run(async { build(&engine(folder, &world, settings()), &request(&[&slow])).await });
}

pub(crate) fn cancelling_ends_builders_and_leaves_nothing() {
    let (world, slow) = slow();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let engine = engine(folder.path(), &world, settings());
        let cancel = CancellationToken::new();
        let (events, mut told) = mpsc::channel(16);
        let request = request(&[&slow]);
        let watch = async {
            while let Some(event) = told.recv().await {
                if matches!(event, Event::Said { .. }) {
                    cancel.cancel();
                }
            }
        };
        let begun = Instant::now();
        let (report, ()) = tokio::join!(engine.build(&request, events, &cancel), watch);
        assert!(matches!(report, Err(EngineError::Cancelled)));
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(is_empty(&folder.path().join("builds")));

        // Dropped: it ends soon.
        let (events, mut told) = mpsc::channel(16);
        let cancel = CancellationToken::new();
        tokio::select! {
            _ = engine.build(&request, events, &cancel) => panic!("it takes a minute"),
            () = async { while !matches!(told.recv().await, Some(Event::Said { .. })) {} } => {}
        }
        while !is_empty(&folder.path().join("builds")) {
            assert!(begun.elapsed() < Duration::from_secs(40));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(open(folder.path()).paths().is_empty());
}

pub(crate) fn what_is_killed_leaves_nothing_to_the_next() {
    let (world, slow) = slow();
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .arg(BUILD_AND_WAIT)
        .arg(folder.path())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let written = || std::fs::metadata(log_file(folder.path(), &slow)).is_ok_and(|it| it.len() > 0);
    while !written() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let is_left = || !is_empty(&folder.path().join("builds"));
    assert!(is_left());
    // Its supervisor may hold the folder for a moment.
    while is_left() {
        assert!(begun.elapsed() < Duration::from_secs(90));
        drop(run(async { engine(folder.path(), &world, settings()) }));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(log(folder.path(), &slow).starts_with("begun"));
    assert!(open(folder.path()).paths().is_empty());
}

pub(crate) fn the_folder_of_a_failed_build_is_kept_if_asked_for() {
    let mut world = World::default();
    let fails = world.script("fails", "echo left > file; exit 1").add();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let mut settings = settings();
        settings.keep_failed = true;
        let done = build(
            &engine(folder.path(), &world, settings),
            &request(&[&fails]),
        )
        .await;
        let kept = done.events.iter().find_map(|event| match event {
            Event::Kept { folder, .. } => Some(folder.clone()),
            _ => None,
        });
        let kept = kept.unwrap();
        assert_eq!(
            std::fs::read_to_string(kept.join("file")).unwrap(),
            "left\n"
        );
        drop(done);
        // The next run leaves it.
        engine(folder.path(), &world, crate::settings());
        assert!(kept.join("file").exists());
    });
}

pub(crate) fn a_store_in_use_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let first = open(folder.path());
        let (told, mut waits) = mpsc::unbounded_channel();
        let path = folder.path().to_owned();
        let second = tokio::spawn(async move {
            let options = niphas_store::Options::default();
            open_store(&path, &options, |waiting| told.send(waiting).unwrap()).await
        });
        let waiting = waits.recv().await.unwrap();
        assert_eq!(waiting.process, Some(std::process::id()));
        assert_eq!(waiting.store, folder.path());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap().unwrap();
        // It was told once.
        assert!(waits.recv().await.is_none());
    });
}

pub(crate) fn what_cannot_be_built_says_why() {
    let mut world = World::default();
    let foreign = world.script("foreign", "echo > $out");
    let foreign = foreign
        .change(|it| it.platform = b"sparc-linux".to_vec())
        .add();
    let free = world
        .script("free", "echo > $out")
        .set("__noChroot", "1")
        .add();
    let ids = world.script("ids", "echo > $out");
    let ids = ids.set("requiredSystemFeatures", "uid-range").add();
    let needs = world
        .script("needs", "echo > $out")
        .input("foreign", &foreign, "out")
        .add();
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let engine = engine(folder.path(), &world, settings());
        let done = build(&engine, &request(&[&needs])).await;
        let messages = done.messages();
        let expected = format!(
            "Cannot build '/nix/store/{foreign}'.\nReason: platform mismatch\nRequired system: 'sparc-linux'\nCurrent system: 'x86_64-linux'"
        );
        assert_eq!(messages[0], expected);
        assert!(messages[1].contains("1 dependency failed"));
        assert_eq!(done.report().status().code(), 100);
        let done = build(&engine, &request(&[&free])).await;
        let expected = format!(
            "derivation '/nix/store/{free}' has '__noChroot' set, but that's not allowed when 'sandbox' is 'true'"
        );
        assert_eq!(done.messages(), [expected]);
        assert!(done.started().is_empty());
        let done = build(&engine, &request(&[&ids])).await;
        assert!(
            done.messages()[0].contains("one user id only"),
            "{:?}",
            done.messages()
        );
        assert!(done.started().is_empty());
        let gone = StorePath::from_base_name("44r15qp3hx522xqaf9szcv8j812p14b7-gone.drv").unwrap();
        let done = build(&engine, &request(&[&gone])).await;
        let error = done.report.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("don't know how to build these paths:\n  /nix/store/{gone}")
        );
    });
}
