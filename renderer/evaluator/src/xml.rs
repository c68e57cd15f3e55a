//! Values as XML (`toXML`, `nix-instantiate --xml`).

use rustc_hash::FxHashSet;

use crate::attrs::{AttrRef, Attrs};
use crate::context::ContextBuilder;
use crate::eval::{Evaluator, Result};
use crate::position::{Origin, PosIdx};
use crate::print::format_float;
use crate::value::{Lambda, Value};

/// How values become XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlOptions {
    /// Evaluate what is not there yet; otherwise that is `<unevaluated />`.
    pub strict: bool,
    /// Say where attributes and functions are defined.
    pub location: bool,
}

impl XmlOptions {
    /// What `builtins.toXML` does.
    pub const TO_XML: XmlOptions = XmlOptions {
        strict: true,
        location: false,
    };
}

impl<'a> Evaluator<'a> {
    /// A value as an XML document. What its strings refer to is added to `context`.
    pub fn to_xml(
        &mut self,
        value: Value<'a>,
        options: XmlOptions,
        context: &mut ContextBuilder,
    ) -> Result<Vec<u8>> {
        self.on_stack(|evaluator| {
            let mut writer = Writer {
                evaluator,
                options,
                context,
                out: Vec::from(&b"<?xml version='1.0' encoding='utf-8'?>\n<expr>\n"[..]),
                depth: 1,
                seen: FxHashSet::default(),
            };
            writer.value(value, PosIdx::NONE)?;
            writer.close("expr");
            Ok(writer.out)
        })
    }
}

/// Attributes of an element, sorted by name.
type XmlAttrs<'x> = [(&'static str, &'x [u8])];

struct Writer<'w, 'a> {
    evaluator: &'w mut Evaluator<'a>,
    options: XmlOptions,
    context: &'w mut ContextBuilder,
    out: Vec<u8>,
    depth: usize,
    /// Derivations that were written in full.
    seen: FxHashSet<Vec<u8>>,
}

impl<'a> Writer<'_, 'a> {
    fn tag(&mut self, name: &str, attrs: &XmlAttrs<'_>, end: &str) {
        self.out.extend(std::iter::repeat_n(b' ', 2 * self.depth));
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        for (name, value) in attrs {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"=\"");
            for &byte in *value {
                match byte {
                    b'"' => self.out.extend_from_slice(b"&quot;"),
                    b'<' => self.out.extend_from_slice(b"&lt;"),
                    b'>' => self.out.extend_from_slice(b"&gt;"),
                    b'&' => self.out.extend_from_slice(b"&amp;"),
                    b'\n' => self.out.extend_from_slice(b"&#xA;"),
                    byte => self.out.push(byte),
                }
            }
            self.out.push(b'"');
        }
        self.out.extend_from_slice(end.as_bytes());
        self.out.push(b'\n');
    }

    fn open(&mut self, name: &str, attrs: &XmlAttrs<'_>) {
        self.tag(name, attrs, ">");
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.out.extend(std::iter::repeat_n(b' ', 2 * self.depth));
        self.out
            .extend_from_slice(format!("</{name}>\n").as_bytes());
    }

    fn empty(&mut self, name: &str, attrs: &XmlAttrs<'_>) {
        self.tag(name, attrs, " />");
    }

    fn scalar(&mut self, name: &str, value: &[u8]) {
        self.empty(name, &[("value", value)]);
    }

    fn value(&mut self, value: Value<'a>, position: PosIdx) -> Result<()> {
        self.evaluator.enter_call(position)?;
        let result = self.value_here(value, position);
        self.evaluator.leave_call();
        result
    }

    /// The value; forced if everything is.
    fn known(&mut self, value: Value<'a>, position: PosIdx) -> Result<Value<'a>> {
        match value {
            Value::Thunk(_) if self.options.strict => self.evaluator.force(value, position),
            Value::Thunk(slot) => Ok(slot.share()),
            value => Ok(value),
        }
    }

    fn value_here(&mut self, value: Value<'a>, position: PosIdx) -> Result<()> {
        self.evaluator.check_depth(0)?;
        self.evaluator.make_room(self.out.len())?;
        let value = self.known(value, position)?;
        match value {
            Value::Null => self.empty("null", &[]),
            Value::Bool(value) => {
                self.scalar("bool", if value.into() { b"true" } else { b"false" });
            }
            Value::Int(value) => self.scalar("int", value.to_string().as_bytes()),
            Value::Float(value) => self.scalar("float", format_float(value.into()).as_bytes()),
            Value::String(string) => {
                self.context.add(string.context);
                self.scalar("string", string.bytes);
            }
            Value::Path(path) => {
                self.evaluator.io.observed(path.bytes);
                self.scalar("path", path.bytes);
            }
            Value::List(list) => {
                self.open("list", &[]);
                for item in list.items {
                    self.value(item.share(), position)?;
                }
                self.close("list");
            }
            Value::Attrs(attrs) if self.evaluator.is_derivation(value)? => {
                self.derivation(attrs)?;
            }
            Value::Attrs(attrs) => {
                self.open("attrs", &[]);
                self.attrs(attrs)?;
                self.close("attrs");
            }
            Value::Lambda(lambda) => self.function(lambda, 0),
            Value::PartialApplication(partial) => match partial.function {
                Value::Lambda(lambda) => self.function(lambda, partial.args.len()),
                _ => self.empty("unevaluated", &[]),
            },
            _ => self.empty("unevaluated", &[]),
        }
        Ok(())
    }

    fn attrs(&mut self, attrs: &'a Attrs<'a>) -> Result<()> {
        let mut sorted: Vec<AttrRef<'a>> = attrs.entries(self.evaluator.arena).iter().collect();
        let symbols = &self.evaluator.symbols;
        sorted.sort_unstable_by(|l, r| symbols.compare(l.name, r.name));
        for attr in sorted {
            let name = self.evaluator.symbols.bytes(attr.name);
            self.open_at("attr", attr.position, Some(name));
            self.value(attr.value.share(), attr.position)?;
            self.close("attr");
        }
        Ok(())
    }

    /// Opens an element with its place, if that is asked for and known, and its name, if it has one.
    fn open_at(&mut self, element: &str, position: PosIdx, name: Option<&[u8]>) {
        let position = match self.evaluator.positions.resolve(position) {
            Some(position) if self.options.location => Some((
                position.column.to_string(),
                position.line.to_string(),
                match position.origin {
                    Origin::File(path) => Some(path.clone()),
                    _ => None,
                },
            )),
            _ => None,
        };
        let mut attrs: Vec<(&'static str, &[u8])> = Vec::with_capacity(4);
        if let Some((column, line, _)) = &position {
            attrs.push(("column", column.as_bytes()));
            attrs.push(("line", line.as_bytes()));
        }
        attrs.extend(name.map(|name| ("name", name)));
        if let Some((_, _, Some(path))) = &position {
            attrs.push(("path", path));
        }
        self.open(element, &attrs);
    }

    fn derivation(&mut self, attrs: &'a Attrs<'a>) -> Result<()> {
        let names = self.evaluator.names;
        let mut paths = [None; 2];
        for (path, name) in paths.iter_mut().zip([names.drv_path, names.out_path]) {
            if let Some(attr) = attrs.get(name)
                && let Value::String(string) = self.known(attr.value.share(), attr.position)?
            {
                *path = Some(string.bytes);
            }
        }
        let [drv_path, out_path] = paths;
        let drv_path_attr = drv_path.map(|path| ("drvPath", path));
        let out_path_attr = out_path.map(|path| ("outPath", path));
        let shown: Vec<_> = drv_path_attr.into_iter().chain(out_path_attr).collect();
        self.open("derivation", &shown);
        let drv_path = drv_path.unwrap_or_default();
        if !drv_path.is_empty() && self.seen.insert(drv_path.to_vec()) {
            self.attrs(attrs)?;
        } else {
            self.empty("repeated", &[]);
        }
        self.close("derivation");
        Ok(())
    }

    /// A function that has got `given` arguments already.
    fn function(&mut self, lambda: &'a Lambda<'a>, given: usize) {
        let code = lambda.code;
        self.open_at("function", code.positions[given], None);
        let pattern = code.pattern.as_ref().filter(|_| given + 1 == code.arity());
        if let Some(pattern) = pattern {
            let symbols = &self.evaluator.symbols;
            let mut formals: Vec<_> = pattern.formals.iter().map(|formal| formal.name).collect();
            formals.sort_unstable_by(|l, r| symbols.compare(*l, *r));
            let ellipsis = pattern.ellipsis.then_some(("ellipsis", &b"1"[..]));
            let name = pattern.at.map(|name| ("name", symbols.bytes(name)));
            let shown: Vec<_> = ellipsis.into_iter().chain(name).collect();
            self.open("attrspat", &shown);
            for formal in formals {
                let name = self.evaluator.symbols.bytes(formal);
                self.empty("attr", &[("name", name)]);
            }
            self.close("attrspat");
        } else if let Some(&parameter) = code.params.get(given) {
            let name = self.evaluator.symbols.bytes(parameter);
            self.empty("varpat", &[("name", name)]);
        }
        self.close("function");
    }
}
