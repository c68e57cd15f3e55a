//! TOML 1.0 to values.

mod cursor;
mod document;
mod scalars;
mod times;

use crate::attrs::{Attr, Attrs};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::feature::Feature;
use crate::json::refuse_null_byte;
use crate::position::PosIdx;
use crate::value::Value;
use document::{Document, Node};
use scalars::Scalar;

impl<'a> Evaluator<'a> {
    /// The value that a TOML document stands for.
    pub fn from_toml(&mut self, text: &[u8]) -> Result<Value<'a>> {
        self.on_stack(|evaluator| {
            let document = document::parse(text).map_err(|error| parse_error(&error.show(text)))?;
            evaluator.toml_table(&document, Document::ROOT)
        })
    }

    fn toml_table(&mut self, document: &Document, table: usize) -> Result<Value<'a>> {
        let mut attrs = Vec::new();
        for (key, node) in document.entries(table) {
            refuse_null(key)?;
            let value = self.toml_node(document, node)?;
            attrs.push(Attr::new(self.symbols.intern(key), PosIdx::NONE, value));
        }
        Ok(Value::Attrs(Attrs::from_unsorted(self.arena, attrs)))
    }

    fn toml_node(&mut self, document: &Document, node: &Node) -> Result<Value<'a>> {
        match node {
            Node::Table(table) => self.toml_table(document, *table),
            Node::Tables(tables) => {
                let mut items = Vec::with_capacity(tables.len());
                for table in tables {
                    items.push(self.toml_table(document, *table)?);
                }
                Ok(self.list_of(&items))
            }
            Node::Array(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for node in nodes {
                    items.push(self.toml_node(document, node)?);
                }
                Ok(self.list_of(&items))
            }
            Node::Scalar(scalar) => self.toml_scalar(scalar),
        }
    }

    fn toml_scalar(&mut self, scalar: &Scalar) -> Result<Value<'a>> {
        Ok(match scalar {
            Scalar::Bool(value) => Value::from(*value),
            Scalar::Int(value) => Value::Int(*value),
            Scalar::Float(value) => Value::from(*value),
            Scalar::String(bytes) => {
                refuse_null(bytes)?;
                Value::string(self.arena, bytes)
            }
            Scalar::Time(text) => {
                if !self
                    .settings
                    .features
                    .contains(&Feature::ParseTomlTimestamps)
                {
                    return Err(parse_error("Dates and times are not supported"));
                }
                let kind = self.symbols.intern(b"_type");
                let timestamp = Value::String(self.interned("timestamp"));
                let value = Value::string(self.arena, text.as_bytes());
                let attrs = vec![
                    Attr::new(kind, PosIdx::NONE, timestamp),
                    Attr::new(self.names.value, PosIdx::NONE, value),
                ];
                Value::Attrs(Attrs::from_unsorted(self.arena, attrs))
            }
        })
    }
}

fn refuse_null(bytes: &[u8]) -> Result<()> {
    refuse_null_byte(bytes).map_err(|error| parse_error(&format!("error: {}", error.message)))
}

fn parse_error(message: &str) -> Box<EvalError> {
    EvalError::new(ErrorKind::Eval, format!("while parsing TOML: {message}"))
}
