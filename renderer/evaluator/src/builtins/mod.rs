//! The builtin functions and values.

mod attrs;
mod context;
mod control;
mod derivation;
mod fetch;
mod flakes;
mod functions;
mod json;
mod lists;
mod look_up;
mod numbers;
mod paths;
mod regex;
mod strings;
mod toml;
mod types;
mod versions;
mod xml;

pub(crate) use fetch::outside_error;
pub use flakes::GetFlake;

use crate::attrs::{Attr, Attrs};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::symbol::Symbol;
use crate::value::{Bool, Slot, Value};

/// A function that is part of the language, or that the embedding program adds to it.
#[derive(Clone, Copy)]
pub struct Builtin<'a> {
    /// Its name in `builtins` and in messages.
    pub name: &'a str,
    /// How many arguments it takes.
    pub arity: u32,
    /// What it does, with `arity` arguments that may still have to be forced.
    pub function: BuiltinFn<'a>,
}

/// See [`Builtin::function`]. The position is the call's.
pub type BuiltinFn<'a> = fn(&mut Evaluator<'a>, &[Value<'a>], PosIdx) -> Result<Value<'a>>;

/// How a builtin can be reached without `builtins.`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Global {
    /// As `name`.
    Bare,
    /// As `__name`.
    Underscored,
}

/// One row of the table.
type Row<'a> = (&'static str, u32, Global, BuiltinFn<'a>);

const NIX_VERSION: &str = "2.34.8";
const LANGUAGE_VERSION: i64 = 6;

/// Gives an evaluation its base environment.
pub(crate) fn install(evaluator: &mut Evaluator<'_>) {
    let mut attrs = Vec::with_capacity(128);
    let tables = [
        attrs::table(),
        context::table(),
        control::table(),
        derivation::table(),
        fetch::table(),
        flakes::table(),
        functions::table(),
        json::table(),
        lists::table(),
        look_up::table(),
        numbers::table(),
        paths::table(),
        regex::table(),
        strings::table(),
        toml::table(),
        types::table(),
        versions::table(),
        xml::table(),
    ];
    for (name, arity, global, function) in tables.into_iter().flatten() {
        let builtin = Value::Builtin(evaluator.arena.alloc(Builtin {
            name,
            arity,
            function,
        }));
        add(evaluator, &mut attrs, name, global, builtin);
    }
    let arena = evaluator.arena;
    for (name, value) in [
        ("true", Value::Bool(Bool::True)),
        ("false", Value::Bool(Bool::False)),
        ("null", Value::Null),
    ] {
        add(evaluator, &mut attrs, name, Global::Bare, value);
    }
    let store_dir = Value::string(arena, evaluator.settings.store_dir.as_str().as_bytes());
    let values = [
        ("langVersion", Value::Int(LANGUAGE_VERSION)),
        ("nixVersion", Value::string(arena, NIX_VERSION.as_bytes())),
        ("storeDir", store_dir),
    ];
    for (name, value) in values {
        add(evaluator, &mut attrs, name, Global::Underscored, value);
    }
    if !evaluator.settings.pure {
        let system = Value::string(arena, evaluator.settings.system.as_bytes());
        add(
            evaluator,
            &mut attrs,
            "currentSystem",
            Global::Underscored,
            system,
        );
        let time = Value::Int(evaluator.io.current_time());
        add(
            evaluator,
            &mut attrs,
            "currentTime",
            Global::Underscored,
            time,
        );
    }
    let nix_path = evaluator.search_path_value();
    add(
        evaluator,
        &mut attrs,
        "nixPath",
        Global::Underscored,
        nix_path,
    );
    let derivation = control::install_derivation(evaluator, &mut attrs);

    let name = evaluator.symbols.intern(b"builtins");
    let itself: &Slot<'_> = arena.alloc(Slot::new(Value::Null));
    attrs.push(Attr::new(name, PosIdx::NONE, Value::Thunk(itself)));
    let builtins = Value::Attrs(Attrs::from_unsorted(arena, attrs));
    itself.set(builtins);
    evaluator.define_global("builtins", builtins);
    control::read_derivation(evaluator, derivation);
}

/// An error without a position: the call that led to it has one.
fn failure(message: impl Into<String>) -> Box<EvalError> {
    EvalError::new(ErrorKind::Eval, message)
}

impl Evaluator<'_> {
    /// An attribute's name as messages show it: in quotes unless it could stand without.
    pub(crate) fn shown_name(&self, name: Symbol) -> String {
        let mut shown = Vec::new();
        crate::ast_print::write_name(&mut shown, self.symbols.bytes(name));
        String::from_utf8_lossy(&shown).into_owned()
    }
}

fn add<'a>(
    evaluator: &mut Evaluator<'a>,
    attrs: &mut Vec<Attr<'a>>,
    name: &str,
    global: Global,
    value: Value<'a>,
) {
    match global {
        Global::Bare => evaluator.define_global(name, value),
        Global::Underscored => evaluator.define_global(&format!("__{name}"), value),
    }
    let symbol = evaluator.symbols.intern(name.as_bytes());
    attrs.push(Attr::new(symbol, PosIdx::NONE, value));
}
