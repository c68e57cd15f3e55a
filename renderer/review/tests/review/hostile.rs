//! What was in the repository may be anything.

use niphas_review::{Effect, MARKDOWN_LIMIT, MARKER, Picture, Review};
use proptest::prelude::*;
use serde_json::json;

use crate::made::{Files, MIB, X86, change, closure, review};

/// Names with all that means something to some reader.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "-",
        "|",
        "`",
        "```",
        "\\",
        "\n",
        "\r",
        "<script>alert(1)</script>",
        "<!--",
        "-->",
        "</details>",
        "@admin",
        "#1",
        "fixes #12",
        "[x](http://x)",
        "![](http://x)",
        "http://x.example",
        "www.x.example",
        "*",
        "_",
        "~~",
        "&amp;",
        "&#64;",
        "\"",
        "'",
        "{{x}}",
        "$(x)",
        "\u{202e}",
        "\u{200b}",
        "\u{2028}",
        "\0",
        "\x1b[31m",
        "\t",
        " ",
        "---",
        "Niphas-Source-Rev: 1",
        "diff --git a/x b/x",
        "%s",
        "ä",
        "😀",
    ];
    let piece = proptest::sample::select(pieces.to_vec());
    prop_oneof![
        3 => proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

/// A change whose names all come from files of the repository: a workload's, a system, variables, containers, kinds.
fn review_with(name: &str) -> Review {
    let lines = closure(&[("web-1.0", MIB)]);
    let plain = name.replace('/', "_");
    let object = |kind: &str, value: &str| {
        json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": { "name": name, name: value },
            "spec": {
                name: value,
                "template": {
                    "metadata": { "labels": { name: value } },
                    "spec": {
                        name: value,
                        "containers": [
                            { "name": "main", "env": [{ "name": name, "value": value }], name: value },
                            { "name": name, "args": [value] },
                        ],
                        "volumes": [{ "name": name, "emptyDir": { "medium": value } }],
                    },
                },
            },
        })
    };
    let folder = format!("deploy/prod/{plain}");
    let files = |value: &str| {
        Files::default()
            .with(
                &format!("{folder}/a.yaml"),
                object("Deployment", value).to_string(),
            )
            .with(&format!("{folder}/b.yaml"), object(name, value).to_string())
            .with(
                &format!(".niphas/prod/closures/{plain}.{plain}.txt"),
                closure(&[("web-1.0", MIB), (&format!("x-{value}"), MIB)]).to_string(),
            )
    };
    let gone = Files::workload("prod", "gone", &[(X86, &lines, "web-1.0")], &json!({}));
    review(&[
        change("prod", &plain, files("1"), files("2")),
        change(name, "gone", gone, Files::default()),
    ])
}

/// The text without its code spans, which nothing is read into.
fn outside_of_code(markdown: &str) -> String {
    let mut text = String::new();
    for line in markdown.lines() {
        assert_eq!(
            line.matches('`').count() % 2,
            0,
            "a code span that does not end: {line}"
        );
        text.extend(line.split('`').step_by(2));
        text.push('\n');
    }
    text
}

proptest! {
    #[test]
    fn names_are_plain_text_in_every_form(name in hostile()) {
        let review = review_with(&name);
        let markdown = review.markdown(None);
        prop_assert!(markdown.len() <= MARKDOWN_LIMIT);
        prop_assert_eq!(markdown.lines().next(), Some(MARKER));
        let outside = outside_of_code(&markdown);
        let outside = outside.replace(MARKER, "");
        for markup in ["<script", "<!--", "@admin", "#1", "](", "http", "www", "~~", "&", "\\", "\x1b", "\u{202e}"] {
            prop_assert!(!outside.contains(markup), "{}: {}", markup, markdown);
        }
        for row in outside.lines().filter(|line| line.starts_with('|')) {
            prop_assert_eq!(row.matches('|').count(), 5, "{}", row);
        }
        prop_assert!(markdown.lines().filter(|line| line.starts_with('|')).all(|row| row.matches('|').count() == 5), "{}", markdown);
        for text in [review.text(), review.commit_body()] {
            let is_plain = |c: char| c == '\n' || !c.is_control() && !matches!(c, '\u{202e}' | '\u{2028}' | '\u{200b}');
            prop_assert!(text.chars().all(is_plain), "{:?}", text);
        }
        for line in review.commit_body().lines() {
            prop_assert!(line.is_empty() || line.starts_with("- "), "{}", line);
        }
        let page = review.html(&Picture::default(), &[("Flake", name.clone())], Some(&format!("+{name}")));
        let body = page.split_once("</style>").map_or("", |(_, body)| body);
        // All markup is ours: what was in a name is left without its signs.
        let ours = body.replace("<!doctype html>", "");
        for markup in ["<script", "<!--", "onload=", "<x", "\x1b", "\0"] {
            prop_assert!(!ours.contains(markup), "{}: {}", markup, body);
        }
        prop_assert_eq!(ours.matches("</details>").count(), 1);
        // No line of the summary begins a patch.
        for line in review.text().lines().skip(1) {
            prop_assert!(line.starts_with("  ") || line == "packages:", "{}", line);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_fault(before in proptest::collection::vec(any::<u8>(), 0..300), yaml in any::<String>()) {
        let files = Files::default()
            .with("deploy/prod/web/a.yaml", before.clone())
            .with("deploy/prod/web/b.yaml", yaml)
            .with(".niphas/prod/closures/web.x86_64-linux.txt", before);
        let lines = closure(&[("web-1.0", MIB)]);
        let after = Files::workload("prod", "web", &[(X86, &lines, "web-1.0")], &json!({}));
        let review = review(&[change("prod", "web", files, after)]);
        prop_assert!(!review.markdown(None).is_empty());
    }
}

#[test]
fn files_that_cannot_be_read_are_reported_as_that() {
    let lines = closure(&[("web-1.0", MIB)]);
    let after = Files::workload("prod", "web", &[(X86, &lines, "web-1.0")], &json!({}));
    let bomb = format!(
        "kind: Deployment\na: &a [x]\nb:\n{}",
        "- [*a, *a, *a]\n".repeat(50)
    );
    let deep = format!(
        "kind: Deployment\na: {}{}\n",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    for bytes in [
        bomb,
        deep,
        "x".repeat(2 << 20),
        "{".to_owned(),
        "kind: NiphasWorkload\nspec: 3\n".to_owned(),
    ] {
        let before = Files::default()
            .with("deploy/prod/web/NiphasWorkload-web.yaml", bytes)
            .with(".niphas/prod/closures/web.x86_64-linux.txt", "no closure");
        let review = review(&[change("prod", "web", before, after.clone())]);
        let found = &review.workloads[0];
        assert_eq!(found.effect, Effect::Unknown);
        assert_eq!(found.closures[X86].before, None);
        assert_eq!(found.closures[X86].after.unwrap().nar_size, MIB);
        assert!(
            review.text().contains("cannot be read"),
            "{}",
            review.text()
        );
    }
}
