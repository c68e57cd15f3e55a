//! The lines of a report: workloads that change alike are one, and so are packages that change alike.

use std::collections::{BTreeMap, BTreeSet};

use nix_formats::size;

use crate::package::{Package, PackageChange, split_name};
use crate::review::{
    ChangeKind, ClosureChange, Effect, ObjectChange, Reason, Review, WorkloadChange,
};
use crate::words::{size_change, versions};

/// Names of a line that are spelt out.
const FEW: usize = 5;

/// How a form of a report writes a name.
pub(crate) type Name<'n> = &'n dyn Fn(&str) -> String;

/// Workloads that change alike.
pub(crate) struct Row<'r> {
    /// At least one, sorted.
    pub(crate) members: Vec<&'r WorkloadChange>,
}

/// A package that changes alike in some workloads.
pub(crate) struct PackageRow<'r> {
    pub(crate) name: &'r str,
    pub(crate) before: &'r Package,
    pub(crate) after: &'r Package,
    /// The changes of its size, in words, sorted by size.
    sizes: BTreeMap<i128, &'r PackageChange>,
    /// Sorted.
    pub(crate) members: Vec<&'r WorkloadChange>,
}

impl Review {
    /// The workloads, sorted by the first name of each row.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut known = BTreeMap::new();
        for workload in &self.workloads {
            let index = *known.entry(likeness(workload)).or_insert(rows.len());
            match rows.get_mut(index) {
                Some(row) => row.members.push(workload),
                None => rows.push(Row {
                    members: vec![workload],
                }),
            }
        }
        rows
    }

    /// The packages, sorted by name.
    pub(crate) fn package_rows(&self) -> Vec<PackageRow<'_>> {
        let mut rows = BTreeMap::new();
        for workload in &self.workloads {
            for package in workload
                .closures
                .values()
                .flat_map(|closure| &closure.packages)
            {
                let (before, after) = (&package.before, &package.after);
                let key = (package.name.as_str(), &before.versions, &after.versions);
                let row = rows.entry(key).or_insert_with(|| PackageRow {
                    name: &package.name,
                    before,
                    after,
                    sizes: BTreeMap::new(),
                    members: Vec::new(),
                });
                row.sizes.insert(
                    i128::from(after.nar_size) - i128::from(before.nar_size),
                    package,
                );
                if row
                    .members
                    .last()
                    .is_none_or(|last| !std::ptr::eq(*last, workload))
                {
                    row.members.push(workload);
                }
            }
        }
        rows.into_values().collect()
    }

    /// The packages but those whose change is in the rows of workloads: the programs of all that have them.
    pub(crate) fn other_package_rows(&self) -> Vec<PackageRow<'_>> {
        let mut rows = self.package_rows();
        rows.retain(|row| !row.is_program());
        rows
    }

    /// Whether environments have to be named.
    fn names_environments(&self) -> bool {
        self.environments.len() > 1
    }

    /// The names of workloads, with their environments if there are several: `api, web (production, staging); job (staging)`.
    pub(crate) fn label(&self, members: &[&WorkloadChange], name: Name<'_>) -> String {
        let mut environments: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for member in members {
            environments
                .entry(&member.name)
                .or_default()
                .insert(&member.environment);
        }
        let mut names: BTreeMap<BTreeSet<&str>, Vec<&str>> = BTreeMap::new();
        for (workload, environments) in environments {
            names.entry(environments).or_default().push(workload);
        }
        let mut groups: Vec<_> = names
            .into_iter()
            .map(|(environments, names)| (names, environments))
            .collect();
        groups.sort();
        let group = |(names, environments): &(Vec<&str>, BTreeSet<&str>)| {
            let names = few(names.iter().copied(), name);
            if self.names_environments() {
                format!("{names} ({})", few(environments.iter().copied(), name))
            } else {
                names
            }
        };
        let more: usize = groups.iter().skip(FEW).map(|(names, _)| names.len()).sum();
        let mut shown: Vec<String> = groups.iter().take(FEW).map(group).collect();
        if more > 0 {
            shown.push(format!("{more} more"));
        }
        shown.join("; ")
    }

    /// The workloads that a package changes in.
    pub(crate) fn package_label(&self, row: &PackageRow<'_>, name: Name<'_>) -> String {
        let all = self
            .workloads
            .iter()
            .filter(|workload| workload.closures.values().any(ClosureChange::is_compared))
            .count();
        match row.members.len() {
            count if count == all && count > 3 => format!("all {count} rebuilt workloads"),
            count if count > FEW => {
                format!("{count} workloads: {}", self.label(&row.members, name))
            }
            _ => self.label(&row.members, name),
        }
    }
}

/// What two workloads must have in common to be one line.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Likeness<'r> {
    change: ChangeKind,
    version: String,
    size: String,
    effect: Effect,
    reasons: &'r [Reason],
    objects: Vec<(&'r str, ChangeKind, &'r [String])>,
}

fn likeness(workload: &WorkloadChange) -> Likeness<'_> {
    fn object(object: &ObjectChange) -> (&str, ChangeKind, &[String]) {
        (&object.kind, object.change, &object.fields)
    }
    Likeness {
        change: workload.change,
        version: workload.version(),
        size: workload.size(),
        effect: workload.effect,
        reasons: &workload.reasons,
        objects: workload.objects.iter().map(object).collect(),
    }
}

impl ClosureChange {
    /// Whether there is a closure on both sides.
    pub(crate) fn is_compared(&self) -> bool {
        self.before.is_some() && self.after.is_some()
    }
}

impl WorkloadChange {
    /// The program's version and what it becomes; nothing if it stays.
    pub(crate) fn version(&self) -> String {
        let version = |name: &str| match split_name(name) {
            (_, "") => name.to_owned(),
            (_, version) => version.to_owned(),
        };
        match (
            self.program_before.as_deref(),
            self.program_after.as_deref(),
        ) {
            (Some(before), Some(after)) if before == after => String::new(),
            (Some(before), Some(after)) if split_name(before).0 == split_name(after).0 => {
                format!("{} → {}", version(before), version(after))
            }
            (Some(before), Some(after)) => format!("{before} → {after}"),
            (Some(one), None) | (None, Some(one)) => version(one),
            (None, None) => String::new(),
        }
    }

    /// By how much the closure changes, or how large it is if it comes or goes; by system where those differ.
    pub(crate) fn size(&self) -> String {
        self.by_system(|closure| match (closure.before, closure.after) {
            (Some(before), Some(after)) if before.nar_size == after.nar_size => {
                "same size".to_owned()
            }
            (Some(before), Some(after)) => size_change(before.nar_size, after.nar_size),
            (Some(one), None) | (None, Some(one)) => size(one.nar_size),
            (None, None) => String::new(),
        })
    }

    /// How large the closure was and will be.
    pub(crate) fn sizes(&self) -> String {
        self.by_system(|closure| match (closure.before, closure.after) {
            (Some(before), Some(after)) => {
                let (before, after) = (size(before.nar_size), size(after.nar_size));
                if before == after {
                    after
                } else {
                    format!("{before} → {after}")
                }
            }
            (Some(one), None) | (None, Some(one)) => size(one.nar_size),
            (None, None) => String::new(),
        })
    }

    fn by_system(&self, text: impl Fn(&ClosureChange) -> String) -> String {
        let texts: Vec<(&String, String)> = self
            .closures
            .iter()
            .map(|(system, closure)| (system, text(closure)))
            .collect();
        match texts.as_slice() {
            [] => String::new(),
            [(_, first), rest @ ..] if rest.iter().all(|(_, text)| text == first) => first.clone(),
            texts => {
                let texts = texts
                    .iter()
                    .map(|(system, text)| format!("{text} on {system}"));
                texts.collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// By how many bytes the largest of the closures changes.
    fn bytes(&self) -> u64 {
        let bytes = self.closures.values().map(|closure| {
            let size =
                |size: Option<crate::review::ClosureSize>| size.map_or(0, |size| size.nar_size);
            size(closure.before).abs_diff(size(closure.after))
        });
        bytes.max().unwrap_or(0)
    }
}

impl Row<'_> {
    /// All that is said of the row is the same for each member.
    pub(crate) fn first(&self) -> &WorkloadChange {
        self.members[0]
    }

    /// What follows a size if it is that of several workloads.
    pub(crate) fn each(&self) -> &'static str {
        let name = &self.first().name;
        if self.members.iter().all(|member| member.name == *name) {
            ""
        } else {
            " each"
        }
    }

    /// What matters most is shown first where not all can be.
    pub(crate) fn weight(&self) -> (bool, bool, u64) {
        let first = self.first();
        let comes_or_goes = first.change != ChangeKind::Changed || !first.version().is_empty();
        (comes_or_goes, first.effect != Effect::None, first.bytes())
    }

    /// What becomes of the pods and why, and what else changes.
    pub(crate) fn effects(&self, name: Name<'_>) -> String {
        let first = self.first();
        let effect = match (first.effect, first.change) {
            (Effect::None, _) | (_, ChangeKind::Added | ChangeKind::Removed) => None,
            (Effect::Starts, _) => Some("starts"),
            (Effect::Ends, _) => Some("ends"),
            (Effect::Restarts, _) => Some("restarts"),
            (Effect::RunsAgain, _) => Some("runs again"),
            (Effect::NextRun, _) => Some("next run"),
            (Effect::Unknown, _) => Some("unknown: the files that are there cannot be read"),
        };
        let mut parts = Vec::new();
        if let Some(effect) = effect {
            let reasons = few(first.reasons.iter(), &|reason: &Reason| reason.words(name));
            parts.push(if reasons.is_empty() {
                effect.to_owned()
            } else {
                format!("{effect}: {reasons}")
            });
        }
        if !first.objects.is_empty() {
            let objects: BTreeSet<String> = first
                .objects
                .iter()
                .map(|object| object.words(name))
                .collect();
            parts.push(format!("changes: {}", few(objects.iter(), &String::clone)));
        }
        if parts.is_empty() && first.change == ChangeKind::Changed {
            parts.push("pods run on".to_owned());
        }
        parts.join("; ")
    }
}

impl PackageRow<'_> {
    /// Whether each of the workloads runs this package, in these versions.
    fn is_program(&self) -> bool {
        let versions = self.versions();
        self.members.iter().all(|member| {
            let program = member.program_after.as_deref();
            program.is_some_and(|program| split_name(program).0 == self.name)
                && member.version() == versions
        })
    }

    /// The versions before and after.
    pub(crate) fn versions(&self) -> String {
        if self.before.versions == self.after.versions {
            versions(&self.after.versions)
        } else {
            format!(
                "{} → {}",
                versions(&self.before.versions),
                versions(&self.after.versions)
            )
        }
    }

    /// By how much the size changes, from the smallest to the largest of such changes.
    pub(crate) fn size(&self) -> String {
        let text = |change: &&PackageChange| {
            change
                .is_of_size()
                .then(|| size_change(change.before.nar_size, change.after.nar_size))
        };
        let first = self.sizes.values().next().and_then(text);
        let last = self.sizes.values().next_back().and_then(text);
        match (first, last) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (first, last) => first.or(last).unwrap_or_default(),
        }
    }

    /// What matters most is shown first where not all can be.
    pub(crate) fn weight(&self) -> (bool, u128, usize) {
        let most = self.sizes.keys().map(|size| size.unsigned_abs()).max();
        (
            self.before.versions != self.after.versions,
            most.unwrap_or(0),
            self.members.len(),
        )
    }
}

impl Reason {
    fn words(&self, name: Name<'_>) -> String {
        let mut text = match self.part.as_str() {
            "closure" | "files" | "kind" => self.part.clone(),
            part => name(part),
        };
        if self.part == "kind" {
            text = format!(
                "{text} {}",
                self.names
                    .iter()
                    .map(|kind| name(kind))
                    .collect::<Vec<_>>()
                    .join(" → ")
            );
        } else if !self.names.is_empty() {
            text = format!(
                "{text} {}",
                few(self.names.iter().map(String::as_str), name)
            );
        }
        if let Some(container) = &self.container {
            text = format!("{text} of container {}", name(container));
        }
        text
    }
}

impl ObjectChange {
    fn words(&self, name: Name<'_>) -> String {
        let kind = name(&self.kind);
        match self.change {
            ChangeKind::Added => format!("{kind} added"),
            ChangeKind::Removed => format!("{kind} removed"),
            ChangeKind::Changed if self.fields.is_empty() => kind,
            ChangeKind::Changed => format!(
                "{kind} {}",
                few(self.fields.iter().map(String::as_str), name)
            ),
        }
    }
}

/// The first of some names, and how many more there are.
fn few<T>(items: impl ExactSizeIterator<Item = T>, name: &dyn Fn(T) -> String) -> String {
    let more = items.len().saturating_sub(FEW);
    let shown: Vec<String> = items.take(FEW).map(name).collect();
    let text = shown.join(", ");
    if more > 0 {
        format!("{text} and {more} more")
    } else {
        text
    }
}
