//! From a locked flake to its outputs.

use std::collections::BTreeMap;

use nix_evaluator::{Builtin, ErrorKind, EvalError, Evaluator, GetFlake, Origin, PosIdx, Value};
use nix_formats::store_path::StoreDir;
use serde::Serialize;

use crate::attrs::Attrs;
use crate::decl::Place;
use crate::error::FlakeError;
use crate::fetch::{Fetcher, TreeAttrOptions, Turn};
use crate::flake_nix::read_flake_nix;
use crate::flake_ref::{FlakeRef, ParseOptions};
use crate::lock::{LockOptions, LockedFlake, lock};
use crate::lock_file::LockFile;

const CALL_FLAKE: &str = include_str!("call-flake.nix");

/// Gives back its second argument, having told that the evaluation sees the path that is its first.
fn observe<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    position: PosIdx,
) -> nix_evaluator::Result<Value<'a>> {
    let path = evaluator.expect_string(args[0], position, "")?.bytes;
    evaluator.observe(path);
    evaluator.force(args[1], position)
}

/// A node of the lock file that is fetched already.
#[derive(Serialize)]
struct SourceJson<'a> {
    #[serde(rename = "sourceInfo")]
    source_info: Attrs,
    dir: &'a str,
}

impl LockedFlake {
    /// What `call-flake.nix` is to know of the trees that are here.
    pub(crate) fn sources_json(&self, store_dir: &StoreDir) -> Result<String, FlakeError> {
        let keys = self.lock_file.keys();
        let mut sources = BTreeMap::new();
        for (node, place) in &self.places {
            let Some(key) = keys.get(node) else { continue };
            let mut fetched = place.fetched.clone();
            // What the lock file says counts: of a relative path that is nothing.
            if let Some(lock) = &self.lock_file.node(*node).lock {
                fetched.input = lock.locked.input.clone();
            }
            let options = TreeAttrOptions {
                empty_rev_fallback: false,
                force_dirty: *node == LockFile::ROOT && self.force_dirty,
            };
            let source = SourceJson {
                source_info: fetched.tree_attrs(store_dir, options)?,
                dir: &place.dir,
            };
            sources.insert(key.clone(), source);
        }
        Ok(serde_json::to_string(&sources).expect("strings and attributes are JSON"))
    }

    /// Evaluates the flake up to its outermost set: `outputs`, `inputs`, `sourceInfo` and what
    /// the flake outputs itself. The evaluator has to see the world through a
    /// [`FlakeIo`](crate::FlakeIo) of the fetcher that the flake was locked with.
    pub fn evaluate<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        store_dir: &StoreDir,
    ) -> nix_evaluator::Result<Value<'a>> {
        let sources = self
            .sources_json(store_dir)
            .map_err(|error| eval_error(&error))?;
        let function = evaluator.eval_source(
            CALL_FLAKE.as_bytes(),
            Origin::Internal("call-flake.nix"),
            b"/",
        )?;
        let arena = evaluator.arena();
        let args = [
            Value::string(arena, self.lock_file.to_json().as_bytes()),
            Value::string(arena, sources.as_bytes()),
            evaluator.fetch_final_tree(),
            if evaluator.is_observed() {
                Value::Builtin(arena.alloc(Builtin {
                    name: "observe",
                    arity: 2,
                    function: observe,
                }))
            } else {
                Value::Null
            },
        ];
        let result = evaluator.call(function, &args, PosIdx::NONE)?;
        evaluator.force(result, PosIdx::NONE)
    }

    /// The flake, whose lock file stays unwritten though it should be: then its tree is not the
    /// commit that it was.
    #[must_use]
    pub fn unwritten(mut self) -> Self {
        if self.is_changed() {
            let diff = self.lock_file.diff(&self.old_lock_file);
            let flake = &self.flake.resolved;
            tracing::warn!("not writing modified lock file of flake '{flake}':\n{diff}");
            self.force_dirty = true;
        }
        self
    }
}

/// Gives an evaluator `builtins.getFlake`.
pub fn install_get_flake<'a>(evaluator: &mut Evaluator<'a>, fetcher: &'a Fetcher, pure: bool) {
    let hook: &'a GetFlake<'a> =
        evaluator
            .arena()
            .alloc(move |evaluator: &mut Evaluator<'a>, reference: &str| {
                get_flake(evaluator, fetcher, reference, pure)
            });
    evaluator.set_get_flake(hook);
}

fn get_flake<'a>(
    evaluator: &mut Evaluator<'a>,
    fetcher: &Fetcher,
    reference: &str,
    pure: bool,
) -> nix_evaluator::Result<Value<'a>> {
    let store_dir = &fetcher.settings().store_dir;
    let options = LockOptions {
        use_registries: !pure,
        allow_unlocked: !pure,
        ..LockOptions::default()
    };
    let parsed = FlakeRef::parse(reference, &ParseOptions::absolute()).map_err(FlakeError::from);
    let read = |place: &Place| read_flake_nix(place, store_dir);
    let locked = fetcher
        .in_turn(Turn::Flake(reference.to_owned()), || {
            parsed.and_then(|reference| lock(fetcher, &read, &reference, &options))
        })
        .map_err(|error| eval_error(&error))?;
    locked.unwritten().evaluate(evaluator, store_dir)
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "the evaluator's results hold boxed errors"
)]
fn eval_error(error: &FlakeError) -> Box<EvalError> {
    let kind = if error.is_hash_mismatch() {
        ErrorKind::HashMismatch
    } else {
        ErrorKind::Eval
    };
    EvalError::new(kind, crate::io::to_io_error(error).to_string())
}
