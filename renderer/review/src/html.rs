//! A review as a page: one file that needs no other, and no script.

use std::borrow::Cow;
use std::fmt::Write as _;

use nix_formats::{shortened, size};

use crate::budget::keep;
use crate::picture::{EnvironmentPicture, Picture, State};
use crate::review::{ChangeKind, Effect, Review};
use crate::rows::{PackageRow, Row};
use crate::text::counted;

/// More rows of a table are not read.
const ROWS: usize = 2_000;
/// Environments with different closures that get a picture.
const PICTURES: usize = 8;
/// Bytes of the patch.
const PATCH_LIMIT: usize = 2 << 20;

/// The look of reports, which other pages share: a style sheet for light, dark and print.
pub const STYLE: &str = include_str!("style.css");

impl Review {
    /// An HTML document. `facts` are said of it at the top, such as the revision: what, and which. `patch` stands at its end, cut off
    /// after 2 MiB.
    pub fn html(&self, picture: &Picture, facts: &[(&str, String)], patch: Option<&str>) -> String {
        let names: Vec<&str> = self.environments.iter().map(String::as_str).collect();
        let title = format!("Changes of {}", names.join(", "));
        let title = escaped(&shortened(&title, 200)).into_owned();
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n"
        );
        if !facts.is_empty() {
            page.push_str("<dl>");
            for (what, fact) in facts {
                let _ = write!(
                    page,
                    "<div><dt>{}</dt><dd>{}</dd></div>",
                    escaped(what),
                    escaped(fact)
                );
            }
            page.push_str("</dl>\n");
        }
        page.push_str("</header>\n");
        if self.is_empty() {
            page.push_str("<p>No workload changes.</p>\n");
        } else {
            self.sums(&mut page);
            page.push_str(
                "<nav><a href=\"#workloads\">Workloads</a> <a href=\"#packages\">Packages</a> <a href=\"#sizes\">Sizes</a></nav>\n",
            );
            self.workload_table(&mut page);
            self.package_table(&mut page);
            pictures(picture, &mut page);
        }
        if let Some(patch) = patch.filter(|patch| !patch.is_empty()) {
            let end = patch.floor_char_boundary(PATCH_LIMIT);
            let cut = if end < patch.len() {
                ", its first part"
            } else {
                ""
            };
            let _ = write!(
                page,
                "<section>\n<details><summary>Patch{cut}</summary>\n<pre>"
            );
            for line in patch[..end].lines() {
                let class = match line.as_bytes().first() {
                    Some(b'+') => "plus",
                    Some(b'-') => "minus",
                    Some(b' ') => "",
                    _ => "head",
                };
                let _ = writeln!(page, "<span class=\"{class}\">{}</span>", escaped(line));
            }
            page.push_str("</pre>\n</details>\n</section>\n");
        }
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }

    fn sums(&self, page: &mut String) {
        let count = |change| {
            self.workloads
                .iter()
                .filter(|workload| workload.change == change)
                .count()
        };
        let restarts = self
            .workloads
            .iter()
            .filter(|workload| workload.effect == Effect::Restarts);
        let all = self.workloads.len();
        let word = if all == 1 { "workload" } else { "workloads" };
        let mut cards = vec![("", all.to_string(), word.to_owned())];
        for (count, what) in [
            (count(ChangeKind::Added), "added"),
            (count(ChangeKind::Changed), "changed"),
            (count(ChangeKind::Removed), "removed"),
            (restarts.count(), "restart"),
        ] {
            if count > 0 {
                cards.push(("", count.to_string(), what.to_owned()));
            }
        }
        for (system, new) in self
            .new_paths
            .iter()
            .filter(|(_, new)| new.paths > 0)
            .take(8)
        {
            let paths = counted(new.paths as usize, "new store path");
            cards.push(("wide", size(new.nar_size), format!("in {paths}, {system}")));
        }
        page.push_str("<ul class=\"cards\">\n");
        for (class, number, what) in cards {
            let _ = writeln!(
                page,
                "<li class=\"{class}\"><b>{number}</b> <span>{}</span></li>",
                escaped(&what)
            );
        }
        page.push_str("</ul>\n");
    }

    fn workload_table(&self, page: &mut String) {
        page.push_str(
            "<section id=\"workloads\">\n<h2>Workloads</h2>\n<div class=\"scroll\"><table class=\"workloads\">\n<thead><tr><th>Workload</th><th>Version</th>\
             <th class=\"number\">Closure</th><th class=\"number\">Change</th><th>Pods</th></tr></thead>\n<tbody>\n",
        );
        let (rows, rest) = keep(self.rows(), ROWS, |_| 1, Row::weight);
        for row in &rows {
            let first = row.first();
            let (kind, tag) = match first.change {
                ChangeKind::Added => ("new", "<span class=\"tag new\">new</span> "),
                ChangeKind::Removed => ("gone", "<span class=\"tag gone\">removed</span> "),
                ChangeKind::Changed => ("", ""),
            };
            let (sizes, change) = (first.sizes(), first.size());
            let is_alike = row.members.iter().all(|member| member.sizes() == sizes);
            let sizes = if is_alike { sizes } else { String::new() };
            let change = if first.change == ChangeKind::Changed && !change.is_empty() {
                format!("{change}{}", row.each())
            } else {
                String::new()
            };
            let _ = writeln!(
                page,
                "<tr class=\"{kind}\"><td>{tag}{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number {}\">{}</td><td>{}</td></tr>",
                self.label(&row.members, &code),
                escaped(&first.version()),
                lines(&sizes),
                direction(&change),
                lines(&change),
                row.effects(&code),
            );
        }
        page.push_str("</tbody>\n</table></div>\n");
        if !rest.is_empty() {
            let workloads = rest.iter().map(|row| row.members.len()).sum();
            let _ = writeln!(
                page,
                "<p>{} are not listed.</p>",
                counted(workloads, "more workload")
            );
        }
        page.push_str("</section>\n");
    }

    fn package_table(&self, page: &mut String) {
        let packages = self.package_rows();
        if packages.is_empty() {
            return;
        }
        let _ = write!(
            page,
            "<section id=\"packages\">\n<h2>Packages</h2>\n<div class=\"scroll\"><table class=\"packages\">\n<thead><tr><th>Package</th><th>Version</th>\
             <th class=\"number\">Change</th><th>In</th></tr></thead>\n<tbody>\n",
        );
        let (rows, rest) = keep(packages, ROWS, |_| 1, PackageRow::weight);
        for row in &rows {
            let change = row.size();
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"number {}\">{change}</td><td>{}</td></tr>",
                code(row.name),
                escaped(&row.versions()),
                direction(&change),
                self.package_label(row, &code),
            );
        }
        page.push_str("</tbody>\n</table></div>\n");
        if !rest.is_empty() {
            let _ = writeln!(
                page,
                "<p>{} with smaller changes are not listed.</p>",
                counted(rest.len(), "more package")
            );
        }
        page.push_str("</section>\n");
    }
}

fn pictures(picture: &Picture, page: &mut String) {
    page.push_str("<div id=\"sizes\"></div>\n");
    for environment in picture.environments.iter().take(PICTURES) {
        environment.draw(page);
    }
    let more = picture.environments.len().saturating_sub(PICTURES);
    if more > 0 {
        let _ = writeln!(
            page,
            "<p>The sizes of {} are not shown.</p>",
            counted(more, "more environment")
        );
    }
}

impl EnvironmentPicture {
    fn draw(&self, page: &mut String) {
        let names = self.names.join(", ");
        let shared = self.sum().saturating_sub(self.size);
        let _ = writeln!(
            page,
            "<section class=\"picture\">\n<h2>Sizes in {}</h2>",
            escaped(&names)
        );
        let _ = write!(
            page,
            "<p>{} for {}: {} in {}",
            counted(self.workloads.len(), "closure"),
            code(&self.system),
            size(self.size),
            counted(self.paths, "store path"),
        );
        if shared > 0 {
            let _ = write!(
                page,
                ", of which sharing between workloads saves {}",
                size(shared)
            );
        }
        page.push_str(". Areas are sizes.</p>\n<ul class=\"legend\">\n");
        let states = self.states();
        for (state, class, words) in [
            (State::Same, "same", "unchanged"),
            (State::Changed, "changed", "changed"),
            (State::New, "new", "new"),
        ] {
            for (is_shared, shared, where_) in [
                (false, "", "in one workload"),
                (true, " shared", "in several workloads"),
            ] {
                if states.contains(&(state, is_shared)) {
                    let _ = writeln!(
                        page,
                        "<li><i class=\"{class}{shared}\"></i>{words}, {where_}</li>"
                    );
                }
            }
        }
        if self
            .workloads
            .iter()
            .any(|workload| workload.change.is_some())
        {
            page.push_str("<li><i class=\"outline\"></i>workload that changes</li>\n");
        }
        let _ = writeln!(page, "</ul>\n{}\n</section>", self.svg());
    }
}

/// A text in which nothing is markup.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| matches!(c, '&' | '<' | '>' | '"' | '\'') || c.is_control()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push('\t'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// Sizes, those of each system in a line of its own.
fn lines(sizes: &str) -> String {
    sizes
        .split(", ")
        .map(escaped)
        .collect::<Vec<_>>()
        .join("<br>")
}

/// The class of a change of a size.
fn direction(change: &str) -> &'static str {
    match change.as_bytes().first() {
        Some(b'+') => "more",
        Some(b'-') => "less",
        _ => "",
    }
}
