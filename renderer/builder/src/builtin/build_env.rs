//! `builtin:buildenv`: a tree of symlinks to what several packages have.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::Builtin;
use super::failure::{Failure, quoted, shown, shown_path, warn};

/// Names that have no place in an environment.
const SKIPPED: [&[u8]; 6] = [
    b"propagated-build-inputs",
    b"nix-support",
    b"perllocal.pod",
    b"log",
    b"manifest.nix",
    b"manifest.json",
];
/// The priority of the first package that others bring along.
const PROPAGATED_PRIORITY: i32 = 1000;

/// A package, in the order in which they are linked.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package<'a> {
    priority: i32,
    path: &'a Path,
}

pub(super) fn run(builtin: &Builtin) -> Result<(), Failure> {
    let out = builtin.out()?;
    fs::create_dir_all(out).map_err(|error| creating_directory(out, &error))?;
    let mut packages = packages(builtin.attribute("derivations")?)?;
    packages.sort();
    let mut environment = Environment {
        priorities: BTreeMap::new(),
    };
    environment.add_all(out, &packages)?;
    create_symlink(builtin.path("manifest")?, &out.join("manifest.nix"))
}

/// The active packages of the attribute: for each derivation whether it is active, its priority, how many outputs, and those.
fn packages(text: &[u8]) -> Result<Vec<Package<'_>>, Failure> {
    let mut words = text
        .split(|byte| b" \t\n\r".contains(byte))
        .filter(|word| !word.is_empty());
    let mut packages = Vec::new();
    while let Some(active) = words.next() {
        let mut word = || {
            words
                .next()
                .ok_or_else(|| Failure::error("attribute 'derivations' ends within a derivation"))
        };
        let priority = number(word()?).and_then(|number| i32::try_from(number).ok());
        let priority = priority.ok_or_else(|| Failure::exception("stoi"))?;
        let outputs = number(word()?).ok_or_else(|| Failure::exception("stoul"))?;
        for _ in 0..outputs {
            let path = Path::new(OsStr::from_bytes(word()?));
            if active != b"false" {
                packages.push(Package { priority, path });
            }
        }
    }
    Ok(packages)
}

/// The number that a word begins with.
fn number(word: &[u8]) -> Option<i64> {
    let sign = usize::from(matches!(word.first(), Some(b'+' | b'-')));
    let digits = word[sign..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    str::from_utf8(&word[..sign + digits]).ok()?.parse().ok()
}

/// An environment that is being made.
struct Environment {
    /// The priority of the package that each symlink comes from.
    priorities: BTreeMap<PathBuf, i32>,
}

impl Environment {
    fn add_all(&mut self, out: &Path, packages: &[Package<'_>]) -> Result<(), Failure> {
        let mut done = BTreeSet::new();
        let mut postponed = BTreeSet::new();
        for package in packages {
            self.add(
                out,
                package.path,
                package.priority,
                &mut done,
                &mut postponed,
            )?;
        }
        // What packages bring along comes later, as it gives way to them.
        let mut priority = PROPAGATED_PRIORITY;
        while !postponed.is_empty() {
            for package in std::mem::take(&mut postponed) {
                self.add(out, &package, priority, &mut done, &mut postponed)?;
                priority += 1;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        out: &Path,
        package: &Path,
        priority: i32,
        done: &mut BTreeSet<PathBuf>,
        postponed: &mut BTreeSet<PathBuf>,
    ) -> Result<(), Failure> {
        if !done.insert(package.to_owned()) {
            return Ok(());
        }
        self.link(package, out, priority)?;
        let file = package.join("nix-support/propagated-user-env-packages");
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => {
                return Err(Failure::system(
                    format_args!("opening file {}", shown_path(&file)),
                    &error,
                ));
            }
        };
        let words = text
            .split(|byte| b" \n".contains(byte))
            .filter(|word| !word.is_empty());
        let paths = words.map(|word| Path::new(OsStr::from_bytes(word)));
        postponed.extend(
            paths
                .filter(|path| !done.contains(*path))
                .map(Path::to_owned),
        );
        Ok(())
    }

    /// Links what a folder has into another one.
    fn link(&mut self, from: &Path, to: &Path, priority: i32) -> Result<(), Failure> {
        let names = match names(from) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                let from = quoted(from);
                warn(format_args!(
                    "not including {from} in the user environment because it's not a directory"
                ));
                return Ok(());
            }
            Err(error) => {
                return Err(Failure::system(
                    format_args!("cannot read directory {}", shown_path(from)),
                    &error,
                ));
            }
        };
        for name in names
            .iter()
            .filter(|name| !name.as_bytes().starts_with(b"."))
        {
            self.link_one(&from.join(name), &to.join(name), priority)?;
        }
        Ok(())
    }

    fn link_one(&mut self, from: &Path, to: &Path, priority: i32) -> Result<(), Failure> {
        let Some(found) = status(fs::metadata(from), from)? else {
            warn(format_args!("skipping dangling symlink '{}'", to.display()));
            return Ok(());
        };
        if is_skipped(from) {
            return Ok(());
        }
        let there = status(fs::symlink_metadata(to), to)?.map(|found| found.file_type());
        if found.is_dir() {
            if there.is_some_and(|there| there.is_dir()) {
                return self.link(from, to, priority);
            }
            if there.is_some_and(|there| there.is_symlink()) {
                return self.merge(from, to, priority);
            }
        } else if !self.gives_way(from, to, there, priority)? {
            return Ok(());
        }
        create_symlink(from, to)?;
        self.priorities.insert(to.to_owned(), priority);
        Ok(())
    }

    /// Makes a folder of a symlink to one, and links what both have.
    fn merge(&mut self, from: &Path, to: &Path, priority: i32) -> Result<(), Failure> {
        let target = fs::canonicalize(to).map_err(|error| getting_status(to, &error))?;
        if !target.is_dir() {
            return Err(Failure::error(format_args!(
                "collision between {} and non-directory {}",
                shown_path(from),
                shown_path(&target)
            )));
        }
        fs::remove_file(to)
            .and_then(|()| fs::create_dir(to))
            .map_err(|error| creating_directory(to, &error))?;
        let previous = self.priorities.get(to).copied().unwrap_or_default();
        self.link(&target, to, previous)?;
        self.link(from, to, priority)
    }

    /// Whether what is at a path is taken away for a file, if anything is there.
    fn gives_way(
        &self,
        from: &Path,
        to: &Path,
        there: Option<FileType>,
        priority: i32,
    ) -> Result<bool, Failure> {
        let Some(there) = there else { return Ok(true) };
        if there.is_dir() {
            return Err(Failure::error(format_args!(
                "collision between non-directory '{}' and directory '{}'",
                shown(from.display()),
                shown(to.display())
            )));
        }
        let previous = self.priorities.get(to).copied().unwrap_or_default();
        if previous == priority {
            let target = fs::read_link(to).map_err(|error| getting_status(to, &error))?;
            return Err(Failure::error(format_args!(
                "Unable to build profile. There is a conflict for the following files:\n\n  {}\n  {}",
                shown_path(&target),
                shown_path(from)
            )));
        }
        if previous < priority {
            return Ok(false);
        }
        fs::remove_file(to).map_err(|error| getting_status(to, &error))?;
        Ok(true)
    }
}

/// The names in a folder, in order: logs and errors are the same each time.
fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let names: io::Result<Vec<_>> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

fn is_skipped(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let ends_with = |name: &[u8]| {
        bytes
            .strip_suffix(name)
            .is_some_and(|rest| rest.ends_with(b"/"))
    };
    SKIPPED.into_iter().any(ends_with) || ends_with(b"info/dir")
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// What is at a path, if anything is.
fn status(found: io::Result<Metadata>, path: &Path) -> Result<Option<Metadata>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(getting_status(path, &error)),
    }
}

fn getting_status(path: &Path, error: &io::Error) -> Failure {
    Failure::system(
        format_args!("getting status of {}", shown_path(path)),
        error,
    )
}

fn creating_directory(path: &Path, error: &io::Error) -> Failure {
    Failure::system(
        format_args!("creating directory '{}'", shown(path.display())),
        error,
    )
}

fn create_symlink(target: &Path, link: &Path) -> Result<(), Failure> {
    symlink(target, link).map_err(|error| {
        let message = format!(
            "creating symlink {} -> {}",
            shown_path(link),
            shown_path(target)
        );
        Failure::system(message, &error)
    })
}
