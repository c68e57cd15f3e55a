//! The JSON form, as `nix derivation show` of Nix 2.34 prints it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Derivation, DerivationError, DerivationOutput, InputOutputs, JSON_VERSION};
use crate::content_address::{ContentAddress, ContentAddressMethod};
use crate::hash::{Hash, HashAlgorithm, HashFormat};
use crate::store_path::StorePath;

type Object = Map<String, Value>;

impl Derivation {
    /// The JSON form. Store paths are base names. Fails where the derivation
    /// holds bytes that are not UTF-8.
    pub fn to_json(&self) -> Result<Value, DerivationError> {
        let mut object = Object::new();
        object.insert(
            "args".to_owned(),
            self.args
                .iter()
                .map(|arg| text(arg))
                .collect::<Result<_, _>>()?,
        );
        object.insert("builder".to_owned(), text(&self.builder)?);
        let env = self
            .env
            .iter()
            .map(|(name, value)| Ok((utf8(name)?, text(value)?)))
            .collect::<Result<Object, DerivationError>>()?;
        object.insert("env".to_owned(), Value::Object(env));
        object.insert("inputs".to_owned(), self.inputs_to_json());
        object.insert("name".to_owned(), self.name.as_str().into());
        let outputs = self
            .outputs
            .iter()
            .map(|(name, output)| (name.clone(), output.to_json()));
        object.insert("outputs".to_owned(), Value::Object(outputs.collect()));
        if let Some(attrs) = &self.structured_attrs {
            let attrs = serde_json::from_str(attrs)
                .map_err(|error| DerivationError::StructuredAttrs(error.to_string()))?;
            object.insert("structuredAttrs".to_owned(), attrs);
        }
        object.insert("system".to_owned(), text(&self.platform)?);
        object.insert("version".to_owned(), JSON_VERSION.into());
        Ok(Value::Object(object))
    }

    fn inputs_to_json(&self) -> Value {
        let derivations = self
            .input_derivations
            .iter()
            .map(|(path, outputs)| (path.base_name().to_owned(), outputs.to_json()));
        json!({
            "drvs": Value::Object(derivations.collect()),
            "srcs": self.input_sources.iter().map(StorePath::base_name).collect::<Vec<_>>(),
        })
    }

    /// Reads the JSON form.
    pub fn from_json(value: &Value) -> Result<Self, DerivationError> {
        let version = get(value, "version")?
            .as_u64()
            .ok_or_else(|| DerivationError::Json("'version' must be a number".to_owned()))?;
        if version != JSON_VERSION {
            return Err(DerivationError::JsonVersion(version));
        }
        let inputs = get(value, "inputs")?;
        let mut drv = Self {
            name: string(value, "name")?.to_owned(),
            platform: string(value, "system")?.as_bytes().to_vec(),
            builder: string(value, "builder")?.as_bytes().to_vec(),
            ..Self::default()
        };
        for (name, output) in object(value, "outputs")? {
            drv.outputs
                .insert(name.clone(), DerivationOutput::from_json(name, output)?);
        }
        for path in strings(inputs, "srcs")? {
            drv.input_sources.insert(StorePath::from_base_name(path)?);
        }
        for (path, outputs) in object(inputs, "drvs")? {
            let path = StorePath::from_base_name(path)?;
            let outputs = InputOutputs::from_json(outputs)?;
            if outputs.names.is_empty() && outputs.dynamic.is_empty() {
                return Err(DerivationError::NoInputOutputs(path));
            }
            drv.input_derivations.insert(path, outputs);
        }
        for arg in strings(value, "args")? {
            drv.args.push(arg.as_bytes().to_vec());
        }
        for (name, value) in object(value, "env")? {
            let value = value.as_str().ok_or_else(|| {
                DerivationError::Json(format!("environment variable '{name}' must be a string"))
            })?;
            drv.env
                .insert(name.as_bytes().to_vec(), value.as_bytes().to_vec());
        }
        if let Some(attrs) = value.get("structuredAttrs") {
            if !attrs.is_object() {
                return Err(DerivationError::Json(
                    "'structuredAttrs' must be an object".to_owned(),
                ));
            }
            drv.structured_attrs = Some(attrs.to_string());
        }
        Ok(drv)
    }
}

impl DerivationOutput {
    fn to_json(&self) -> Value {
        match self {
            Self::InputAddressed(path) => json!({ "path": path.base_name() }),
            Self::FixedOutput(ca) => json!({
                "hash": ca.hash.to_string(HashFormat::Sri, true),
                "method": ca.method.name(),
            }),
            Self::Floating { method, algorithm } => json!({
                "hashAlgo": algorithm.name(),
                "method": method.name(),
            }),
            Self::Deferred => json!({}),
            Self::Impure { method, algorithm } => json!({
                "hashAlgo": algorithm.name(),
                "impure": true,
                "method": method.name(),
            }),
        }
    }

    fn from_json(name: &str, value: &Value) -> Result<Self, DerivationError> {
        let invalid = || DerivationError::Json(format!("output '{name}' has no known form"));
        let keys: BTreeSet<&str> = value
            .as_object()
            .ok_or_else(invalid)?
            .keys()
            .map(String::as_str)
            .collect();
        let has = |wanted: &[&str]| keys == wanted.iter().copied().collect();
        let method = || -> Result<ContentAddressMethod, DerivationError> {
            Ok(string(value, "method")?.parse()?)
        };
        let algorithm = || -> Result<HashAlgorithm, DerivationError> {
            Ok(string(value, "hashAlgo")?.parse()?)
        };
        if has(&[]) {
            Ok(Self::Deferred)
        } else if has(&["path"]) {
            Ok(Self::InputAddressed(StorePath::from_base_name(string(
                value, "path",
            )?)?))
        } else if has(&["hash", "method"]) {
            let hash = Hash::parse_sri(string(value, "hash")?)?;
            Ok(Self::FixedOutput(ContentAddress {
                method: method()?,
                hash,
            }))
        } else if has(&["hashAlgo", "method"]) {
            Ok(Self::Floating {
                method: method()?,
                algorithm: algorithm()?,
            })
        } else if has(&["hashAlgo", "impure", "method"]) {
            Ok(Self::Impure {
                method: method()?,
                algorithm: algorithm()?,
            })
        } else {
            Err(invalid())
        }
    }
}

impl InputOutputs {
    fn to_json(&self) -> Value {
        let dynamic = self
            .dynamic
            .iter()
            .map(|(name, nested)| (name.clone(), nested.to_json()));
        json!({
            "dynamicOutputs": Value::Object(dynamic.collect()),
            "outputs": self.names,
        })
    }

    // As deep as the JSON, which serde_json bounds.
    fn from_json(value: &Value) -> Result<Self, DerivationError> {
        let names = strings(value, "outputs")?
            .into_iter()
            .map(str::to_owned)
            .collect();
        let dynamic = object(value, "dynamicOutputs")?
            .iter()
            .map(|(name, nested)| Ok((name.clone(), Self::from_json(nested)?)))
            .collect::<Result<BTreeMap<_, _>, DerivationError>>()?;
        Ok(Self { names, dynamic })
    }
}

fn utf8(bytes: &[u8]) -> Result<String, DerivationError> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| DerivationError::NotUtf8(String::from_utf8_lossy(bytes).into_owned()))
}

fn text(bytes: &[u8]) -> Result<Value, DerivationError> {
    utf8(bytes).map(Value::String)
}

fn get<'a>(value: &'a Value, key: &str) -> Result<&'a Value, DerivationError> {
    value
        .get(key)
        .ok_or_else(|| DerivationError::Json(format!("'{key}' is missing")))
}

fn string<'a>(value: &'a Value, key: &str) -> Result<&'a str, DerivationError> {
    get(value, key)?
        .as_str()
        .ok_or_else(|| DerivationError::Json(format!("'{key}' must be a string")))
}

fn strings<'a>(value: &'a Value, key: &str) -> Result<Vec<&'a str>, DerivationError> {
    get(value, key)?
        .as_array()
        .and_then(|elements| elements.iter().map(Value::as_str).collect())
        .ok_or_else(|| DerivationError::Json(format!("'{key}' must be a list of strings")))
}

fn object<'a>(value: &'a Value, key: &str) -> Result<&'a Object, DerivationError> {
    get(value, key)?
        .as_object()
        .ok_or_else(|| DerivationError::Json(format!("'{key}' must be an object")))
}
