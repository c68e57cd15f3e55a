use std::collections::{BTreeMap, BTreeSet};

use binary_cache::{FetchError, Unavailable};
use niphas_store::{FileError, LimitExceeded};
use nix_formats::{StoreDir, StorePath};

use super::*;

/// The reference page that says what kubelet is answered.
const PAGE: &str = include_str!("../../../../docs/reference/csi.md");

/// A row of the page's table of answers.
struct Row {
    codes: Vec<String>,
    causes: Vec<String>,
    asks_again: bool,
}

fn rows() -> Vec<Row> {
    let (_, section) = PAGE.split_once("\n## Answers\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|'));
    lines
        .skip(2)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [codes, causes, kubelet] = cells[..] else {
                panic!("three cells: {line}");
            };
            let asks_again = kubelet.starts_with("asks again");
            assert!(asks_again || kubelet.starts_with("starts over"), "{line}");
            Row {
                codes: codes
                    .split(", ")
                    .map(|code| code.trim_matches('`').to_owned())
                    .collect(),
                causes: causes.split("; ").map(str::to_owned).collect(),
                asks_again,
            }
        })
        .collect()
}

fn path() -> StorePath {
    StorePath::from_base_name("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0").unwrap()
}

fn unavailable(paths: &[&[Refusal]]) -> RealiseError {
    let paths = paths.iter().map(|refusals| Unavailable {
        store_dir: StoreDir::default(),
        path: path(),
        needed_by: None,
        refusals: Arc::new(
            refusals
                .iter()
                .map(|refusal| ("https://cache.example.org".to_owned(), refusal.clone()))
                .collect(),
        ),
        without_keys: false,
    });
    RealiseError::Unavailable(ClosureError::Unavailable(paths.collect()))
}

fn cannot_be_asked() -> Refusal {
    Refusal::Failed(FetchError::Timeout {
        name: "x.narinfo".to_owned(),
    })
}

fn limit(limit: Limit) -> RealiseError {
    RealiseError::Limit(LimitExceeded {
        limit,
        allowed: 7,
        found: 8,
    })
}

fn nar(failures: Vec<NarError>) -> RealiseError {
    RealiseError::Nar(Box::new(NarError::Everywhere {
        path: path(),
        failures,
    }))
}

fn nar_missing() -> NarError {
    NarError::Missing {
        path: path(),
        cache: "https://cache.example.org".to_owned(),
    }
}

fn nar_not_fetched() -> NarError {
    NarError::Fetch {
        path: path(),
        cache: "https://cache.example.org".to_owned(),
        source: FetchError::Timeout {
            name: "x.nar".to_owned(),
        },
    }
}

fn nar_of_wrong_size() -> NarError {
    NarError::Size {
        path: path(),
        cache: "https://cache.example.org".to_owned(),
        expected: 1,
        actual: 2,
    }
}

fn file(kind: ErrorKind) -> FileError {
    FileError {
        action: "write",
        path: "/store/x".into(),
        source: kind.into(),
    }
}

fn state(kind: ErrorKind) -> VolumeError {
    VolumeError::State(StateError {
        action: "write",
        path: "/state/x".into(),
        source: kind.into(),
    })
}

fn export(kind: ErrorKind) -> VolumeError {
    let error = tree_writer::TreeError::Io {
        action: "write",
        path: "/state/x".into(),
        source: kind.into(),
    };
    VolumeError::Store(StoreError::Export(error))
}

fn realise(error: RealiseError) -> VolumeError {
    VolumeError::Realise(Arc::new(error))
}

/// Every error, by the page's words for what has happened.
#[expect(clippy::too_many_lines, reason = "a table")]
fn causes() -> BTreeMap<&'static str, Vec<VolumeError>> {
    use VolumeError as E;
    let attributes = E::Attributes;
    let digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    let target = || PathBuf::from("/pods/7/mount");
    BTreeMap::from([
        (
            "attributes, id, target or capability are missing, wrong or too large",
            vec![
                E::Missing("volume_id"),
                E::LongId(129),
                E::BadTarget(target()),
                E::Block,
                attributes(BadVolumeAttributes::TooLarge(16_385)),
                attributes(BadVolumeAttributes::TooManyRoots("roots".to_owned())),
                attributes(BadVolumeAttributes::Missing),
                attributes(BadVolumeAttributes::NoRoots("roots".to_owned())),
                attributes(BadVolumeAttributes::Unknown("niphas.io/x".to_owned())),
            ],
        ),
        (
            "the system, the digest or the signatures differ from what was asked for",
            vec![
                attributes(BadVolumeAttributes::OtherSystem {
                    system: "x86_64-linux".parse().unwrap(),
                    offered: vec!["riscv64-linux".to_owned()],
                }),
                realise(RealiseError::Digest {
                    roots: vec![path().to_string()],
                    expected: digest.parse().unwrap(),
                    actual: digest.replace('1', "2").parse().unwrap(),
                }),
                realise(RealiseError::Refused(path())),
                realise(RealiseError::Lines(niphas_api::ClosureError::TooLarge)),
                realise(RealiseError::OtherStoreDir {
                    caches: "/nix/store".to_owned(),
                    store: "/other".to_owned(),
                }),
                realise(unavailable(&[&[Refusal::Untrusted(Vec::new())]])),
                realise(unavailable(&[&[Refusal::Missing, Refusal::Denied(401)]])),
                realise(RealiseError::Nar(Box::new(nar_of_wrong_size()))),
            ],
        ),
        (
            "a limit is exceeded",
            [
                Limit::Roots,
                Limit::Paths,
                Limit::ClosureSize,
                Limit::NarSize,
                Limit::Narinfos,
            ]
            .map(|of| realise(limit(of)))
            .into(),
        ),
        ("no cache is configured", vec![realise(unavailable(&[&[]]))]),
        ("kubelet did not say whose pod it is", vec![E::NoPodInfo]),
        (
            "the volume is published at another target",
            vec![E::OtherTarget(target())],
        ),
        (
            "what is mounted at the target is not the driver's",
            vec![E::Foreign(target())],
        ),
        (
            "no cache has a path, for 3 minutes",
            vec![
                realise(unavailable(&[&[Refusal::Missing, Refusal::Missing]])),
                realise(RealiseError::Nar(Box::new(nar_missing()))),
                realise(nar(vec![nar_of_wrong_size(), nar_missing()])),
            ],
        ),
        (
            "another closure or another volume is mounted at the target",
            vec![E::OtherClosure {
                target: target(),
                what: "volume csi-b".to_owned(),
            }],
        ),
        (
            "the closure is being realised, or waits for others: the message has the progress",
            vec![E::InProgress(Progress::default())],
        ),
        (
            "another call for the volume is being answered",
            vec![E::Busy],
        ),
        (
            "a cache cannot be asked",
            vec![
                realise(unavailable(&[&[Refusal::Missing, cannot_be_asked()]])),
                realise(unavailable(&[&[Refusal::Missing], &[cannot_be_asked()]])),
                realise(RealiseError::Nar(Box::new(nar_not_fetched()))),
                realise(nar(vec![nar_not_fetched(), nar_missing()])),
            ],
        ),
        (
            "the driver stops",
            vec![E::Stopping, realise(RealiseError::Interrupted)],
        ),
        (
            "no cache gives a path, and that for less than 3 minutes: a push or a change of the configuration may be under way",
            vec![E::MayCome(Arc::new(unavailable(&[&[Refusal::Missing]])))],
        ),
        (
            "the disk is full",
            vec![
                realise(RealiseError::NoSpace {
                    needed: 30,
                    free: 20,
                    reserve: 5,
                }),
                realise(RealiseError::Write {
                    path: path(),
                    source: file(ErrorKind::StorageFull),
                }),
                E::Store(file(ErrorKind::StorageFull).into()),
                E::Store(file(ErrorKind::QuotaExceeded).into()),
                export(ErrorKind::StorageFull),
                state(ErrorKind::StorageFull),
            ],
        ),
        (
            "the namespace's share of it is used up",
            vec![realise(limit(Limit::Disk))],
        ),
        (
            "too many volumes are being published",
            vec![E::TooManyCalls(256)],
        ),
        (
            "a mount or a file failed",
            vec![
                E::Store(file(ErrorKind::PermissionDenied).into()),
                export(ErrorKind::PermissionDenied),
                state(ErrorKind::ReadOnlyFilesystem),
                realise(RealiseError::Store(file(ErrorKind::NotFound).into())),
                realise(RealiseError::Unsuitable {
                    path: path(),
                    source: ErrorKind::InvalidData.into(),
                }),
                realise(RealiseError::Nar(Box::new(NarError::Consumer {
                    path: path(),
                    source: ErrorKind::Other.into(),
                }))),
                E::Mount {
                    what: "'/x' cannot be mounted".to_owned(),
                    source: "no".into(),
                },
                E::WrongRoot {
                    wanted: "store/a".into(),
                    found: "store/b".into(),
                },
            ],
        ),
        ("a bug ended the call", vec![E::Panicked]),
    ])
}

/// One number for each variant. A new one gets the next, and a place in `causes`.
fn variant(error: &VolumeError) -> usize {
    match error {
        VolumeError::Missing(_) => 0,
        VolumeError::LongId(_) => 1,
        VolumeError::BadTarget(_) => 2,
        VolumeError::Block => 3,
        VolumeError::Attributes(_) => 4,
        VolumeError::NoPodInfo => 5,
        VolumeError::OtherClosure { .. } => 6,
        VolumeError::OtherTarget(_) => 7,
        VolumeError::Foreign(_) => 8,
        VolumeError::InProgress(_) => 9,
        VolumeError::Busy => 10,
        VolumeError::TooManyCalls(_) => 11,
        VolumeError::Stopping => 12,
        VolumeError::Realise(_) => 13,
        VolumeError::MayCome(_) => 14,
        VolumeError::Store(_) => 15,
        VolumeError::State(_) => 16,
        VolumeError::Mount { .. } => 17,
        VolumeError::WrongRoot { .. } => 18,
        VolumeError::Panicked => 19,
    }
}

#[test]
fn every_error_is_answered_as_the_reference_page_says() {
    let mut errors = causes();
    let mut answered = BTreeSet::new();
    let mut variants = BTreeSet::new();
    let rows = rows();
    for row in &rows {
        for cause in &row.causes {
            let of_cause = errors.remove(cause.as_str());
            for error in of_cause.unwrap_or_else(|| panic!("no error for '{cause}'")) {
                let code = format!("{:?}", error.code());
                assert!(row.codes.contains(&code), "{cause}: {code}: {error}");
                assert_eq!(error.is_retryable(), row.asks_again, "{cause}: {error}");
                answered.insert(code);
                variants.insert(variant(&error));
            }
        }
    }
    assert!(errors.is_empty(), "not on the page: {:?}", errors.keys());
    assert_eq!(variants, (0..=19).collect());
    // Requests that are too large are refused before the driver has them, by the library that reads them.
    answered.insert("OutOfRange".to_owned());
    let listed: BTreeSet<String> = rows.into_iter().flat_map(|row| row.codes).collect();
    assert_eq!(listed, answered);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_refused_is_counted_with_its_reason() {
    let reasons: BTreeMap<&str, BTreeSet<&str>> = causes()
        .into_iter()
        .map(|(cause, errors)| {
            let reasons = errors
                .iter()
                .map(|error| error.reason().map_or("-", Reason::name));
            (cause, reasons.collect())
        })
        .collect();
    insta::assert_debug_snapshot!(reasons, @r#"
    {
        "a bug ended the call": {
            "node",
        },
        "a cache cannot be asked": {
            "nar",
            "unavailable",
        },
        "a limit is exceeded": {
            "limit_closure_size",
            "limit_nar_size",
            "limit_narinfos",
            "limit_paths",
            "limit_roots",
        },
        "a mount or a file failed": {
            "nar",
            "node",
            "store",
        },
        "another call for the volume is being answered": {
            "-",
        },
        "another closure or another volume is mounted at the target": {
            "target",
        },
        "attributes, id, target or capability are missing, wrong or too large": {
            "request",
        },
        "kubelet did not say whose pod it is": {
            "no_pod_info",
        },
        "no cache gives a path, and that for less than 3 minutes: a push or a change of the configuration may be under way": {
            "may_come",
        },
        "no cache has a path, for 3 minutes": {
            "nar",
            "unavailable",
        },
        "no cache is configured": {
            "unavailable",
        },
        "the closure is being realised, or waits for others: the message has the progress": {
            "-",
        },
        "the disk is full": {
            "no_space",
            "node",
        },
        "the driver stops": {
            "-",
            "store",
        },
        "the namespace's share of it is used up": {
            "limit_disk",
        },
        "the system, the digest or the signatures differ from what was asked for": {
            "digest",
            "nar",
            "request",
            "store",
            "unavailable",
        },
        "the volume is published at another target": {
            "target",
        },
        "too many volumes are being published": {
            "too_many_calls",
        },
        "what is mounted at the target is not the driver's": {
            "target",
        },
    }
    "#);
}

#[test]
fn limits_say_where_they_are_set_and_only_shares_pass_by_themselves() {
    let of = |of| realise(limit(of));
    let paths = of(Limit::Paths);
    assert_eq!(
        paths.to_string(),
        "the closure has at least 8 paths, and the limit is 7; it is limits.paths in the driver's csi.yaml, for all or for this namespace"
    );
    assert_eq!(
        (paths.code(), paths.reason()),
        (Code::FailedPrecondition, Some(Reason::LimitPaths))
    );
    assert!(of(Limit::Disk).is_retryable() && !of(Limit::Roots).is_retryable());
}

#[test]
fn a_full_disk_is_told_without_what_only_an_administrator_can_do() {
    let error = realise(RealiseError::NoSpace {
        needed: 30,
        free: 20,
        reserve: 5,
    });
    assert_eq!(
        (error.code(), error.reason()),
        (Code::ResourceExhausted, Some(Reason::NoSpace))
    );
    let text = error.to_string();
    assert!(
        text.contains("30 bytes are needed and 5 stay free") && !text.contains("niphas-store"),
        "{text}"
    );
}

#[test]
fn who_waits_for_others_is_told_how_many_come_first() {
    let waiting = Progress {
        queued: 3,
        ..Progress::default()
    };
    let error = VolumeError::InProgress(waiting);
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(
        error.to_string(),
        "queued: 3 of this namespace's volumes are served before it"
    );
}
