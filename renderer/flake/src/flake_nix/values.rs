//! Values in the syntax tree of a flake.nix, as far as they are plain data.

use std::path::Path;

use nix_evaluator::ast::{Ast, BindingValue, BindingsId, Node, NodeId};

use super::Result;
use super::error::{FlakeNixError, place_in};

pub(super) struct Reader<'s> {
    pub(super) source: &'s str,
    pub(super) file: &'s str,
    pub(super) folder: &'s Path,
    pub(super) ast: Ast,
}

/// A value as far as plain data goes.
pub(super) enum Plain {
    String(String),
    Path(String),
    Int(i64),
    Bool(bool),
    Attrs(BindingsId),
    Function,
    /// Of another type, or in need of evaluation; with Nix's word for it.
    Other(&'static str),
}

impl Plain {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Path(_) => "a path",
            Self::Int(_) => "an integer",
            Self::Bool(_) => "a Boolean",
            Self::Attrs(_) => "a set",
            Self::Function => "a function",
            Self::Other(name) => name,
        }
    }
}

/// An attribute with its name and place.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) position: u32,
    pub(super) value: BindingValue,
}

impl Reader<'_> {
    pub(super) fn error(&self, message: impl Into<String>, position: u32) -> FlakeNixError {
        FlakeNixError {
            message: message.into(),
            place: Some(place_in(self.source, self.file, position)),
        }
    }

    pub(super) fn place(&self, position: u32) -> String {
        place_in(self.source, self.file, position).to_string()
    }

    pub(super) fn plain(&self, id: NodeId) -> Plain {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self.ast.node(id) {
            Node::String(literal) => Plain::String(text(self.ast.text(literal))),
            Node::Path(literal) => Plain::Path(text(self.ast.text(literal))),
            Node::Int(number) => Plain::Int(number),
            Node::Float(_) => Plain::Other("a float"),
            Node::Var(name) => match self.ast.name(name) {
                b"true" => Plain::Bool(true),
                b"false" => Plain::Bool(false),
                b"null" => Plain::Other("null"),
                _ => Plain::Other("a thunk"),
            },
            Node::Attrs(bindings) if self.ast.bindings(bindings).dynamic.is_empty() => {
                Plain::Attrs(bindings)
            }
            Node::List(_) => Plain::Other("a list"),
            Node::Lambda { .. } | Node::PatternLambda { .. } => Plain::Function,
            _ => Plain::Other("a thunk"),
        }
    }

    pub(super) fn field_value(&self, field: &Field) -> Plain {
        match field.value {
            BindingValue::Plain(id) => self.plain(id),
            BindingValue::Inherit => match field.name.as_str() {
                "true" => Plain::Bool(true),
                "false" => Plain::Bool(false),
                _ => Plain::Other("a thunk"),
            },
            BindingValue::InheritFrom(_) => Plain::Other("a thunk"),
        }
    }

    pub(super) fn fields(&self, bindings: BindingsId) -> Vec<Field> {
        let mut fields: Vec<Field> = self
            .ast
            .bindings(bindings)
            .entries
            .iter()
            .map(|binding| Field {
                name: String::from_utf8_lossy(self.ast.name(binding.name)).into_owned(),
                position: binding.position,
                value: binding.value,
            })
            .collect();
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields
    }

    pub(super) fn wrong_type(&self, expected: &str, got: &Plain, position: u32) -> FlakeNixError {
        let place = self.place(position);
        let hint = match got {
            Plain::Other("a thunk") => {
                "; a flake's description and inputs have to be plain data, with nothing in them to evaluate"
            }
            _ => "",
        };
        self.error(
            format!(
                "expected {expected} but got {} at {place}{hint}",
                got.type_name()
            ),
            position,
        )
    }

    pub(super) fn expect_attrs(&self, field: &Field) -> Result<Vec<Field>> {
        match self.field_value(field) {
            Plain::Attrs(bindings) => Ok(self.fields(bindings)),
            other => Err(self.wrong_type("a set", &other, field.position)),
        }
    }

    pub(super) fn expect_string(&self, field: &Field) -> Result<String> {
        match self.field_value(field) {
            Plain::String(text) => Ok(text),
            other => Err(self.wrong_type("a string", &other, field.position)),
        }
    }

    /// The parameters that `outputs` names.
    pub(super) fn formals(&self, field: &Field) -> Vec<(String, u32)> {
        let BindingValue::Plain(id) = field.value else {
            return Vec::new();
        };
        let Node::PatternLambda { pattern, .. } = self.ast.node(id) else {
            return Vec::new();
        };
        self.ast
            .pattern(pattern)
            .formals
            .iter()
            .map(|formal| {
                let name = String::from_utf8_lossy(self.ast.name(formal.name)).into_owned();
                (name, formal.position)
            })
            .collect()
    }
}
