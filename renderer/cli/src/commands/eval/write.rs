//! `niphas eval --write-to`: strings of a value as files.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nix_evaluator::{ErrorKind, EvalError, Evaluator, PosIdx, Result, Value};

use crate::failure::Failure;

/// No folder is nested deeper; a value may contain itself.
const MAX_DEPTH: usize = 100;
/// The most files and folders.
const MAX_FILES: usize = 1 << 20;

/// A file or a folder, and its path below the one that is written to.
pub(super) enum Entry {
    File(PathBuf, Vec<u8>),
    Folder(PathBuf),
}

/// The files that a value is: a string is one, a set is a folder of them. Folders stand before what is in them.
pub(super) fn entries<'a>(evaluator: &mut Evaluator<'a>, value: Value<'a>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    add(evaluator, value, PosIdx::NONE, PathBuf::new(), &mut entries)?;
    Ok(entries)
}

fn add<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    position: PosIdx,
    path: PathBuf,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let error = |message: String| EvalError::new(ErrorKind::Eval, message);
    if entries.len() >= MAX_FILES || path.components().count() > MAX_DEPTH {
        return Err(error(format!(
            "a value is not written as more than {MAX_FILES} files, nor more than {MAX_DEPTH} folders deep"
        )));
    }
    match evaluator.force(value, position)? {
        Value::String(text) => entries.push(Entry::File(path, text.bytes.to_vec())),
        Value::Attrs(attrs) => {
            entries.push(Entry::Folder(path.clone()));
            for attr in evaluator.sorted_attrs(attrs) {
                let name = evaluator.symbol_text(attr.name);
                let added =
                    if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) {
                        Err(error(format!("invalid file name '{name}'")))
                    } else {
                        let value = attr.value.share();
                        add(evaluator, value, attr.position, path.join(&name), entries)
                    };
                added.map_err(|error| {
                    let what = format!("while evaluating the attribute '{name}'");
                    error.trace(attr.position, what)
                })?;
            }
        }
        value => {
            let kind = evaluator.describe_type(value);
            return Err(EvalError::new(
                ErrorKind::Type,
                format!("expected a string or an attribute set, found {kind}"),
            )
            .at(position));
        }
    }
    Ok(())
}

/// Writes files and folders to a path where nothing is yet.
pub(super) fn write(to: &Path, entries: &[Entry]) -> std::result::Result<(), Failure> {
    if to.symlink_metadata().is_ok() {
        return Err(anyhow::anyhow!("path '{}' already exists", to.display()).into());
    }
    for entry in entries {
        let (path, written) = match entry {
            Entry::Folder(path) => {
                let path = below(to, path);
                let made = fs::create_dir(&path);
                (path, made)
            }
            Entry::File(path, contents) => {
                let path = below(to, path);
                let file = fs::File::create_new(&path);
                let written = file.and_then(|mut file| file.write_all(contents));
                (path, written)
            }
        };
        written.map_err(|error| {
            anyhow::Error::new(error).context(format!("failed to write '{}'", path.display()))
        })?;
    }
    Ok(())
}

/// `to` itself for an empty path: joining one would end the path with a slash.
fn below(to: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        to.to_owned()
    } else {
        to.join(path)
    }
}
