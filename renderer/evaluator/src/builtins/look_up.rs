//! `findFile`: what `<name>` stands for.

use super::{Global, Row};
use crate::context::ContextBuilder;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coercion, Evaluator, Result};
use crate::files::Links;
use crate::path;
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    vec![("findFile", 2, Global::Underscored, find_file)]
}

fn find_file<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.findFile";
    let items = evaluator.expect_list(args[0], PosIdx::NONE, what)?;
    let names = evaluator.names;
    let mut entries = Vec::with_capacity(items.len());
    for item in items {
        let what = "while evaluating an element of the list passed to builtins.findFile";
        let entry = evaluator.expect_attrs(item.share(), PosIdx::NONE, what)?;
        let mut prefix = b"".as_slice();
        if let Some(attr) = entry.get(names.prefix) {
            let what = "while evaluating the `prefix` attribute of an element of the list passed to builtins.findFile";
            prefix = evaluator.expect_string_no_context(attr.value.share(), PosIdx::NONE, what)?;
        }
        let attr = evaluator.required_attr(entry, names.path, "in an element of the __nixPath")?;
        let what = "while evaluating the `path` attribute of an element of the list passed to builtins.findFile";
        let mut context = ContextBuilder::default();
        let location = evaluator.coerce_to_string(
            attr.value.share(),
            PosIdx::NONE,
            &mut context,
            what,
            Coercion::PLAIN,
        )?;
        let location = match evaluator.realise_context(&context) {
            Ok(built) => built.rewrite(location.to_vec()),
            Err(error) if error.kind == ErrorKind::InvalidPath => {
                let location = String::from_utf8_lossy(location);
                let message = format!("cannot find '{location}', since {}", error.message);
                return Err(EvalError::new(ErrorKind::Eval, message));
            }
            Err(error) => return Err(error),
        };
        entries.push((prefix, location));
    }
    let what = "while evaluating the second argument passed to builtins.findFile";
    let wanted = evaluator.expect_string_no_context(args[1], PosIdx::NONE, what)?;
    evaluator.look_up(&entries, wanted)
}

impl<'a> Evaluator<'a> {
    fn look_up(&mut self, entries: &[(&[u8], Vec<u8>)], wanted: &[u8]) -> Result<Value<'a>> {
        for (prefix, location) in entries {
            let Some(suffix) = suffix(prefix, wanted) else {
                continue;
            };
            let Some(location) = self.look_up_location(location)? else {
                continue;
            };
            let path = path::normalise(&path::join(&location, suffix));
            let path = self.resolve(&path, Links::All)?;
            // Where the evaluation must not look, that is the error.
            if self.file_type(&path)?.is_some() {
                let path = self.arena.alloc_slice_copy(&path);
                return Ok(Value::path_in(self.arena, path));
            }
        }
        if wanted.starts_with(b"nix/") {
            let path = [b"<", wanted, b">"].concat();
            let path = self.arena.alloc_slice_copy(&path);
            return Ok(Value::path_in(self.arena, path));
        }
        let wanted = String::from_utf8_lossy(wanted);
        let message = if self.settings.pure {
            format!(
                "cannot look up '<{wanted}>' in pure evaluation mode (use '--impure' to override)"
            )
        } else {
            format!(
                "file '{wanted}' was not found in the Nix search path (add it using $NIX_PATH or -I)"
            )
        };
        Err(EvalError::new(ErrorKind::Thrown, message))
    }

    /// Where an entry of the look-up path is: found once, fetched if it is a URL. What is nowhere is left out with a
    /// warning.
    fn look_up_location(&mut self, location: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(found) = self.store.look_up.get(location) {
            return Ok(found.clone());
        }
        let shown = String::from_utf8_lossy(location).into_owned();
        let found = if super::fetch::is_url(&shown) {
            let fetched = self.fetch_look_up_entry(&shown);
            if fetched.is_none() {
                self.io.message(&format!(
                    "warning: Nix search path entry '{shown}' cannot be downloaded, ignoring"
                ));
            }
            fetched
        } else {
            let path = if location.starts_with(b"/") {
                path::normalise(location)
            } else {
                path::normalise(&path::join(&self.settings.directory, location))
            };
            let resolved = self.resolve(&path, Links::All)?;
            let exists = self.file_type(&resolved)?.is_some();
            if !exists {
                self.io.message(&format!(
                    "warning: Nix search path entry '{shown}' does not exist, ignoring"
                ));
            }
            exists.then_some(path)
        };
        self.store.look_up.insert(location.to_vec(), found.clone());
        Ok(found)
    }
}

/// What is left of a name behind a prefix that ends where a part of the name does.
fn suffix<'n>(prefix: &[u8], wanted: &'n [u8]) -> Option<&'n [u8]> {
    let rest = wanted.strip_prefix(prefix)?;
    if prefix.is_empty() || rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(b"/")
}
