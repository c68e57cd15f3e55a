//! The one way in which niphas writes YAML.

use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};
use serde_saphyr::DoubleQuoted;

/// Writes one YAML document with sorted keys and LF, the same bytes for the same value always.
///
/// Strings that a YAML 1.1 or 1.2 reader could take for something else are quoted, lines are never
/// folded, and a float that is a whole number is written as an integer.
pub fn to_yaml(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(value)?;
    normalise(&mut value);
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&Node(&value), options).map_err(serde_json::Error::custom)
}

/// A value, with strings quoted where Kubernetes' reader needs it.
struct Node<'a>(&'a Value);

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if starts_with_tab(text) => {
                DoubleQuoted(text).serialize(serializer)
            }
            Value::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|item| sequence.serialize_element(&Node(item)))?;
                sequence.end()
            }
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields
                    .iter()
                    .try_for_each(|(name, field)| map.serialize_entry(name, &Node(field)))?;
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// Go's YAML reader takes a tab at the start of a block's first line for bad indentation.
fn starts_with_tab(text: &str) -> bool {
    text.trim_start_matches('\n').starts_with('\t')
}

fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(fields) => {
            fields.sort_keys();
            fields.values_mut().for_each(normalise);
        }
        Value::Number(number) => {
            // Up to here a double holds every integer exactly.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            if let Some(float) = number.as_f64()
                && number.is_f64()
                && float.fract() == 0.0
                && float.abs() <= EXACT
            {
                *number = Number::from(float as i64);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn words_that_yaml_1_1_reads_otherwise_are_quoted() {
        let value = json!({
            "NO": "off", "y": "1:20", "0x1f": "012", "<<": "=", "2001-01-01": "1e3", "null": "~",
            "": " lead", "mode": "0644", "- a": "a: b", "# c": "---",
        });
        insta::assert_snapshot!(to_yaml(&value).unwrap(), @r##"
        "": " lead"
        "# c": "---"
        "- a": "a: b"
        "0x1f": "012"
        "2001-01-01": "1e3"
        "<<": "="
        "NO": "off"
        mode: "0644"
        "null": "~"
        "y": "1:20"
        "##);
    }

    #[test]
    fn texts_are_literal_blocks_and_never_folded() {
        let value = json!({
            "config": "a = 1\n\n  b = 2\n", "bare": "x\ny", "tail": "x\n\n\n", "lead": "  x\ny\n",
            "crlf": "a\r\nb\n", "long": "word ".repeat(30), "newline": "\n",
        });
        insta::assert_snapshot!(to_yaml(&value).unwrap(), @r#"
        bare: |-
          x
          y
        config: |
          a = 1

            b = 2
        crlf: "a\r\nb\n"
        lead: |2
            x
          y
        long: "word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word "
        newline: |+

        tail: |+
          x
        "#);
    }

    #[test]
    fn block_that_would_start_with_a_tab_is_quoted() {
        let value = json!({ "a": "\n\tx\n", "b": "x\n\ty\n" });
        insta::assert_snapshot!(to_yaml(&value).unwrap(), @r#"
        a: "\n\tx\n"
        b: |
          x
          	y
        "#);
    }

    #[test]
    fn numbers_and_empty_collections_are_plain() {
        let value = json!({"a": 1.0, "b": 0.5, "c": [], "d": {}, "e": [[1, [2]], {"k": null}]});
        insta::assert_snapshot!(to_yaml(&value).unwrap(), @r#"
        a: 1
        b: 0.5
        c: []
        d: {}
        e:
        - - 1
          - - 2
        - k: null
        "#);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        // Pieces that mean something to some reader, and any text.
        let pieces = [
            "a",
            " ",
            "\n",
            "\t",
            ":",
            ": ",
            " #",
            "- ",
            "? ",
            "'",
            "\"",
            "\\",
            "|",
            ">",
            "%",
            "{",
            "[",
            ",",
            "&",
            "*",
            "!",
            "~",
            "null",
            "no",
            "y",
            "0",
            "1",
            "0x",
            "1e3",
            ".",
            "_",
            "+",
            "=",
            "<<",
            "---",
            "...",
            "\r",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "2001-01-01",
            ":30",
            ".inf",
        ];
        let pieces = proptest::sample::select(pieces.to_vec());
        let text = prop_oneof![
            3 => proptest::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat()),
            1 => any::<String>(),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(value in any_value()) {
            let yaml = to_yaml(&value).unwrap();
            prop_assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), value, "{}", yaml);
        }
    }
}
