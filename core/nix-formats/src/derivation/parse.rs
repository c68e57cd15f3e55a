//! Reading the text form. Stricter than it need be: what Nix never prints
//! (unknown escapes aside) is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::aterm::needs_escape;
use super::{
    Derivation, DerivationError, DerivationOutput, InputOutputs, STRUCTURED_ATTRS_VARIABLE,
};
use crate::content_address::{ContentAddress, ContentAddressMethod};
use crate::hash::{Hash, HashAlgorithm};
use crate::store_path::{StoreDir, StorePath};

/// Dynamic outputs of dynamic outputs: Nix sets no limit, the stack does.
const MAX_DEPTH: usize = 64;

impl Derivation {
    /// Reads the text form. `name` is the derivation's, without `.drv`.
    #[expect(clippy::too_many_lines, reason = "a grammar")]
    pub fn parse_aterm(
        store_dir: &StoreDir,
        name: &str,
        text: &[u8],
    ) -> Result<Self, DerivationError> {
        let mut parser = Parser {
            text,
            offset: 0,
            store_dir,
        };
        let p = &mut parser;
        let versioned = p.take(b"DrvWithVersion(");
        if versioned {
            let version = p.text()?;
            if version != "xp-dyn-drv" {
                return Err(DerivationError::UnknownVersion(version));
            }
            p.expect(b",", "','")?;
        } else {
            p.expect(b"Derive(", "'Derive(' or 'DrvWithVersion('")?;
        }
        let mut drv = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        p.list(|p| {
            p.expect(b"(", "'('")?;
            let output = p.text()?;
            let value = p.output(name, &output)?;
            p.expect(b")", "')'")?;
            insert(&mut drv.outputs, output, value, Clone::clone)
        })?;
        p.expect(b",", "','")?;
        p.list(|p| {
            p.expect(b"(", "'('")?;
            let path = p.store_path()?;
            p.expect(b",", "','")?;
            let outputs = p.input_outputs(versioned, 0)?;
            p.expect(b")", "')'")?;
            if outputs.names.is_empty() && outputs.dynamic.is_empty() {
                return Err(DerivationError::NoInputOutputs(path));
            }
            insert(
                &mut drv.input_derivations,
                path,
                outputs,
                ToString::to_string,
            )
        })?;
        p.expect(b",", "','")?;
        p.list(|p| {
            let path = p.store_path()?;
            if drv.input_sources.insert(path.clone()) {
                Ok(())
            } else {
                Err(DerivationError::Duplicate(path.to_string()))
            }
        })?;
        p.expect(b",", "','")?;
        drv.platform = p.plain()?.to_vec();
        p.expect(b",", "','")?;
        drv.builder = p.string()?.into_owned();
        p.expect(b",", "','")?;
        p.list(|p| {
            drv.args.push(p.string()?.into_owned());
            Ok(())
        })?;
        p.expect(b",", "','")?;
        p.list(|p| {
            p.expect(b"(", "'('")?;
            let name = p.string()?.into_owned();
            p.expect(b",", "','")?;
            let value = p.string()?.into_owned();
            p.expect(b")", "')'")?;
            insert(&mut drv.env, name, value, |name| {
                String::from_utf8_lossy(name).into_owned()
            })
        })?;
        p.expect(b")", "')'")?;
        if p.offset != text.len() {
            return Err(p.syntax("the end"));
        }
        if let Some(json) = drv.env.remove(STRUCTURED_ATTRS_VARIABLE) {
            let json = utf8(json)?;
            serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&json)
                .map_err(|error| DerivationError::StructuredAttrs(error.to_string()))?;
            drv.structured_attrs = Some(json);
        }
        Ok(drv)
    }
}

fn insert<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    show: impl Fn(&K) -> String,
) -> Result<(), DerivationError> {
    if map.contains_key(&key) {
        return Err(DerivationError::Duplicate(show(&key)));
    }
    map.insert(key, value);
    Ok(())
}

fn utf8(bytes: Vec<u8>) -> Result<String, DerivationError> {
    String::from_utf8(bytes)
        .map_err(|error| DerivationError::NotUtf8(String::from_utf8_lossy(error.as_bytes()).into()))
}

struct Parser<'a> {
    text: &'a [u8],
    offset: usize,
    store_dir: &'a StoreDir,
}

impl<'a> Parser<'a> {
    fn syntax(&self, expected: &'static str) -> DerivationError {
        DerivationError::Syntax {
            expected,
            offset: self.offset,
        }
    }

    fn take(&mut self, wanted: &[u8]) -> bool {
        let found = self.text[self.offset..].starts_with(wanted);
        if found {
            self.offset += wanted.len();
        }
        found
    }

    fn expect(&mut self, wanted: &[u8], shown: &'static str) -> Result<(), DerivationError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.syntax(shown))
        }
    }

    fn list(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), DerivationError>,
    ) -> Result<(), DerivationError> {
        self.expect(b"[", "'['")?;
        if self.take(b"]") {
            return Ok(());
        }
        loop {
            element(self)?;
            if self.take(b"]") {
                return Ok(());
            }
            self.expect(b",", "',' or ']'")?;
        }
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>, DerivationError> {
        self.expect(b"\"", "'\"'")?;
        let mut owned = Vec::new();
        loop {
            let rest = &self.text[self.offset..];
            let Some(end) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(self.syntax("the string's end"));
            };
            let plain = &rest[..end];
            if rest[end] == b'"' {
                self.offset += end + 1;
                if owned.is_empty() {
                    return Ok(Cow::Borrowed(plain));
                }
                owned.extend_from_slice(plain);
                return Ok(Cow::Owned(owned));
            }
            owned.extend_from_slice(plain);
            self.offset += end + 2;
            owned.push(match rest.get(end + 1) {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(&other) => other,
                None => {
                    self.offset = self.text.len();
                    return Err(self.syntax("the string's end"));
                }
            });
        }
    }

    /// A string that is printed without escapes, and so must need none.
    fn plain(&mut self) -> Result<&'a [u8], DerivationError> {
        let offset = self.offset;
        if let Cow::Borrowed(bytes) = self.string()?
            && !bytes.iter().any(|&byte| needs_escape(byte))
        {
            return Ok(bytes);
        }
        Err(DerivationError::Syntax {
            expected: "a string without escapes",
            offset,
        })
    }

    fn text(&mut self) -> Result<String, DerivationError> {
        utf8(self.plain()?.to_vec())
    }

    fn store_path(&mut self) -> Result<StorePath, DerivationError> {
        Ok(self.store_dir.parse_canonical(self.string()?)?)
    }

    fn output(
        &mut self,
        derivation: &str,
        output: &str,
    ) -> Result<DerivationOutput, DerivationError> {
        self.expect(b",", "','")?;
        let path = self.string()?;
        self.expect(b",", "','")?;
        let algorithm = self.text()?;
        self.expect(b",", "','")?;
        let hash = self.text()?;
        if algorithm.is_empty() {
            return match (path.is_empty(), hash.is_empty()) {
                (true, true) => Ok(DerivationOutput::Deferred),
                (false, true) => Ok(DerivationOutput::InputAddressed(
                    self.store_dir.parse_canonical(path)?,
                )),
                (_, false) => Err(self.syntax("a hash algorithm")),
            };
        }
        let (method, algorithm) = ContentAddressMethod::split_prefix(&algorithm);
        let algorithm: HashAlgorithm = algorithm.parse()?;
        match hash.as_str() {
            "impure" if path.is_empty() => Ok(DerivationOutput::Impure { method, algorithm }),
            "impure" => Err(DerivationError::UnexpectedPath("impure")),
            "" if path.is_empty() => Ok(DerivationOutput::Floating { method, algorithm }),
            "" => Err(DerivationError::UnexpectedPath("content-addressing")),
            hash => {
                let hash = Hash::parse_non_sri_unprefixed(hash, algorithm)?;
                let output_value = DerivationOutput::FixedOutput(ContentAddress { method, hash });
                let computed = output_value.path(self.store_dir, derivation, output)?;
                if computed != Some(self.store_dir.parse_canonical(&path)?) {
                    return Err(DerivationError::WrongFixedPath {
                        output: output.to_owned(),
                        path: String::from_utf8_lossy(&path).into_owned(),
                    });
                }
                Ok(output_value)
            }
        }
    }

    fn input_outputs(
        &mut self,
        versioned: bool,
        depth: usize,
    ) -> Result<InputOutputs, DerivationError> {
        if depth > MAX_DEPTH {
            return Err(DerivationError::TooDeep);
        }
        let dynamic = versioned && self.take(b"(");
        let mut outputs = InputOutputs {
            names: self.names()?,
            dynamic: BTreeMap::new(),
        };
        if dynamic {
            self.expect(b",", "','")?;
            self.list(|p| {
                p.expect(b"(", "'('")?;
                let name = p.text()?;
                p.expect(b",", "','")?;
                let nested = p.input_outputs(versioned, depth + 1)?;
                p.expect(b")", "')'")?;
                insert(&mut outputs.dynamic, name, nested, Clone::clone)
            })?;
            self.expect(b")", "')'")?;
        }
        Ok(outputs)
    }

    fn names(&mut self) -> Result<BTreeSet<String>, DerivationError> {
        let mut names = BTreeSet::new();
        self.list(|p| {
            let name = p.text()?;
            if names.contains(&name) {
                return Err(DerivationError::Duplicate(name));
            }
            names.insert(name);
            Ok(())
        })?;
        Ok(names)
    }
}
