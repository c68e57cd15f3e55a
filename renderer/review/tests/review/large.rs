//! Reviews of very many workloads stay readable.

use niphas_review::{MARKDOWN_LIMIT, Review};
use proptest::prelude::*;
use serde_json::json;

use crate::made::{Change, Files, KIB, MIB, X86, change, closure, closure_of, picture, review};

/// Workloads that all get new libraries, and of which each `own`th has a new version of its own.
fn many(workloads: u64, libraries: u64, own: u64) -> Review {
    review(&changes(workloads, libraries, own))
}

fn changes(workloads: u64, libraries: u64, own: u64) -> Vec<Change> {
    (0..workloads)
        .map(|number| {
            let name = format!("service-{number:04}");
            let files = |revision: u64| {
                let version = if number % own == 0 { revision } else { 0 };
                let program = format!("serve{number:04}-{number}.{version}");
                let names: Vec<String> = (0..libraries)
                    .map(|library| {
                        format!("library{library:04}-with-a-long-name-{revision}.0.{library}")
                    })
                    .collect();
                let mut paths: Vec<(&str, u64)> = names
                    .iter()
                    .map(|name| (name.as_str(), MIB + revision * 100 * KIB))
                    .collect();
                paths.push((&program, MIB + revision * number * KIB));
                Files::workload(
                    "production",
                    &name,
                    &[(X86, &closure(&paths), &program)],
                    &json!({}),
                )
            };
            change("production", &name, files(0), files(1))
        })
        .collect()
}

#[test]
fn one_library_for_all_workloads_is_one_line() {
    let lines = |seed| closure_of(&[("web-1.0", MIB), ("glibc-2.40", 30 * MIB)], seed);
    let changes: Vec<Change> = (0..200)
        .map(|number| {
            let name = format!("service-{number:04}");
            let before = closure(&[("web-1.0", MIB), ("glibc-2.39", 29 * MIB)]);
            let files = |lines| {
                Files::workload("production", &name, &[(X86, lines, "web-1.0")], &json!({}))
            };
            change("production", &name, files(&before), files(&lines(1)))
        })
        .collect();
    let review = review(&changes);
    insta::assert_snapshot!(review.text(), @r"
    200 workloads: 200 changed; 200 restart; 2 new store paths (31.0 MiB) for x86_64-linux
      service-0000, service-0001, service-0002, service-0003, service-0004 and 195 more: +1.0 MiB each, restarts: closure
    packages:
      glibc: 2.39 → 2.40, +1.0 MiB in all 200 rebuilt workloads
    ");
}

#[test]
fn what_does_not_fit_is_counted() {
    let review = many(700, 400, 1);
    let markdown = review.markdown(Some(&"+ a line of the patch\n".repeat(100_000)));
    assert!(markdown.len() <= MARKDOWN_LIMIT, "{}", markdown.len());
    assert!(
        markdown.contains("more workloads are not listed"),
        "{markdown}"
    );
    let body = review.commit_body();
    assert!(body.lines().count() <= 100, "{}", body.lines().count());
    assert!(body.contains("more workloads not listed here"), "{body}");
    assert!(body.contains("more packages not listed here"), "{body}");
}

#[test]
fn patch_fills_what_room_there_is() {
    let review = many(1, 1, 1);
    let markdown = review.markdown(Some(&"+ a line of the patch\n".repeat(100_000)));
    assert!(
        (MARKDOWN_LIMIT - 1000..=MARKDOWN_LIMIT).contains(&markdown.len()),
        "{}",
        markdown.len()
    );
    assert!(markdown.contains("its first part"), "{}", &markdown[..2000]);
}

#[test]
fn page_of_many_workloads_stays_small_enough_to_send() {
    let changes = changes(200, 300, 3);
    let review = review(&changes);
    let page = review.html(
        &picture(&changes, &review),
        &[],
        Some(&"+a line of the patch\n".repeat(1_000_000)),
    );
    assert!(page.len() < 8 << 20, "{}", page.len());
    assert!(page.contains("Patch, its first part"));
    assert!(
        page.matches("<rect").count() < 8_000,
        "{}",
        page.matches("<rect").count()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn comments_are_never_too_long(workloads in 1..120_u64, libraries in 1..120_u64, own in 1..9_u64, patch in 0..70_000_usize) {
        let review = many(workloads, libraries, own);
        let markdown = review.markdown(Some(&"+`é\n".repeat(patch / 5)));
        prop_assert!(markdown.len() <= MARKDOWN_LIMIT, "{}", markdown.len());
        prop_assert!(review.commit_body().lines().count() <= 100);
    }
}
