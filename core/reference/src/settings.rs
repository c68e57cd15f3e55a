//! Pages of configuration files, made from the schemas of the types that read them.

use std::fmt::Write as _;

use schemars::Schema;
use serde_json::{Map, Value};

use crate::cell;

/// The page of a file: a table of the keys of each of its sections. `defaults` has the values that code supplies, each under its
/// section and key: `Limits.roots`.
///
/// # Panics
///
/// If a key has no description, or there is a default for a key that the schema lacks.
pub fn settings_page(introduction: &str, schema: &Schema, defaults: &[(&str, String)]) -> String {
    let schema = schema.as_value();
    let mut settings = Settings {
        definitions: schema["$defs"].as_object(),
        defaults: defaults.to_vec(),
        sections: Vec::new(),
        page: introduction.trim_end().to_owned() + "\n",
    };
    settings.table("The file", schema);
    let mut described = 0;
    while let Some(name) = settings.sections.get(described).cloned() {
        settings.table(&name, &settings.definition(&name));
        described += 1;
    }
    let unused = settings.defaults;
    assert!(unused.is_empty(), "defaults of no key: {unused:?}");
    settings.page
}

struct Settings<'a> {
    definitions: Option<&'a Map<String, Value>>,
    /// Those that no key has taken.
    defaults: Vec<(&'a str, String)>,
    /// In the order in which tables name them.
    sections: Vec<String>,
    page: String,
}

impl Settings<'_> {
    fn definition(&self, name: &str) -> Value {
        self.definitions
            .and_then(|all| all.get(name))
            .cloned()
            .unwrap_or_default()
    }

    fn table(&mut self, title: &str, schema: &Value) {
        let _ = write!(self.page, "\n## {title}\n\n");
        if let Some(text) = schema["description"].as_str() {
            let _ = write!(self.page, "{}\n\n", cell(text));
        }
        self.page
            .push_str("| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (key, of) in schema["properties"].as_object().into_iter().flatten() {
            let meaning = of["description"].as_str();
            assert!(meaning.is_some(), "{title}.{key} has no description");
            let meaning = cell(meaning.unwrap_or_default());
            let kind = cell(&self.kind(of));
            let default = if required.contains(&key.as_str().into()) {
                "required".to_owned()
            } else {
                self.default(&format!("{title}.{key}"), of)
            };
            let _ = writeln!(self.page, "| `{key}` | {kind} | {default} | {meaning} |");
        }
    }

    /// A type in words; sections that it names get a table later.
    fn kind(&mut self, schema: &Value) -> String {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            let definition = self.definition(name);
            if !definition["properties"].is_object() {
                return self.kind(&definition);
            }
            if !self.sections.iter().any(|section| section == name) {
                self.sections.push(name.to_owned());
            }
            let anchor = name.to_lowercase().replace(' ', "-");
            return format!("[{name}](#{anchor})");
        }
        if let Some(title) = schema["title"].as_str() {
            return title.to_owned();
        }
        if let Some(several) = schema["anyOf"].as_array() {
            let several = several.iter().filter(|it| it["type"] != "null");
            let kinds: Vec<String> = several.map(|it| self.kind(it)).collect();
            return kinds.join(", or ");
        }
        let name = match &schema["type"] {
            Value::Array(types) => types.iter().find(|name| *name != "null"),
            name => Some(name),
        };
        match name.and_then(Value::as_str).unwrap_or("anything") {
            "array" => format!("list of: {}", self.kind(&schema["items"])),
            "object" => format!("map to: {}", self.kind(&schema["additionalProperties"])),
            "integer" if schema["minimum"] == 1 => "integer, 1 or more".to_owned(),
            name => name.to_owned(),
        }
    }

    fn default(&mut self, key: &str, schema: &Value) -> String {
        if let Some(index) = self.defaults.iter().position(|(name, _)| *name == key) {
            return format!("`{}`", self.defaults.remove(index).1);
        }
        match schema["type"].as_str() {
            Some("array") => "`[]`".to_owned(),
            Some("object") => "`{}`".to_owned(),
            _ if schema["$ref"].is_string() => "`{}`".to_owned(),
            _ => "none".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::json_schema;

    use super::*;

    fn schema() -> Schema {
        json_schema!({
            "description": "What a file holds",
            "properties": {
                "level": {"description": "How hard to try", "type": ["integer", "null"], "minimum": 1},
                "named": {"description": "By name", "type": "object", "additionalProperties": {"$ref": "#/$defs/Place"}},
                "places": {"description": "Where to look", "type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Place"}]}},
            },
            "$defs": {
                "Place": {"required": ["url"], "properties": {
                    "size": {"description": "How large", "anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}]},
                    "url": {"description": "Where", "type": "string"},
                }},
                "Size": {"title": "size such as `8GiB`"},
            },
        })
    }

    #[test]
    fn a_page_has_every_key_of_every_section() {
        let page = settings_page("# f\n", &schema(), &[("The file.level", "3".to_owned())]);
        let expected = "# f\n
## The file

What a file holds

| Key | Type | Default | Meaning |
|---|---|---|---|
| `level` | integer, 1 or more | `3` | How hard to try |
| `named` | map to: [Place](#place) | `{}` | By name |
| `places` | list of: string, or [Place](#place) | `[]` | Where to look |

## Place

| Key | Type | Default | Meaning |
|---|---|---|---|
| `size` | size such as `8GiB` | none | How large |
| `url` | string | required | Where |
";
        assert_eq!(page, expected);
    }

    #[test]
    #[should_panic(expected = "defaults of no key")]
    fn a_default_of_no_key_is_noticed() {
        settings_page("", &schema(), &[("Place.colour", "red".to_owned())]);
    }
}
