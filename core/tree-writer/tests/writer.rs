//! What a writer does with names, sizes and counts that no honest source gives it.

use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tree_writer::{Limits, Modes, TreeError, TreeWriter};

const LIMITS: Limits = Limits {
    bytes: 100,
    entries: 5,
    depth: 64,
};

fn report(error: &TreeError, root: &Path) -> String {
    let root = root.to_str().expect("UTF-8");
    let cause = error
        .source()
        .map_or(String::new(), |cause| format!(": {cause}"));
    format!("{error}{cause}").replace(root, "@")
}

/// The error of one step in a new folder that has a symlink out of it.
fn refuse(step: impl FnOnce(&mut TreeWriter) -> Result<(), TreeError>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("tree");
    let mut writer = TreeWriter::new(&root, Modes::Writable, LIMITS).expect("a writer");
    let outside = folder.path().join("outside");
    let target = outside.to_str().expect("UTF-8").as_bytes();
    writer.symlink(b"link", target).expect("a symlink");
    let error = step(&mut writer).expect_err("a refusal");
    assert!(!outside.exists(), "{error}");
    report(&error, &root)
}

#[test]
fn nothing_is_written_through_a_symlink_or_twice() {
    let again = "expected each name once in a folder, found '@/link' again";
    assert_eq!(refuse(|to| to.file(b"link", false, 0).map(drop)), again);
    assert_eq!(refuse(|to| to.enter(b"link")), again);
    assert_eq!(refuse(|to| to.symlink(b"link", b"x")), again);
    let file_twice = refuse(|to| {
        to.file(b"f", false, 0)?.finish()?;
        to.file(b"f", true, 0).map(drop)
    });
    assert_eq!(
        file_twice,
        "expected each name once in a folder, found '@/f' again"
    );
    let folder_twice = refuse(|to| {
        to.enter(b"d")?;
        to.leave()?;
        to.enter(b"d")
    });
    assert_eq!(
        folder_twice,
        "expected each name once in a folder, found '@/d' again"
    );
}

#[test]
fn names_are_one_component() {
    for name in ["", ".", "..", "a/b", "/a", "../outside", "a\0b"] {
        let expected = format!("expected the name of a file, found '{name}' in '@'");
        let name = name.as_bytes();
        assert_eq!(refuse(|to| to.file(name, false, 0).map(drop)), expected);
        assert_eq!(refuse(|to| to.enter(name)), expected);
        assert_eq!(refuse(|to| to.symlink(name, b"x")), expected);
    }
}

#[test]
fn bytes_entries_and_depth_are_counted_before_the_work() {
    let error = refuse(|to| {
        to.file(b"a", false, 60)?;
        to.file(b"b", false, 41).map(drop)
    });
    assert_eq!(error, "expected a tree of at most 100 bytes, found more");
    let error = refuse(|to| (0..9).try_for_each(|number| to.symlink(&[b'a' + number], b"x")));
    assert_eq!(
        error,
        "expected a tree of at most 5 files, symlinks and folders, found more"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        depth: 3,
        ..Limits::NONE
    };
    let mut writer = TreeWriter::new(folder.path(), Modes::Writable, limits).expect("a writer");
    writer.enter(b"d").expect("a folder");
    writer.enter(b"d").expect("a folder");
    let error = writer.enter(b"d").expect_err("too deep");
    assert_eq!(
        error.to_string(),
        "expected a tree of at most 3 nested folders, found more"
    );
}

#[test]
fn files_have_the_size_that_was_said() {
    let error = refuse(|to| to.file(b"f", false, 3)?.write(b"1234"));
    assert_eq!(error, "expected 3 bytes for '@/f', found more");
    let error = refuse(|to| {
        let mut file = to.file(b"f", false, 3)?;
        file.copy_from(&mut &b"12"[..])?;
        file.finish()
    });
    assert_eq!(error, "expected 3 bytes for '@/f', found 2");
    let error = refuse(|to| to.file(b"f", false, 3)?.skip(u64::MAX));
    assert_eq!(error, "expected 3 bytes for '@/f', found more");
}

#[test]
fn a_folder_with_something_in_it_is_not_written_to() {
    let folder = tempfile::tempdir().expect("a folder");
    symlink("/nowhere", folder.path().join("x")).expect("a symlink");
    let error = TreeWriter::new(folder.path(), Modes::Writable, LIMITS).expect_err("not empty");
    assert!(matches!(error, TreeError::NotEmpty(path) if path == folder.path()));
}

#[test]
fn zeros_take_no_space() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer =
        TreeWriter::new(folder.path(), Modes::Writable, Limits::NONE).expect("a writer");
    let mut contents = vec![0; 10 << 20];
    contents[(5 << 20) + 7] = 1;
    let mut file = writer
        .file(b"f", false, contents.len() as u64 + (1 << 40))
        .expect("a file");
    file.write(&contents).expect("written");
    file.skip(1 << 40).expect("skipped");
    file.finish().expect("a file");
    let metadata = fs::metadata(folder.path().join("f")).expect("a file");
    assert_eq!(metadata.len(), (10 << 20) + (1 << 40));
    assert!(
        metadata.blocks() * 512 <= 128 << 10,
        "{}",
        metadata.blocks()
    );
    let start = &fs::File::open(folder.path().join("f")).expect("a file");
    let mut read = vec![1; contents.len()];
    std::os::unix::fs::FileExt::read_exact_at(start, &mut read, 0).expect("read");
    assert!(read == contents);
}

#[test]
fn trees_of_a_store_are_read_only_and_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("tree");
    let mut writer = TreeWriter::new(&root, Modes::Store, Limits::NONE).expect("a writer");
    writer.enter(b"d").expect("a folder");
    writer.symlink(b"l", b"x").expect("a symlink");
    for (name, executable) in [(b"f", false), (b"x", true)] {
        let mut file = writer.file(name, executable, 1).expect("a file");
        file.write(b"1").expect("written");
        file.finish().expect("a file");
    }
    writer.leave().expect("the folder");
    writer.finish().expect("the tree");
    for (path, mode) in [("", 0o555), ("d", 0o555), ("d/f", 0o444), ("d/x", 0o555)] {
        let metadata = fs::metadata(root.join(path)).expect("it");
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!((metadata.mtime(), metadata.atime()), (1, 1), "{path}");
    }
    let link = fs::symlink_metadata(root.join("d/l")).expect("it");
    assert_eq!(link.mtime(), 1);
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn links_share_what_was_spooled_and_count_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool =
        TreeWriter::new(&folder.path().join("spool"), Modes::Writable, LIMITS).expect("a writer");
    let mut file = spool.file(b"1", true, 40).expect("a file");
    file.write(&[7; 40]).expect("written");
    file.finish().expect("a file");
    let root = folder.path().join("tree");
    let mut writer = TreeWriter::new(&root, Modes::Writable, LIMITS).expect("a writer");
    writer.link(b"a", &spool, b"1", true).expect("a link");
    writer.link(b"b", &spool, b"1", true).expect("a link");
    let error = writer
        .link(b"b", &spool, b"1", true)
        .expect_err("too large");
    assert_eq!(
        report(&error, &root),
        "expected a tree of at most 100 bytes, found more"
    );
    writer.finish().expect("the tree");
    assert_eq!(fs::read(root.join("b")).expect("a file"), [7; 40]);
}
