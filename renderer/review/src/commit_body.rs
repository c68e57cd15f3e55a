//! A review as the body of a commit's message.

use crate::budget::keep;
use crate::review::Review;
use crate::rows::{PackageRow, Row};
use crate::text::counted;

/// Longer bodies are not read.
const LINES: usize = 100;
/// Lines of workloads, if there are packages, too.
const WORKLOAD_LINES: usize = 60;

impl Review {
    /// At most a hundred lines: workloads, an empty line, packages. Each line begins with `- `: none is taken for a trailer, a comment
    /// or the start of a patch. Nothing if no workload changes.
    pub fn commit_body(&self) -> String {
        let (rows, packages) = (self.rows(), self.other_package_rows());
        let room = WORKLOAD_LINES.max(LINES.saturating_sub(packages.len() + 3));
        let (rows, rest) = keep(rows, room, |_| 1, Row::weight);
        let mut lines: Vec<String> = rows.iter().map(|row| self.line(row)).collect();
        if !rest.is_empty() {
            let workloads = rest.iter().map(|row| row.members.len()).sum();
            lines.push(format!(
                "{} not listed here",
                counted(workloads, "more workload")
            ));
        }
        let room = LINES.saturating_sub(lines.len() + 2);
        let (packages, rest) = keep(packages, room, |_| 1, PackageRow::weight);
        let mut body = bullets(&lines);
        let mut lines: Vec<String> = packages.iter().map(|row| self.package_line(row)).collect();
        if !rest.is_empty() {
            lines.push(format!(
                "{} not listed here",
                counted(rest.len(), "more package")
            ));
        }
        if !lines.is_empty() {
            body.push('\n');
            body.push_str(&bullets(&lines));
        }
        body
    }
}

fn bullets(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.extend(["- ", line, "\n"]);
    }
    text
}
