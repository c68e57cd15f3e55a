//! Keys, tables and arrays.

use rustc_hash::FxHashMap;

use super::cursor::{Cursor, Region, Result, TomlError};
use super::scalars::Scalar;

/// A value of a document.
pub(super) enum Node {
    Scalar(Scalar),
    Array(Vec<Node>),
    /// The table of that number.
    Table(usize),
    /// `[[name]]`, several times.
    Tables(Vec<usize>),
}

/// How a table came to be, which decides what may be added to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As part of a longer name in a header.
    Implied,
    /// `[name]`
    Header,
    /// `a.b = …`
    Dotted,
    /// `{ … }`, or an element of an array in brackets.
    Inline,
}

struct Entry {
    node: Node,
    region: Region,
}

struct Table {
    entries: FxHashMap<Vec<u8>, Entry>,
    kind: Kind,
}

/// A whole document.
pub(super) struct Document {
    tables: Vec<Table>,
}

impl Document {
    /// The number of the outermost table.
    pub(super) const ROOT: usize = 0;

    /// The keys and values of a table.
    pub(super) fn entries(&self, table: usize) -> impl Iterator<Item = (&[u8], &Node)> {
        let entries = self.tables[table].entries.iter();
        entries.map(|(key, entry)| (&key[..], &entry.node))
    }
}

/// What a key stands before.
enum Adding {
    /// `[name]`
    Header,
    /// `[[name]]`
    ArrayHeader,
    /// `name = value`
    Value(Node, Region),
}

/// Arrays and inline tables nested deeper than this are refused.
const MOST_NESTED: usize = 10_000;

pub(super) fn parse(text: &[u8]) -> Result<Document> {
    let mut parser = Parser {
        cursor: Cursor { text, place: 0 },
        tables: Vec::new(),
        depth: 0,
    };
    parser.cursor.take(b"\xEF\xBB\xBF");
    parser.new_table(Kind::Header);
    parser.document()?;
    Ok(Document {
        tables: parser.tables,
    })
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    tables: Vec<Table>,
    depth: usize,
}

impl Parser<'_> {
    fn new_table(&mut self, kind: Kind) -> usize {
        self.tables.push(Table {
            entries: FxHashMap::default(),
            kind,
        });
        self.tables.len() - 1
    }

    fn document(&mut self) -> Result<()> {
        let mut table = Document::ROOT;
        loop {
            self.cursor.skip_blank_lines()?;
            match self.cursor.peek() {
                None => return Ok(()),
                Some(b'[') => table = self.header()?,
                Some(_) => {
                    self.key_value(table)?;
                    self.end_of_line(
                        "toml::parse_table: newline (LF / CRLF) or EOF is expected",
                        "here",
                    )?;
                }
            }
        }
    }

    fn end_of_line(&mut self, title: &str, what: &'static str) -> Result<()> {
        self.cursor.skip_blanks();
        self.cursor.skip_comment()?;
        if self.cursor.peek().is_none() || self.cursor.take_newline() {
            return Ok(());
        }
        Err(self.cursor.error(title, what))
    }

    /// `[name]` or `[[name]]`: the table that what follows belongs to.
    fn header(&mut self) -> Result<usize> {
        let start = self.cursor.place;
        let array = self.cursor.take(b"[[");
        let (title, close, expected, adding) = if array {
            (
                "toml::parse_file: invalid array-table key",
                &b"]]"[..],
                "expected ]]",
                Adding::ArrayHeader,
            )
        } else {
            self.cursor.take(b"[");
            (
                "toml::parse_file: invalid table key",
                &b"]"[..],
                "expected ]",
                Adding::Header,
            )
        };
        self.cursor.skip_blanks();
        if !self.cursor.peek().is_some_and(starts_key) {
            return Err(self.cursor.error(
                title,
                "expected basic key([a-zA-Z0-9_-]) or quoted key(\" or ')",
            ));
        }
        let keys = self.key()?;
        self.cursor.skip_blanks();
        if !self.cursor.take(close) {
            return Err(self.cursor.error(title, expected));
        }
        let region = Region {
            start,
            len: self.cursor.place - start,
        };
        let table = self.insert(Document::ROOT, keys, region, adding)?;
        self.end_of_line(
            "toml::parse_file: newline (or EOF) expected",
            "expected 0x0a(LINE FEED) or",
        )?;
        Ok(table)
    }

    fn key_value(&mut self, table: usize) -> Result<()> {
        let start = self.cursor.place;
        let keys = self.key()?;
        let region = Region {
            start,
            len: self.cursor.place - start,
        };
        self.cursor.skip_blanks();
        if !self.cursor.take(b"=") {
            return Err(self.cursor.error(
                "toml::parse_key_value_pair: invalid key value separator `=`",
                "expected =",
            ));
        }
        self.cursor.skip_blanks();
        let start = self.cursor.place;
        let node = self.value()?;
        let value = Region {
            start,
            len: self.cursor.place - start,
        };
        self.insert(table, keys, region, Adding::Value(node, value))?;
        Ok(())
    }

    /// Names with dots between them; the place is left behind the last one.
    fn key(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        loop {
            keys.push(self.simple_key()?);
            let end = self.cursor.place;
            self.cursor.skip_blanks();
            if !self.cursor.take(b".") {
                self.cursor.place = end;
                return Ok(keys);
            }
            self.cursor.skip_blanks();
        }
    }

    fn simple_key(&mut self) -> Result<Vec<u8>> {
        let start = self.cursor.place;
        match self.cursor.peek() {
            // Quoted keys have one line: three quotes are an empty key and the start of another string.
            Some(b'"' | b'\'')
                if self.cursor.looking_at(b"\"\"") || self.cursor.looking_at(b"''") =>
            {
                self.cursor.place += 2;
                Ok(Vec::new())
            }
            Some(b'"' | b'\'') => self.cursor.string(),
            _ => {
                self.cursor.skip_while(is_bare);
                if self.cursor.place == start {
                    let error = self.cursor.error(
                        "toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.",
                        "expected alpha [a-zA-Z], digit [0-9], -, or _",
                    );
                    return Err(error.hints(&[
                        "non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.",
                    ]));
                }
                Ok(self.cursor.text[start..self.cursor.place].to_vec())
            }
        }
    }

    fn value(&mut self) -> Result<Node> {
        if !matches!(self.cursor.peek(), Some(b'[' | b'{')) {
            return self.cursor.scalar().map(Node::Scalar);
        }
        if self.depth == MOST_NESTED {
            let title = "toml::parse_value: nested too deeply";
            return Err(self.cursor.error(title, "here"));
        }
        self.depth += 1;
        let node = if self.cursor.peek() == Some(b'[') {
            self.array()
        } else {
            self.inline_table()
        };
        self.depth -= 1;
        node
    }

    fn array(&mut self) -> Result<Node> {
        self.cursor.take(b"[");
        let mut items = Vec::new();
        loop {
            self.cursor.skip_blank_lines()?;
            if self.cursor.take(b"]") {
                return Ok(Node::Array(items));
            }
            if self.cursor.peek().is_some() {
                items.push(self.value()?);
                self.cursor.skip_blank_lines()?;
                if self.cursor.take(b",") || self.cursor.looking_at(b"]") {
                    continue;
                }
            }
            return Err(if self.cursor.peek().is_none() {
                let title = "toml::parse_array: missing closing bracket `]`";
                self.cursor
                    .error(title, "expected `]`, reached EOF")
                    .unfinished()
            } else {
                let title = "toml::parse_array: expected value-separator `,` or closing `]`";
                self.cursor.error(title, "here")
            });
        }
    }

    fn inline_table(&mut self) -> Result<Node> {
        self.cursor.take(b"{");
        let table = self.new_table(Kind::Dotted);
        self.cursor.skip_blanks();
        if self.cursor.take(b"}") {
            self.tables[table].kind = Kind::Inline;
            return Ok(Node::Table(table));
        }
        loop {
            self.key_value(table)?;
            self.cursor.skip_blanks();
            if self.cursor.take(b"}") {
                self.tables[table].kind = Kind::Inline;
                return Ok(Node::Table(table));
            }
            if !self.cursor.take(b",") {
                return Err(self.cursor.error(
                    "toml::parse_inline_table: expected value-separator `,` or closing `}`",
                    "here",
                ));
            }
            self.cursor.skip_blanks();
            if self.cursor.looking_at(b"}") {
                return Err(self.cursor.error(
                    "toml::parse_inline_table: trailing comma is not allowed in TOML-v1.0.0)",
                    "here",
                ));
            }
        }
    }

    /// Adds a header's table, which is returned, or a value, to the tables that its key leads through.
    fn insert(
        &mut self,
        mut table: usize,
        mut keys: Vec<Vec<u8>>,
        region: Region,
        adding: Adding,
    ) -> Result<usize> {
        let Some(last) = keys.pop() else {
            return Ok(table);
        };
        let dotted = matches!(adding, Adding::Value(..));
        for key in keys {
            table = self.enter(table, key, region, dotted)?;
        }
        match adding {
            Adding::Value(node, value_region) => {
                if let Some(known) = self.tables[table].entries.get(&last) {
                    let title =
                        "toml::insert_value: failed to insert a value, value already exists";
                    let error = TomlError::new(title, region, "inserting this");
                    return Err(error.and(known.region, "but value already exists"));
                }
                let entry = Entry {
                    node,
                    region: value_region,
                };
                self.tables[table].entries.insert(last, entry);
                Ok(table)
            }
            Adding::Header => self.insert_header(table, last, region),
            Adding::ArrayHeader => self.insert_array_header(table, last, region),
        }
    }

    /// The table under a key that is not the last one; made if it is not there.
    fn enter(&mut self, table: usize, key: Vec<u8>, region: Region, dotted: bool) -> Result<usize> {
        let Some(known) = self.tables[table].entries.get(&key) else {
            let kind = if dotted { Kind::Dotted } else { Kind::Implied };
            let inner = self.new_table(kind);
            let node = Node::Table(inner);
            self.tables[table]
                .entries
                .insert(key, Entry { node, region });
            return Ok(inner);
        };
        let refuse = |title: &str, what, known_is| {
            let error = TomlError::new(title, region, what);
            Err(error.and(known.region, known_is))
        };
        match &known.node {
            Node::Table(inner) => match self.tables[*inner].kind {
                Kind::Inline => refuse(
                    "toml::insert_value: failed to insert a value: inline table is immutable",
                    "inserting this",
                    "to this table",
                ),
                Kind::Header | Kind::Implied if dotted => refuse(
                    "toml::insert_value: reopening a table using dotted keys",
                    "dotted key cannot reopen a table",
                    "this table is already closed",
                ),
                _ => Ok(*inner),
            },
            Node::Tables(_) if dotted => refuse(
                "toml::insert_value:dotted key cannot reopen an array-of-tables",
                "inserting this",
                "to this array-of-tables.",
            ),
            Node::Tables(tables) => Ok(tables.last().copied().unwrap_or(table)),
            Node::Array(items) if is_tables(items) => refuse(
                "toml::insert_value:inline array of tables are immutable",
                "inserting this",
                "inline array of tables",
            ),
            _ => refuse(
                "toml::insert_value: failed to insert a value, value already exists",
                "while inserting this",
                "non-table value already exists",
            ),
        }
    }

    fn insert_header(&mut self, table: usize, key: Vec<u8>, region: Region) -> Result<usize> {
        let Some(known) = self.tables[table].entries.get(&key) else {
            let inner = self.new_table(Kind::Header);
            let node = Node::Table(inner);
            self.tables[table]
                .entries
                .insert(key, Entry { node, region });
            return Ok(inner);
        };
        if let Node::Table(inner) = known.node
            && self.tables[inner].kind == Kind::Implied
        {
            self.tables[inner].kind = Kind::Header;
            let node = Node::Table(inner);
            self.tables[table]
                .entries
                .insert(key, Entry { node, region });
            return Ok(inner);
        }
        let title = "toml::insert_value: failed to insert a table, table already defined";
        let error = TomlError::new(title, region, "inserting this");
        Err(error.and(known.region, "this table is explicitly defined"))
    }

    fn insert_array_header(&mut self, table: usize, key: Vec<u8>, region: Region) -> Result<usize> {
        let inner = self.new_table(Kind::Header);
        let entries = &mut self.tables[table].entries;
        let Some(known) = entries.get_mut(&key) else {
            let node = Node::Tables(vec![inner]);
            entries.insert(key, Entry { node, region });
            return Ok(inner);
        };
        let (title, known_is) = match &mut known.node {
            Node::Tables(tables) => {
                tables.push(inner);
                return Ok(inner);
            }
            Node::Array(items) if is_tables(items) => (
                "toml::insert_value: failed to insert a table, inline array of tables is immutable",
                "this is inline array-of-tables",
            ),
            _ => (
                "toml::insert_value: failed to insert an array of tables, value already exists",
                "non-table value already exists",
            ),
        };
        let error = TomlError::new(title, region, "while inserting this");
        Err(error.and(known.region, known_is))
    }
}

fn is_tables(items: &[Node]) -> bool {
    !items.is_empty() && items.iter().all(|item| matches!(item, Node::Table(_)))
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn starts_key(byte: u8) -> bool {
    is_bare(byte) || matches!(byte, b'"' | b'\'')
}
