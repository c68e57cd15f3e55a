//! A review as text.

use nix_formats::size;

use crate::review::{ChangeKind, Effect, NewPaths, Review};
use crate::rows::{PackageRow, Row};

impl Review {
    /// One line for each group of workloads and of packages, and one with the sums before them. Nothing if no workload changes.
    pub fn text(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut text = self.counts();
        for (system, new) in self.new_paths.iter().filter(|(_, new)| new.paths > 0) {
            text.extend(["; ", &new.words(), " for ", system]);
        }
        text.push('\n');
        for row in self.rows() {
            text.extend(["  ", &self.line(&row), "\n"]);
        }
        let packages = self.other_package_rows();
        if !packages.is_empty() {
            text.push_str("packages:\n");
        }
        for row in packages {
            text.extend(["  ", &self.package_line(&row), "\n"]);
        }
        text
    }

    /// How many workloads change, and how many of them restart.
    pub(crate) fn counts(&self) -> String {
        let workloads = &self.workloads;
        let kinds = [
            (ChangeKind::Added, "added"),
            (ChangeKind::Changed, "changed"),
            (ChangeKind::Removed, "removed"),
        ];
        let kinds = kinds.map(|(kind, what)| {
            let count = workloads.iter().filter(|workload| workload.change == kind);
            (count.count(), what)
        });
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let text = format!(
            "{}: {}",
            counted(workloads.len(), "workload"),
            kinds.join(", ")
        );
        let restarts = workloads
            .iter()
            .filter(|workload| workload.effect == Effect::Restarts);
        match restarts.count() {
            0 => text,
            1 => format!("{text}; 1 restarts"),
            restarts => format!("{text}; {restarts} restart"),
        }
    }

    /// A row of workloads in one line.
    pub(crate) fn line(&self, row: &Row<'_>) -> String {
        let first = row.first();
        let size = match (first.change, first.size()) {
            (ChangeKind::Removed, _) => String::new(),
            (_, size) if size.is_empty() => size,
            (_, size) => format!("{size}{}", row.each()),
        };
        let change = match first.change {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "",
        };
        let version = [change, &first.version()].join(" ");
        let what = match (version.trim(), size.as_str()) {
            ("", size) => size.to_owned(),
            (version, "") => version.to_owned(),
            (version, size) => format!("{version} ({size})"),
        };
        let effects = row.effects(&str::to_owned);
        let parts: Vec<String> = [what, effects]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        format!(
            "{}: {}",
            self.label(&row.members, &str::to_owned),
            parts.join(", ")
        )
    }

    /// A row of packages in one line.
    pub(crate) fn package_line(&self, row: &PackageRow<'_>) -> String {
        let parts = [row.versions(), row.size()];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let workloads = self.package_label(row, &str::to_owned);
        format!("{}: {} in {workloads}", row.name, parts.join(", "))
    }
}

impl NewPaths {
    /// How many, and how large.
    pub(crate) fn words(&self) -> String {
        let paths = counted(self.paths as usize, "new store path");
        format!("{paths} ({})", size(self.nar_size))
    }
}

/// A number of things.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
