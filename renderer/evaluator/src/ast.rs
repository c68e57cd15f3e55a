//! The syntax tree of one Nix file, as the parser leaves it.
//!
//! Nodes live in one vector and name each other by index, so a tree is one allocation-light value that can be made on
//! any thread and handed over. Nothing is resolved yet: variables are names, names are numbers local to the file.
//! Attribute paths (`a.b.c = 1;`) and repeated sets are already merged into nested [`Bindings`], and duplicates are
//! already refused, as C++ Nix does both while parsing.

use std::ops::Range;

/// A node of an [`Ast`]: an index into [`Ast::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A name as the file has it (variable, attribute): an index into [`Ast::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub u32);

/// Bytes of a string or path literal: a range of [`Ast::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

/// A run of children: a range of [`Ast::children`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Children {
    /// First child.
    pub start: u32,
    /// Number of children.
    pub len: u32,
}

/// A run of [`AttrName`]s: a range of [`Ast::attr_names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttrPath {
    /// First name.
    pub start: u32,
    /// Number of names, at least one.
    pub len: u32,
}

/// One step of an attribute path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrName {
    /// `a`, `"a"`: known while parsing.
    Static(Name),
    /// `${e}` or `"x${e}"`: known only when evaluated.
    Dynamic(NodeId),
}

/// Index into [`Ast::bindings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingsId(pub u32);

/// Index into [`Ast::patterns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternId(pub u32);

/// Operators with two operands. `a > b` and `a >= b` stay as they are written here; `|>` and `<|` become [`Node::Apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `++`
    Concat,
    /// `//`
    Update,
    /// `==`
    Eq,
    /// `!=`
    NotEq,
    /// `<`
    Less,
    /// `<=`
    LessEq,
    /// `>`
    Greater,
    /// `>=`
    GreaterEq,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `->`
    Implies,
}

/// One expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// An integer literal.
    Int(i64),
    /// A float literal.
    Float(f64),
    /// A string without interpolation (escapes and indentation done), or a bare URI.
    String(Text),
    /// A string with interpolation: the parts in order, literal ones as [`Node::String`].
    Interpolation(Children),
    /// A path literal as written: `/a`, `./a`, `../a`, `~/a`.
    Path(Text),
    /// A path with interpolation (`./a/${b}`): the parts in order, the first a [`Node::Path`] with its trailing slash kept.
    PathInterpolation(Children),
    /// `<nixpkgs>`: the text between the angle brackets.
    SearchPath(Text),
    /// A variable.
    Var(Name),
    /// `__curPos`
    CurPos,
    /// `base.path` or `base.path or default`
    Select {
        /// What is selected from.
        base: NodeId,
        /// The path.
        path: AttrPath,
        /// After `or`.
        default: Option<NodeId>,
    },
    /// `base ? path`
    HasAttr {
        /// What is asked.
        base: NodeId,
        /// The path.
        path: AttrPath,
    },
    /// `f a b c`: all arguments that stand after one function.
    Apply {
        /// The function.
        function: NodeId,
        /// At least one argument.
        args: Children,
    },
    /// `x: body`, of one parameter.
    Lambda {
        /// The parameter.
        param: Name,
        /// The body.
        body: NodeId,
    },
    /// `{ a, b ? 1, ... }@args: body`
    PatternLambda {
        /// The parameters.
        pattern: PatternId,
        /// The body.
        body: NodeId,
    },
    /// `let … in body`
    Let {
        /// Never with dynamic names.
        bindings: BindingsId,
        /// The body.
        body: NodeId,
    },
    /// `{ … }` or `rec { … }`; `let { … }` is a select of `body` from the recursive set.
    Attrs(BindingsId),
    /// `[ … ]`
    List(Children),
    /// `if … then … else …`
    If {
        /// The condition.
        condition: NodeId,
        /// Taken on true.
        then: NodeId,
        /// Taken on false.
        otherwise: NodeId,
    },
    /// `assert condition; body`
    Assert {
        /// The condition.
        condition: NodeId,
        /// The body.
        body: NodeId,
    },
    /// `with scope; body`
    With {
        /// The set.
        scope: NodeId,
        /// The body.
        body: NodeId,
    },
    /// Two operands.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left.
        left: NodeId,
        /// Right.
        right: NodeId,
    },
    /// `!e`
    Not(NodeId),
    /// `-e` (C++ Nix: `__sub 0 e`)
    Negate(NodeId),
}

/// The attributes of a set or of a `let`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    /// `rec { }`, and every `let`.
    pub recursive: bool,
    /// Static names, each once, in the order in which they first stand in the file.
    pub entries: Vec<Binding>,
    /// The `e` of each `inherit (e) …;`, in order.
    pub inherit_from: Vec<NodeId>,
    /// Names known only when evaluated, in order.
    pub dynamic: Vec<DynamicBinding>,
}

/// `name = value;` or one name of an `inherit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binding {
    /// The name.
    pub name: Name,
    /// Where the name stands: a byte offset.
    pub position: u32,
    /// What it is bound to.
    pub value: BindingValue,
}

/// What a name is bound to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BindingValue {
    /// `name = e;`
    Plain(NodeId),
    /// `inherit name;`: the variable of the enclosing scope.
    Inherit,
    /// `inherit (e) name;`: index into [`Bindings::inherit_from`].
    InheritFrom(u32),
}

/// `${name} = value;`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicBinding {
    /// Gives the name (or null: no attribute).
    pub name: NodeId,
    /// Where the name stands: a byte offset.
    pub position: u32,
    /// What it is bound to.
    pub value: NodeId,
}

/// `{ a, b ? e, ... }@args`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pattern {
    /// The parameters, in the file's order, each name once.
    pub formals: Vec<Formal>,
    /// `...` stands in it.
    pub ellipsis: bool,
    /// `args@{ … }` or `{ … }@args`
    pub at: Option<Name>,
}

/// One name of a [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Formal {
    /// The name.
    pub name: Name,
    /// Where it stands: a byte offset.
    pub position: u32,
    /// After `?`.
    pub default: Option<NodeId>,
}

/// A part of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte: an offset.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Something that Nix takes but may warn of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is.
    pub kind: RemarkKind,
    /// Where it stands: the literal, or the call.
    pub span: Span,
}

/// Kinds of [`Remark`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemarkKind {
    /// A call of something with the variable `or` that other versions of Nix read differently.
    /// [`crate::parser::or_warning`] makes the text.
    OrCall,
    /// A URL without quotes.
    UrlLiteral,
    /// `/a`
    AbsolutePath,
    /// `~/a`
    HomePath,
    /// `a/b`
    ShortPath,
}

/// The tree of one file.
#[derive(Clone, Debug, Default)]
pub struct Ast {
    /// All expressions. Children stand before their parents, except in sets that an attribute path began (`a.b = 1;`).
    /// Trees may be deep: nesting is limited while parsing, but `a + b + …` may be as long as the file.
    pub nodes: Vec<Node>,
    /// For each node the byte offset that C++ Nix reports for it. Where that has none (literals, `let`, `==`) it is the
    /// node's first byte or operator.
    pub positions: Vec<u32>,
    /// For each node the offset of its first byte as what it is a part of sees it: with parentheses around it, and for
    /// what is interpolated at its `${`. The operands of `+`, the parts of a string and the `e` of `inherit (e)` are
    /// reported there.
    pub starts: Vec<u32>,
    /// Runs of children.
    pub children: Vec<NodeId>,
    /// Runs of attribute names.
    pub attr_names: Vec<AttrName>,
    /// Sets and `let`s.
    pub bindings: Vec<Bindings>,
    /// Lambda patterns.
    pub patterns: Vec<Pattern>,
    /// Where each name's bytes lie in `text`; each name once.
    pub names: Vec<Text>,
    /// Bytes of names, strings and paths.
    pub text: Vec<u8>,
    /// The whole file's expression; `None` only before parsing has ended.
    pub root: Option<NodeId>,
    /// What Nix takes but may warn of, in the order in which C++ Nix does.
    pub remarks: Vec<Remark>,
}

impl Ast {
    /// The expression at `id`.
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes[id.0 as usize]
    }

    /// The byte offset reported for the expression at `id`.
    pub fn position(&self, id: NodeId) -> u32 {
        self.positions[id.0 as usize]
    }

    /// Where the expression at `id` starts for what it is a part of: a byte offset.
    pub fn start(&self, id: NodeId) -> u32 {
        self.starts[id.0 as usize]
    }

    /// The children in `run`.
    pub fn children(&self, run: Children) -> &[NodeId] {
        &self.children[range(run.start, run.len)]
    }

    /// The steps of `path`.
    pub fn attr_path(&self, path: AttrPath) -> &[AttrName] {
        &self.attr_names[range(path.start, path.len)]
    }

    /// The bytes of a literal.
    pub fn text(&self, text: Text) -> &[u8] {
        &self.text[range(text.start, text.len)]
    }

    /// The bytes of a name.
    pub fn name(&self, name: Name) -> &[u8] {
        self.text(self.names[name.0 as usize])
    }

    /// The attributes of a set or `let`.
    pub fn bindings(&self, id: BindingsId) -> &Bindings {
        &self.bindings[id.0 as usize]
    }

    /// The pattern of a lambda.
    pub fn pattern(&self, id: PatternId) -> &Pattern {
        &self.patterns[id.0 as usize]
    }
}

fn range(start: u32, len: u32) -> Range<usize> {
    start as usize..(start as usize + len as usize)
}
