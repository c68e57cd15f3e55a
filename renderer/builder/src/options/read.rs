//! From attributes to options.

use std::collections::{BTreeMap, BTreeSet};

use nix_formats::derivation::{InputOutputs, Placeholder};
use nix_formats::{Derivation, StoreDir, StorePath};

use super::{GraphRoot, Options, OptionsError, OutputCheck, OutputChecks, Reference};
use crate::json::{Json, Object};

/// Attributes that structured attributes make ineffective, and what Nix warns of then.
const REPLACED: [(&str, &str); 6] = [
    (
        "allowedReferences",
        "'structuredAttrs' disables the effect of the top-level attribute 'allowedReferences'; use 'outputChecks' instead",
    ),
    (
        "allowedRequisites",
        "'structuredAttrs' disables the effect of the top-level attribute 'allowedRequisites'; use 'outputChecks' instead",
    ),
    (
        "disallowedRequisites",
        "'structuredAttrs' disables the effect of the top-level attribute 'disallowedRequisites'; use 'outputChecks' instead",
    ),
    (
        "disallowedReferences",
        "'structuredAttrs' disables the effect of the top-level attribute 'disallowedReferences'; use 'outputChecks' instead",
    ),
    (
        "maxSize",
        "'structuredAttrs' disables the effect of the top-level attribute 'maxSize'; use 'outputChecks' instead",
    ),
    (
        "maxClosureSize",
        "'structuredAttrs' disables the effect of the top-level attribute 'maxClosureSize'; use 'outputChecks' instead",
    ),
];
const PASS_AS_FILE: &str = "'structuredAttrs' disables the effect of the top-level attribute 'passAsFile'; because all JSON is always passed via file";
const GRAPH_IGNORED: &str =
    "'exportReferencesGraph' in structured attrs is not a JSON object, ignoring";

type Result<T> = std::result::Result<T, OptionsError>;

impl Options {
    /// Reads what a derivation asks for. Nix tells of an error as one that was found "while parsing derivation '…'".
    pub fn of(derivation: &Derivation, store_dir: &StoreDir) -> Result<Self> {
        let reader = Reader {
            store_dir,
            placeholders: placeholders(derivation),
        };
        let structured = derivation.structured_attrs.as_deref().map(structured);
        match structured.transpose()? {
            Some(attributes) => reader.structured(&attributes, derivation),
            None => reader.plain(&derivation.env),
        }
    }
}

/// Structured attributes, read.
pub(crate) fn structured(text: &str) -> Result<Object> {
    match Json::read(text)? {
        Json::Object(members) => Ok(members),
        other => Err(wrong_type("object", &other)),
    }
}

struct Reader<'a> {
    store_dir: &'a StoreDir,
    /// What stands for outputs of inputs whose paths are not known yet.
    placeholders: BTreeSet<String>,
}

impl Reader<'_> {
    fn plain(&self, env: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Options> {
        let words = |name: &str| env.get(name.as_bytes()).map(|value| tokens(value));
        let set = |name: &str| -> BTreeSet<Vec<u8>> {
            words(name)
                .unwrap_or_default()
                .into_iter()
                .map(<[u8]>::to_vec)
                .collect()
        };
        let flag = |name: &str, default| {
            env.get(name.as_bytes())
                .map_or(default, |value| value == b"1")
        };
        let references = |name: &str| {
            let words = words(name)?.into_iter();
            Some(
                words
                    .map(|word| self.reference(&lossy(word)))
                    .collect::<BTreeSet<_>>(),
            )
        };
        Ok(Options {
            output_checks: OutputChecks::All(OutputCheck {
                ignore_self_refs: true,
                max_size: None,
                max_closure_size: None,
                allowed_references: references("allowedReferences"),
                disallowed_references: references("disallowedReferences").unwrap_or_default(),
                allowed_requisites: references("allowedRequisites"),
                disallowed_requisites: references("disallowedRequisites").unwrap_or_default(),
            }),
            unsafe_discard_references: BTreeMap::new(),
            pass_as_file: set("passAsFile"),
            export_references_graph: self.plain_graph(env)?,
            no_chroot: flag("__noChroot", false),
            impure_host_deps: set("__impureHostDeps"),
            impure_env_vars: set("impureEnvVars"),
            required_system_features: set("requiredSystemFeatures")
                .iter()
                .map(|word| lossy(word))
                .collect(),
            prefer_local_build: flag("preferLocalBuild", false),
            allow_substitutes: flag("allowSubstitutes", true),
            warnings: Vec::new(),
        })
    }

    fn plain_graph(
        &self,
        env: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<BTreeMap<String, BTreeSet<GraphRoot>>> {
        let text = env
            .get(&b"exportReferencesGraph"[..])
            .map_or(&b""[..], Vec::as_slice);
        let words = tokens(text);
        let pairs = words.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(OptionsError::GraphTokens(lossy(text)));
        }
        let mut graph = BTreeMap::new();
        for pair in pairs {
            let name = lossy(pair[0]);
            let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
            if !letter(pair[0][0])
                || !pair[0]
                    .iter()
                    .all(|&byte| letter(byte) || matches!(byte, b'0'..=b'9' | b'.' | b'-'))
            {
                return Err(OptionsError::GraphFileName(name));
            }
            graph.insert(name, BTreeSet::from([self.graph_root(&lossy(pair[1]))?]));
        }
        Ok(graph)
    }

    fn structured(&self, attributes: &Object, derivation: &Derivation) -> Result<Options> {
        let mut warnings: Vec<_> = REPLACED
            .iter()
            .filter(|(name, _)| attributes.contains_key(*name))
            .map(|(_, warning)| *warning)
            .collect();
        let output_checks = OutputChecks::ByOutput(self.output_checks(attributes)?);
        let unsafe_discard_references =
            discarded(attributes).map_err(|source| OptionsError::DiscardReferences {
                source: Box::new(source),
            })?;
        if derivation.env.contains_key(&b"passAsFile"[..]) {
            warnings.push(PASS_AS_FILE);
        }
        let export_references_graph = self.structured_graph(attributes, &mut warnings)?;
        // Read for the error that it may be: only macOS uses it.
        attribute(attributes, "__sandboxProfile", string)?;
        let no_chroot = attribute(attributes, "__noChroot", boolean)?.unwrap_or(false);
        let bytes = |strings: Vec<String>| strings.into_iter().map(String::into_bytes).collect();
        let impure_host_deps =
            attribute(attributes, "__impureHostDeps", strings)?.map_or_else(BTreeSet::new, bytes);
        let impure_env_vars =
            attribute(attributes, "impureEnvVars", strings)?.map_or_else(BTreeSet::new, bytes);
        attribute(attributes, "__darwinAllowLocalNetworking", boolean)?;
        let features = attribute(attributes, "requiredSystemFeatures", strings)?;
        Ok(Options {
            output_checks,
            unsafe_discard_references,
            pass_as_file: BTreeSet::new(),
            export_references_graph,
            no_chroot,
            impure_host_deps,
            impure_env_vars,
            required_system_features: features.unwrap_or_default().into_iter().collect(),
            prefer_local_build: attribute(attributes, "preferLocalBuild", boolean)?
                .unwrap_or(false),
            allow_substitutes: attribute(attributes, "allowSubstitutes", boolean)?.unwrap_or(true),
            warnings,
        })
    }

    fn output_checks(&self, attributes: &Object) -> Result<BTreeMap<String, OutputCheck>> {
        let Some(checks) = attributes.get("outputChecks") else {
            return Ok(BTreeMap::new());
        };
        let mut out = BTreeMap::new();
        for (output, check) in object(checks)? {
            let check = object(check)?;
            let references = |name: &'static str| {
                let read = |value: &Json| {
                    let texts = strings(value)?;
                    Ok(texts.iter().map(|text| self.reference(text)).collect())
                };
                check
                    .get(name)
                    .map(read)
                    .transpose()
                    .map_err(|source: OptionsError| OptionsError::OutputCheck {
                        output: output.clone(),
                        name,
                        source: Box::new(source),
                    })
            };
            let size = |name: &str| check.get(name).map(size).transpose();
            let check = OutputCheck {
                ignore_self_refs: false,
                max_size: size("maxSize")?,
                max_closure_size: size("maxClosureSize")?,
                allowed_references: references("allowedReferences")?,
                disallowed_references: references("disallowedReferences")?.unwrap_or_default(),
                allowed_requisites: references("allowedRequisites")?,
                disallowed_requisites: references("disallowedRequisites")?.unwrap_or_default(),
            };
            out.insert(output.clone(), check);
        }
        Ok(out)
    }

    fn structured_graph(
        &self,
        attributes: &Object,
        warnings: &mut Vec<&'static str>,
    ) -> Result<BTreeMap<String, BTreeSet<GraphRoot>>> {
        let mut graph = BTreeMap::new();
        match attributes.get("exportReferencesGraph") {
            None => {}
            Some(Json::Object(members)) => {
                for (name, value) in members {
                    let mut paths = BTreeSet::new();
                    flatten(value, &mut paths)?;
                    let roots = paths
                        .into_iter()
                        .map(|path| self.graph_root(path))
                        .collect::<Result<_>>()?;
                    graph.insert(name.clone(), roots);
                }
            }
            Some(_) => warnings.push(GRAPH_IGNORED),
        }
        Ok(graph)
    }

    /// The placeholder that a text is, or begins with before a slash.
    fn placeholder(&self, text: &str) -> Option<String> {
        let end = text
            .get(1..)
            .and_then(|rest| rest.find('/'))
            .map_or(text.len(), |end| end + 1);
        self.placeholders.get(&text[..end]).cloned()
    }

    fn reference(&self, text: &str) -> Reference {
        match (self.placeholder(text), self.store_dir.parse(text)) {
            (Some(placeholder), _) => Reference::Placeholder(placeholder),
            (None, Ok(path)) => Reference::Path(path),
            (None, Err(_)) => Reference::Output(text.to_owned()),
        }
    }

    fn graph_root(&self, text: &str) -> Result<GraphRoot> {
        if let Some(placeholder) = self.placeholder(text) {
            return Ok(GraphRoot::Placeholder(placeholder));
        }
        let (path, _) = self.store_dir.parse_subpath(text)?;
        Ok(GraphRoot::Path(path))
    }
}

/// The placeholders of all outputs that a derivation takes from others.
fn placeholders(derivation: &Derivation) -> BTreeSet<String> {
    fn add(
        out: &mut BTreeSet<String>,
        path: &StorePath,
        of: Option<Placeholder>,
        outputs: &InputOutputs,
    ) {
        let placeholder = |output: &str| match of {
            None => Placeholder::unknown_ca_output(path, output),
            Some(of) => of.unknown_derivation(output),
        };
        out.extend(outputs.names.iter().map(|name| placeholder(name).render()));
        for (name, outputs) in &outputs.dynamic {
            add(out, path, Some(placeholder(name)), outputs);
        }
    }
    let mut out = BTreeSet::new();
    for (path, outputs) in &derivation.input_derivations {
        add(&mut out, path, None, outputs);
    }
    out
}

fn tokens(text: &[u8]) -> Vec<&[u8]> {
    text.split(|byte| b" \t\n\r".contains(byte))
        .filter(|word| !word.is_empty())
        .collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attribute<T>(
    attributes: &Object,
    name: &'static str,
    read: impl Fn(&Json) -> Result<T>,
) -> Result<Option<T>> {
    let value = attributes.get(name).map(read).transpose();
    value.map_err(|source| OptionsError::Attribute {
        name,
        source: Box::new(source),
    })
}

fn discarded(attributes: &Object) -> Result<BTreeMap<String, bool>> {
    let Some(value) = attributes.get("unsafeDiscardReferences") else {
        return Ok(BTreeMap::new());
    };
    let members = object(value)?.iter();
    members
        .map(|(output, value)| Ok((output.clone(), boolean(value)?)))
        .collect()
}

fn flatten<'a>(value: &'a Json, out: &mut BTreeSet<&'a str>) -> Result<()> {
    match value {
        Json::Array(items) => items.iter().try_for_each(|item| flatten(item, out)),
        Json::String(text) => {
            out.insert(text);
            Ok(())
        }
        _ => Err(OptionsError::GraphValue),
    }
}

fn wrong_type(expected: &'static str, value: &Json) -> OptionsError {
    let mut text = Vec::new();
    value.write(&mut text);
    OptionsError::Type {
        expected,
        found: value.type_name(),
        value: lossy(&text),
    }
}

fn object(value: &Json) -> Result<&Object> {
    match value {
        Json::Object(members) => Ok(members),
        other => Err(wrong_type("object", other)),
    }
}

fn boolean(value: &Json) -> Result<bool> {
    match value {
        Json::Boolean(value) => Ok(*value),
        other => Err(wrong_type("boolean", other)),
    }
}

fn string(value: &Json) -> Result<String> {
    match value {
        Json::String(text) => Ok(text.clone()),
        other => Err(wrong_type("string", other)),
    }
}

fn strings(value: &Json) -> Result<Vec<String>> {
    match value {
        Json::Array(items) => items.iter().map(string).collect(),
        other => Err(wrong_type("array", other)),
    }
}

/// A size as Nix converts it: fractions are cut off, and what is below zero is very large.
fn size(value: &Json) -> Result<u64> {
    match value {
        Json::Unsigned(number) => Ok(*number),
        Json::Negative(number) => Ok(*number as u64),
        Json::Float(number) if *number < 0.0 => Ok(*number as i64 as u64),
        Json::Float(number) => Ok(*number as u64),
        other => Err(OptionsError::NotANumber(other.type_name())),
    }
}
