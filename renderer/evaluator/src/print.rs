//! Values as text: what `nix-instantiate --eval` prints, and the short forms in messages.

use rustc_hash::FxHashSet;

use crate::ast_print::write_name;
use crate::attrs::AttrRef;
use crate::error::ErrorKind;
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::{Bool, Slot, Value};

/// How values are printed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct PrintOptions {
    /// Evaluate what is not there yet.
    pub force: bool,
    /// A derivation is `«derivation /nix/store/…drv»`.
    pub derivation_paths: bool,
    /// A set or list that was printed before is `«repeated»`.
    pub track_repeated: bool,
    /// Sets and lists further down are `{ ... }` and `[ ... ]`.
    pub max_depth: usize,
    /// Attributes to print, of all sets together.
    pub max_attrs: usize,
    /// Elements to print, of all lists together.
    pub max_list_items: usize,
    /// Bytes of a string to print.
    pub max_string: usize,
    /// Blanks to go in at a new level; 0: all on one line.
    pub indent: usize,
    /// An error inside is `«error: …»`, not an error.
    pub show_errors: bool,
    /// A function further down is `«thunk»`, which it nearly always is in C++ Nix where a message shows what it is in.
    pub hide_functions: bool,
}

impl PrintOptions {
    /// What `nix-instantiate --eval` (with what is there) and `--strict` (having forced all) print.
    pub const INSTANTIATE: PrintOptions = PrintOptions {
        force: false,
        derivation_paths: false,
        track_repeated: true,
        max_depth: usize::MAX,
        max_attrs: usize::MAX,
        max_list_items: usize::MAX,
        max_string: usize::MAX,
        indent: 0,
        show_errors: false,
        hide_functions: false,
    };

    /// What messages show of a value.
    pub const MESSAGE: PrintOptions = PrintOptions {
        max_depth: 10,
        max_attrs: 10,
        max_list_items: 10,
        max_string: 1024,
        hide_functions: true,
        ..PrintOptions::INSTANTIATE
    };

    /// What `nix repl` prints: one level, a line for each attribute.
    pub const REPL: PrintOptions = PrintOptions {
        force: true,
        derivation_paths: true,
        max_depth: 1,
        indent: 2,
        show_errors: true,
        ..PrintOptions::INSTANTIATE
    };

    /// What `nix eval` prints.
    pub const NIX_EVAL: PrintOptions = PrintOptions {
        force: true,
        derivation_paths: true,
        show_errors: true,
        ..PrintOptions::INSTANTIATE
    };
}

struct Printer<'e, 'a> {
    evaluator: &'e mut Evaluator<'a>,
    out: Vec<u8>,
    options: PrintOptions,
    seen: FxHashSet<usize>,
    attrs: usize,
    items: usize,
    indent: usize,
}

impl<'a> Evaluator<'a> {
    /// A value as text.
    pub fn print(&mut self, value: Value<'a>, options: PrintOptions) -> Result<Vec<u8>> {
        self.on_stack(|evaluator| {
            let mut printer = Printer {
                evaluator,
                out: Vec::new(),
                options,
                seen: FxHashSet::default(),
                attrs: 0,
                items: 0,
                indent: 0,
            };
            printer.value(value, 0, 0)?;
            Ok(printer.out)
        })
    }

    /// The value as messages show it.
    pub(crate) fn show_short(&mut self, value: Value<'a>) -> String {
        let text = self.print(value, PrintOptions::MESSAGE).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// "a set: { … }"
    pub(crate) fn show_typed(&mut self, value: Value<'a>) -> String {
        format!("{}: {}", self.show_type(value), self.show_short(value))
    }

    /// "a set", "an integer", "the built-in function 'map'"
    #[expect(
        clippy::unused_self,
        reason = "asked of the evaluation, like its siblings"
    )]
    pub(crate) fn show_type(&self, value: Value<'a>) -> String {
        match value {
            Value::String(string) if string.context.is_some() => "a string with context".to_owned(),
            Value::Builtin(builtin) => format!("the built-in function '{}'", builtin.name),
            Value::PartialApplication(partial) => match partial.function {
                Value::Builtin(builtin) => {
                    format!("the partially applied built-in function '{}'", builtin.name)
                }
                _ => "a function".to_owned(),
            },
            value => type_name(value).to_owned(),
        }
    }
}

/// The type with its article.
fn type_name(value: Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a Boolean",
        Value::Int(_) => "an integer",
        Value::Float(_) => "a float",
        Value::String(_) => "a string",
        Value::Path(_) => "a path",
        Value::List(_) => "a list",
        Value::Attrs(_) => "a set",
        Value::Lambda(_) | Value::Builtin(_) | Value::PartialApplication(_) => "a function",
        Value::Thunk(_) | Value::Delayed(..) | Value::Mapped(..) | Value::Application(_) => {
            "a thunk"
        }
        Value::Failed(_) => "a failure",
        Value::Blackhole => "a black hole",
    }
}

impl<'a> Printer<'_, 'a> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn slot(&mut self, slot: &'a Slot<'a>, depth: usize) -> Result<()> {
        let cell = slot.last();
        self.value(cell.share(), std::ptr::from_ref(cell).addr(), depth)
    }

    /// Lists are told apart by the cells that they are in, as C++ Nix does, sets by themselves.
    fn value(&mut self, value: Value<'a>, cell: usize, depth: usize) -> Result<()> {
        let result = self.value_here(value, cell, depth);
        match result {
            Err(error)
                if self.options.show_errors
                    && depth > 0
                    && !matches!(error.kind, ErrorKind::StackOverflow | ErrorKind::Limit) =>
            {
                let message = format!("«error: {}»", error.message);
                self.text(&message);
                Ok(())
            }
            result => result,
        }
    }

    fn value_here(&mut self, value: Value<'a>, cell: usize, depth: usize) -> Result<()> {
        self.evaluator.check_depth(depth)?;
        let mut value = value;
        if self.options.force {
            value = self.evaluator.force(value, PosIdx::NONE)?;
        }
        while let Value::Thunk(slot) = value {
            value = slot.get();
        }
        match value {
            Value::Null => self.text("null"),
            Value::Bool(Bool::True) => self.text("true"),
            Value::Bool(Bool::False) => self.text("false"),
            Value::Int(value) => self.text(&value.to_string()),
            Value::Float(value) => self.text(&format_float(value.into())),
            Value::String(string) => {
                write_string(&mut self.out, string.bytes, self.options.max_string);
            }
            Value::Path(path) => {
                self.evaluator.observe(path.bytes);
                let shown = self.evaluator.io.shown_path(path.bytes);
                self.text(&shown);
            }
            Value::List(list) => self.list(list.items, cell, depth)?,
            Value::Attrs(attrs) => self.set(value, std::ptr::from_ref(attrs).addr(), depth)?,
            Value::Lambda(_) if self.options.hide_functions && depth > 0 => self.text("«thunk»"),
            Value::Lambda(lambda) => {
                let code = lambda.code;
                self.lambda(code, 0);
            }
            Value::Builtin(builtin) => self.text(&format!("«primop {}»", builtin.name)),
            Value::PartialApplication(partial) => match partial.function {
                Value::Builtin(builtin) => {
                    self.text(&format!("«partially applied primop {}»", builtin.name));
                }
                Value::Lambda(lambda) => self.lambda(lambda.code, partial.args.len()),
                _ => self.text("«function»"),
            },
            Value::Blackhole => self.text("«potential infinite recursion»"),
            Value::Failed(_) => self.text("«failed»"),
            Value::Thunk(_) | Value::Delayed(..) | Value::Mapped(..) | Value::Application(_) => {
                self.text("«thunk»");
            }
        }
        Ok(())
    }

    fn lambda(&mut self, code: &crate::expr::LambdaCode<'a>, parameter: usize) {
        self.text("«lambda");
        if let Some(name) = code.name.get() {
            self.text(" ");
            write_name(&mut self.out, self.evaluator.symbols.bytes(name));
        }
        let place = self.evaluator.describe_position(code.positions[parameter]);
        self.text(&format!(" @ {place}»"));
    }

    fn space(&mut self, pretty: bool) {
        if pretty {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b' ', self.indent));
        } else {
            self.out.push(b' ');
        }
    }

    /// More than one part, or one that has parts itself, goes on lines of its own.
    fn is_pretty(&mut self, parts: usize, only: Option<&'a Slot<'a>>) -> Result<bool> {
        if self.options.indent == 0 || parts == 0 {
            return Ok(false);
        }
        let Some(only) = only.filter(|_| parts == 1) else {
            return Ok(true);
        };
        let value = self.evaluator.force_slot(only, PosIdx::NONE)?;
        Ok(matches!(value, Value::List(_) | Value::Attrs(_)))
    }

    fn elided(&mut self, count: usize, what: &str) {
        let plural = if count == 1 { "" } else { "s" };
        self.text(&format!("«{count} {what}{plural} elided»"));
    }

    fn list(&mut self, items: &'a [Slot<'a>], cell: usize, depth: usize) -> Result<()> {
        if self.options.track_repeated && !items.is_empty() && !self.seen.insert(cell) {
            self.text("«repeated»");
            return Ok(());
        }
        if depth >= self.options.max_depth {
            self.text("[ ... ]");
            return Ok(());
        }
        self.indent += self.options.indent;
        self.text("[");
        let pretty = self.is_pretty(items.len(), items.first())?;
        for (index, item) in items.iter().enumerate() {
            self.space(pretty);
            if self.items >= self.options.max_list_items {
                self.elided(items.len() - index, "item");
                break;
            }
            self.slot(item, depth + 1)?;
            self.items += 1;
        }
        self.indent -= self.options.indent;
        self.space(pretty);
        self.text("]");
        Ok(())
    }

    fn set(&mut self, value: Value<'a>, address: usize, depth: usize) -> Result<()> {
        let Value::Attrs(attrs) = value else {
            return Ok(());
        };
        let address = if attrs.is_the_empty_set() {
            usize::MAX
        } else {
            address
        };
        if self.options.track_repeated && !self.seen.insert(address) {
            self.text("«repeated»");
            return Ok(());
        }
        if self.options.force
            && self.options.derivation_paths
            && self.evaluator.is_derivation(value)?
        {
            return self.derivation(attrs);
        }
        if depth >= self.options.max_depth {
            self.text("{ ... }");
            return Ok(());
        }
        let mut sorted: Vec<AttrRef<'a>> = attrs.entries(self.evaluator.arena).iter().collect();
        let symbols = &self.evaluator.symbols;
        if self.options.max_attrs == usize::MAX {
            sorted.sort_by(|l, r| symbols.compare(l.name, r.name));
        } else {
            let rank = |attr: &AttrRef<'_>| !matches!(symbols.bytes(attr.name), b"type" | b"_type");
            sorted.sort_by(|l, r| rank(l).cmp(&rank(r)).then(symbols.compare(l.name, r.name)));
        }
        self.indent += self.options.indent;
        self.text("{");
        let pretty = self.is_pretty(sorted.len(), sorted.first().map(|attr| attr.value))?;
        for (index, attr) in sorted.iter().enumerate() {
            self.space(pretty);
            if self.attrs >= self.options.max_attrs {
                self.elided(sorted.len() - index, "attribute");
                break;
            }
            write_name(&mut self.out, self.evaluator.symbols.bytes(attr.name));
            self.text(" = ");
            self.slot(attr.value, depth + 1)?;
            self.text(";");
            self.attrs += 1;
        }
        self.indent -= self.options.indent;
        self.space(pretty);
        self.text("}");
        Ok(())
    }

    fn derivation(&mut self, attrs: &'a crate::attrs::Attrs<'a>) -> Result<()> {
        let mut shown = b" ".to_vec();
        if let Some(attr) = attrs.get(self.evaluator.names.drv_path) {
            let mut context = crate::context::ContextBuilder::default();
            let what = "while evaluating the drvPath of a derivation";
            let path = self.evaluator.coerce_to_string(
                attr.value.share(),
                attr.position,
                &mut context,
                what,
                crate::eval::Coercion::PLAIN,
            )?;
            shown.extend_from_slice(path);
        } else {
            shown.clear();
        }
        self.text("«derivation");
        self.out.extend_from_slice(&shown);
        self.text("»");
        Ok(())
    }
}

/// A float as C++ streams print it: six significant digits, no trailing zeros.
pub(crate) fn format_float(value: f64) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let digits = usize::try_from(5 - exponent).unwrap_or(0);
        return strip_zeros(&format!("{value:.digits$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", strip_zeros(mantissa), exponent.abs())
}

fn strip_zeros(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

/// A string literal; at most `most` bytes of it.
pub(crate) fn write_string(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    out.push(b'"');
    for (index, &byte) in bytes.iter().enumerate() {
        if index >= most {
            let count = bytes.len() - index;
            let plural = if count == 1 { "" } else { "s" };
            out.extend_from_slice(format!("\" «{count} byte{plural} elided»").as_bytes());
            return;
        }
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'$' if bytes.get(index + 1) == Some(&b'{') => out.extend_from_slice(b"\\$"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
