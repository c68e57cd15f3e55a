//! JSON, to and from values.

mod float;
mod lexer;
mod parse;
mod write;

pub use write::JsonOptions;
