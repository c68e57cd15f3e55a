//! What command lines ask of an expression: arguments for its function, an attribute in it, all its derivations.

use nix_formats::StorePath;
use rustc_hash::FxHashSet;

use super::{Coercion, Evaluator, Result};
use crate::attrs::{AttrRef, Attrs};
use crate::context::{ContextBuilder, ContextElement};
use crate::error::{ErrorKind, EvalError};
use crate::position::PosIdx;
use crate::symbol::Symbol;
use crate::value::Value;

/// A derivation that an expression holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDerivation {
    /// The attributes and list indices on the way to it, joined by dots.
    pub attribute: String,
    /// The store path of its `.drv` file.
    pub drv_path: String,
    /// The output that is meant.
    pub output: String,
}

/// A store path that a value refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferredPath {
    /// The path.
    pub path: String,
    /// What builds it; none for what an evaluation itself adds to the store, such as sources.
    pub built_by: Option<BuiltBy>,
}

/// An output of a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltBy {
    /// The store path of the derivation's `.drv` file.
    pub drv_path: String,
    /// The output's name.
    pub output: String,
}

impl<'a> Evaluator<'a> {
    /// Calls `value` with those of `args` that it wants, if it is a function of a set; other values stay as they are.
    pub fn auto_call(&mut self, args: &'a Attrs<'a>, value: Value<'a>) -> Result<Value<'a>> {
        let value = self.force(value, PosIdx::NONE)?;
        if let Value::Attrs(attrs) = value
            && let Some(functor) = attrs.get(self.names.functor)
        {
            let value = self.call(functor.value.share(), &[value], PosIdx::NONE)?;
            return self.auto_call(args, value);
        }
        let Value::Lambda(lambda) = value else {
            return Ok(value);
        };
        let Some(pattern) = lambda
            .code
            .pattern
            .as_ref()
            .filter(|_| lambda.code.arity() == 1)
        else {
            return Ok(value);
        };
        let mut given = Vec::new();
        if pattern.ellipsis {
            given.extend(args.entries(self.arena).iter().map(AttrRef::shared));
        } else {
            for formal in pattern.formals {
                match args.get(formal.name) {
                    Some(attr) => given.push(attr.shared()),
                    None if formal.default.is_some() => {}
                    None => {
                        let message = format!(
                            "cannot evaluate a function that has an argument without a value ('{}')\nNix attempted \
                             to evaluate a function as a top level expression; in\nthis case it must have its \
                             arguments supplied either by default\nvalues, or passed explicitly with '--arg' or \
                             '--argstr'. See\nhttps://nix.dev/manual/nix/stable/language/syntax.html#functions.",
                            self.shown_name(formal.name)
                        );
                        return Err(
                            EvalError::new(ErrorKind::MissingArgument, message).at(formal.position)
                        );
                    }
                }
            }
        }
        let given = Value::Attrs(Attrs::from_unsorted(self.arena, given));
        self.call(value, &[given], PosIdx::NONE)
    }

    /// An attribute by name.
    pub fn find_attr(&self, attrs: &'a Attrs<'a>, name: &str) -> Option<AttrRef<'a>> {
        attrs.get(self.symbols.lookup(name.as_bytes())?)
    }

    /// A name as text.
    pub fn symbol_text(&self, symbol: Symbol) -> String {
        self.symbols.text(symbol)
    }

    /// The store paths that a context stands for: outputs of derivations by their own paths. A reference to a whole
    /// derivation, or to an output whose path is known only after a build, is an error.
    pub fn referred_paths(&mut self, context: &ContextBuilder) -> Result<Vec<ReferredPath>> {
        let mut paths = Vec::new();
        for element in self.contexts.elements_of(context) {
            paths.push(match element {
                ContextElement::Opaque(path) => ReferredPath {
                    path: format!("{}/{path}", self.store_dir()),
                    built_by: None,
                },
                ContextElement::DrvDeep(_) => {
                    let shown = self.show_context_element(element);
                    let message = format!("a string refers to the derivation '{shown}' itself, not to one of its outputs");
                    return Err(EvalError::new(ErrorKind::Eval, message));
                }
                ContextElement::Built { drv_path, output } => ReferredPath {
                    path: self.output_path(drv_path, output)?,
                    built_by: Some(BuiltBy {
                        drv_path: format!("{}/{drv_path}", self.store_dir()),
                        output: output.to_owned(),
                    }),
                },
            });
        }
        // What builds a path is known of one element, and not of another.
        paths.sort_by(|a, b| (&a.path, a.built_by.is_none()).cmp(&(&b.path, b.built_by.is_none())));
        paths.dedup_by(|a, b| a.path == b.path);
        Ok(paths)
    }

    /// The names of a derivation's outputs, and their paths as far as those are known before a build. The derivation is one
    /// that was evaluated, or is in the store.
    pub fn outputs_of(&mut self, drv_path: &str) -> Result<Vec<(String, Option<String>)>> {
        let unknown = || {
            let message = format!("'{drv_path}' is no derivation in the store");
            EvalError::new(ErrorKind::Eval, message)
        };
        let base_name = drv_path.rsplit('/').next().unwrap_or(drv_path);
        let path = StorePath::from_base_name(base_name).map_err(|_| unknown())?;
        let outputs = self.derivation(&path)?.outputs.clone();
        let store_dir = &self.settings.store_dir;
        let outputs = outputs.into_iter().map(|(name, path)| {
            let path = path.map(|path| store_dir.print(&path));
            (name, path)
        });
        Ok(outputs.collect())
    }

    fn output_path(&mut self, drv_path: &str, output: &str) -> Result<String> {
        let unknown = |what: &str| {
            let message =
                format!("the path of output '{output}' of derivation '{drv_path}' {what}");
            EvalError::new(ErrorKind::Eval, message)
        };
        let path = StorePath::from_base_name(drv_path).map_err(|_| unknown("is not known"))?;
        let derivation = self.derivation(&path)?;
        let found = derivation.outputs.iter().find(|(name, _)| name == output);
        match found {
            Some((_, Some(path))) => {
                let path = path.clone();
                Ok(self.settings.store_dir.print(&path))
            }
            Some((_, None)) => Err(unknown("is known only once it is built")),
            None => Err(unknown("is not known: it has no such output")),
        }
    }

    /// The value at a selection path such as `a.b."c.d".0`, calling functions on the way with `args`.
    pub fn select(
        &mut self,
        path: &str,
        args: &'a Attrs<'a>,
        value: Value<'a>,
    ) -> Result<Value<'a>> {
        let mut value = self.force(value, PosIdx::NONE)?;
        for name in selection_path(path)? {
            value = self.auto_call(args, value)?;
            value = match name.parse::<u32>() {
                Ok(index) => self.select_index(path, index, value)?,
                Err(_) => self.select_name(path, &name, value)?,
            };
        }
        self.force(value, PosIdx::NONE)
    }

    fn select_name(&mut self, path: &str, name: &str, value: Value<'a>) -> Result<Value<'a>> {
        let Value::Attrs(attrs) = value else {
            let kind = self.show_type(value);
            let message = format!(
                "the expression selected by the selection path '{path}' should be a set but is {kind}"
            );
            return Err(EvalError::new(ErrorKind::Type, message));
        };
        if name.is_empty() {
            let message = format!("empty attribute name in selection path '{path}'");
            return Err(EvalError::new(ErrorKind::Eval, message));
        }
        let symbol = self.symbols.intern(name.as_bytes());
        if let Some(attr) = attrs.get(symbol) {
            return Ok(attr.value.share());
        }
        let message = format!("attribute '{name}' in selection path '{path}' not found");
        let names = attrs
            .entries(self.arena)
            .iter()
            .map(|attr| self.symbols.bytes(attr.name));
        Err(EvalError::new(ErrorKind::Eval, message).suggest(name.as_bytes(), names))
    }

    fn select_index(&mut self, path: &str, index: u32, value: Value<'a>) -> Result<Value<'a>> {
        let Value::List(list) = value else {
            let kind = self.show_type(value);
            let message = format!(
                "the expression selected by the selection path '{path}' should be a list but is {kind}"
            );
            return Err(EvalError::new(ErrorKind::Type, message));
        };
        if let Some(item) = list.items.get(index as usize) {
            return Ok(item.share());
        }
        let message = format!("list index {index} in selection path '{path}' is out of range");
        Err(EvalError::new(ErrorKind::Eval, message))
    }

    /// All derivations in a value: itself, or those in a set or list, going into sets that want it
    /// (`recurseForDerivations`).
    pub fn derivations(
        &mut self,
        value: Value<'a>,
        args: &'a Attrs<'a>,
    ) -> Result<Vec<FoundDerivation>> {
        self.on_stack(|evaluator| {
            let mut found = Vec::new();
            evaluator.find_derivations(value, "", args, &mut found, &mut FxHashSet::default())?;
            Ok(found)
        })
    }

    fn find_derivations(
        &mut self,
        value: Value<'a>,
        path: &str,
        args: &'a Attrs<'a>,
        found: &mut Vec<FoundDerivation>,
        seen: &mut FxHashSet<usize>,
    ) -> Result<()> {
        self.enter_call(PosIdx::NONE)?;
        let result = self.find_derivations_here(value, path, args, found, seen);
        self.leave_call();
        result
    }

    fn find_derivations_here(
        &mut self,
        value: Value<'a>,
        path: &str,
        args: &'a Attrs<'a>,
        found: &mut Vec<FoundDerivation>,
        seen: &mut FxHashSet<usize>,
    ) -> Result<()> {
        let value = self.auto_call(args, value)?;
        if self.take_derivation(value, path, found, seen)? {
            return Ok(());
        }
        match value {
            Value::Attrs(attrs) => {
                for attr in self.sorted_attrs(attrs) {
                    let name = self.symbols.text(attr.name);
                    if !is_path_component(&name) {
                        continue;
                    }
                    let path = join(path, &name);
                    self.find_in_attribute(attr, &path, args, found, seen)
                        .map_err(|error| {
                            error.trace(
                                attr.position,
                                format!("while evaluating the attribute '{name}'"),
                            )
                        })?;
                }
                Ok(())
            }
            Value::List(list) => {
                for (index, item) in list.items.iter().enumerate() {
                    let path = join(path, &index.to_string());
                    let value = self.force_slot(item, PosIdx::NONE)?;
                    if !self.take_derivation(value, &path, found, seen)? {
                        self.find_derivations(value, &path, args, found, seen)?;
                    }
                }
                Ok(())
            }
            _ => Err(EvalError::new(
                ErrorKind::Type,
                "expression does not evaluate to a derivation (or a set or list of those)",
            )),
        }
    }

    fn find_in_attribute(
        &mut self,
        attr: AttrRef<'a>,
        path: &str,
        args: &'a Attrs<'a>,
        found: &mut Vec<FoundDerivation>,
        seen: &mut FxHashSet<usize>,
    ) -> Result<()> {
        let value = self.force_slot(attr.value, PosIdx::NONE)?;
        if self.take_derivation(value, path, found, seen)? {
            return Ok(());
        }
        let Value::Attrs(attrs) = value else {
            return Ok(());
        };
        let Some(recurse) = attrs.get(self.names.recurse_for_derivations) else {
            return Ok(());
        };
        let what = "while evaluating the attribute `recurseForDerivations`";
        if self.expect_bool(recurse.value.share(), recurse.position, what)? {
            self.find_derivations(value, path, args, found, seen)?;
        }
        Ok(())
    }

    /// Adds a derivation, once; whether the value was one.
    fn take_derivation(
        &mut self,
        value: Value<'a>,
        path: &str,
        found: &mut Vec<FoundDerivation>,
        seen: &mut FxHashSet<usize>,
    ) -> Result<bool> {
        let Value::Attrs(attrs) = value else {
            return Ok(false);
        };
        if !self.is_derivation(value)? {
            return Ok(false);
        }
        if !seen.insert(std::ptr::from_ref(attrs).addr()) {
            return Ok(true);
        }
        let Some(drv_path) = attrs.get(self.names.drv_path) else {
            let message = "derivation does not contain a 'drvPath' attribute";
            return Err(EvalError::new(ErrorKind::Eval, message));
        };
        let what = "while evaluating the 'drvPath' attribute of a derivation";
        let mut context = ContextBuilder::default();
        let drv_path = self.coerce_to_string(
            drv_path.value.share(),
            drv_path.position,
            &mut context,
            what,
            Coercion::PLAIN,
        )?;
        let drv_path = String::from_utf8_lossy(drv_path).into_owned();
        let output = match attrs.get(self.names.output_name) {
            Some(attr) => {
                let what = "while evaluating the output name of a derivation";
                let name =
                    self.expect_string_no_context(attr.value.share(), attr.position, what)?;
                String::from_utf8_lossy(name).into_owned()
            }
            None => String::new(),
        };
        if output.is_empty() {
            let message = format!("derivation '{drv_path}' lacks an 'outputName' attribute");
            return Err(EvalError::new(ErrorKind::Eval, message));
        }
        found.push(FoundDerivation {
            attribute: path.to_owned(),
            drv_path,
            output,
        });
        Ok(true)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Only such attributes are looked into for derivations.
fn is_path_component(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '+'))
}

/// The names in a selection path; quoted ones may have dots.
fn selection_path(path: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut chars = path.chars();
    while let Some(char) = chars.next() {
        match char {
            '.' => names.push(std::mem::take(&mut name)),
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some(char) => name.push(char),
                    None => {
                        let message = format!("missing closing quote in selection path '{path}'");
                        return Err(EvalError::new(ErrorKind::Parse, message));
                    }
                }
            },
            char => name.push(char),
        }
    }
    if !name.is_empty() {
        names.push(name);
    }
    Ok(names)
}
