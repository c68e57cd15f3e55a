//! A commit's tree, read from Git's objects: its NAR hash, and its files.
//!
//! The hash needs no files, so a tree whose hash is known beforehand is written only if it is the right one.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{
    AttrCheckFlags, AttrValue, Blob, Commit, ObjectType, Odb, Oid, Repository,
    RepositoryInitOptions, Tree, TreeEntry,
};
use niphas_git::MAX_OBJECT;
use nix_formats::hash::Hash;
use nix_formats::nar::{MAX_DEPTH, MAX_TARGET_LEN};
use tree_writer::Limits;

use super::git_lfs::{LargeFile, MAX_POINTER};
use super::git_size::{MAX_ENTRIES, Part, measure};
use super::output::Output;
use crate::error::FlakeError;
use crate::tree::{FileKind, SourceTree};

pub(super) const GIT_LINK: i32 = 0o120_000;
const GIT_EXECUTABLE: i32 = 0o100_755;

/// What is done with a file of Git LFS: its path, and what stands in Git for it, which is none if it is too large for a pointer.
type FileOfLfs<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// The attributes that a work tree's .gitattributes give, and no others.
const IN_TREE: AttrCheckFlags = AttrCheckFlags::FILE_THEN_INDEX.union(AttrCheckFlags::NO_SYSTEM);

/// The tree of a commit, with what submodules put into it and less what `export-ignore` leaves out.
pub(super) struct CommitTree<'a> {
    objects: Objects<'a>,
    root: Tree<'a>,
    limits: Limits,
    /// By their path. Other submodules are empty folders.
    pub(super) submodules: BTreeMap<String, SourceTree>,
    /// By their path: their contents are not in Git.
    pub(super) large_files: BTreeMap<Vec<u8>, LargeFile>,
    /// The attributes that leave files out; none if no file is.
    export_ignore: Option<Repository>,
}

impl<'a> CommitTree<'a> {
    /// The tree of `commit` in the repository at `place`. It is refused if, with the other parts of the whole, it has more than
    /// [`MAX_ENTRIES`] entries, or `max_bytes` in its files.
    pub(super) fn new(
        repository: &'a Repository,
        place: &str,
        commit: &Commit<'a>,
        part: Part<'_>,
        max_bytes: u64,
    ) -> Result<Self, FlakeError> {
        let objects = Objects::of(repository)?;
        let size = measure(&objects, commit.tree_id(), max_bytes, place)?;
        part.add(size, max_bytes, place)?;
        let root = objects.tree(commit.tree_id(), b"")?;
        Ok(Self {
            objects,
            root,
            limits: Limits {
                bytes: max_bytes,
                entries: MAX_ENTRIES,
                depth: MAX_DEPTH,
            },
            submodules: BTreeMap::new(),
            large_files: BTreeMap::new(),
            export_ignore: None,
        })
    }

    /// The tree as Git has it.
    pub(super) fn root(&self) -> &Tree<'a> {
        &self.root
    }

    /// The hash of its NAR. Nothing is written.
    pub(super) fn nar_hash(&self) -> Result<Hash, FlakeError> {
        self.put_into(Wanted::Everything, Output::hash(self.limits)?)
    }

    /// Writes it to the new folder `root`, and returns the hash of its NAR.
    pub(super) fn write(&self, root: &Path) -> Result<Hash, FlakeError> {
        self.put_into(Wanted::Everything, Output::files(root, self.limits)?)
    }

    fn put_into(&self, wanted: Wanted, mut output: Output) -> Result<Hash, FlakeError> {
        self.visit(wanted, &self.root, &mut Vec::new(), &mut output)?;
        output.finish()
    }

    fn visit(
        &self,
        wanted: Wanted,
        tree: &Tree<'_>,
        path: &mut Vec<u8>,
        output: &mut Output,
    ) -> Result<(), FlakeError> {
        for entry in sorted_entries(tree, path)? {
            let name = entry.name_bytes();
            let parent = path.len();
            join(path, name);
            if self.is_left_out(path)? {
                path.truncate(parent);
                continue;
            }
            match entry.kind() {
                Some(ObjectType::Blob | ObjectType::Commit)
                    if wanted == Wanted::Attributes && !is_attributes(&entry) => {}
                Some(ObjectType::Commit) => {
                    output.enter(name)?;
                    let submodule = std::str::from_utf8(path)
                        .ok()
                        .and_then(|path| self.submodules.get(path));
                    if let Some(tree) = submodule {
                        copy(tree, Path::new(""), output)?;
                    }
                    output.leave()?;
                }
                Some(ObjectType::Tree) => {
                    output.enter(name)?;
                    let child = self.objects.tree(entry.id(), path)?;
                    self.visit(wanted, &child, path, output)?;
                    output.leave()?;
                }
                Some(ObjectType::Blob) if entry.filemode() == GIT_LINK => {
                    let limit = MAX_TARGET_LEN as u64;
                    self.objects.size(entry.id(), path, limit)?;
                    let blob = self.objects.blob(entry.id(), path)?;
                    output.symlink(name, blob.content())?;
                }
                Some(ObjectType::Blob) => {
                    let executable = entry.filemode() == GIT_EXECUTABLE;
                    if let Some(LargeFile { size, place }) = self.large_files.get(&path[..]) {
                        let mut file = regular_file::open_no_follow(place)
                            .map_err(FlakeError::io("opening file", place))?;
                        output.file_from(name, executable, *size, &mut file)?;
                    } else {
                        let blob = self.objects.blob(entry.id(), path)?;
                        output.file(name, executable, blob.content())?;
                    }
                }
                _ => return Err(refused(path, "has a type that no file can have")),
            }
            path.truncate(parent);
        }
        Ok(())
    }

    /// The text of the regular file `name` at the top; none if there is no such file.
    pub(super) fn top_file(&self, name: &str, limit: u64) -> Result<Option<Blob<'a>>, FlakeError> {
        match self.root.get_name(name) {
            Some(entry)
                if entry.kind() == Some(ObjectType::Blob) && entry.filemode() != GIT_LINK =>
            {
                let (id, name) = (entry.id(), name.as_bytes());
                self.objects.size(id, name, limit)?;
                self.objects.blob(id, name).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Leaves out what `export-ignore` in the tree's .gitattributes says. `scratch` is a folder to work in.
    pub(super) fn honour_export_ignore(&mut self, scratch: &Path) -> Result<(), FlakeError> {
        self.export_ignore = self.attributes("export-ignore", scratch)?;
        Ok(())
    }

    /// Gives `each` the files that .gitattributes leaves to Git LFS. `scratch` is a folder to work in.
    pub(super) fn files_of_lfs(
        &self,
        scratch: &Path,
        each: &mut FileOfLfs<'_>,
    ) -> Result<(), FlakeError> {
        match self.attributes("filter", scratch)? {
            Some(attributes) => self.visit_lfs(&attributes, &self.root, &mut Vec::new(), each),
            None => Ok(()),
        }
    }

    fn visit_lfs(
        &self,
        attributes: &Repository,
        tree: &Tree<'_>,
        path: &mut Vec<u8>,
        each: &mut FileOfLfs<'_>,
    ) -> Result<(), FlakeError> {
        for entry in sorted_entries(tree, path)? {
            let parent = path.len();
            join(path, entry.name_bytes());
            match entry.kind() {
                _ if self.is_left_out(path)? => {}
                Some(ObjectType::Tree) => {
                    let child = self.objects.tree(entry.id(), path)?;
                    self.visit_lfs(attributes, &child, path, each)?;
                }
                Some(ObjectType::Blob) if entry.filemode() != GIT_LINK => {
                    let file = Path::new(OsStr::from_bytes(path));
                    let filter = attribute(attributes, file, "filter", IN_TREE)?;
                    if matches!(AttrValue::from_string(filter), AttrValue::String("lfs")) {
                        let size = self.objects.size(entry.id(), path, u64::MAX)?;
                        let is_short = size < MAX_POINTER;
                        let blob = is_short.then(|| self.objects.blob(entry.id(), path));
                        let blob = blob.transpose()?;
                        each(path, blob.as_ref().map(Blob::content));
                    }
                }
                _ => {}
            }
            path.truncate(parent);
        }
        Ok(())
    }

    /// A repository whose work tree has the commit's folders and .gitattributes; none if those do not speak of `attribute`.
    fn attributes(
        &self,
        attribute: &str,
        scratch: &Path,
    ) -> Result<Option<Repository>, FlakeError> {
        if !self.speaks_of(attribute.as_bytes(), &self.root, &mut Vec::new())? {
            return Ok(None);
        }
        let work_tree = scratch.join(attribute);
        let output = Output::files(&work_tree, self.limits)?;
        self.put_into(Wanted::Attributes, output)?;
        let failed = || FlakeError::git("reading Git attributes");
        // With nothing in it, so that no other attributes than the tree's count.
        let repository = Repository::init_opts(
            scratch.join(format!("{attribute}.git")),
            RepositoryInitOptions::new()
                .bare(true)
                .external_template(false),
        )
        .map_err(failed())?;
        repository
            .set_workdir(&work_tree, false)
            .map_err(failed())?;
        Ok(Some(repository))
    }

    fn speaks_of(
        &self,
        attribute: &[u8],
        tree: &Tree<'_>,
        path: &mut Vec<u8>,
    ) -> Result<bool, FlakeError> {
        for entry in sorted_entries(tree, path)? {
            let parent = path.len();
            join(path, entry.name_bytes());
            let found = match entry.kind() {
                Some(ObjectType::Tree) => {
                    let child = self.objects.tree(entry.id(), path)?;
                    self.speaks_of(attribute, &child, path)?
                }
                _ if is_attributes(&entry) => self
                    .objects
                    .blob(entry.id(), path)?
                    .content()
                    .windows(attribute.len())
                    .any(|window| window == attribute),
                _ => false,
            };
            if found {
                return Ok(true);
            }
            path.truncate(parent);
        }
        Ok(false)
    }

    fn is_left_out(&self, path: &[u8]) -> Result<bool, FlakeError> {
        let Some(repository) = &self.export_ignore else {
            return Ok(false);
        };
        is_export_ignored(repository, Path::new(OsStr::from_bytes(path)), IN_TREE)
    }
}

/// The objects of a repository. Paths are for messages.
pub(super) struct Objects<'a> {
    repository: &'a Repository,
    odb: Odb<'a>,
}

impl<'a> Objects<'a> {
    fn of(repository: &'a Repository) -> Result<Self, FlakeError> {
        let odb = repository
            .odb()
            .map_err(FlakeError::git("opening the object database"))?;
        Ok(Self { repository, odb })
    }

    /// A folder, which is read into memory.
    pub(super) fn tree(&self, id: Oid, path: &[u8]) -> Result<Tree<'a>, FlakeError> {
        self.repository
            .find_tree(id)
            .map_err(|error| not_found(path, error))
    }

    fn blob(&self, id: Oid, path: &[u8]) -> Result<Blob<'a>, FlakeError> {
        self.repository
            .find_blob(id)
            .map_err(|error| not_found(path, error))
    }

    /// The size of an object, which may be `limit`. It is not read.
    pub(super) fn size(&self, id: Oid, path: &[u8], limit: u64) -> Result<u64, FlakeError> {
        let (size, _) = self
            .odb
            .read_header(id)
            .map_err(|error| not_found(path, error))?;
        if size as u64 > limit {
            return Err(FlakeError::TooLarge {
                url: show(path).into(),
                limit,
            });
        }
        Ok(size as u64)
    }

    /// The size of a file, which may be `limit`, and no more than can be read into memory.
    pub(super) fn file_size(&self, id: Oid, path: &[u8], limit: u64) -> Result<u64, FlakeError> {
        self.size(id, path, limit.min(MAX_OBJECT))
    }
}

/// What of a tree is put out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Everything,
    /// Folders and .gitattributes.
    Attributes,
}

/// The entries in the order of a NAR, in which folders have no slash behind their names.
///
/// Git refuses trees that are not in its order, or that have a name twice; libgit2 reads them.
fn sorted_entries<'t>(tree: &'t Tree<'_>, path: &[u8]) -> Result<Vec<TreeEntry<'t>>, FlakeError> {
    let mut entries: Vec<TreeEntry<'t>> = Vec::with_capacity(tree.len());
    for entry in tree {
        let problem = match entries.last() {
            _ if !is_valid_name(entry.name_bytes()) => "has a name that no file can have",
            Some(last) if git_order(last, &entry).is_ge() => {
                "does not come after the one before it in Git's order, as it must"
            }
            _ => {
                entries.push(entry);
                continue;
            }
        };
        return Err(refused(&joined(path, entry.name_bytes()), problem));
    }
    entries.sort_unstable_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
    // A file and a folder of one name are apart in Git's order.
    match entries
        .windows(2)
        .find(|pair| pair[0].name_bytes() == pair[1].name_bytes())
    {
        Some(pair) => Err(refused(
            &joined(path, pair[0].name_bytes()),
            "is there twice",
        )),
        None => Ok(entries),
    }
}

fn is_valid_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && !name.contains(&b'/')
        && !name.eq_ignore_ascii_case(b".git")
}

fn git_order(a: &TreeEntry<'_>, b: &TreeEntry<'_>) -> Ordering {
    let slash = |entry: &TreeEntry<'_>| match entry.kind() {
        Some(ObjectType::Tree) => b"/".as_slice(),
        _ => b"",
    };
    let (a_slash, b_slash) = (slash(a), slash(b));
    let a = a.name_bytes().iter().chain(a_slash);
    a.cmp(b.name_bytes().iter().chain(b_slash))
}

fn is_attributes(entry: &TreeEntry<'_>) -> bool {
    entry.name_bytes() == b".gitattributes"
        && entry.kind() == Some(ObjectType::Blob)
        && entry.filemode() != GIT_LINK
}

/// Copies what is at `path` in a tree of the cache.
fn copy(tree: &SourceTree, path: &Path, output: &mut Output) -> Result<(), FlakeError> {
    for name in tree.names(path)? {
        let child = path.join(OsStr::from_bytes(&name));
        let place = tree.root().join(&child);
        match tree.kind(&child)? {
            Some(FileKind::Directory) => {
                output.enter(&name)?;
                copy(tree, &child, output)?;
                output.leave()?;
            }
            Some(FileKind::Symlink) => {
                let target = std::fs::read_link(&place)
                    .map_err(FlakeError::io("reading symbolic link", &place))?;
                output.symlink(&name, target.as_os_str().as_bytes())?;
            }
            Some(FileKind::Regular { executable, size }) => {
                let mut file = regular_file::open_no_follow(&place)
                    .map_err(FlakeError::io("opening file", &place))?;
                output.file_from(&name, executable, size, &mut file)?;
            }
            None => return Err(FlakeError::NotFound(place)),
        }
    }
    Ok(())
}

pub(super) fn is_export_ignored(
    repository: &Repository,
    path: &Path,
    flags: AttrCheckFlags,
) -> Result<bool, FlakeError> {
    let value = attribute(repository, path, "export-ignore", flags)?;
    Ok(matches!(AttrValue::from_string(value), AttrValue::True))
}

fn attribute<'r>(
    repository: &'r Repository,
    path: &Path,
    name: &str,
    flags: AttrCheckFlags,
) -> Result<Option<&'r str>, FlakeError> {
    repository
        .get_attr(path, name, flags)
        .map_err(FlakeError::git(format!(
            "looking up the Git attributes of '{}'",
            path.display()
        )))
}

fn not_found(path: &[u8], error: git2::Error) -> FlakeError {
    FlakeError::git(format!("looking up '{}'", show(path)))(error)
}

fn refused(path: &[u8], problem: &'static str) -> FlakeError {
    FlakeError::GitTree {
        entry: show(path),
        problem,
    }
}

pub(super) fn join(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = path.to_owned();
    join(&mut path, name);
    path
}

pub(super) fn show(path: &[u8]) -> String {
    let path = if path.is_empty() { b"/" } else { path };
    String::from_utf8_lossy(path).into_owned()
}
