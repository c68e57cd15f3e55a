//! From values to JSON.

use nix_formats::write_json_float;

use crate::attrs::{AttrRef, Attrs};
use crate::context::ContextBuilder;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coercion, Evaluator, Result};
use crate::position::PosIdx;
use crate::value::{Bool, Slot, Value};

/// How values become JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    /// Evaluate what is not there yet; otherwise that is an error.
    pub strict: bool,
    /// A path is copied to the store, and stands as the copy's path; otherwise as it is.
    pub copy_paths: bool,
}

impl JsonOptions {
    /// What `builtins.toJSON` does.
    pub const TO_JSON: JsonOptions = JsonOptions {
        strict: true,
        copy_paths: true,
    };
}

impl<'a> Evaluator<'a> {
    /// A value as JSON on one line. What its strings refer to is added to `context`.
    pub fn to_json(
        &mut self,
        value: Value<'a>,
        options: JsonOptions,
        context: &mut ContextBuilder,
    ) -> Result<Vec<u8>> {
        self.on_stack(|evaluator| {
            let mut writer = Writer {
                evaluator,
                options,
                context,
                out: Vec::new(),
                invalid: None,
            };
            writer.value(value, PosIdx::NONE)?;
            match writer.invalid {
                None => Ok(writer.out),
                Some(message) => Err(EvalError::new(
                    ErrorKind::Eval,
                    format!("JSON serialization error: [json.exception.type_error.316] {message}"),
                )),
            }
        })
    }
}

struct Writer<'w, 'a> {
    evaluator: &'w mut Evaluator<'a>,
    options: JsonOptions,
    context: &'w mut ContextBuilder,
    out: Vec<u8>,
    /// The first string that cannot be written; an error only once everything else has been evaluated.
    invalid: Option<String>,
}

impl<'a> Writer<'_, 'a> {
    fn value(&mut self, value: Value<'a>, position: PosIdx) -> Result<()> {
        self.evaluator.enter_call(position)?;
        let result = self.value_here(value, position);
        self.evaluator.leave_call();
        result
    }

    fn value_here(&mut self, value: Value<'a>, position: PosIdx) -> Result<()> {
        self.evaluator.check_depth(0)?;
        self.evaluator.make_room(self.out.len())?;
        let value = match value {
            Value::Thunk(_) if self.options.strict => self.evaluator.force(value, position)?,
            Value::Thunk(slot) => slot.share(),
            value => value,
        };
        match value {
            Value::Bool(Bool::True) => self.out.extend_from_slice(b"true"),
            Value::Bool(Bool::False) => self.out.extend_from_slice(b"false"),
            Value::Int(value) => self.out.extend_from_slice(value.to_string().as_bytes()),
            Value::Float(value) if f64::from(value).is_finite() => {
                write_json_float(&mut self.out, value.into());
            }
            Value::Null | Value::Float(_) => self.out.extend_from_slice(b"null"),
            Value::String(string) => {
                self.context.add(string.context);
                self.string(string.bytes);
            }
            Value::Path(path) if self.options.copy_paths => {
                let copy = self
                    .evaluator
                    .copy_path_to_store(path.bytes, self.context)?;
                self.string(copy);
            }
            Value::Path(path) => {
                self.evaluator.io.observed(path.bytes);
                self.string(path.bytes);
            }
            Value::List(list) => self.list(list.items, position)?,
            Value::Attrs(attrs) => self.set(value, attrs, position)?,
            other => return Err(self.not_convertible(other, position)),
        }
        Ok(())
    }

    #[cold]
    fn not_convertible(&mut self, value: Value<'a>, position: PosIdx) -> Box<EvalError> {
        let position = match value {
            Value::Lambda(lambda) => lambda.code.positions[0],
            Value::PartialApplication(partial) => match partial.function {
                Value::Lambda(lambda) => lambda.code.positions[partial.args.len()],
                _ => position,
            },
            _ => position,
        };
        let kind = self.evaluator.show_type(value);
        EvalError::new(ErrorKind::Type, format!("cannot convert {kind} to JSON")).at(position)
    }

    fn list(&mut self, items: &'a [Slot<'a>], position: PosIdx) -> Result<()> {
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(item.share(), position).map_err(|error| {
                error.trace(
                    position,
                    format!("while evaluating list element at index {index}"),
                )
            })?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn set(&mut self, value: Value<'a>, attrs: &'a Attrs<'a>, position: PosIdx) -> Result<()> {
        if let Some(method) = attrs.get(self.evaluator.names.to_string) {
            let text = self
                .evaluator
                .call(method.value.share(), &[value], position)?;
            let what = "while evaluating the result of the `__toString` attribute";
            let text = self.evaluator.coerce_to_string(
                text,
                position,
                self.context,
                what,
                Coercion::PLAIN,
            )?;
            self.string(text);
            return Ok(());
        }
        if let Some(out_path) = attrs.get(self.evaluator.names.out_path) {
            return self.value(out_path.value.share(), out_path.position);
        }
        let mut sorted: Vec<AttrRef<'a>> = attrs.entries(self.evaluator.arena).iter().collect();
        let symbols = &self.evaluator.symbols;
        sorted.sort_unstable_by(|l, r| symbols.compare(l.name, r.name));
        self.out.push(b'{');
        for (index, attr) in sorted.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.string(self.evaluator.symbols.bytes(attr.name));
            self.out.push(b':');
            self.value(attr.value.share(), attr.position)
                .map_err(|error| {
                    let name = self.evaluator.shown_name(attr.name);
                    error.trace(
                        attr.position,
                        format!("while evaluating attribute '{name}'"),
                    )
                })?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) {
        if self.invalid.is_none() {
            self.invalid = std::str::from_utf8(bytes)
                .err()
                .map(|error| describe_invalid(bytes, error));
        }
        self.out.push(b'"');
        let mut copied = 0;
        for (index, &byte) in bytes.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.extend_from_slice(&bytes[copied..index]);
            copied = index + 1;
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                0x08 => self.out.extend_from_slice(b"\\b"),
                0x0C => self.out.extend_from_slice(b"\\f"),
                _ => self
                    .out
                    .extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            }
        }
        self.out.extend_from_slice(&bytes[copied..]);
        self.out.push(b'"');
    }
}

/// What is wrong with a string that is not UTF-8: the first byte that can neither start nor go on a character.
fn describe_invalid(bytes: &[u8], error: std::str::Utf8Error) -> String {
    let start = error.valid_up_to();
    let Some(len) = error.error_len() else {
        let last = bytes.last().copied().unwrap_or_default();
        return format!("incomplete UTF-8 string; last byte: 0x{last:02X}");
    };
    let starts = matches!(bytes[start], 0xC2..=0xF4);
    let index = if starts { start + len } else { start };
    let byte = bytes.get(index).copied().unwrap_or_default();
    format!("invalid UTF-8 byte at index {index}: 0x{byte:02X}")
}
