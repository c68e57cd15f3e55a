//! The page of all options, for browsers: everything stands in it, and a script hides what does not match what is looked for.

use std::fmt::Write as _;

use niphas_reference::assert_page;
use niphas_render::{EnvironmentOption, options};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

fn page() -> String {
    let all = options(true);
    let mut page =
        String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<title>Options of environments and workloads</title>\n");
    let _ = writeln!(page, "<style>\n{STYLE}</style>\n</head>\n<body>");
    page.push_str("<header>\n<h1>Options of environments and workloads</h1>\n");
    page.push_str("<p>A test makes this page of what <code>niphas options</code> prints. Options of Kubernetes' own types stand where a type is first.</p>\n");
    page.push_str("<p><label for=\"search\">Search</label> <input id=\"search\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\"> <output id=\"count\" for=\"search\"></output></p>\n");
    page.push_str("</header>\n<main>\n");
    for option in &all {
        article(&mut page, option);
    }
    let _ = writeln!(
        page,
        "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>"
    );
    page
}

fn article(page: &mut String, option: &EnvironmentOption) {
    let path = escaped(&option.path);
    let required = if option.required { ", required" } else { "" };
    let _ = write!(
        page,
        "<article id=\"{path}\"><h2><a href=\"#{path}\">{path}</a></h2><p class=\"type\">{}{required}</p>",
        escaped(&option.kind)
    );
    if !option.description.is_empty() {
        let _ = write!(page, "<p>{}</p>", escaped(&option.description));
    }
    let values = [("default", &option.default), ("example", &option.example)];
    if values.iter().any(|(_, value)| value.is_some()) {
        page.push_str("<dl>");
        for (name, value) in values {
            if let Some(value) = value {
                let _ = write!(
                    page,
                    "<dt>{name}</dt><dd><code>{}</code></dd>",
                    escaped(value)
                );
            }
        }
        page.push_str("</dl>");
    }
    page.push_str("</article>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[test]
fn the_page_of_options_is_what_the_schema_says() {
    assert_page("options/index.html", &page());
}
