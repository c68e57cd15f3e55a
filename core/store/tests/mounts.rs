//! Mounts that the kernel really makes. They need root, so they are run by `ci/run store` only:
//! `cargo test -p niphas-store --test mounts -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use niphas_erofs::{Extent, ImageBuilder};
use niphas_store::mount::{
    Mount, MountError, MountTable, View, bind, detach, mount_folder, mount_image, probe, unmount,
};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use tempfile::TempDir;

const FILE: View = View::FileBacked { direct_io: false };
const DIRECT: View = View::FileBacked { direct_io: true };
const VIEWS: [View; 3] = [FILE, DIRECT, View::Loop];

const GIB: u64 = 1 << 30;

/// An image and its packs, and a place to mount it at, unmounted again whatever happens.
struct Closure {
    folder: TempDir,
    devices: Vec<PathBuf>,
}

impl Closure {
    /// Of `packs` packs, each with one file of its number; the first has a sparse file of 5 GiB, too.
    fn new(packs: usize) -> Self {
        // On the file system that the build is on: EROFS does not read files of tmpfs.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut image = ImageBuilder::new();
        image.enter(b"store").unwrap();
        let mut devices = Vec::new();
        for number in 0..packs {
            let path = folder.path().join(format!("pack-{number}"));
            let pack = File::create_new(&path).unwrap();
            let length = if number == 0 { 6 * GIB } else { 4096 };
            pack.set_len(length).unwrap();
            pack.write_all_at(number.to_string().as_bytes(), 512)
                .unwrap();
            let device = image.device(number.to_string().as_bytes(), length).unwrap();
            let extent = Extent::data(number.to_string().len() as u64, device, 512);
            image
                .file(format!("file-{number}").as_bytes(), true, &[extent])
                .unwrap();
            if number == 0 {
                pack.write_all_at(b"end", 6 * GIB - 3).unwrap();
                let extent = Extent::data(5 * GIB, device, GIB);
                image.file(b"sparse", false, &[extent]).unwrap();
            }
            devices.push(path);
        }
        image.leave().unwrap();
        let mut file = File::create_new(folder.path().join("image.erofs")).unwrap();
        image.finish().unwrap().write_to(&mut file).unwrap();
        fs::create_dir(folder.path().join("view")).unwrap();
        fs::create_dir(folder.path().join("pod")).unwrap();
        Self { folder, devices }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn mount(&self, view: View) -> Result<(), MountError> {
        mount_image(
            &self.path("image.erofs"),
            &self.devices,
            view,
            &self.path("view"),
        )
    }
}

impl Drop for Closure {
    fn drop(&mut self) {
        while detach(&self.path("pod")).unwrap() {}
        while detach(&self.path("view")).unwrap() {}
    }
}

fn mounted_at(path: &Path) -> Option<Mount> {
    MountTable::read().unwrap().at(path).cloned()
}

/// Waits until no loop device reads a file below `folder`: one that is not used is free only when the last has closed it,
/// and the tests that run meanwhile open it for a moment when they look for a free one.
fn assert_no_loop_device_of(folder: &Path) {
    let started = Instant::now();
    loop {
        let files: Vec<String> = fs::read_dir("/sys/block")
            .unwrap()
            .filter_map(|entry| {
                fs::read_to_string(entry.unwrap().path().join("loop/backing_file")).ok()
            })
            .filter(|file| file.starts_with(folder.to_str().unwrap()))
            .collect();
        if files.is_empty() {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "loop devices still read {} files: {}",
            files.len(),
            files.concat()
        );
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "needs root"]
fn every_view_shows_the_same_files() {
    let closure = Closure::new(5);
    for view in VIEWS {
        closure.mount(view).unwrap();
        let store = closure.path("view/store");
        for number in 0..5 {
            let file = store.join(format!("file-{number}"));
            assert_eq!(
                fs::read_to_string(&file).unwrap(),
                number.to_string(),
                "{view}"
            );
            let metadata = fs::metadata(&file).unwrap();
            assert_eq!((metadata.mode(), metadata.mtime()), (0o100_555, 1));
            assert_eq!(
                (metadata.uid(), metadata.gid(), metadata.nlink()),
                (0, 0, 1)
            );
        }
        let mut sparse = File::open(store.join("sparse")).unwrap();
        assert_eq!(sparse.metadata().unwrap().len(), 5 * GIB);
        sparse.seek(SeekFrom::Start(5 * GIB - 5)).unwrap();
        let mut end = Vec::new();
        sparse.read_to_end(&mut end).unwrap();
        assert_eq!(end, b"\0\0end", "{view}");
        drop(sparse);
        assert!(unmount(&closure.path("view")).unwrap());
        assert_no_loop_device_of(closure.folder.path());
    }
}

#[test]
#[ignore = "needs root"]
fn the_table_tells_the_image_and_the_options() {
    let closure = Closure::new(2);
    for view in VIEWS {
        closure.mount(view).unwrap();
        let mount = mounted_at(&closure.path("view")).unwrap();
        assert_eq!(mount.image(), Some(closure.path("image.erofs")), "{view}");
        for option in ["ro", "nosuid", "nodev"] {
            assert!(
                mount.has_option(option),
                "{view}: {option} in {}",
                mount.options
            );
        }
        assert!(!mount.has_option("noexec"), "{view}");
        assert!(unmount(&closure.path("view")).unwrap());
        assert_eq!(mounted_at(&closure.path("view")), None);
    }
}

#[test]
#[ignore = "needs root"]
fn a_closure_of_400_packs_is_mounted_in_every_view() {
    let closure = Closure::new(400);
    for view in VIEWS {
        closure.mount(view).unwrap();
        for number in [0, 1, 254, 255, 256, 399] {
            let file = closure.path(&format!("view/store/file-{number}"));
            assert_eq!(
                fs::read_to_string(file).unwrap(),
                number.to_string(),
                "{view}"
            );
        }
        assert!(unmount(&closure.path("view")).unwrap());
    }
    assert_no_loop_device_of(closure.folder.path());
}

/// Runs this test again in a mount namespace whose `/dev` is as a container's: of the loop devices it has only those that
/// were there when it began. Gives whether it is the run in there.
fn in_a_containers_dev(test: &str) -> bool {
    const MARK: &str = "NIPHAS_TEST_IN_A_CONTAINERS_DEV";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let script = "mount -t tmpfs dev /dev && mknod /dev/null c 1 3 && mknod /dev/loop-control c 10 237 && \
        for n in 0 1 2 3 4 5 6 7; do mknod /dev/loop$n b 7 $n; done && exec \"$@\"";
    let status = std::process::Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env(MARK, "1")
        .status()
        .unwrap();
    assert!(status.success());
    false
}

#[test]
#[ignore = "needs root"]
fn more_packs_than_a_containers_dev_has_loop_devices_are_mounted() {
    if !in_a_containers_dev("more_packs_than_a_containers_dev_has_loop_devices_are_mounted") {
        return;
    }
    let closure = Closure::new(20);
    closure.mount(View::Loop).unwrap();
    let last = closure.path("view/store/file-19");
    assert_eq!(fs::read_to_string(last).unwrap(), "19");
    assert!(unmount(&closure.path("view")).unwrap());

    // On a file system whose files cannot be mounted.
    let folder = tempfile::tempdir_in("/dev").unwrap();
    assert_eq!(probe(folder.path()).unwrap().view, View::Loop);
}

#[test]
#[ignore = "needs root"]
fn paths_longer_than_a_parameter_are_mounted() {
    let mut closure = Closure::new(3);
    let long = closure.path(&"d".repeat(200));
    fs::create_dir(&long).unwrap();
    let names = [String::from("short"), "n".repeat(230), "n".repeat(255)];
    for (device, name) in closure.devices.iter_mut().zip(names) {
        let moved = long.join(name);
        fs::rename(&*device, &moved).unwrap();
        *device = moved;
    }
    for view in VIEWS {
        closure.mount(view).unwrap();
        for number in 0..3 {
            let file = closure.path(&format!("view/store/file-{number}"));
            assert_eq!(
                fs::read_to_string(file).unwrap(),
                number.to_string(),
                "{view}"
            );
        }
        assert!(unmount(&closure.path("view")).unwrap());
    }
    let image = long.join("i".repeat(100));
    let error = mount_image(&image, &[], FILE, &closure.path("view")).unwrap_err();
    assert!(matches!(error, MountError::PathTooLong(path) if path == image));
}

#[test]
#[ignore = "needs root"]
fn packs_that_do_not_match_the_image_are_refused_and_nothing_stays() {
    let mut closure = Closure::new(3);
    closure.devices.pop();
    for view in VIEWS {
        let error = closure.mount(view).unwrap_err();
        let said = format!("cannot mount '{}'", closure.path("image.erofs").display());
        if view != View::Loop {
            assert!(error.to_string().starts_with(&said), "{error}");
        }
        assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::InvalidInput);
    }
    closure.devices.push(closure.path("no such pack"));
    for view in VIEWS {
        let error = closure.mount(view).unwrap_err();
        assert_eq!(
            error.io().unwrap().kind(),
            std::io::ErrorKind::NotFound,
            "{error}"
        );
    }
    assert_eq!(mounted_at(&closure.path("view")), None);
    assert_no_loop_device_of(closure.folder.path());
}

#[test]
#[ignore = "needs root"]
fn a_bind_is_read_only_and_private_whatever_it_shows() {
    let closure = Closure::new(1);
    let (export, pod) = (closure.path("export"), closure.path("pod"));
    fs::create_dir(&export).unwrap();
    fs::write(export.join("file"), "exported").unwrap();

    bind(&export, &pod).unwrap();
    assert_eq!(fs::read_to_string(pod.join("file")).unwrap(), "exported");
    let error = fs::write(pod.join("file"), "changed").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let mount = mounted_at(&pod).unwrap();
    assert!(
        ["ro", "nosuid", "nodev"]
            .iter()
            .all(|option| mount.has_option(option)),
        "{}",
        mount.options
    );
    fs::write(export.join("file"), "still writable where it is").unwrap();
    assert!(unmount(&pod).unwrap());

    // With what is mounted below it, and independent of it.
    fs::create_dir(export.join("inner")).unwrap();
    mount_image(
        &closure.path("image.erofs"),
        &closure.devices,
        FILE,
        &export.join("inner"),
    )
    .unwrap();
    bind(&export, &pod).unwrap();
    assert!(unmount(&export.join("inner")).unwrap());
    assert_eq!(
        fs::read_to_string(pod.join("inner/store/file-0")).unwrap(),
        "0"
    );
    let table = MountTable::read().unwrap();
    assert!(
        table.below(&pod).all(|mount| mount.has_option("ro")) && table.below(&pod).count() == 1
    );
}

/// Whatever changes a folder that has `store/file-0`: each by name, with the error.
fn attempts_to_write(folder: &Path) -> Vec<(&'static str, Option<Errno>)> {
    use rustix::fs::{
        self, AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
    };
    let (file, new) = (folder.join("store/file-0"), folder.join("store/new"));
    let mode = Mode::from_raw_mode(0o600);
    let open = |path: &Path, flags| fs::open(path, flags, mode).map(drop);
    let epoch = Timespec {
        tv_sec: 5,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: epoch,
        last_modification: epoch,
    };
    let (user, group) = (Some(Uid::from_raw(1)), Some(Gid::from_raw(1)));
    [
        ("a new file", open(&new, OFlags::WRONLY | OFlags::CREATE)),
        (
            "a file without a name",
            open(&folder.join("store"), OFlags::WRONLY | OFlags::TMPFILE),
        ),
        ("a new folder", fs::mkdir(&new, mode)),
        ("a symlink", fs::symlink("/etc/passwd", &new)),
        ("a hard link", fs::link(&file, &new)),
        ("a rename", fs::rename(&file, &new)),
        ("contents", open(&file, OFlags::WRONLY)),
        ("times", fs::utimensat(CWD, &file, &times, AtFlags::empty())),
        ("a mode", fs::chmod(&file, Mode::from_raw_mode(0o777))),
        ("an owner", fs::chown(&file, user, group)),
        (
            "an attribute",
            fs::setxattr(&file, "user.niphas", b"1", XattrFlags::empty()),
        ),
        ("removal", fs::unlink(&file)),
    ]
    .map(|(name, result)| (name, result.err()))
    .to_vec()
}

#[test]
#[ignore = "needs root"]
fn what_pods_share_cannot_be_written_to_in_a_mount_that_is_made_writable() {
    let closure = Closure::new(1);
    let export = closure.path("export,with:odd\\name");
    fs::create_dir_all(export.join("store")).unwrap();
    fs::write(export.join("store/file-0"), "0").unwrap();
    let (view, pod) = (closure.path("view"), closure.path("pod"));
    for kind in [FILE, DIRECT, View::Loop, View::Export] {
        match kind {
            View::Export => mount_folder(&export, &view).unwrap(),
            kind => closure.mount(kind).unwrap(),
        }
        bind(&view, &pod).unwrap();
        // As runc 1.2 and later do for a volume mount that is not `readOnly`.
        rustix::mount::mount_remount(&pod, MountFlags::BIND, "").unwrap();
        assert!(!mounted_at(&pod).unwrap().has_option("ro"), "{kind}");
        for (name, error) in attempts_to_write(&pod) {
            assert_eq!(error, Some(Errno::ROFS), "{kind}: {name}");
        }
        // Nor can the superblock's flag be cleared.
        let error = rustix::mount::mount_remount(&pod, MountFlags::empty(), "").err();
        if kind == View::Export {
            assert_eq!(error, Some(Errno::ROFS), "{kind}");
        }
        let written = attempts_to_write(&pod);
        assert!(
            written.iter().all(|(_, error)| *error == Some(Errno::ROFS)),
            "{kind}: {written:?}"
        );
        assert!(unmount(&pod).unwrap() && unmount(&view).unwrap());
    }
    let mut names = fs::read_dir(export.join("store")).unwrap();
    assert_eq!(names.next().unwrap().unwrap().file_name(), "file-0");
    assert!(names.next().is_none());
}

#[test]
#[ignore = "needs root"]
fn a_folder_is_shown_as_it_is_and_only_where_nothing_is() {
    let closure = Closure::new(1);
    let (export, view) = (closure.path("export"), closure.path("view"));
    fs::create_dir(&export).unwrap();
    fs::write(export.join("file"), "exported").unwrap();
    mount_folder(&export, &view).unwrap();
    assert_eq!(fs::read_to_string(view.join("file")).unwrap(), "exported");
    assert_eq!(fs::read_dir(&view).unwrap().count(), 1);
    let mount = mounted_at(&view).unwrap();
    assert_eq!(
        (&*mount.filesystem, &*mount.source),
        ("overlay", export.as_os_str())
    );
    for option in ["ro", "nosuid", "nodev"] {
        assert!(mount.has_option(option), "{option} in {}", mount.options);
    }
    assert!(
        mount.super_options.starts_with("ro"),
        "{}",
        mount.super_options
    );
    assert!(unmount(&view).unwrap());

    let error = mount_folder(&view, &export).unwrap_err();
    assert_eq!(
        error.io().unwrap().kind(),
        std::io::ErrorKind::DirectoryNotEmpty
    );
    assert_eq!(mounted_at(&export), None);
}

#[test]
#[ignore = "needs root"]
fn a_pod_keeps_its_bind_when_the_view_is_gone() {
    let closure = Closure::new(2);
    closure.mount(FILE).unwrap();
    bind(&closure.path("view"), &closure.path("pod")).unwrap();
    assert!(unmount(&closure.path("view")).unwrap());
    for device in &closure.devices {
        fs::remove_file(device).unwrap();
    }
    assert_eq!(
        fs::read_to_string(closure.path("pod/store/file-1")).unwrap(),
        "1"
    );
}

#[test]
#[ignore = "needs root"]
fn what_is_in_use_is_detached_but_not_unmounted() {
    let closure = Closure::new(2);
    closure.mount(FILE).unwrap();
    let mut open = File::open(closure.path("view/store/file-1")).unwrap();
    let error = unmount(&closure.path("view")).unwrap_err();
    assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::ResourceBusy);
    assert!(detach(&closure.path("view")).unwrap());
    let mut read = String::new();
    open.read_to_string(&mut read).unwrap();
    assert_eq!(read, "1");
}

#[test]
#[ignore = "needs root"]
fn to_unmount_what_is_no_mount_changes_nothing() {
    let closure = Closure::new(1);
    assert!(!unmount(&closure.path("pod")).unwrap());
    assert!(!unmount(&closure.path("not there")).unwrap());
    assert!(!detach(&closure.path("not there")).unwrap());
}

#[test]
#[ignore = "needs root"]
fn a_probe_finds_a_view_and_leaves_nothing() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let probed = probe(folder.path()).unwrap();
    assert_ne!(probed.view, View::Export, "{:?}", probed.refused);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_no_loop_device_of(folder.path());
}

#[test]
#[ignore = "needs root"]
fn a_probe_on_tmpfs_says_why_files_cannot_be_mounted() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let probed = probe(folder.path()).unwrap();
    assert_eq!(probed.view, View::Loop);
    let refused: Vec<_> = probed.refused.iter().map(|refusal| refusal.view).collect();
    assert_eq!(refused, [DIRECT, FILE]);
}

#[test]
#[ignore = "needs root"]
fn programs_run_from_a_mount() {
    let closure = Closure::new(1);
    let (pack, mut program) = (closure.path("pack"), fs::read("/bin/true").unwrap());
    let length = program.len() as u64;
    // As packs do: a loop device has whole blocks only.
    program.resize(program.len().next_multiple_of(512), 0);
    fs::write(&pack, &program).unwrap();
    let mut image = ImageBuilder::new();
    let device = image.device(b"pack", length).unwrap();
    let extent = Extent::data(length, device, 0);
    image.file(b"true", true, &[extent]).unwrap();
    let mut file = File::create(closure.path("program.erofs")).unwrap();
    image.finish().unwrap().write_to(&mut file).unwrap();
    for view in VIEWS {
        mount_image(
            &closure.path("program.erofs"),
            std::slice::from_ref(&pack),
            view,
            &closure.path("view"),
        )
        .unwrap();
        let program = closure.path("view/true");
        assert_eq!(
            fs::metadata(&program).unwrap().permissions().mode(),
            0o100_555
        );
        assert!(
            std::process::Command::new(program)
                .status()
                .unwrap()
                .success()
        );
        assert!(unmount(&closure.path("view")).unwrap());
    }
}
