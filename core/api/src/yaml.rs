//! The one way in which niphas writes YAML.

use serde::Serialize;
use serde_json::{Number, Value};

/// Writes one YAML document with sorted keys and LF, the same bytes for the same value always.
///
/// Strings that a YAML 1.1 or 1.2 reader could take for something else are quoted, lines are never
/// folded, and a float that is a whole number is written as an integer.
pub fn to_yaml(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(value)?;
    normalise(&mut value);
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&value, options).map_err(serde::ser::Error::custom)
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
}
