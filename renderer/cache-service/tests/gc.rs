//! Collecting the garbage of a cache: against a model, and killed at any moment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use niphas_cache_service::gc::{GcError, Options, collect, newest_generations};
use nix_formats::{NarInfo, StorePath};
use proptest::prelude::*;

use support::{nar, path, put, store_dir};

fn options(keep_bytes: u64) -> Options {
    Options {
        min_age: Duration::ZERO,
        keep_logs: Duration::ZERO,
        // A process that another test starts has the lock until it runs its program.
        patience: Duration::from_secs(2),
        ..Options::new(store_dir(), keep_bytes)
    }
}

fn present(cache: &Path) -> BTreeMap<StorePath, NarInfo> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(cache).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|ending| ending == "narinfo") {
            let text = fs::read_to_string(file).unwrap();
            let info = NarInfo::parse(&store_dir(), &text).unwrap();
            found.insert(info.path.clone(), info);
        }
    }
    found
}

/// Every narinfo has its NAR, and those of its references.
fn check_whole(cache: &Path) {
    let infos = present(cache);
    for info in infos.values() {
        assert!(
            cache.join(&info.url).exists(),
            "{} lacks its NAR",
            info.path
        );
        for reference in &info.references {
            assert!(
                infos.contains_key(reference),
                "{} lacks {reference}",
                info.path
            );
        }
    }
}

fn age(cache: &Path, path: &StorePath, age: Duration) {
    let time = SystemTime::now() - age;
    let info = present(cache).remove(path).unwrap();
    for file in [NarInfo::file_name(path), info.url] {
        File::options()
            .append(true)
            .open(cache.join(file))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
}

/// Paths by number: each refers to some of those before it.
async fn fill(cache: &Path, references: &[Vec<usize>]) -> Vec<StorePath> {
    let mut paths: Vec<StorePath> = Vec::new();
    for (number, references) in references.iter().enumerate() {
        let own = path(&format!("p{number}"));
        let references: BTreeSet<&StorePath> = references
            .iter()
            .filter_map(|other| paths.get(other % number.max(1)))
            .collect();
        let references: Vec<&StorePath> = references.into_iter().collect();
        put(
            cache,
            &own,
            nar(format!("contents of {number}").as_bytes()),
            &references,
        )
        .await;
        paths.push(own);
    }
    for (number, path) in paths.iter().enumerate() {
        age(cache, path, Duration::from_secs(3600 - number as u64));
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn roots_stay_with_their_closures_and_all_else_goes(
        references in prop::collection::vec(prop::collection::vec(0_usize..20, 0..4), 1..20),
        roots in prop::collection::btree_set(0_usize..25, 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let paths = runtime.block_on(fill(folder.path(), &references));
        let before = present(folder.path());
        let known = |number: &usize| paths.get(*number).cloned();
        let mut wanted: BTreeSet<StorePath> = BTreeSet::new();
        let mut left: Vec<StorePath> = roots.iter().filter_map(known).collect();
        while let Some(path) = left.pop() {
            if wanted.insert(path.clone()) {
                left.extend(before[&path].references.iter().cloned());
            }
        }
        let mut asked: BTreeSet<StorePath> = roots.iter().filter_map(known).collect();
        asked.insert(path("missing"));
        let report = collect(folder.path(), &asked, &options(0)).unwrap();
        let after: BTreeSet<StorePath> = present(folder.path()).into_keys().collect();
        prop_assert_eq!(&after, &wanted);
        prop_assert_eq!(report.kept_paths, wanted.len() as u64);
        prop_assert_eq!(report.removed_paths, (before.len() - wanted.len()) as u64);
        prop_assert_eq!(report.missing_roots, vec![path("missing")]);
        check_whole(folder.path());
        let nars = fs::read_dir(folder.path().join("nar")).unwrap().count();
        prop_assert_eq!(nars, wanted.len());
    }
}

#[tokio::test]
async fn the_newest_stay_as_far_as_they_fit() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    // 3 needs 0; 1 and 2 nothing.
    let paths = fill(cache, &[vec![], vec![], vec![], vec![0]]).await;
    fs::write(
        cache.join(format!("{}.narinfo", path("p1").hash_part())),
        fs::read(cache.join(NarInfo::file_name(&paths[1]))).unwrap(),
    )
    .unwrap();
    age(cache, &paths[1], Duration::from_secs(3599));
    let size = |number: usize| present(cache)[&paths[number]].file_size.unwrap();
    let infos = present(cache);
    let needs = infos[&paths[3]].references.len();
    assert_eq!(needs, 1);
    let other = infos[&paths[3]].references.first().unwrap().clone();
    let fits = size(3) + infos[&other].file_size.unwrap();
    let dry = Options {
        is_dry_run: true,
        ..options(fits)
    };
    let planned = collect(cache, &BTreeSet::new(), &dry).unwrap();
    assert_eq!(present(cache).len(), 4);
    let report = collect(cache, &BTreeSet::new(), &options(fits)).unwrap();
    assert_eq!(planned, report);
    let after: BTreeSet<StorePath> = present(cache).into_keys().collect();
    assert_eq!(after, [paths[3].clone(), other].into());
    check_whole(cache);
    let generations = [vec![&paths[3]], vec![&paths[1]]];
    assert_eq!(
        newest_generations(generations, 1),
        [paths[3].clone()].into()
    );
}

#[tokio::test]
async fn what_is_young_stays_and_so_does_what_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let paths = fill(cache, &[vec![], vec![0]]).await;
    fs::write(cache.join("nar/being-pushed.nar"), "x").unwrap();
    fs::create_dir(cache.join("log")).unwrap();
    fs::write(cache.join("log/young.drv"), "log").unwrap();
    put(cache, &path("young"), nar(b"young"), &[&paths[0]]).await;
    let hour = Options {
        min_age: Duration::from_mins(30),
        ..options(0)
    };
    collect(cache, &BTreeSet::new(), &hour).unwrap();
    let after: BTreeSet<StorePath> = present(cache).into_keys().collect();
    assert_eq!(after, [paths[0].clone(), path("young")].into());
    assert!(cache.join("nar/being-pushed.nar").exists() && cache.join("log/young.drv").exists());
    check_whole(cache);

    // A push holds the folder.
    let pushing = File::open(cache).unwrap();
    pushing.lock_shared().unwrap();
    let error = collect(cache, &BTreeSet::new(), &hour).unwrap_err();
    assert!(matches!(error, GcError::Busy { .. }), "{error}");
    drop(pushing);
    collect(cache, &BTreeSet::new(), &options(0)).unwrap();
    assert!(present(cache).is_empty());
    assert_eq!(fs::read_dir(cache.join("nar")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(cache.join("log")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_entry_of_the_build_trace_goes_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let paths = fill(cache, &[vec![], vec![]]).await;
    fs::create_dir(cache.join("realisations")).unwrap();
    for (number, path) in paths.iter().enumerate() {
        let text = format!(r#"{{"id":"x","outPath":"{}"}}"#, path.base_name());
        fs::write(cache.join(format!("realisations/{number}.doi")), text).unwrap();
    }
    fs::write(cache.join("realisations/odd.doi"), "odd").unwrap();
    fs::write(
        cache.join("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h.narinfo"),
        "URL: nar/kept.nar\n",
    )
    .unwrap();
    fs::write(cache.join("nar/kept.nar"), "x").unwrap();
    let report = collect(cache, &[paths[1].clone()].into(), &options(0)).unwrap();
    assert_eq!(report.malformed, ["0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h"]);
    assert!(cache.join("nar/kept.nar").exists());
    assert!(!cache.join("realisations/0.doi").exists());
    assert!(
        cache.join("realisations/1.doi").exists() && cache.join("realisations/odd.doi").exists()
    );
}

const FOLDER: &str = "NIPHAS_TEST_GC_FOLDER";

/// What the next test starts and kills.
#[test]
#[ignore = "started by another test"]
fn child_collects() {
    let folder = std::env::var(FOLDER).unwrap();
    collect(Path::new(&folder), &BTreeSet::new(), &options(0)).unwrap();
}

#[tokio::test]
async fn a_cache_is_whole_whenever_a_collection_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let chains: Vec<Vec<usize>> = (0..40)
        .map(|number: usize| vec![number / 2, number / 3])
        .collect();
    fill(folder.path(), &chains).await;
    let mut seen_partly = 0;
    for round in 0..40_u64 {
        let copy = tempfile::tempdir().unwrap();
        let copied = std::process::Command::new("cp")
            .args(["-a", &format!("{}/.", folder.path().display())])
            .arg(copy.path())
            .status()
            .unwrap();
        assert!(copied.success());
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_collects", "--ignored", "--quiet"])
            .env(FOLDER, copy.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // It is killed once this many narinfos or NARs are gone, about.
        for _ in 0..100_000 {
            let left = fs::read_dir(copy.path()).unwrap().count()
                + fs::read_dir(copy.path().join("nar")).unwrap().count();
            if (left as u64) < 84 - 2 * round || child.try_wait().unwrap().is_some() {
                break;
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        check_whole(copy.path());
        let left = present(copy.path()).len();
        seen_partly += usize::from(left > 0 && left < 40);
        collect(copy.path(), &BTreeSet::new(), &options(0)).unwrap();
        assert_eq!(fs::read_dir(copy.path().join("nar")).unwrap().count(), 0);
    }
    assert!(seen_partly > 0, "no collection was killed in the middle");
}
