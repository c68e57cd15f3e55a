//! A session: variables, and what lines do to them.

use anyhow::anyhow;
use niphas_environments::{attribute, select_first};
use niphas_terminal::print_line;
use nix_evaluator::{
    Attr, Attrs, ErrorKind, EvalError, Evaluator, Origin, PosIdx, PrintOptions, Value,
};
use nix_flake::{Fetcher, FlakeRef, LockedFlake};
use nix_formats::{StoreDir, StorePath};

use super::Loaded;
use super::builds::{Builds, Links};
use super::line::{Command, Line, help};
use super::refused::refusal;
use crate::commands::eval::attribute_paths;
use crate::evaluation::{absolute, here};
use crate::evaluation_args::AutoCallArgs;
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs, parse, parse_with_fragment};

/// What happens after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Line,
    Reload,
    End,
}

/// How flakes are loaded.
#[derive(Clone, Copy)]
pub(super) struct Flakes<'s> {
    pub args: &'s FlakeArgs,
    pub lock_file: LockFileArgs,
    pub fetcher: &'s Fetcher,
    /// Whose packages are meant where none is named.
    pub system: &'s str,
}

pub(super) struct Session<'s, 'a> {
    auto_call: &'s AutoCallArgs,
    flakes: Flakes<'s>,
    builds: &'s Builds<'s>,
    evaluator: &'s mut Evaluator<'a>,
    variables: &'a Attrs<'a>,
    loaded: Vec<Loaded>,
    /// The names of the variables that came last.
    last_loaded: Vec<String>,
    whole_traces: bool,
}

impl Flakes<'_> {
    /// Locks a flake, and writes its lock file as far as that is allowed.
    fn lock(&self, reference: &FlakeRef) -> Result<LockedFlake, Failure> {
        self.args.lock_with(self.fetcher, reference, self.lock_file)
    }
}

impl<'s, 'a> Session<'s, 'a> {
    pub(super) fn new(
        auto_call: &'s AutoCallArgs,
        whole_traces: bool,
        flakes: Flakes<'s>,
        builds: &'s Builds<'s>,
        evaluator: &'s mut Evaluator<'a>,
    ) -> Self {
        Self {
            auto_call,
            flakes,
            builds,
            variables: Attrs::from_unsorted(evaluator.arena(), Vec::new()),
            evaluator,
            loaded: Vec::new(),
            last_loaded: Vec::new(),
            whole_traces,
        }
    }

    pub(super) fn load_all(&mut self, all: &[Loaded]) {
        for what in all {
            self.load(what.clone());
        }
    }

    pub(super) fn into_loaded(self) -> Vec<Loaded> {
        self.loaded
    }

    /// Does what a line says. Errors are printed.
    pub(super) fn take(&mut self, text: &str) -> Next {
        let done = match Line::of(text) {
            Line::Expression("") => Ok(()),
            Line::Expression(source) => self.print(source, PrintOptions::REPL),
            Line::Definition(name, source) => self.define(name, source),
            Line::Command(Command::Quit, _) => return Next::End,
            Line::Command(Command::Reload, _) => return Next::Reload,
            Line::Command(command, argument) => self.command(command, argument),
            Line::Unknown(name) => Err(refusal(name).unwrap_or_else(|| {
                Failure::with_hint(
                    anyhow!("there is no command '{name}'"),
                    "':?' lists the commands",
                )
            })),
        };
        if let Err(failure) = done {
            failure.report();
        }
        Next::Line
    }

    fn command(&mut self, command: Command, argument: &str) -> Result<(), Failure> {
        match command {
            Command::Help => help(),
            Command::Add => {
                let value = self.evaluate(argument)?;
                self.add(value)?;
            }
            Command::Build | Command::BuildAndLink => {
                let derivation = self.derivation(argument)?;
                let linked = match command {
                    Command::Build => Links::No,
                    _ => Links::Made,
                };
                self.builds.build(derivation, linked)?;
            }
            Command::Documentation => self.document(argument)?,
            Command::Environment => {
                print_line(self.own_names().join("\n").as_bytes());
            }
            Command::LastLoaded => print_line(self.last_loaded.join("\n")),
            Command::Load => self.load(Loaded::File(argument.to_owned())),
            Command::LoadFlake => self.load(Loaded::Flake(argument.to_owned())),
            Command::Log => {
                let derivation = self.derivation(argument)?;
                self.builds.show_log(&derivation)?;
            }
            Command::Print => {
                let whole = PrintOptions {
                    max_depth: usize::MAX,
                    ..PrintOptions::REPL
                };
                match self.evaluate(argument)? {
                    // As it is, so that it can be read.
                    Value::String(text) => print_line(text.bytes),
                    value => self.print_value(value, whole)?,
                }
            }
            Command::Type => {
                let value = self.evaluate(argument)?;
                print_line(self.evaluator.describe_type(value).as_bytes());
            }
            Command::Trace => {
                self.whole_traces = match argument {
                    "" => !self.whole_traces,
                    "true" => true,
                    "false" => false,
                    other => {
                        return Err(anyhow!("'{other}' is neither true nor false").into());
                    }
                };
                self.evaluator.set_show_trace(self.whole_traces);
                let end = if self.whole_traces { "whole" } else { "end" };
                print_line(format!("showing the {end} of traces").as_bytes());
            }
            Command::Quit | Command::Reload => {}
        }
        Ok(())
    }

    fn failure(&self, error: &EvalError) -> Failure {
        Failure::Nix(error.report_bytes(self.evaluator.positions(), self.whole_traces))
    }

    fn evaluate(&mut self, source: &str) -> Result<Value<'a>, Failure> {
        let evaluator = &mut *self.evaluator;
        evaluator
            .eval_source_in(source.as_bytes(), Origin::String, &here(), self.variables)
            .and_then(|value| evaluator.force(value, PosIdx::NONE))
            .map_err(|error| self.failure(&error))
    }

    /// The path of the derivation that an expression gives.
    fn derivation(&mut self, source: &str) -> Result<StorePath, Failure> {
        let value = self.evaluate(source)?;
        let evaluator = &mut *self.evaluator;
        let path = attribute(evaluator, value, "type").and_then(|kind| match kind {
            Some(Value::String(kind)) if kind.bytes == b"derivation" => {
                attribute(evaluator, value, "drvPath")
            }
            _ => Ok(None),
        });
        if let Some(Value::String(path)) = path.map_err(|error| self.failure(&error))? {
            return Ok(StoreDir::default().parse(path.bytes)?);
        }
        let kind = self.evaluator.describe_type(value);
        Err(anyhow!("expected a derivation, found {kind}").into())
    }

    fn print(&mut self, source: &str, options: PrintOptions) -> Result<(), Failure> {
        let value = self.evaluate(source)?;
        self.print_value(value, options)
    }

    fn print_value(&mut self, value: Value<'a>, options: PrintOptions) -> Result<(), Failure> {
        let text = self.evaluator.print(value, options);
        print_line(&text.map_err(|error| self.failure(&error))?);
        Ok(())
    }

    fn define(&mut self, name: &str, source: &str) -> Result<(), Failure> {
        let value = self
            .evaluator
            .delay_source_in(source.as_bytes(), Origin::String, &here(), self.variables)
            .map_err(|error| self.failure(&error))?;
        let name = self.evaluator.symbols().intern(name.as_bytes());
        self.extend(vec![Attr::new(name, PosIdx::NONE, value)]);
        Ok(())
    }

    fn extend(&mut self, new: Vec<Attr<'a>>) {
        let arena = self.evaluator.arena();
        let old = self.variables.entries(arena).iter();
        let old = old.map(|attr| Attr::new(attr.name, attr.position, attr.value.share()));
        self.variables = Attrs::from_unsorted(arena, old.chain(new).collect());
    }

    fn add(&mut self, value: Value<'a>) -> Result<(), Failure> {
        let Value::Attrs(attrs) = value else {
            let kind = self.evaluator.describe_type(value);
            return Err(anyhow!("{kind} has no attributes that could become variables").into());
        };
        let new = self.evaluator.sorted_attrs(attrs);
        let count = new.len();
        let names = new.iter().map(|attr| self.evaluator.symbol_text(attr.name));
        self.last_loaded = names.collect();
        let new = new.into_iter();
        let new = new.map(|attr| Attr::new(attr.name, attr.position, attr.value.share()));
        self.extend(new.collect());
        print_line(format!("Added {count} variables.").as_bytes());
        Ok(())
    }

    fn load(&mut self, what: Loaded) {
        let value = match &what {
            Loaded::File(file) => self.load_file(file),
            Loaded::Flake(reference) => self.load_flake(reference),
            Loaded::Installable(installable) => self.load_installable(installable),
            Loaded::InFile(file, path) => self
                .load_file(file)
                .and_then(|value| self.select(path, value)),
            Loaded::InExpression(text, path) => self
                .evaluate(text)
                .and_then(|value| self.select(path, value)),
        };
        match value.and_then(|value| self.add(value)) {
            Ok(()) => self.loaded.push(what),
            Err(failure) => failure.report(),
        }
    }

    fn load_file(&mut self, file: &str) -> Result<Value<'a>, Failure> {
        let evaluator = &mut *self.evaluator;
        let value = if file.starts_with('<') {
            let source = format!("import {file}");
            evaluator.eval_source(source.as_bytes(), Origin::String, &here())
        } else {
            evaluator.eval_file(&absolute(file.as_bytes()))
        };
        let called = value.and_then(|value| {
            let args = self.auto_call.arguments(evaluator)?;
            evaluator.auto_call(args, value)
        });
        called.map_err(|error| self.failure(&error))
    }

    fn load_flake(&mut self, reference: &str) -> Result<Value<'a>, Failure> {
        let flake = self.flakes.lock(&parse(reference)?)?;
        let store_dir = &self.flakes.fetcher.settings().store_dir;
        let flake = flake.evaluate(self.evaluator, store_dir);
        flake.map_err(|error| self.failure(&error))
    }

    fn load_installable(&mut self, installable: &str) -> Result<Value<'a>, Failure> {
        let (reference, fragment) = parse_with_fragment(installable)?;
        let flake = self.flakes.lock(&reference)?;
        let store_dir = &self.flakes.fetcher.settings().store_dir;
        let name = flake.flake.locked.to_string();
        let evaluator = &mut *self.evaluator;
        let found = flake.evaluate(evaluator, store_dir).and_then(|flake| {
            let outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
            if fragment.is_empty() {
                return Ok(outputs);
            }
            let paths = attribute_paths(&fragment, self.flakes.system);
            select_first(evaluator, &name, outputs, &paths)
        });
        found.map_err(|error| self.failure(&error))
    }

    fn select(&mut self, path: &str, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let evaluator = &mut *self.evaluator;
        let args = self.auto_call.arguments(evaluator);
        let selected = args.and_then(|args| {
            let value = evaluator.select(path, args, value)?;
            evaluator.auto_call(args, value)
        });
        selected.map_err(|error| self.failure(&error))
    }

    fn document(&mut self, source: &str) -> Result<(), Failure> {
        let value = self.evaluate(source)?;
        let text = match value {
            Value::Builtin(builtin) => {
                let arguments = match builtin.arity {
                    1 => "one argument".to_owned(),
                    count => format!("{count} arguments"),
                };
                format!(
                    "builtins.{name} takes {arguments}.\n\
                     https://nix.dev/manual/nix/latest/language/builtins.html#builtins-{name}",
                    name = builtin.name
                )
            }
            value => self.evaluator.documentation(value).ok_or_else(|| {
                let error = EvalError::new(
                    ErrorKind::Eval,
                    "nothing is written about this: a comment '/** … */' before a function is its documentation",
                );
                self.failure(&error)
            })?,
        };
        print_line(unindented(&text).trim().as_bytes());
        Ok(())
    }

    fn own_names(&mut self) -> Vec<String> {
        let attrs = self.evaluator.sorted_attrs(self.variables).into_iter();
        attrs
            .map(|attr| self.evaluator.symbol_text(attr.name))
            .collect()
    }

    /// All names that an expression may use.
    pub(super) fn variables(&mut self) -> Vec<String> {
        let mut names = self.own_names();
        names.extend(self.evaluator.global_names());
        names.sort();
        names.dedup();
        names
    }

    /// The names of the attributes of what an expression evaluates to; none if it is no set, or an error.
    pub(super) fn attribute_names(&mut self, source: &str) -> Vec<String> {
        match self.evaluate(source) {
            Ok(Value::Attrs(attrs)) => {
                let attrs = self.evaluator.sorted_attrs(attrs).into_iter();
                attrs
                    .map(|attr| self.evaluator.symbol_text(attr.name))
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The text without what all its lines but the first are indented by.
fn unindented(text: &str) -> String {
    let width = |line: &str| line.len() - line.trim_start().len();
    let filled = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let least = filled.map(width).min().unwrap_or(0);
    let lines = text.lines().enumerate().map(|(index, line)| match index {
        0 => line,
        _ => line.get(least..).unwrap_or(""),
    });
    lines.collect::<Vec<_>>().join("\n")
}
