//! An evaluator for the Nix language.

pub mod ast;
