//! What reports say of a change, to the letter.

use niphas_review::{MARKER, Picture};
use serde_json::json;

use crate::made::{Change, Files, MIB, X86, change, closure, picture, review, shop};

#[test]
fn text_has_a_line_for_each_group_of_workloads_and_packages() {
    insta::assert_snapshot!(review(&shop()).text());
}

#[test]
fn commit_has_the_same_as_a_list() {
    insta::assert_snapshot!(review(&shop()).commit_body());
}

#[test]
fn comment_has_tables_and_begins_with_the_marker() {
    let text = review(&shop()).markdown(None);
    assert_eq!(text.lines().next(), Some(MARKER));
    insta::assert_snapshot!(text);
}

#[test]
fn comment_ends_in_the_patch_within_a_fence_that_it_does_not_end() {
    let text = review(&shop()).markdown(Some("+a\n+````\n"));
    let end = &text[text.find("<details><summary>Patch").unwrap()..];
    insta::assert_snapshot!(end);
}

#[test]
fn programs_get_all_of_it() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&review(&shop())).unwrap());
}

#[test]
fn nothing_is_said_of_nothing() {
    let review = review(&[]);
    assert_eq!(review.text(), "");
    assert_eq!(review.commit_body(), "");
    insta::assert_snapshot!(review.markdown(None));
}

#[test]
fn page_has_the_sums_the_sizes_and_the_tables() {
    let changes = shop();
    let review = review(&changes);
    let facts = [("Flake", "https://git.example.org/shop?dir=a&b".to_owned())];
    let page = review.html(
        &picture(&changes, &review),
        &facts,
        Some("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+<b>\n c\n"),
    );
    let (head, body) = page.split_once("</style>").unwrap();
    assert!(
        head.contains("<title>Changes of production, staging</title>"),
        "{head}"
    );
    insta::assert_snapshot!(body);
}

#[test]
fn what_only_new_workloads_share_is_new() {
    let workload = |name: &str, is_new| -> Change {
        let program = format!("{name}-1.0");
        let lines = closure(&[(&program, MIB), ("glibc-2.40", 30 * MIB)]);
        let files = Files::workload("production", name, &[(X86, &lines, &program)], &json!({}));
        let before = if is_new {
            Files::default()
        } else {
            files.clone()
        };
        change("production", name, before, files)
    };
    let page = |changes: &[Change]| {
        let review = review(changes);
        review.html(&picture(changes, &review), &[], None)
    };
    let unchanged = "unchanged, in several workloads";
    let first = page(&[workload("api", true), workload("web", true)]);
    assert!(first.contains("new, in several workloads") && !first.contains(unchanged));
    let second = page(&[workload("api", false), workload("web", true)]);
    assert!(second.contains(unchanged), "{second}");
}

#[test]
fn page_needs_no_other_file_and_no_script() {
    let changes = shop();
    let review = review(&changes);
    let page = review.html(&picture(&changes, &review), &[], Some("+a\n"));
    for other in [
        "http:", "https:", "src=", "href=\"h", "url(", "<script", "@import", "onload", "<iframe",
        "<link",
    ] {
        assert!(!page.contains(other), "{other}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn page_of_nothing_says_so() {
    let page = review(&[]).html(&Picture::default(), &[], None);
    assert!(page.contains("<p>No workload changes.</p>"), "{page}");
}
