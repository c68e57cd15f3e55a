//! An evaluator for the Nix language.

pub mod ast;
pub mod ast_print;
mod lexer;
pub mod parser;
