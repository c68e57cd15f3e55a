//! JSON, to and from values.

mod lexer;
mod parse;
mod write;

pub(crate) use parse::refuse_null_byte;
pub use write::JsonOptions;
