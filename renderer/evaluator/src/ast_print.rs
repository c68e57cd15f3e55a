//! Prints a tree as `nix-instantiate --parse` does.
//!
//! This is not a formatter: it shows what the parser made of a file, with every operator, call and merged set spelled
//! out, and is what the parser is compared with C++ Nix by.

use crate::ast::{
    Ast, AttrName, AttrPath, BinaryOp, BindingValue, BindingsId, Children, Name, Node, NodeId,
    PatternId,
};
use crate::print;

/// Where relative and home paths lead.
#[derive(Clone, Copy, Debug)]
pub struct PathContext<'a> {
    /// The absolute path of the folder that the file lies in.
    pub base: &'a [u8],
    /// The absolute path of the user's home.
    pub home: &'a [u8],
}

/// Prints the whole tree; nothing for a tree without a root.
pub fn print(ast: &Ast, paths: PathContext<'_>) -> Vec<u8> {
    let mut printer = Printer {
        ast,
        paths,
        out: Vec::new(),
    };
    if let Some(root) = ast.root {
        printer.node(root);
    }
    printer.out
}

/// Appends `name` as an identifier, or as a string literal where it is none.
pub fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    const RESERVED: [&[u8]; 9] = [
        b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit",
    ];
    let starts = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let continues = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\'' | b'-');
    if name.first().is_some_and(starts) && name.iter().all(continues) && !RESERVED.contains(&name) {
        out.extend_from_slice(name);
    } else {
        write_string(out, name);
    }
}

/// Appends `string` as a string literal.
pub fn write_string(out: &mut Vec<u8>, string: &[u8]) {
    print::write_string(out, string, usize::MAX);
}

struct Printer<'a> {
    ast: &'a Ast,
    paths: PathContext<'a>,
    out: Vec<u8>,
}

impl Printer<'_> {
    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn name(&mut self, name: Name) {
        write_name(&mut self.out, self.ast.name(name));
    }

    fn node(&mut self, id: NodeId) {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.node_here(id));
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a table: one arm for each kind of node"
    )]
    fn node_here(&mut self, id: NodeId) {
        match self.ast.node(id) {
            Node::Int(value) => self.put(&value.to_string()),
            Node::Float(value) => self.out.extend(print::format_float(value).bytes()),
            Node::String(text) => write_string(&mut self.out, self.ast.text(text)),
            Node::Interpolation(parts) | Node::PathInterpolation(parts) => {
                self.sum(self.ast.children(parts));
            }
            Node::Path(text) => self.path(self.ast.text(text)),
            Node::Var(name) => self.name(name),
            Node::CurPos => self.put("__curPos"),
            Node::Select {
                base,
                path,
                default,
            } => {
                self.put("(");
                self.node(base);
                self.put(").");
                self.attr_path(path);
                if let Some(default) = default {
                    self.put(" or (");
                    self.node(default);
                    self.put(")");
                }
            }
            Node::HasAttr { base, path } => {
                self.put("((");
                self.node(base);
                self.put(") ? ");
                self.attr_path(path);
                self.put(")");
            }
            Node::Apply { .. } | Node::SearchPath(_) | Node::Negate(_) => self.call(id),
            Node::Lambda { param, body } => {
                self.put("(");
                self.name(param);
                self.put(": ");
                self.node(body);
                self.put(")");
            }
            Node::PatternLambda { pattern, body } => self.pattern_lambda(pattern, body),
            Node::Let { bindings, body } => {
                self.put("(let ");
                self.bindings(bindings);
                self.put("in ");
                self.node(body);
                self.put(")");
            }
            Node::Attrs(bindings) => {
                if self.ast.bindings(bindings).recursive {
                    self.put("rec ");
                }
                self.put("{ ");
                self.bindings(bindings);
                self.put("}");
            }
            Node::List(elements) => {
                self.put("[ ");
                for &element in self.ast.children(elements) {
                    self.put("(");
                    self.node(element);
                    self.put(") ");
                }
                self.put("]");
            }
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                self.put("(if ");
                self.node(condition);
                self.put(" then ");
                self.node(then);
                self.put(" else ");
                self.node(otherwise);
                self.put(")");
            }
            Node::Assert { condition, body } => {
                self.put("assert ");
                self.node(condition);
                self.put("; ");
                self.node(body);
            }
            Node::With { scope, body } => {
                self.put("(with ");
                self.node(scope);
                self.put("; ");
                self.node(body);
                self.put(")");
            }
            Node::Not(operand) => {
                self.put("(! ");
                self.node(operand);
                self.put(")");
            }
            Node::Binary { op, left, right } => self.binary(id, op, left, right),
        }
    }

    fn sum(&mut self, parts: &[NodeId]) {
        self.put("(");
        for (index, &part) in parts.iter().enumerate() {
            if index > 0 {
                self.put(" + ");
            }
            self.node(part);
        }
        self.put(")");
    }

    fn binary(&mut self, id: NodeId, op: BinaryOp, left: NodeId, right: NodeId) {
        let symbol = match op {
            BinaryOp::Add => return self.sum(&[left, right]),
            BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Less | BinaryOp::Greater => {
                return self.call(id);
            }
            BinaryOp::LessEq | BinaryOp::GreaterEq => {
                self.put("(! ");
                self.call(id);
                return self.put(")");
            }
            BinaryOp::Concat => " ++ ",
            BinaryOp::Update => " // ",
            BinaryOp::Eq => " == ",
            BinaryOp::NotEq => " != ",
            BinaryOp::And => " && ",
            BinaryOp::Or => " || ",
            BinaryOp::Implies => " -> ",
        };
        self.put("(");
        self.node(left);
        self.put(symbol);
        self.node(right);
        self.put(")");
    }

    /// Everything that is a call in C++ Nix.
    fn call(&mut self, id: NodeId) {
        self.put("(");
        self.open_call(id);
        self.put(")");
    }

    /// A function and its arguments; if the function is itself a call, its function and all arguments.
    fn open_call(&mut self, id: NodeId) {
        let (builtin, operands) = match self.ast.node(id) {
            Node::Apply { function, args } => {
                if self.stays_a_call_of_its_own(function, args) {
                    self.node(function);
                } else {
                    stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.open_call(function));
                }
                return self.arguments(args);
            }
            Node::SearchPath(text) => {
                self.put("__findFile __nixPath ");
                return write_string(&mut self.out, self.ast.text(text));
            }
            Node::Negate(operand) => {
                self.put("__sub 0 ");
                return self.node(operand);
            }
            Node::Binary {
                op: BinaryOp::Sub,
                left,
                right,
            } => ("__sub", [left, right]),
            Node::Binary {
                op: BinaryOp::Mul,
                left,
                right,
            } => ("__mul", [left, right]),
            Node::Binary {
                op: BinaryOp::Div,
                left,
                right,
            } => ("__div", [left, right]),
            Node::Binary {
                op: BinaryOp::Less | BinaryOp::GreaterEq,
                left,
                right,
            } => ("__lessThan", [left, right]),
            Node::Binary {
                op: BinaryOp::Greater | BinaryOp::LessEq,
                left,
                right,
            } => ("__lessThan", [right, left]),
            _ => return self.node(id),
        };
        self.put(builtin);
        for operand in operands {
            self.put(" ");
            self.node(operand);
        }
    }

    /// Whether the function of a call is not itself a call whose arguments come first: `a <= b` is a negation of one,
    /// and `(f x) or` is left as it is written.
    fn stays_a_call_of_its_own(&self, function: NodeId, args: Children) -> bool {
        let negation = matches!(
            self.ast.node(function),
            Node::Binary {
                op: BinaryOp::LessEq | BinaryOp::GreaterEq,
                ..
            }
        );
        // No other variable can have this name: elsewhere it is a keyword.
        let or = self.ast.children(args).first().is_some_and(|&first| {
            matches!(self.ast.node(first), Node::Var(name) if self.ast.name(name) == b"or")
        });
        negation || or
    }

    fn arguments(&mut self, args: Children) {
        for &argument in self.ast.children(args) {
            self.put(" ");
            self.node(argument);
        }
    }

    fn attr_path(&mut self, path: AttrPath) {
        for (index, &name) in self.ast.attr_path(path).iter().enumerate() {
            if index > 0 {
                self.put(".");
            }
            match name {
                AttrName::Static(name) => self.name(name),
                AttrName::Dynamic(node) => self.dynamic_name(node),
            }
        }
    }

    fn dynamic_name(&mut self, node: NodeId) {
        self.put("\"${");
        self.node(node);
        self.put("}\"");
    }

    fn pattern_lambda(&mut self, pattern: PatternId, body: NodeId) {
        let pattern = self.ast.pattern(pattern);
        let mut formals: Vec<_> = pattern.formals.iter().collect();
        formals.sort_by_key(|formal| self.ast.name(formal.name));
        self.put("({ ");
        for (index, formal) in formals.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            self.name(formal.name);
            if let Some(default) = formal.default {
                self.put(" ? ");
                self.node(default);
            }
        }
        if pattern.ellipsis {
            self.put(if formals.is_empty() { "..." } else { ", ..." });
        }
        self.put(" }");
        if let Some(at) = pattern.at {
            self.put(" @ ");
            self.name(at);
        }
        self.put(": ");
        self.node(body);
        self.put(")");
    }

    /// All bindings by name: first those inherited, then those inherited from somewhere, then the others.
    fn bindings(&mut self, id: BindingsId) {
        let bindings = self.ast.bindings(id);
        let mut entries: Vec<_> = bindings.entries.iter().collect();
        entries.sort_by_key(|entry| self.ast.name(entry.name));

        let mut inherited = entries
            .iter()
            .filter(|entry| entry.value == BindingValue::Inherit)
            .peekable();
        if inherited.peek().is_some() {
            self.put("inherit");
            for entry in inherited {
                self.put(" ");
                self.name(entry.name);
            }
            self.put("; ");
        }

        let mut inherited_from: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry.value {
                BindingValue::InheritFrom(source) => Some((source, entry.name)),
                BindingValue::Inherit | BindingValue::Plain(_) => None,
            })
            .collect();
        inherited_from.sort_by_key(|&(source, _)| source);
        for group in inherited_from.chunk_by(|a, b| a.0 == b.0) {
            self.put("inherit (");
            self.node(bindings.inherit_from[group[0].0 as usize]);
            self.put(")");
            for &(_, name) in group {
                self.put(" ");
                self.name(name);
            }
            self.put("; ");
        }

        for entry in entries {
            if let BindingValue::Plain(value) = entry.value {
                self.name(entry.name);
                self.put(" = ");
                self.node(value);
                self.put("; ");
            }
        }
        for dynamic in &bindings.dynamic {
            self.dynamic_name(dynamic.name);
            self.put(" = ");
            self.node(dynamic.value);
            self.put("; ");
        }
    }

    fn path(&mut self, literal: &[u8]) {
        match literal {
            [b'~', rest @ ..] => {
                self.out.extend_from_slice(self.paths.home);
                self.out.extend_from_slice(rest);
            }
            [b'/', ..] => self.out.extend(absolute_path(b"", literal)),
            _ => self.out.extend(absolute_path(self.paths.base, literal)),
        }
        if literal.len() > 1 && literal.ends_with(b"/") && literal[0] != b'~' {
            self.out.push(b'/');
        }
    }
}

/// `path` below `base`, without `.`, `..` and doubled or trailing slashes.
fn absolute_path(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in base
        .split(|&byte| byte == b'/')
        .chain(path.split(|&byte| byte == b'/'))
    {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    if segments.is_empty() {
        return b"/".to_vec();
    }
    let mut absolute = Vec::new();
    for segment in segments {
        absolute.push(b'/');
        absolute.extend_from_slice(segment);
    }
    absolute
}
