//! What a hostile builder leaves behind: nothing of it is followed, waited for, or read beyond all bounds.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod left;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use niphas_store::{GcOptions, TreeEvent};
use nix_builder::outputs::{DifferenceKind, OutputError, OutputFailure, compare, finish};
use nix_formats::{Derivation, DerivationOutput, StorePath};
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mkdirat, mknodat, openat};

use left::{Case, Test};

/// A derivation with the output `out`, whose builder makes nothing.
fn case() -> Case {
    let path = |name: &str| {
        StorePath::from_base_name(format!("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-{name}")).unwrap()
    };
    let derivation = Derivation {
        name: "hostile".to_owned(),
        outputs: [(
            "out".to_owned(),
            DerivationOutput::InputAddressed(path("hostile")),
        )]
        .into(),
        args: vec![b"-ec".to_vec(), b"true".to_vec()],
        ..Derivation::default()
    };
    Case::new(path("hostile.drv"), derivation, [].into())
}

/// What comes of an output that is made at a path.
fn outcome(make: impl FnOnce(&Path)) -> Result<Vec<String>, OutputError> {
    let case = case();
    let test = Test::of(&case);
    make(&out(&test));
    let begun = Instant::now();
    let finished = finish(&test.build());
    assert!(begun.elapsed() < Duration::from_secs(20));
    let mut names = Vec::new();
    let tree = test.store.tree(&finished?.held[0].stored).unwrap();
    tree.walk(|name, event| {
        let kind = match event {
            TreeEvent::Enter(_) => "/",
            TreeEvent::File(_, file) if file.executable => "*",
            TreeEvent::Symlink(..) => "@",
            _ => "",
        };
        names.push(format!("{}{kind}", String::from_utf8_lossy(name)));
    })
    .unwrap();
    Ok(names)
}

fn out(test: &Test<'_>) -> PathBuf {
    let name = test.left.scratch["out"].base_name();
    test.left.folder.join(name)
}

fn refused(make: impl FnOnce(&Path)) -> OutputError {
    outcome(make).unwrap_err()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn sockets_pipes_and_devices_are_refused_at_once() {
    let node = |kind, device| {
        move |out: &Path| {
            fs::create_dir(out).unwrap();
            mknodat(CWD, out.join("x"), kind, Mode::from_raw_mode(0o644), device).unwrap();
        }
    };
    let mut all = vec![
        refused(node(FileType::Fifo, 0)),
        refused(|out| {
            fs::create_dir(out).unwrap();
            drop(UnixListener::bind(out.join("x")).unwrap());
        }),
    ];
    if is_root() {
        all.push(refused(node(FileType::CharacterDevice, makedev(1, 5))));
        all.push(refused(node(FileType::BlockDevice, makedev(7, 77))));
    }
    for error in all {
        assert!(
            matches!(&error, OutputError::UnsupportedType(path) if path.ends_with("x")),
            "{error}"
        );
        assert_eq!(error.failure(), OutputFailure::Misc);
    }
}

#[test]
fn symlinks_are_not_followed() {
    let names = outcome(|out| {
        fs::create_dir(out).unwrap();
        symlink("/etc/passwd", out.join("file")).unwrap();
        symlink("/proc", out.join("folder")).unwrap();
        symlink(".", out.join("itself")).unwrap();
    });
    assert_eq!(names.unwrap(), ["/", "file@", "folder@", "itself@"]);
    let root = outcome(|out| symlink("/etc", out).unwrap());
    assert_eq!(root.unwrap(), ["@"]);
}

#[test]
fn names_are_bytes() {
    let names = outcome(|out| {
        fs::create_dir(out).unwrap();
        for name in [b"\xff\xfe".as_slice(), b"a\nb", b"\x1b[31m", &[b'n'; 255]] {
            fs::write(out.join(OsStr::from_bytes(name)), "x").unwrap();
        }
    });
    let names = names.unwrap();
    assert_eq!(names.len(), 5);
    assert_eq!(names[2], "a\nb");
}

#[test]
fn modes_and_owners_of_the_builder_are_forgotten() {
    let names = outcome(|out| {
        fs::create_dir(out).unwrap();
        let mode = |name: &str, mode: u32| {
            fs::write(out.join(name), "x").unwrap();
            fs::set_permissions(out.join(name), Permissions::from_mode(mode)).unwrap();
        };
        mode("setuid", 0o6755);
        mode("for-others", 0o655);
        mode("nothing", 0o000);
        mode("sticky", 0o1644);
        mode("writable", 0o666);
        fs::create_dir(out.join("folder")).unwrap();
        fs::set_permissions(out.join("folder"), Permissions::from_mode(0o000)).unwrap();
    });
    assert_eq!(
        names.unwrap(),
        [
            "/",
            "folder/",
            "for-others",
            "nothing",
            "setuid*",
            "sticky",
            "writable"
        ]
    );
}

#[test]
fn what_others_own_is_refused() {
    if !is_root() {
        return;
    }
    let error = refused(|out| {
        fs::write(out, "x").unwrap();
        chown(out, Some(12_345), None).unwrap();
    });
    assert!(matches!(error, OutputError::Suspicious { .. }), "{error}");
    let error = refused(|out| {
        fs::create_dir(out).unwrap();
        fs::write(out.join("x"), "x").unwrap();
        chown(out.join("x"), Some(12_345), None).unwrap();
    });
    assert!(
        matches!(&error, OutputError::InvalidOwnership(path) if path.ends_with("x")),
        "{error}"
    );
    assert_eq!(error.failure(), OutputFailure::OutputRejected);
}

#[test]
fn folders_nested_four_thousand_deep_are_refused() {
    let error = refused(|out| {
        fs::create_dir(out).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut folder: OwnedFd = File::open(out).unwrap().into();
        for _ in 0..4000 {
            mkdirat(&folder, "d", Mode::from_raw_mode(0o755)).unwrap();
            folder = openat(&folder, "d", flags, Mode::empty()).unwrap();
        }
    });
    assert!(
        matches!(&error, OutputError::TooDeep(path) if path.components().count() < 80),
        "{error}"
    );
}

#[test]
fn a_file_with_an_exbibyte_of_holes_is_refused_at_once() {
    let error = refused(|out| {
        fs::create_dir(out).unwrap();
        // As large as the file system allows.
        for number in 0..4 {
            let file = File::create(out.join(number.to_string())).unwrap();
            let mut size = 1 << 60;
            while file.set_len(size).is_err() {
                size /= 2;
            }
        }
    });
    assert!(matches!(error, OutputError::TooManyBytes { .. }), "{error}");
}

#[test]
fn a_file_with_gibibytes_of_holes_takes_no_space() {
    let case = case();
    let test = Test::of(&case);
    let file = File::create(out(&test)).unwrap();
    file.set_len(1 << 30).unwrap();
    let finished = finish(&test.build()).unwrap();
    assert_eq!(finished.outputs["out"].nar_size, (1 << 30) + 112);
    assert!(test.store.size().pack_bytes < 1 << 20);
}

#[test]
fn many_files_are_one_pack() {
    let names = outcome(|out| {
        for folder in 0..20 {
            let folder = out.join(folder.to_string());
            fs::create_dir_all(&folder).unwrap();
            for file in 0..1000 {
                fs::write(folder.join(file.to_string()), file.to_string()).unwrap();
            }
        }
    });
    assert_eq!(names.unwrap().len(), 20_021);
}

#[test]
fn outputs_are_files_again_where_nothing_can_be_mounted() {
    let case = case();
    let test = Test::of(&case);
    test.make_again(
        "mkdir -p $D_out/a; echo x > $D_out/a/x; ln -s a $D_out/l; chmod 755 $D_out/a/x",
    );
    let finished = finish(&test.build()).unwrap();
    let path = finished.outputs["out"].path.clone();
    let closure = test.store.stored_closure(&path.clone().into()).unwrap();
    let exported = test.store.exported(&closure).unwrap();
    assert_eq!(test.store.exported(&closure).unwrap(), exported);
    let file = exported[0].folder.join(path.base_name()).join("l/x");
    assert_eq!(fs::read(&file).unwrap(), b"x\n");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o555
    );
    assert_eq!(test.left_over(), [""; 0]);
    drop((closure, finished));
    let collected = test.store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(collected.collected, [path]);
    assert!(!exported[0].folder.exists());
    assert_eq!(test.left_over(), [""; 0]);
}

#[test]
fn a_second_build_tells_where_it_differs_and_is_kept() {
    let case = case();
    let mut test = Test::of(&case);
    let make = "mkdir -p $D_out/a $D_out/b; cd $D_out; echo 1 > a/same; echo x > mode; ln -s x link; echo x > kind;";
    test.make_again(&format!("{make} echo 1 > a/other; echo 1 > b/first"));
    let finished = finish(&test.build()).unwrap();
    test.know(&finished);
    test.make_again(&format!(
        "{make} echo 22 > a/other; echo 1 > b/second; chmod 755 mode; ln -sf y link; rm kind; mkdir kind"
    ));
    let kept = test.folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let error = compare(&test.build(), Some(&kept)).unwrap_err();
    assert_eq!(error.failure(), OutputFailure::NotDeterministic);
    let text = error.to_string();
    let OutputError::NotDeterministic {
        kept: Some(kept),
        differences,
        ..
    } = error
    else {
        panic!("{text}");
    };
    let found: Vec<_> = differences
        .iter()
        .map(|it| (it.name.as_str(), &it.kind))
        .collect();
    let expected = [
        ("a/other", &DifferenceKind::Contents(2, 3)),
        ("b/second", &DifferenceKind::Added),
        ("kind", &DifferenceKind::Kind),
        ("link", &DifferenceKind::Target),
        ("mode", &DifferenceKind::Executable),
        ("b/first", &DifferenceKind::Missing),
    ];
    assert_eq!(found, expected);
    let path = "/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-hostile";
    let first = format!(
        "derivation '{path}.drv' may not be deterministic: output \"{path}\" differs from \"{}\"",
        kept.display()
    );
    assert_eq!(text.lines().next(), Some(first.as_str()));
    assert_eq!(fs::read(kept.join("a/other")).unwrap(), b"22\n");
    assert_eq!(test.left_over(), [""; 0]);
}
