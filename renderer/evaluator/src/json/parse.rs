//! From JSON to values, without recursion.

use bumpalo::Bump;

use super::lexer::{LexError, Lexer, Token};
use crate::attrs::{Attr, Attrs};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::symbol::{Symbol, Symbols};
use crate::value::{Bool, Slot, Value};

impl<'a> Evaluator<'a> {
    /// The value that a JSON text stands for. Of attributes with one name, the last stays.
    pub fn from_json(&mut self, text: &'a [u8]) -> Result<Value<'a>> {
        let mut parser = Parser {
            arena: self.arena,
            symbols: &mut self.symbols,
            lexer: Lexer::new(self.arena, text),
            open: Vec::new(),
            values: Vec::new(),
        };
        parser.run()
    }
}

/// An array or object whose end is not read yet.
enum Open {
    /// Its elements are the values from that one on.
    Array { first: usize },
    /// Its attributes are the values from that one on; `key` is the next one's name.
    Object { first: usize, key: Symbol },
}

struct Parser<'p, 'a> {
    arena: &'a Bump,
    symbols: &'p mut Symbols<'a>,
    lexer: Lexer<'a>,
    open: Vec<Open>,
    /// Values of everything that is open, with their names where it is an object.
    values: Vec<(Symbol, Value<'a>)>,
}

impl<'a> Parser<'_, 'a> {
    #[expect(clippy::too_many_lines, reason = "a grammar")]
    fn run(&mut self) -> Result<Value<'a>> {
        if let Err(error) = self.lexer.skip_byte_order_mark() {
            return Err(self.lex_error(&error, "value", ""));
        }
        let mut token = self.next("value", "")?;
        loop {
            let mut value = match token {
                Token::Null => Value::Null,
                Token::True => Value::Bool(Bool::True),
                Token::False => Value::Bool(Bool::False),
                Token::Int(value) => Value::Int(value),
                Token::Float(value) if value.is_finite() => Value::from(value),
                Token::Float(_) => return Err(self.number_overflow()),
                Token::Unsigned(value) => {
                    let message =
                        format!("unsigned json number {value} outside of Nix integer range");
                    return Err(EvalError::new(ErrorKind::Eval, message));
                }
                Token::String(bytes) => {
                    refuse_null_byte(bytes)?;
                    Value::string_in(self.arena, bytes, None)
                }
                Token::BeginArray => {
                    token = self.next("value", "")?;
                    self.open.push(Open::Array {
                        first: self.values.len(),
                    });
                    if token != Token::EndArray {
                        continue;
                    }
                    self.close()
                }
                Token::BeginObject => {
                    token = self.next("object key", "string literal")?;
                    self.open.push(Open::Object {
                        first: self.values.len(),
                        key: Symbol(0),
                    });
                    if token != Token::EndObject {
                        self.key(token)?;
                        token = self.next("value", "")?;
                        continue;
                    }
                    self.close()
                }
                Token::End if self.lexer.place == 1 => {
                    return Err(self.error(
                        "attempting to parse an empty input; check that your input string or stream contains the \
                         expected JSON",
                        token,
                    ));
                }
                _ => return Err(self.unexpected(token, "value", LITERAL_OR_VALUE)),
            };
            // Everything that ends here ends its surroundings' element, too.
            loop {
                match self.open.last() {
                    None => {
                        let end = self.next("value", "end of input")?;
                        if end != Token::End {
                            return Err(self.unexpected(end, "value", "end of input"));
                        }
                        return Ok(value);
                    }
                    Some(Open::Array { .. }) => {
                        self.values.push((Symbol(0), value));
                        match self.next("array", "']'")? {
                            Token::Comma => {
                                token = self.next("value", "")?;
                                break;
                            }
                            Token::EndArray => value = self.close(),
                            other => return Err(self.unexpected(other, "array", "']'")),
                        }
                    }
                    Some(Open::Object { key, .. }) => {
                        self.values.push((*key, value));
                        match self.next("object", "'}'")? {
                            Token::Comma => {
                                let key = self.next("object key", "string literal")?;
                                self.key(key)?;
                                token = self.next("value", "")?;
                                break;
                            }
                            Token::EndObject => value = self.close(),
                            other => return Err(self.unexpected(other, "object", "'}'")),
                        }
                    }
                }
            }
        }
    }

    fn next(&mut self, context: &str, expected: &str) -> Result<Token<'a>> {
        self.lexer
            .next()
            .map_err(|error| self.lex_error(&error, context, expected))
    }

    /// A name and the colon after it.
    fn key(&mut self, token: Token<'a>) -> Result<()> {
        let Token::String(name) = token else {
            return Err(self.unexpected(token, "object key", "string literal"));
        };
        refuse_null_byte(name)?;
        let name = self.symbols.intern(name);
        if let Some(Open::Object { key, .. }) = self.open.last_mut() {
            *key = name;
        }
        match self.next("object separator", "':'")? {
            Token::Colon => Ok(()),
            other => Err(self.unexpected(other, "object separator", "':'")),
        }
    }

    /// The value of the innermost open array or object.
    fn close(&mut self) -> Value<'a> {
        match self.open.pop() {
            Some(Open::Object { first, .. }) => {
                let entries = self.values[first..]
                    .iter()
                    .map(|&(name, value)| Attr::new(name, PosIdx::NONE, value))
                    .collect();
                self.values.truncate(first);
                Value::Attrs(Attrs::from_unsorted(self.arena, entries))
            }
            Some(Open::Array { first }) => {
                let items = &self.values[first..];
                let items = self
                    .arena
                    .alloc_slice_fill_with(items.len(), |index| Slot::new(items[index].1));
                self.values.truncate(first);
                Value::list(self.arena, items)
            }
            None => Value::Null,
        }
    }

    #[cold]
    fn number_overflow(&self) -> Box<EvalError> {
        let number = self.lexer.read();
        EvalError::new(
            ErrorKind::Eval,
            format!("[json.exception.out_of_range.406] number overflow parsing '{number}'"),
        )
        .trace(PosIdx::NONE, DECODING)
    }

    #[cold]
    fn unexpected(&self, token: Token<'_>, context: &str, expected: &str) -> Box<EvalError> {
        let name = token.name();
        let message = format!(
            "syntax error while parsing {context} - unexpected {name}; expected {expected}"
        );
        self.error(&message, token)
    }

    #[cold]
    fn lex_error(&self, error: &LexError, context: &str, expected: &str) -> Box<EvalError> {
        let read = self.lexer.read();
        let mut message = format!(
            "syntax error while parsing {context} - {}; last read: '{read}'",
            error.0
        );
        if !expected.is_empty() {
            message = format!("{message}; expected {expected}");
        }
        self.error(&message, Token::Null)
    }

    fn error(&self, message: &str, token: Token<'_>) -> Box<EvalError> {
        let number = matches!(token, Token::Int(_) | Token::Unsigned(_) | Token::Float(_));
        let (line, column) = self.lexer.position(number);
        EvalError::new(
            ErrorKind::Eval,
            format!(
                "[json.exception.parse_error.101] parse error at line {line}, column {column}: {message}"
            ),
        )
        .trace(PosIdx::NONE, DECODING)
    }
}

const DECODING: &str = "while decoding a JSON string";
const LITERAL_OR_VALUE: &str = "'[', '{', or a literal";

/// Nix's strings have no zero bytes.
pub(crate) fn refuse_null_byte(bytes: &[u8]) -> Result<()> {
    if memchr::memchr(0, bytes).is_none() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(bytes).replace('\0', "␀");
    Err(EvalError::new(
        ErrorKind::Eval,
        format!(
            "input string '{shown}' cannot be represented as Nix string because it contains null bytes"
        ),
    ))
}
