//! From files as they were and as they will be to a review.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::closure::{self, Paths};
use crate::files::{Content, FilePair, read_path};
use crate::manifests::{Unreadable, expand, read};
use crate::pods::{Controller, differing, reasons};
use crate::review::{ChangeKind, Effect, ObjectChange, Reason, Review, WorkloadChange};
use crate::words::word;

/// Makes a [`Review`] of one workload after the other, so that not all files need to be held at once.
#[derive(Default)]
pub struct Reviewer {
    review: Review,
    /// By system.
    paths: BTreeMap<String, Paths>,
}

impl Reviewer {
    /// Says that an environment is part of the run, whether it changes or not.
    pub fn add_environment(&mut self, name: &str) {
        self.review.environments.insert(word(name));
    }

    /// Adds a workload: all its files that are not the same before and after.
    pub fn add_workload(&mut self, environment: &str, name: &str, files: &[FilePair<'_>]) {
        let mut closures = BTreeMap::new();
        let mut manifests = Vec::new();
        for file in files {
            match read_path(environment, file.path) {
                Some((_, Content::Closure { system })) => {
                    let (before, after) = (closure::read(file.before), closure::read(file.after));
                    closures.insert(
                        word(system),
                        closure::compare(before.as_ref(), after.as_ref()),
                    );
                    let paths = self.paths.entry(word(system)).or_default();
                    paths.add(before.as_ref(), after.as_ref());
                }
                Some((_, Content::Manifest)) => manifests.push(*file),
                None => {}
            }
        }
        let objects = compare_manifests(&manifests);
        let was = files.iter().any(|file| file.before.is_some());
        let is = files.iter().any(|file| file.after.is_some());
        // A workload comes and goes with its closures: without the operator, one that stays may get or lose another of its files.
        let (change, effect) = match (was, is) {
            (false, true) if !closures.is_empty() => (ChangeKind::Added, Effect::Starts),
            (true, false) if !closures.is_empty() => (ChangeKind::Removed, Effect::Ends),
            _ => (ChangeKind::Changed, objects.effect),
        };
        let is_changed = change == ChangeKind::Changed;
        self.add_environment(environment);
        self.review.workloads.push(WorkloadChange {
            name: word(name),
            environment: word(environment),
            change,
            program_before: objects.programs.0,
            program_after: objects.programs.1,
            closures,
            effect,
            reasons: objects.reasons,
            objects: objects.others.into_iter().filter(|_| is_changed).collect(),
        });
    }

    /// The review of all that was added.
    pub fn finish(mut self) -> Review {
        let workloads = &mut self.review.workloads;
        workloads.sort_by(|a, b| (&a.name, &a.environment).cmp(&(&b.name, &b.environment)));
        let paths = self.paths.into_iter();
        self.review.new_paths = paths
            .map(|(system, paths)| (system, paths.new_paths()))
            .collect();
        self.review
    }
}

/// What a workload's manifests say of its pods and of all else.
struct Objects {
    programs: (Option<String>, Option<String>),
    effect: Effect,
    reasons: Vec<Reason>,
    others: Vec<ObjectChange>,
}

fn compare_manifests(files: &[FilePair<'_>]) -> Objects {
    let before = objects(files.iter().filter_map(|file| file.before));
    let after = objects(files.iter().filter_map(|file| file.after));
    let (Ok((before, form_before)), Ok((after, form_after))) = (before, after) else {
        return Objects {
            programs: (None, None),
            effect: Effect::Unknown,
            reasons: Vec::new(),
            others: Vec::new(),
        };
    };
    let (old, new) = (Controller::find(&before), Controller::find(&after));
    let programs = (
        old.as_ref().and_then(Controller::program),
        new.as_ref().and_then(Controller::program),
    );
    let others = compare_objects(&before, &after, old.as_ref(), new.as_ref());
    let (effect, reasons) = match (&old, &new) {
        (None, None) => (Effect::None, Vec::new()),
        (None, Some(_)) => (Effect::Starts, Vec::new()),
        (Some(_), None) => (Effect::Ends, Vec::new()),
        (Some(old), Some(new)) => {
            let mut reasons = reasons(old.template, new.template);
            let kinds = [(form_before, form_after), (old.kind, new.kind)];
            if let Some((was, is)) = kinds.into_iter().find(|(was, is)| was != is) {
                let names = vec![was.to_owned(), is.to_owned()];
                let kind = Reason {
                    part: "kind".to_owned(),
                    container: None,
                    names,
                };
                reasons.insert(0, kind);
            }
            let effect = if reasons.is_empty() {
                Effect::None
            } else {
                new.effect()
            };
            (effect, reasons)
        }
    };
    Objects {
        programs,
        effect,
        reasons,
        others,
    }
}

/// All objects of a workload, and in which form they are committed.
fn objects<'a>(
    files: impl Iterator<Item = &'a [u8]>,
) -> Result<(Vec<Value>, &'static str), Unreadable> {
    let (mut objects, mut form) = (Vec::new(), "plain objects");
    for file in files {
        let object = read(file)?;
        if object["kind"] == "NiphasWorkload" {
            form = "NiphasWorkload";
        }
        objects.extend(expand(object)?);
    }
    Ok((objects, form))
}

/// The objects that differ beside the pod templates.
fn compare_objects(
    before: &[Value],
    after: &[Value],
    old: Option<&Controller<'_>>,
    new: Option<&Controller<'_>>,
) -> Vec<ObjectChange> {
    fn by_name<'a>(
        objects: &'a [Value],
        controller: Option<&Controller<'_>>,
    ) -> BTreeMap<(&'a str, &'a str), &'a Value> {
        let others = objects.iter().filter(|object| {
            controller.is_none_or(|controller| !std::ptr::eq(controller.object, *object))
        });
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        others
            .map(|object| {
                (
                    (text(&object["kind"]), text(&object["metadata"]["name"])),
                    object,
                )
            })
            .collect()
    }
    let mut changes = Vec::new();
    let mut add = |(kind, name): (&str, &str), change, fields| {
        let (kind, name) = (word(kind), word(name));
        changes.push(ObjectChange {
            kind,
            name,
            change,
            fields,
        });
    };
    if let (Some(old), Some(new)) = (old, new)
        && old.kind == new.kind
    {
        let fields = changed_fields(old.object, new.object);
        if !fields.is_empty() {
            let name = new.object["metadata"]["name"].as_str().unwrap_or_default();
            add((new.kind, name), ChangeKind::Changed, fields);
        }
    }
    let (before, mut after) = (by_name(before, old), by_name(after, new));
    for (id, before) in before {
        match after.remove(&id) {
            None => add(id, ChangeKind::Removed, Vec::new()),
            Some(after) if before != after => {
                add(id, ChangeKind::Changed, changed_fields(before, after));
            }
            Some(_) => {}
        }
    }
    for id in after.into_keys() {
        add(id, ChangeKind::Added, Vec::new());
    }
    changes.sort();
    changes
}

/// The fields of an object that differ, of its `spec` each by itself. Pods, and what a Job is called, are left out.
fn changed_fields(before: &Value, after: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    for field in differing(before, after) {
        let (before, after) = (&before[field], &after[field]);
        match field {
            "spec" => {
                for name in differing(before, after) {
                    if name == "jobTemplate" || name == "template" {
                        continue;
                    }
                    fields.push(match (&before[name], &after[name]) {
                        (Value::Number(before), Value::Number(after)) => {
                            format!("{} {before} → {after}", word(name))
                        }
                        _ => word(name),
                    });
                }
            }
            "metadata" => fields.extend(
                differing(before, after)
                    .into_iter()
                    .filter(|name| *name != "name")
                    .map(word),
            ),
            _ => fields.push(word(field)),
        }
    }
    fields
}
