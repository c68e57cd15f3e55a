//! Names of a file, each stored once.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::Parser;
use crate::ast::{Ast, Name, Text};
use crate::lexer::Token;

/// Finds the number of a name by its bytes.
#[derive(Default)]
pub(super) struct Names {
    table: HashTable<Name>,
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

impl Names {
    /// The name with these bytes.
    pub(super) fn intern(&mut self, ast: &mut Ast, bytes: &[u8]) -> Name {
        let hash = hash(bytes);
        if let Some(&name) = self.table.find(hash, |&name| ast.name(name) == bytes) {
            return name;
        }
        let text = Text {
            start: ast.text.len() as u32,
            len: bytes.len() as u32,
        };
        ast.text.extend_from_slice(bytes);
        self.insert(ast, hash, text)
    }

    /// The name whose bytes are already part of the tree's text.
    pub(super) fn intern_text(&mut self, ast: &mut Ast, text: Text) -> Name {
        let bytes = ast.text(text);
        let hash = hash(bytes);
        if let Some(&name) = self.table.find(hash, |&name| ast.name(name) == bytes) {
            return name;
        }
        self.insert(ast, hash, text)
    }

    fn insert(&mut self, ast: &mut Ast, hash_value: u64, text: Text) -> Name {
        let name = Name(ast.names.len() as u32);
        ast.names.push(text);
        self.table
            .insert_unique(hash_value, name, |&name| hash(ast.name(name)));
        name
    }
}

impl Parser<'_> {
    /// The name that `token` spells.
    pub(super) fn name(&mut self, token: Token) -> Name {
        self.names
            .intern_text(&mut self.ast, Self::source_text(token.start, token.end))
    }
}
