//! The pages with what a team has, and with what attacks them.

#[path = "../examples/pages/samples.rs"]
mod samples;

use niphas_pages::{
    ASSETS, Frame, closures_page, log_page, message_page, paths, run_page, source_page,
    sources_page,
};

use samples::Samples;

fn frame() -> Frame<'static> {
    Frame {
        base: "/base/",
        now: samples::now(),
        version: "0.1.0",
    }
}

/// All pages: the name of each, and its text.
fn pages(is_hostile: bool) -> Vec<(&'static str, String)> {
    let (frame, samples) = (&frame(), Samples { is_hostile });
    let sources = samples.sources();
    let name = &sources[0].name;
    vec![
        ("sources", sources_page(frame, &sources)),
        ("source", source_page(frame, &sources[0], &samples.runs())),
        ("run", run_page(frame, &samples.run())),
        ("large-run", run_page(frame, &samples.large_run())),
        ("log", log_page(frame, &samples.log(false))),
        ("live-log", log_page(frame, &samples.log(true))),
        (
            "closures",
            closures_page(frame, name, "128", &samples.closures()),
        ),
        (
            "message",
            message_page(frame, name.name.as_str(), name.name.as_str()),
        ),
    ]
}

/// A page with each element in a line of its own.
fn lines(page: &str) -> String {
    page.replace("><", ">\n<")
}

#[test]
fn pages_are_what_they_were() {
    for (name, page) in pages(false) {
        if name != "large-run" {
            insta::assert_snapshot!(name, lines(&page));
        }
    }
}

/// The names of elements, and their attributes with values.
fn elements(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut elements = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let mut end = 0;
        let mut is_quoted = false;
        for (index, c) in tag.char_indices() {
            match c {
                '"' => is_quoted = !is_quoted,
                '>' if !is_quoted => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        let inner = &tag[..end];
        let name: String = inner.chars().take_while(|c| !c.is_whitespace()).collect();
        let mut attributes = Vec::new();
        let mut left = inner[name.len()..].trim_start();
        while let Some((attribute, value)) = left.split_once("=\"") {
            let (value, more) = value.split_once('"').expect("an end of the value");
            let attribute = attribute.split_whitespace().last().unwrap_or_default();
            attributes.push((attribute.to_owned(), value.to_owned()));
            left = more;
        }
        elements.push((name, attributes));
        rest = &tag[end..];
    }
    elements
}

#[test]
fn texts_from_outside_are_texts() {
    for is_hostile in [false, true] {
        for (name, page) in pages(is_hostile) {
            let scripts = page.matches("<script").count();
            assert_eq!(scripts, usize::from(name == "live-log"), "{name}");
            assert!(
                !page.contains('\u{202e}') && !page.contains('\u{1b}'),
                "{name}"
            );
            for (element, attributes) in elements(&page) {
                assert!(
                    !matches!(
                        element.as_str(),
                        "img" | "iframe" | "style" | "form" | "base"
                    ),
                    "{name}: {element}"
                );
                for (attribute, value) in attributes {
                    assert!(
                        !attribute.starts_with("on") && attribute != "style",
                        "{name}: {attribute}"
                    );
                    if matches!(attribute.as_str(), "href" | "src") {
                        let is_ours = ["/base/", "https://git.example.org/", "data:,", "#"]
                            .iter()
                            .any(|start| value.starts_with(start));
                        assert!(is_ours, "{name}: {attribute}={value}");
                    }
                }
            }
        }
    }
}

#[test]
fn pages_are_bounded() {
    for (name, page) in pages(true) {
        assert!(page.len() < 2 << 20, "{name}: {} bytes", page.len());
    }
    // Everything a hundred times over.
    let samples = Samples { is_hostile: false };
    let mut run = samples.large_run();
    run.builds = (0..100).flat_map(|_| run.builds.clone()).collect();
    run.failures = vec![samples.run().failures[0].clone(); 2_000];
    run.stages = vec![run.stages[0].clone(); 10_000];
    let page = run_page(&frame(), &run);
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    let mut log = samples.log(false);
    log.text = log.text.repeat(10_000);
    let page = log_page(&frame(), &log);
    assert!(page.len() < 8 << 20, "{} bytes", page.len());
    let sources: Vec<_> = (0..1_000).flat_map(|_| samples.sources()).collect();
    let page = sources_page(&frame(), &sources);
    assert!(page.contains("4000 more sources not listed."));
}

#[test]
fn a_graph_of_two_thousand_derivations_stays_small() {
    let page = run_page(&frame(), &Samples { is_hostile: false }.large_run());
    let svg = page
        .split("<svg class=\"graph\"")
        .nth(1)
        .expect("a picture");
    let svg = svg.split("</svg>").next().expect("its end");
    assert!(svg.len() < 100 << 10, "{} bytes", svg.len());
    assert!(svg.contains("derivations"), "{svg}");
}

#[test]
fn names_of_all_kinds_are_segments() {
    let derivation = "0c5b8vw40d3iwqvmwaq2lb7fs4pzjvqd-a+b-._?=.drv";
    assert_eq!(
        paths::log(derivation),
        "/logs/0c5b8vw40d3iwqvmwaq2lb7fs4pzjvqd-a+b-._%3F=.drv"
    );
    for (text, path) in [
        ("..", "/logs/%252e%252e"),
        ("a/../b", "/logs/a%2F..%2Fb"),
        ("\"'<>", "/logs/%22'%3C%3E"),
    ] {
        assert_eq!(paths::log(text), path);
    }
}

#[test]
fn the_log_of_a_run_names_the_run() {
    let source = |name: &str| niphas_pages::model::SourceName {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(
        paths::log_of_run("x.drv", &source("app"), "20261201-050010"),
        "/logs/x.drv?run=shop/app/20261201-050010"
    );
    assert_eq!(
        paths::log_of_run("x.drv", &source("a&b/c"), "1+1"),
        "/logs/x.drv?run=shop/a%26b%2Fc/1%2B1"
    );
}

#[test]
fn assets_hold_nothing_from_elsewhere() {
    for asset in ASSETS {
        let text = asset.parts.concat();
        for word in ["http:", "https:", "@import", "url(", "innerHTML", "eval("] {
            assert!(!text.contains(word), "{}: {word}", asset.path);
        }
    }
}
