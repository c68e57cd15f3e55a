//! The patch of `--diff`: as it is for programs, readable for people.

use niphas_terminal::{print_bytes, prints_in_colour};
use nix_formats::printable;

use crate::pager;

/// Prints what a patch means, and the patch. On a terminal they go through a pager, if `uses_pager`.
pub(super) fn print(summary: &str, patch: &str, uses_pager: bool) {
    let for_people = pager::is_for_people();
    let in_colour = prints_in_colour();
    if patch.is_empty() || !(for_people || in_colour) {
        print_bytes(summary);
        print_bytes(patch);
        return;
    }
    let text = [summary.as_bytes(), &readable(patch, in_colour)].concat();
    if for_people && uses_pager {
        pager::print(&text);
    } else {
        print_bytes(text);
    }
}

/// The patch without what would drive a terminal, in git's colours if `in_colour`.
fn readable(patch: &str, in_colour: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(patch.len());
    let mut in_hunk = false;
    for line in patch.split_inclusive('\n') {
        // A file's own lines begin with a blank, a sign, or a backslash.
        in_hunk = line.starts_with("@@ ") || in_hunk && !line.starts_with("diff --git ");
        let colour = match line.as_bytes().first() {
            Some(b'@') if in_hunk => "36",
            Some(b'-') if in_hunk => "31",
            Some(b'+') if in_hunk => "32",
            _ if !in_hunk => "1",
            _ => "",
        };
        let shown = line.strip_suffix('\n').unwrap_or(line);
        let shown = printable(shown.as_bytes(), false);
        if in_colour && !colour.is_empty() {
            text.extend_from_slice(format!("\x1b[{colour}m").as_bytes());
            text.extend_from_slice(&shown);
            text.extend_from_slice(b"\x1b[m");
        } else {
            text.extend_from_slice(&shown);
        }
        if line.ends_with('\n') {
            text.push(b'\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@ kind: X\n-a\n--- b\n+++ c\n d\n\
                         \\ No newline at end of file\ndiff --git a/y b/y\nold mode 100644\n";

    #[test]
    fn lines_have_git_s_colours() {
        let text = String::from_utf8(readable(PATCH, true)).unwrap();
        insta::assert_snapshot!(text.replace('\x1b', "^"), @r#"
        ^[1mdiff --git a/x b/x^[m
        ^[1mindex 1..2 100644^[m
        ^[1m--- a/x^[m
        ^[1m+++ b/x^[m
        ^[36m@@ -1,2 +1,2 @@ kind: X^[m
        ^[31m-a^[m
        ^[31m--- b^[m
        ^[32m+++ c^[m
         d
        \ No newline at end of file
        ^[1mdiff --git a/y b/y^[m
        ^[1mold mode 100644^[m
        "#);
        assert_eq!(readable(PATCH, false), PATCH.as_bytes());
    }

    #[test]
    fn what_files_have_in_them_does_not_drive_the_terminal() {
        let patch = "@@ -1 +1 @@\n-\x1b[2Ja\r\n+\x1b]0;title\x07\x1b[31mb\n";
        let text = String::from_utf8(readable(patch, true)).unwrap();
        assert_eq!(
            text,
            "\x1b[36m@@ -1 +1 @@\x1b[m\n\x1b[31m-a\x1b[m\n\x1b[32m+b\x1b[m\n"
        );
    }
}
