//! How JSON is laid out.

/// Options of commands that print JSON.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct JsonArgs {
    /// Print JSON on several lines, indented
    #[arg(long, overrides_with = "no_pretty", hide_short_help = true)]
    pretty: bool,
    /// Print JSON on one line
    #[arg(long, hide = true, overrides_with = "pretty")]
    no_pretty: bool,
}

impl JsonArgs {
    /// Lays out JSON that has no blanks between its parts.
    pub(crate) fn lay_out(self, json: &[u8]) -> Vec<u8> {
        if self.pretty && !self.no_pretty {
            indented(json)
        } else {
            json.to_vec()
        }
    }
}

/// A line for each value, the text of the values as it was.
fn indented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let new_line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (index, &byte) in json.iter().enumerate() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        let next = json.get(index + 1);
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                if !matches!(next, Some(b'}' | b']')) {
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    new_line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            byte => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn values_keep_their_text() {
        let json = br#"{"a":[1e+100,{},[],"x: {\"y\", \\"],"b":{"c":null}}"#;
        let text = String::from_utf8(indented(json)).unwrap();
        let expected = "{\n  \"a\": [\n    1e+100,\n    {},\n    [],\n    \"x: {\\\"y\\\", \\\\\"\n  ],\n  \"b\": {\n    \"c\": null\n  }\n}";
        assert_eq!(text, expected);
        assert_eq!(indented(b"[]"), b"[]");
        assert_eq!(indented(b"\"a\""), b"\"a\"");
    }
}
