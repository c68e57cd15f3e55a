//! Attribute paths, and the attributes of sets and `let`s with the rules by which repeated ones merge.

use rustc_hash::FxHashMap;

use super::{ParseError, ParseErrorKind, Parser};
use crate::ast::{
    AttrName, Binding, BindingValue, Bindings, BindingsId, DynamicBinding, Name, Node, NodeId,
};
use crate::ast_print::write_name;
use crate::lexer::{Result, Token, TokenKind};

/// In sets up to this size a name is looked for one by one.
const SMALL: usize = 16;

/// Where the names of large sets stand in them.
pub(super) type LargeSets = FxHashMap<(u32, Name), u32>;

/// What the attributes belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `let … in`
    Let,
    /// `let { … }`
    LetSet,
    /// `rec { … }`
    RecSet,
    /// `{ … }`
    Set,
}

/// What may start a name.
const NAME: [TokenKind; 4] = [
    TokenKind::Identifier,
    TokenKind::Or,
    TokenKind::DollarBrace,
    TokenKind::Quote,
];

impl Parser<'_> {
    pub(super) fn new_bindings(&mut self, scope: Scope) -> BindingsId {
        let id = BindingsId(self.ast.bindings.len() as u32);
        self.ast.bindings.push(Bindings {
            recursive: scope != Scope::Set,
            ..Bindings::default()
        });
        id
    }

    /// The steps of a path that must come now.
    pub(super) fn attr_path(&mut self) -> Result<crate::ast::AttrPath> {
        let base = self.open_names.len();
        self.open_path()?;
        Ok(self.close_names(base))
    }

    fn open_path(&mut self) -> Result<()> {
        let Some((name, _)) = self.optional_name()? else {
            let token = self.peek()?;
            return self.unexpected(token, &NAME);
        };
        self.open_names.push(name);
        self.more_path()
    }

    /// What follows the first name of a path.
    fn more_path(&mut self) -> Result<()> {
        while self.peek()?.kind == TokenKind::Dot {
            self.bump();
            let Some((name, _)) = self.optional_name()? else {
                let token = self.peek()?;
                return self.unexpected(token, &NAME);
            };
            self.open_names.push(name);
        }
        Ok(())
    }

    /// One name, and where it stands.
    fn optional_name(&mut self) -> Result<Option<(AttrName, Token)>> {
        let token = self.peek()?;
        let name = match token.kind {
            TokenKind::Identifier | TokenKind::Or => {
                self.bump();
                AttrName::Static(self.name(token))
            }
            TokenKind::Quote => {
                self.bump();
                self.string_name()?
            }
            TokenKind::DollarBrace => {
                self.bump();
                let name = self.expression()?;
                self.expect(TokenKind::BraceClose, &[TokenKind::BraceClose])?;
                self.set_start(name, token.start);
                match self.ast.node(name) {
                    Node::String(text) => {
                        AttrName::Static(self.names.intern_text(&mut self.ast, text))
                    }
                    _ => AttrName::Dynamic(name),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some((name, token)))
    }

    /// The attributes up to and including what ends them, given the first one's name if it is already read.
    pub(super) fn bindings(
        &mut self,
        scope: Scope,
        mut first: Option<Token>,
    ) -> Result<BindingsId> {
        let set = self.new_bindings(scope);
        let (end, expected): (TokenKind, &[TokenKind]) = match scope {
            Scope::Let => (TokenKind::In, &[TokenKind::In, TokenKind::Inherit]),
            Scope::LetSet | Scope::RecSet => (
                TokenKind::BraceClose,
                &[TokenKind::Inherit, TokenKind::BraceClose],
            ),
            Scope::Set => (TokenKind::BraceClose, &[TokenKind::Inherit]),
        };
        loop {
            let base = self.open_names.len();
            let position;
            if let Some(token) = first.take() {
                position = token.start;
                let name = self.name(token);
                self.open_names.push(AttrName::Static(name));
                self.more_path()?;
            } else {
                let token = self.peek()?;
                position = token.start;
                match token.kind {
                    TokenKind::Identifier
                    | TokenKind::Or
                    | TokenKind::Quote
                    | TokenKind::DollarBrace => {
                        self.open_path()?;
                    }
                    TokenKind::Inherit => {
                        self.bump();
                        self.inherit(set)?;
                        continue;
                    }
                    kind if kind == end => {
                        self.bump();
                        return Ok(set);
                    }
                    _ => return self.unexpected(token, expected),
                }
            }
            self.expect(TokenKind::Assign, &[TokenKind::Dot, TokenKind::Assign])?;
            let value = self.expression()?;
            self.expect(TokenKind::Semicolon, &[TokenKind::Semicolon])?;
            self.define(set, base, position, value)?;
            self.open_names.truncate(base);
        }
    }

    /// `inherit …;` or `inherit (e) …;`, after the keyword.
    fn inherit(&mut self, set: BindingsId) -> Result<()> {
        let value = if self.peek()?.kind == TokenKind::ParenOpen {
            self.bump();
            let from = self.expression()?;
            self.expect(TokenKind::ParenClose, &[TokenKind::ParenClose])?;
            Some(from)
        } else {
            None
        };
        let base = self.open_names.len();
        let positions = self.open_positions.len();
        while let Some((name, token)) = self.optional_name()? {
            if let AttrName::Dynamic(_) = name {
                return ParseError::fail(
                    ParseErrorKind::DynamicAttribute,
                    "dynamic attributes not allowed in inherit",
                    token.start,
                    token.end,
                );
            }
            self.open_names.push(name);
            self.open_positions.push(token.start);
        }
        self.expect(TokenKind::Semicolon, &[])?;
        let value = match value {
            None => BindingValue::Inherit,
            Some(from) => {
                let sources = &mut self.ast.bindings[set.0 as usize].inherit_from;
                sources.push(from);
                BindingValue::InheritFrom(sources.len() as u32 - 1)
            }
        };
        for index in 0..self.open_names.len() - base {
            let AttrName::Static(name) = self.open_names[base + index] else {
                continue;
            };
            let position = self.open_positions[positions + index];
            if let Some(earlier) = self.find(set, name) {
                return self.defined_twice(&[name], position, earlier.position);
            }
            self.insert(
                set,
                Binding {
                    name,
                    position,
                    value,
                },
            );
        }
        self.open_names.truncate(base);
        self.open_positions.truncate(positions);
        Ok(())
    }

    /// Defines the path that the open names from `base` on spell.
    fn define(
        &mut self,
        mut set: BindingsId,
        base: usize,
        position: u32,
        value: NodeId,
    ) -> Result<()> {
        let last = self.open_names.len() - 1;
        for index in base..last {
            set = match self.open_names[index] {
                AttrName::Static(name) => {
                    if let Some(earlier) = self.find(set, name) {
                        let Some(nested) = self.nested_set(earlier.value) else {
                            let path = self.static_path(base, index);
                            return self.defined_twice(&path, position, earlier.position);
                        };
                        nested
                    } else {
                        let (nested, node) = self.empty_set(position);
                        let value = BindingValue::Plain(node);
                        let binding = Binding {
                            name,
                            position,
                            value,
                        };
                        self.insert(set, binding);
                        nested
                    }
                }
                AttrName::Dynamic(name) => {
                    let (nested, node) = self.empty_set(position);
                    self.insert_dynamic(set, name, position, node);
                    nested
                }
            };
        }
        match self.open_names[last] {
            AttrName::Static(name) => {
                let value = BindingValue::Plain(value);
                let binding = Binding {
                    name,
                    position,
                    value,
                };
                if self.find(set, name).is_none() {
                    self.insert(set, binding);
                    return Ok(());
                }
                let mut path = self.static_path(base, last);
                self.define_or_merge(set, &mut path, binding)
            }
            AttrName::Dynamic(name) => {
                self.insert_dynamic(set, name, position, value);
                Ok(())
            }
        }
    }

    /// Adds a binding, of which `path` is the whole path; two sets become one.
    fn define_or_merge(
        &mut self,
        set: BindingsId,
        path: &mut Vec<Name>,
        new: Binding,
    ) -> Result<()> {
        let Some(earlier) = self.find(set, new.name) else {
            self.insert(set, new);
            return Ok(());
        };
        let (Some(into), Some(from)) = (self.nested_set(earlier.value), self.nested_set(new.value))
        else {
            return self.defined_twice(path, new.position, earlier.position);
        };
        // As in C++ Nix only the first set's `rec` counts.
        let from = std::mem::take(&mut self.ast.bindings[from.0 as usize]);
        let offset = self.ast.bindings(into).inherit_from.len() as u32;
        let kept = self.ast.bindings(into).entries.len();
        let mut entries = from.entries;
        // Of several duplicates C++ Nix reports the name it has known longest.
        entries.sort_unstable_by_key(|entry| entry.name);
        for mut entry in entries {
            if let BindingValue::InheritFrom(index) = &mut entry.value {
                *index += offset;
            }
            path.push(entry.name);
            self.nested(|parser| parser.define_or_merge(into, path, entry))?;
            path.pop();
        }
        let merged = &mut self.ast.bindings[into.0 as usize];
        merged.dynamic.extend(from.dynamic);
        merged.inherit_from.extend(from.inherit_from);
        merged.entries[kept..].sort_unstable_by_key(|entry| entry.position);
        if merged.entries.len() > SMALL {
            self.index(into, kept);
        }
        Ok(())
    }

    fn nested_set(&self, value: BindingValue) -> Option<BindingsId> {
        match value {
            BindingValue::Plain(node) => match self.ast.node(node) {
                Node::Attrs(set) => Some(set),
                _ => None,
            },
            BindingValue::Inherit | BindingValue::InheritFrom(_) => None,
        }
    }

    fn empty_set(&mut self, position: u32) -> (BindingsId, NodeId) {
        let set = self.new_bindings(Scope::Set);
        (set, self.add(Node::Attrs(set), position, position))
    }

    fn insert_dynamic(&mut self, set: BindingsId, name: NodeId, position: u32, value: NodeId) {
        self.ast.bindings[set.0 as usize]
            .dynamic
            .push(DynamicBinding {
                name,
                position,
                value,
            });
    }

    fn find(&self, set: BindingsId, name: Name) -> Option<Binding> {
        let entries = &self.ast.bindings(set).entries;
        if entries.len() <= SMALL {
            return entries.iter().find(|entry| entry.name == name).copied();
        }
        let index = self.large_sets.get(&(set.0, name))?;
        entries.get(*index as usize).copied()
    }

    fn insert(&mut self, set: BindingsId, binding: Binding) {
        let entries = &mut self.ast.bindings[set.0 as usize].entries;
        entries.push(binding);
        let len = entries.len();
        if len == SMALL + 1 {
            self.index(set, 0);
        } else if len > SMALL {
            self.large_sets
                .insert((set.0, binding.name), len as u32 - 1);
        }
    }

    /// Notes where the entries of a large set stand, from the one at `first` on.
    fn index(&mut self, set: BindingsId, first: usize) {
        let entries = self.ast.bindings(set).entries.iter().enumerate();
        for (index, entry) in entries.skip(first) {
            self.large_sets.insert((set.0, entry.name), index as u32);
        }
    }

    /// The open names from `base` to `last`, those known while parsing.
    fn static_path(&self, base: usize, last: usize) -> Vec<Name> {
        let known = self.open_names[base..=last]
            .iter()
            .filter_map(|name| match name {
                AttrName::Static(name) => Some(*name),
                AttrName::Dynamic(_) => None,
            });
        known.collect()
    }

    #[cold]
    fn defined_twice<T>(&self, path: &[Name], position: u32, previous: u32) -> Result<T> {
        let mut shown = Vec::new();
        for (index, &name) in path.iter().enumerate() {
            if index > 0 {
                shown.push(b'.');
            }
            write_name(&mut shown, self.ast.name(name));
        }
        ParseError::fail(
            ParseErrorKind::DuplicateAttribute { previous },
            format!(
                "attribute '{}' already defined",
                String::from_utf8_lossy(&shown)
            ),
            position,
            position,
        )
    }
}
