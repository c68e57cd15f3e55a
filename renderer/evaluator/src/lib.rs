#![doc = include_str!("../README.md")]
#![expect(
    clippy::unnecessary_box_returns,
    reason = "errors are boxed everywhere, so that results stay small"
)]

pub mod ast;
pub mod ast_print;
mod attrs;
mod builtins;
mod compile;
mod context;
mod derivations;
mod entries;
mod env;
mod error;
mod eval;
mod expr;
mod feature;
mod files;
pub mod io;
mod json;
mod lexer;
mod limits;
mod lint;
mod parse_cache;
pub mod parser;
mod path;
mod position;
mod print;
mod print_plain;
mod profile;
mod regex;
mod settings;
mod shape;
mod sort;
mod store;
mod symbol;
mod toml;
mod value;
mod well_known;
mod xml;

pub use attrs::{Attr, AttrRef, Attrs, Entries, EntriesIter};
pub use builtins::{Builtin, BuiltinFn, GetFlake};
pub use bumpalo::Bump;
pub use context::{Context, ContextBuilder, ContextElement};
pub use error::{ErrorKind, EvalError, Trace};
pub use eval::{BuiltBy, Coercion, Evaluator, FoundDerivation, ReferredPath, Result};
pub use feature::Feature;
pub use json::JsonOptions;
pub use limits::{Interrupt, Limits};
pub use lint::{Lint, Lints, UnknownLint};
pub use parse_cache::ParseCache;
pub use path::{base_name, join, normalise, parent};
pub use position::{Origin, PosIdx, Position, Positions};
pub use print::PrintOptions;
pub use settings::Settings;
pub use symbol::{Symbol, Symbols};
pub use value::{
    Bool, Delayed, Float, Lambda, List, MappedItem, NixPath, NixString, PartialApplication, Slot,
    Value,
};
pub use xml::XmlOptions;
