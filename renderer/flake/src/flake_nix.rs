//! Reading what a flake.nix declares, straight from its syntax tree: all but `outputs` has to be
//! plain data, so nothing is evaluated.

mod error;
mod values;

use std::path::{Component, Path};

use nix_evaluator::ast::Node;
use nix_evaluator::parser::parse;

use crate::attrs::{Attr, Attrs};
use crate::decl::{FlakeDecl, InputDecl, Place};
use crate::error::RefError;
use crate::flake_ref::{FlakeRef, ParseOptions};
use crate::input_path::InputPath;
use error::place_in;
pub use error::{FlakeNixError, SourcePlace};
use nix_formats::store_path::StoreDir;

use values::{Field, Plain, Reader};

/// No flake.nix is larger.
const MAX_SIZE: u64 = 16 << 20;

type Result<T> = std::result::Result<T, FlakeNixError>;

/// Reads the flake.nix in a folder of a tree, which lies in this store for the flake itself.
pub fn read_flake_nix(
    place: &Place,
    store_dir: &StoreDir,
) -> std::result::Result<FlakeDecl, Box<dyn std::error::Error + Send + Sync>> {
    let file = place.file("flake.nix");
    let tree = &place.fetched.tree;
    let source = tree.read_text(&file, MAX_SIZE)?.unwrap_or_default();
    let folder = Path::new(&store_dir.print(&place.fetched.store_path)).join(&place.dir);
    parse_flake_nix(&source, &tree.shown(&file), &folder).map_err(Into::into)
}

/// Reads a flake.nix. `file` is its name in messages; relative paths in it start in `folder`.
pub fn parse_flake_nix(source: &str, file: &str, folder: &Path) -> Result<FlakeDecl> {
    let reader = Reader {
        source,
        file,
        folder,
        ast: parse(source.as_bytes()).map_err(|error| {
            let at = |offset| Some(place_in(source, file, offset));
            let describe = |offset| place_in(source, file, offset).to_string();
            FlakeNixError {
                message: error.message_with(describe),
                place: at(error.start),
            }
        })?,
    };
    reader.flake()
}

impl Reader<'_> {
    fn flake(&self) -> Result<FlakeDecl> {
        let root = self.ast.root.map(|root| self.ast.node(root));
        let Some(Node::Attrs(bindings)) = root else {
            let file = self.file;
            return Err(self.error(format!("file '{file}' must be an attribute set"), 0));
        };
        if let Some(dynamic) = self.ast.bindings(bindings).dynamic.first() {
            let message = "the attributes of a flake.nix need names that are known without evaluating anything";
            return Err(self.error(message, dynamic.position));
        }
        let mut decl = FlakeDecl::default();
        let mut has_outputs = false;
        let mut formals = Vec::new();
        for field in self.fields(bindings) {
            match field.name.as_str() {
                "description" => decl.description = Some(self.expect_string(&field)?),
                "inputs" => self.read_inputs(&field, &mut decl)?,
                "nixConfig" => drop(self.expect_attrs(&field)?),
                "outputs" => {
                    has_outputs = true;
                    let value = self.field_value(&field);
                    if !matches!(value, Plain::Function) {
                        return Err(self.wrong_type("a function", &value, field.position));
                    }
                    formals = self.formals(&field);
                }
                name => {
                    let place = self.place(field.position);
                    return Err(self.error(
                        format!("flake has an unsupported attribute '{name}', at {place}"),
                        field.position,
                    ));
                }
            }
        }
        if !has_outputs {
            return Err(FlakeNixError {
                message: format!("flake '{}' lacks attribute 'outputs'", self.file),
                place: None,
            });
        }
        for (name, position) in formals {
            if name != "self" && !decl.inputs.contains_key(&name) {
                let reference = FlakeRef::parse(&name, &ParseOptions::absolute())
                    .map_err(|error| self.error(error.to_string(), position))?;
                decl.inputs.insert(name, InputDecl::at(reference));
            }
        }
        Ok(decl)
    }

    fn read_inputs(&self, inputs: &Field, decl: &mut FlakeDecl) -> Result<()> {
        for field in self.expect_attrs(inputs)? {
            if field.name == "self" {
                for attr in self.expect_attrs(&field)? {
                    let value = self.input_attr(&attr)?;
                    decl.self_attrs.set(&attr.name, value);
                }
            } else {
                decl.inputs.insert(field.name.clone(), self.input(&field)?);
            }
        }
        Ok(())
    }

    fn overrides(&self, inputs: &Field, input: &mut InputDecl) -> Result<()> {
        for field in self.expect_attrs(inputs)? {
            if field.name == "self" {
                let place = self.place(field.position);
                return Err(self.error(
                    format!("'self' input attribute not allowed at {place}"),
                    field.position,
                ));
            }
            input
                .overrides
                .insert(field.name.clone(), self.input(&field)?);
        }
        Ok(())
    }

    fn input(&self, field: &Field) -> Result<InputDecl> {
        let mut input = InputDecl::default();
        let mut attrs = Attrs::new();
        let mut url = None;
        for attr in self.expect_attrs(field)? {
            match attr.name.as_str() {
                "url" => {
                    let text = match self.field_value(&attr) {
                        Plain::String(text) => text,
                        Plain::Path(path) => format!("path:{}", self.relative(&path)),
                        other => {
                            return Err(self.wrong_type(
                                "a string or a path",
                                &other,
                                attr.position,
                            ));
                        }
                    };
                    attrs.set("url", text.as_str());
                    url = Some((text, attr.position));
                }
                "flake" => match self.field_value(&attr) {
                    Plain::Bool(flag) => input.is_flake = flag,
                    other => return Err(self.wrong_type("a Boolean", &other, attr.position)),
                },
                "inputs" => self.overrides(&attr, &mut input)?,
                "follows" => {
                    let text = self.expect_string(&attr)?;
                    let path = InputPath::parse(&text).map_err(self.at(attr.position))?;
                    input.follows = Some(path);
                }
                name => attrs.set(name, self.input_attr(&attr)?),
            }
        }
        if attrs.contains("type") {
            input.reference = Some(FlakeRef::from_attrs(attrs).map_err(self.at(field.position))?);
        } else {
            attrs.remove("url");
            if let Some((name, _)) = attrs.iter().next() {
                let place = self.place(field.position);
                return Err(self.error(
                    format!("unexpected flake input attribute '{name}', at {place}"),
                    field.position,
                ));
            }
            if let Some((url, position)) = url {
                let options = ParseOptions::input(input.is_flake);
                input.reference = Some(FlakeRef::parse(&url, &options).map_err(self.at(position))?);
            }
        }
        if input.reference.is_some() && input.follows.is_some() {
            let place = self.place(field.position);
            return Err(self.error(
                format!(
                    "flake input has both a flake reference and a follows attribute, at {place}"
                ),
                field.position,
            ));
        }
        Ok(input)
    }

    fn at(&self, position: u32) -> impl Fn(RefError) -> FlakeNixError + '_ {
        move |error| self.error(error.to_string(), position)
    }

    fn input_attr(&self, attr: &Field) -> Result<Attr> {
        let name = &attr.name;
        match self.field_value(attr) {
            Plain::String(text) => Ok(Attr::String(text)),
            Plain::Bool(flag) => Ok(Attr::Bool(flag)),
            Plain::Int(number) => u64::try_from(number).map(Attr::Int).map_err(|_| {
                self.error(
                    format!("negative value given for flake input attribute {name}: {number}"),
                    attr.position,
                )
            }),
            other => Err(self.error(
                format!(
                    "flake input attribute '{name}' is {} while a string, Boolean, or integer is expected",
                    other.type_name()
                ),
                attr.position,
            )),
        }
    }

    /// A path literal relative to the folder of the file.
    fn relative(&self, literal: &str) -> String {
        let path = crate::flake_ref::clean(&self.folder.join(literal));
        let mut folder = self.folder.components().peekable();
        let mut path = path.components().peekable();
        while folder.peek().is_some() && folder.peek() == path.peek() {
            folder.next();
            path.next();
        }
        let up = folder.map(|_| Component::ParentDir);
        let relative: std::path::PathBuf = up.chain(path).collect();
        if relative.as_os_str().is_empty() {
            return ".".to_owned();
        }
        relative.to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> std::result::Result<FlakeDecl, String> {
        parse_flake_nix(source, "/f/sub/flake.nix", Path::new("/f/sub"))
            .map_err(|error| error.to_string())
    }

    fn reference(text: &str) -> FlakeRef {
        FlakeRef::parse(text, &ParseOptions::input(true)).expect("a reference")
    }

    #[test]
    fn inputs_overrides_and_follows_are_read() {
        let decl = read(
            r#"{
              description = "d";
              inputs.a.url = "github:o/r";
              inputs.b = { type = "path"; path = "./x"; flake = false; };
              inputs.c.follows = "a/n";
              inputs.a.inputs.n.follows = "b";
              inputs.self.submodules = true;
              inputs.d.url = ../y;
              outputs = { self, e, a, ... }: { };
            }"#,
        )
        .expect("a flake");
        let mut a = InputDecl::at(reference("github:o/r"));
        let path = |text| InputPath::parse(text).expect("a path");
        let follow = |text| InputDecl {
            follows: Some(path(text)),
            ..InputDecl::default()
        };
        a.overrides.insert("n".to_owned(), follow("b"));
        let b = InputDecl {
            is_flake: false,
            ..InputDecl::at(reference("path:./x"))
        };
        let expected = FlakeDecl {
            description: Some("d".to_owned()),
            inputs: [
                ("a", a),
                ("b", b),
                ("c", follow("a/n")),
                ("d", InputDecl::at(reference("path:../y"))),
                ("e", InputDecl::at(reference("e"))),
            ]
            .map(|(name, input)| (name.to_owned(), input))
            .into(),
            self_attrs: Attrs::from_iter([("submodules", true)]),
        };
        assert_eq!(decl, expected);
    }

    #[test]
    fn what_needs_evaluation_is_refused_with_its_place() {
        let error = read("{\n  inputs = import ./inputs.nix;\n  outputs = _: { };\n}");
        assert_eq!(
            error.expect_err("a thunk"),
            "expected a set but got a thunk at /f/sub/flake.nix:2:3; a flake's description and inputs have to be plain data, with nothing in them to evaluate\n  at /f/sub/flake.nix:2:3:\n    2|   inputs = import ./inputs.nix;\n     |   ^"
        );
    }

    #[test]
    fn syntax_errors_have_their_place() {
        let error = read("{ outputs = _: { };").expect_err("no end");
        assert!(
            error.starts_with("syntax error, unexpected end of file"),
            "{error}"
        );
    }
}
