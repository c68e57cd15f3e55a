//! References against what Nix 2.34.8 says: `vectors/flake-refs.json` holds its answers.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

use nix_flake::{Attrs, FlakeRef, ParseOptions};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "ref")]
    reference: String,
    attrs: Option<Attrs>,
    printed: Option<String>,
    print_error: Option<String>,
    error: Option<String>,
}

#[test]
fn references_parse_and_print_as_in_nix() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("vectors/flake-refs.json")).expect("vectors are JSON");
    let mut wrong = Vec::new();
    for vector in &vectors {
        let mut differ = |what: &str, ours: String, nix: String| {
            if ours != nix {
                let reference = &vector.reference;
                wrong.push(format!(
                    "{reference}: {what}\n  ours: {ours}\n  nix:  {nix}"
                ));
            }
        };
        match (
            FlakeRef::parse(&vector.reference, &ParseOptions::absolute()),
            &vector.attrs,
        ) {
            (Err(ours), None) => {
                // Nix's messages repeat passwords; ours don't.
                let nix = niphas_http::redacted(&vector.error.clone().unwrap_or_default());
                // Nix says which character it stumbled over; we don't.
                if nix.starts_with("invalid URI query") {
                    assert!(ours.to_string().starts_with("invalid URI query"), "{ours}");
                } else {
                    differ("error", ours.to_string(), nix);
                }
            }
            (Ok(ours), None) => differ(
                "accepted",
                ours.to_string(),
                vector.error.clone().unwrap_or_default(),
            ),
            (Err(ours), Some(nix)) => differ("refused", ours.to_string(), nix.to_json()),
            (Ok(ours), Some(nix)) => {
                let whole = |attrs| serde_json::to_string(attrs).expect("JSON");
                differ("attributes", whole(&ours.to_attrs()), whole(nix));
                match FlakeRef::from_attrs(nix.clone()).and_then(|again| again.to_url()) {
                    Ok(url) => differ(
                        "printed",
                        url.expose(),
                        vector.printed.clone().unwrap_or_default(),
                    ),
                    Err(ours) => differ(
                        "print error",
                        ours.to_string(),
                        vector.print_error.clone().unwrap_or_default(),
                    ),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
