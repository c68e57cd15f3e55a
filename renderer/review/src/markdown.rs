//! A review as a comment of a pull request.

use std::fmt::Write as _;

use crate::budget::keep;
use crate::review::{ChangeKind, Review};
use crate::rows::{PackageRow, Row};
use crate::text::counted;

/// The first line of the comment: a later run finds it by that, and replaces it.
pub const MARKER: &str = "<!-- niphas-review -->";

/// GitHub takes 65,536 characters; some room is left for what others add.
pub const MARKDOWN_LIMIT: usize = 60_000;

/// Of that, what the workloads may take if there are packages, too.
const WORKLOADS_LIMIT: usize = 36_000;
/// Headings, sums, and what is left out.
const FRAME: usize = 6_000;

impl Review {
    /// GitHub's Markdown, of at most [`MARKDOWN_LIMIT`] bytes, with [`MARKER`] as its first line, and the patch at its end. What matters
    /// least is left out where not all fits, and it says so.
    pub fn markdown(&self, patch: Option<&str>) -> String {
        let mut text = self.tables();
        if let Some(patch) = patch.filter(|patch| !patch.is_empty()) {
            let room = MARKDOWN_LIMIT.saturating_sub(text.len() + 200);
            text.push_str(&patch_block(patch, room));
        }
        text
    }

    fn tables(&self) -> String {
        let environments: Vec<&str> = self.environments.iter().map(String::as_str).collect();
        let mut names: Vec<String> = environments
            .iter()
            .take(20)
            .map(|name| code(name))
            .collect();
        if environments.len() > names.len() {
            names.push(format!("{} more", environments.len() - names.len()));
        }
        let mut text = format!("{MARKER}\n### Changes of {}\n\n", names.join(", "));
        if self.is_empty() {
            text.push_str("No workload changes.\n");
            return text;
        }
        let _ = write!(text, "{}\n\n", self.markdown_summary());
        let packages: Vec<(PackageRow<'_>, String)> = self
            .other_package_rows()
            .into_iter()
            .map(|row| self.package_row(row))
            .collect();
        let rows: Vec<(Row<'_>, String)> =
            self.rows().into_iter().map(|row| self.row(row)).collect();
        let all = MARKDOWN_LIMIT - FRAME;
        let wanted: usize = packages.iter().map(|(_, line)| line.len()).sum();
        let room = WORKLOADS_LIMIT.max(all.saturating_sub(wanted));
        let (rows, rest) = keep(rows, room, |(_, line)| line.len(), |(row, _)| row.weight());
        let used: usize = rows.iter().map(|(_, line)| line.len()).sum();
        text.push_str("| Workload | Version | Closure | Pods |\n|---|---|---|---|\n");
        text.extend(rows.into_iter().map(|(_, line)| line));
        if !rest.is_empty() {
            let workloads = rest.iter().map(|(row, _)| row.members.len()).sum();
            let _ = write!(
                text,
                "\n{} are not listed: the comment would be too long.\n",
                counted(workloads, "more workload")
            );
        }
        if !packages.is_empty() {
            let (packages, rest) = keep(
                packages,
                all - used,
                |(_, line)| line.len(),
                |(row, _)| row.weight(),
            );
            let count = counted(packages.len() + rest.len(), "package");
            let open = if packages.len() > 20 { "" } else { " open" };
            let _ = write!(text, "\n<details{open}><summary>{count}</summary>\n\n");
            text.push_str("| Package | Version | Size | In |\n|---|---|---|---|\n");
            text.extend(packages.into_iter().map(|(_, line)| line));
            if !rest.is_empty() {
                let more = counted(rest.len(), "more package");
                let _ = write!(
                    text,
                    "\n{more} with smaller changes are not listed: the comment would be too long.\n"
                );
            }
            text.push_str("\n</details>\n");
        }
        text
    }

    fn markdown_summary(&self) -> String {
        let mut text = format!("**{}**", self.counts());
        for (system, new) in self
            .new_paths
            .iter()
            .filter(|(_, new)| new.paths > 0)
            .take(8)
        {
            let _ = write!(text, "  \n{} for {}", new.words(), code(system));
        }
        text
    }

    fn row<'r>(&self, row: Row<'r>) -> (Row<'r>, String) {
        let first = row.first();
        let name: &dyn Fn(&str) -> String = &code;
        let change = match first.change {
            ChangeKind::Added => "**added** ",
            ChangeKind::Removed => "**removed** ",
            ChangeKind::Changed => "",
        };
        let version = first.version();
        let version = if version.is_empty() {
            version
        } else {
            code(&version)
        };
        let (sizes, change_of_size) = (first.sizes(), first.size());
        let closure = if row.members.iter().any(|member| member.sizes() != sizes) {
            format!("{change_of_size}{}", row.each())
        } else if first.change == ChangeKind::Changed && change_of_size != sizes {
            format!("{sizes} ({change_of_size})")
        } else {
            sizes
        };
        let line = format!(
            "| {} | {change}{version} | {} | {} |\n",
            self.label(&row.members, name),
            plain(&closure),
            row.effects(name)
        );
        (row, line)
    }

    fn package_row<'r>(&self, row: PackageRow<'r>) -> (PackageRow<'r>, String) {
        let line = format!(
            "| {} | {} | {} | {} |\n",
            code(row.name),
            code(&row.versions()),
            row.size(),
            self.package_label(&row, &code)
        );
        (row, line)
    }
}

/// The patch, or its first lines, of at most `room` bytes and a few for what is around them.
fn patch_block(patch: &str, room: usize) -> String {
    let fence = patch
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or(0)
        .max(2)
        + 1;
    let fence = "`".repeat(fence.min(100));
    let limit = room.saturating_sub(2 * fence.len());
    let end = match patch.get(..limit.min(patch.len())) {
        Some(part) if part.len() == patch.len() => patch.len(),
        _ => patch[..patch.floor_char_boundary(limit)]
            .rfind('\n')
            .map_or(0, |end| end + 1),
    };
    // A longer fence is no patch of ours.
    if end == 0 || fence.len() == 100 {
        return "\nThe patch is not shown: the comment would be too long.\n".to_owned();
    }
    let cut = if end < patch.len() {
        ", its first part"
    } else {
        ""
    };
    let newline = if patch[..end].ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!(
        "\n<details><summary>Patch{cut}</summary>\n\n{fence}diff\n{}{newline}{fence}\n\n</details>\n",
        &patch[..end]
    )
}

/// A text that nothing is read into: no markup, no link, no mention. A code span, without what would end it or its cell.
pub(crate) fn code(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '`' => '\u{2cb}',
            '|' => '\u{a6}',
            '\\' => '\u{29f5}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect();
    format!("`{plain}`")
}

/// Sizes, which hold the names of systems.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " .,;:()+-_→".contains(c);
    text.chars()
        .map(|c| if is_plain(c) { c } else { '\u{fffd}' })
        .collect()
}
