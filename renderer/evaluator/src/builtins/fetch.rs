//! Builtins that fetch: what they are asked for is checked here, the fetching is the embedding program's.

use nix_formats::store_path::StorePathError;
use nix_formats::{ContentAddressMethod, Hash, HashAlgorithm, HashFormat, StorePath, check_name};

use super::{Builtin, Global, Row, failure};
use crate::attrs::{Attr, AttrRef, Attrs};
use crate::context::ContextBuilder;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coercion, Evaluator, Result};
use crate::feature::Feature;
use crate::io::{
    BuildFailure, FetchAttribute, FetchAttributes, FetchBuiltin, FetchInput, FetchRequest, Fetched,
    HashMismatch,
};
use crate::json::JsonOptions;
use crate::path::base_name;
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::{Bare, Underscored};
    vec![
        ("fetchGit", 1, Bare, |e, args, _| {
            fetch_tree(e, args[0], FetchBuiltin::Git)
        }),
        ("fetchMercurial", 1, Bare, |_, _, _| {
            let message = "builtins.fetchMercurial is not supported: fetch an archive of the revision instead";
            Err(failure(message))
        }),
        ("fetchTarball", 1, Bare, |e, args, _| {
            Download::TARBALL.run(e, args[0])
        }),
        ("fetchTree", 1, Bare, |e, args, _| {
            fetch_tree(e, args[0], FetchBuiltin::Tree)
        }),
        ("fetchurl", 1, Underscored, |e, args, _| {
            Download::FILE.run(e, args[0])
        }),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

/// What an error, or what caused it, says of its sort.
fn kind_of(error: &std::io::Error) -> Option<ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let error_of_io = error.downcast_ref::<std::io::Error>();
        let inner = error_of_io.and_then(std::io::Error::get_ref);
        if inner.is_some_and(|inner| inner.downcast_ref::<HashMismatch>().is_some()) {
            return Some(ErrorKind::HashMismatch);
        }
        if let Some(failure) = inner.and_then(|inner| inner.downcast_ref::<BuildFailure>()) {
            let status = failure.status;
            return Some(ErrorKind::Build { status });
        }
        next = error.source();
    }
    None
}

/// What the outside refused or could not do.
pub(crate) fn outside_error(error: &std::io::Error) -> Box<EvalError> {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ErrorKind::Restricted,
        _ => kind_of(error).unwrap_or(ErrorKind::Io),
    };
    let mut messages = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        messages.push(inner.to_string());
        cause = inner.source();
    }
    let innermost = messages.pop().unwrap_or_default();
    let mut result = EvalError::new(kind, innermost);
    for message in messages.into_iter().rev() {
        result = result.trace(PosIdx::NONE, message);
    }
    result
}

/// An entry of the look-up path is fetched, not a path.
pub(super) fn is_url(location: &str) -> bool {
    const SCHEMES: [&str; 7] = ["http", "https", "file", "channel", "git", "s3", "ssh"];
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    location.starts_with("channel:")
        || location.starts_with("flake:")
        || scheme.is_some_and(|scheme| SCHEMES.contains(&scheme))
}

/// `channel:NAME` is short for a URL.
fn full_url(url: String) -> String {
    match url.strip_prefix("channel:") {
        Some(name) => format!("https://channels.nixos.org/{name}/nixexprs.tar.xz"),
        None => url,
    }
}

impl<'a> Evaluator<'a> {
    /// The function that `call-flake.nix` wants: as `fetchTree`, for inputs that a lock file has all attributes of.
    pub fn fetch_final_tree(&self) -> Value<'a> {
        Value::Builtin(self.arena.alloc(Builtin {
            name: "fetchFinalTree",
            arity: 1,
            function: |e, args, _| fetch_tree(e, args[0], FetchBuiltin::FinalTree),
        }))
    }

    /// Fetches a URL of the look-up path; `None` if that fails.
    pub(super) fn fetch_look_up_entry(&mut self, location: &str) -> Option<Vec<u8>> {
        let request = match location.strip_prefix("flake:") {
            Some(reference) => FetchRequest::Tree {
                builtin: FetchBuiltin::LookUp,
                input: FetchInput::Reference(reference.to_owned()),
                pure: false,
            },
            None => FetchRequest::Url {
                url: full_url(location.to_owned()),
                name: "source".to_owned(),
                unpack: true,
                expected: None,
            },
        };
        let fetched = self.io.fetch(&request).ok()?;
        Some(fetched.store_path.into_bytes())
    }

    fn fetch(&mut self, request: &FetchRequest) -> Result<(Fetched, StorePath)> {
        let fetched = self
            .io
            .fetch(request)
            .map_err(|error| outside_error(&error))?;
        let path = self.settings.store_dir.parse(&fetched.store_path);
        let path = path.map_err(|error: StorePathError| failure(error.to_string()))?;
        Ok((fetched, path))
    }

    /// Attributes of an input as a set.
    pub(super) fn fetched_attrs(&mut self, attributes: FetchAttributes) -> Vec<Attr<'a>> {
        let values = attributes.into_iter().map(|(name, value)| {
            let value = match value {
                FetchAttribute::String(text) => Value::string(self.arena, text.as_bytes()),
                FetchAttribute::Int(number) => Value::Int(number),
                FetchAttribute::Bool(flag) => Value::from(flag),
            };
            Attr::new(self.symbols.intern(name.as_bytes()), NONE, value)
        });
        values.collect()
    }
}

fn fetch_tree<'a>(
    evaluator: &mut Evaluator<'a>,
    argument: Value<'a>,
    builtin: FetchBuiltin,
) -> Result<Value<'a>> {
    let input = match evaluator.force(argument, NONE)? {
        Value::Attrs(attrs) => FetchInput::Attributes(input_attributes(evaluator, attrs, builtin)?),
        value => {
            let what = match builtin {
                FetchBuiltin::Git => "while evaluating the first argument passed to 'fetchGit'",
                _ => "while evaluating the first argument passed to 'fetchTree'",
            };
            let mut context = ContextBuilder::default();
            let url =
                evaluator.coerce_to_string(value, NONE, &mut context, what, Coercion::PLAIN)?;
            let url = String::from_utf8_lossy(url).into_owned();
            if builtin == FetchBuiltin::Git {
                FetchInput::Attributes(FetchAttributes::from([
                    ("type".to_owned(), FetchAttribute::String("git".to_owned())),
                    ("url".to_owned(), FetchAttribute::String(url)),
                    ("exportIgnore".to_owned(), FetchAttribute::Bool(true)),
                ]))
            } else {
                FetchInput::Reference(url)
            }
        }
    };
    let request = FetchRequest::Tree {
        builtin,
        input,
        pure: evaluator.settings.pure,
    };
    let (fetched, path) = evaluator.fetch(&request)?;
    let mut attrs = evaluator.fetched_attrs(fetched.attributes);
    let path = evaluator.store_path_value(&path);
    attrs.push(Attr::new(evaluator.names.out_path, NONE, path));
    Ok(Value::Attrs(Attrs::from_unsorted(evaluator.arena, attrs)))
}

fn input_attributes<'a>(
    evaluator: &mut Evaluator<'a>,
    attrs: &'a Attrs<'a>,
    builtin: FetchBuiltin,
) -> Result<FetchAttributes> {
    let (fetcher, is_git) = (builtin.name(), builtin == FetchBuiltin::Git);
    let kind = match attrs.get(evaluator.names.type_) {
        Some(_) if is_git => return Err(failure("unexpected argument 'type'")),
        Some(attr) => {
            let what = "while evaluating the `type` argument passed to 'fetchTree'";
            let kind =
                evaluator.expect_string_no_context(attr.value.share(), attr.position, what)?;
            String::from_utf8_lossy(kind).into_owned()
        }
        None if is_git => "git".to_owned(),
        None => {
            let message = format!("argument 'type' is missing in call to '{fetcher}'");
            return Err(failure(message));
        }
    };
    let mut attributes = FetchAttributes::new();
    for attr in evaluator.sorted_attrs(attrs) {
        if attr.name == evaluator.names.type_ {
            continue;
        }
        let value = input_attribute(evaluator, attr, fetcher)?;
        attributes.insert(evaluator.symbols.text(attr.name), value);
    }
    let is_true = |name| attributes.get(name) == Some(&FetchAttribute::Bool(true));
    if is_git && !is_true("submodules") {
        let absent = attributes.entry("exportIgnore".to_owned());
        absent.or_insert(FetchAttribute::Bool(true));
    }
    if kind == "git" && builtin == FetchBuiltin::Tree {
        let absent = attributes.entry("shallow".to_owned());
        absent.or_insert(FetchAttribute::Bool(true));
    }
    if !is_git && attributes.contains_key("name") {
        let message = format!("argument 'name' isn’t supported in call to '{fetcher}'");
        return Err(failure(message));
    }
    attributes.insert("type".to_owned(), FetchAttribute::String(kind));
    Ok(attributes)
}

fn input_attribute<'a>(
    evaluator: &mut Evaluator<'a>,
    attr: AttrRef<'a>,
    fetcher: &str,
) -> Result<FetchAttribute> {
    match evaluator.force(attr.value.share(), attr.position)? {
        value @ (Value::String(_) | Value::Path(_)) => {
            let mut context = ContextBuilder::default();
            let text = evaluator.coerce_to_string(
                value,
                attr.position,
                &mut context,
                "",
                Coercion::PLAIN,
            )?;
            Ok(FetchAttribute::String(
                String::from_utf8_lossy(text).into_owned(),
            ))
        }
        Value::Bool(flag) => Ok(FetchAttribute::Bool(flag.into())),
        Value::Int(number) if number < 0 => {
            let name = evaluator.shown_name(attr.name);
            let message =
                format!("negative value given for '{fetcher}' argument '{name}': {number}");
            Err(failure(message))
        }
        Value::Int(number) => Ok(FetchAttribute::Int(number)),
        value if evaluator.symbols.bytes(attr.name) == b"publicKeys" => {
            evaluator.require(Feature::VerifiedFetches)?;
            let mut context = ContextBuilder::default();
            let json = evaluator.to_json(value, JsonOptions::TO_JSON, &mut context)?;
            Ok(FetchAttribute::String(
                String::from_utf8_lossy(&json).into_owned(),
            ))
        }
        value => {
            let (name, kind) = (evaluator.shown_name(attr.name), evaluator.show_type(value));
            let message = format!(
                "argument '{name}' to '{fetcher}' is {kind} while a string, Boolean or integer is expected"
            );
            Err(EvalError::new(ErrorKind::Type, message))
        }
    }
}

/// `fetchurl` and `fetchTarball`.
struct Download {
    builtin: &'static str,
    unpack: bool,
    /// The store path's name where none is given; empty for the URL's last part.
    name: &'static str,
}

impl Download {
    const FILE: Self = Self {
        builtin: "fetchurl",
        unpack: false,
        name: "",
    };
    const TARBALL: Self = Self {
        builtin: "fetchTarball",
        unpack: true,
        name: "source",
    };

    fn run<'a>(&self, evaluator: &mut Evaluator<'a>, argument: Value<'a>) -> Result<Value<'a>> {
        let what = "while evaluating the url we should fetch";
        let (mut name, mut expected) = (self.name.to_owned(), None);
        let (url, hint) = match evaluator.force(argument, NONE)? {
            Value::Attrs(attrs) => {
                let mut url = None;
                let mut hint = "add a valid 'name' attribute to the argument for";
                for attr in evaluator.sorted_attrs(attrs) {
                    let (value, at) = (attr.value.share(), attr.position);
                    match evaluator.symbols.bytes(attr.name) {
                        b"url" => url = Some(text(evaluator, value, at, what)?),
                        b"sha256" => {
                            let what = "while evaluating the sha256 of the content we should fetch";
                            let hash = text(evaluator, value, at, what)?;
                            let algorithm = Some(HashAlgorithm::Sha256);
                            expected = Some(evaluator.hash_or_empty(&hash, algorithm)?);
                        }
                        b"name" => {
                            let what = "while evaluating the name of the content we should fetch";
                            name = text(evaluator, value, at, what)?;
                            hint = "change the value for the 'name' attribute passed to";
                        }
                        other => {
                            let other = String::from_utf8_lossy(other);
                            let message =
                                format!("unsupported argument '{other}' to '{}'", self.builtin);
                            return Err(failure(message));
                        }
                    }
                }
                let missing = || failure("'url' argument required");
                (url.ok_or_else(missing)?, hint)
            }
            value => (
                text(evaluator, value, NONE, what)?,
                "pass an attribute set with 'url' and 'name' attributes to",
            ),
        };
        let url = if self.unpack { full_url(url) } else { url };
        if name.is_empty() {
            let path = url.strip_suffix('/').unwrap_or(&url);
            name = String::from_utf8_lossy(base_name(path.as_bytes())).into_owned();
        }
        if let Err(error) = check_name(&name) {
            // Two blanks in one of the three, as in Nix.
            let blanks = if hint.starts_with("pass") { "  " } else { " " };
            let message = format!(
                "invalid store path name when fetching URL '{url}': {error}. Please {hint} '{}',{blanks}so that it can create a valid store path.",
                self.builtin
            );
            return Err(failure(message));
        }
        if evaluator.settings.pure && expected.is_none() {
            let message = format!(
                "in pure evaluation mode, '{}' requires a 'sha256' argument",
                self.builtin
            );
            return Err(failure(message));
        }
        let path = self.fetch(evaluator, &url, name, expected)?;
        Ok(evaluator.store_path_value(&path))
    }

    fn fetch(
        &self,
        evaluator: &mut Evaluator<'_>,
        url: &str,
        name: String,
        expected: Option<Hash>,
    ) -> Result<StorePath> {
        if let Some(hash) = expected {
            let method = if self.unpack {
                ContentAddressMethod::Recursive
            } else {
                ContentAddressMethod::Flat
            };
            let path = evaluator.fixed_path(method, hash, &name)?;
            let printed = evaluator.settings.store_dir.print(&path);
            if evaluator.io.store_path_exists(&printed) {
                return Ok(path);
            }
        }
        let request = FetchRequest::Url {
            url: url.to_owned(),
            name,
            unpack: self.unpack,
            expected,
        };
        let (fetched, path) = evaluator.fetch(&request)?;
        let Some(expected) = expected else {
            return Ok(path);
        };
        let got = if self.unpack {
            let Some(FetchAttribute::String(hash)) = fetched.attributes.get("narHash") else {
                let message = format!("'{url}' was fetched, but its hash is not known");
                return Err(failure(message));
            };
            Hash::parse_any(hash, None).map_err(|error| failure(error.to_string()))?
        } else {
            let contents = evaluator.read_file(fetched.store_path.as_bytes())?;
            HashAlgorithm::Sha256.digest(&contents)
        };
        if got != expected {
            let show = |hash: &Hash| hash.to_string(HashFormat::Nix32, true);
            let message = format!(
                "hash mismatch in file downloaded from '{url}':\n  specified: {}\n  got:       {}",
                show(&expected),
                show(&got)
            );
            return Err(failure(message));
        }
        Ok(path)
    }
}

fn text<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    position: PosIdx,
    what: &'static str,
) -> Result<String> {
    let text = evaluator.expect_string_no_context(value, position, what)?;
    Ok(String::from_utf8_lossy(text).into_owned())
}
