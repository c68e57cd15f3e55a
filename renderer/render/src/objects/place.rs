//! Places in a pod template as it is made: of a workload's attributes, and of what the user wrote as `podTemplate`.

use serde_json::Value;

use crate::attribute_path::AttributePath;
use crate::problem::ProblemKind;
use crate::schema::Checker;

/// A value in the template, and where the user wrote it, or else the nearest place around it.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    given: Option<&'a Value>,
    path: AttributePath,
}

/// Lists whose elements Kubernetes merges by these fields, and in which no two may have the same.
pub(super) const KEYS: [(&str, &[&str]); 12] = [
    ("containers", &["name"]),
    ("env", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
    (
        "topologySpreadConstraints",
        &["topologyKey", "whenUnsatisfiable"],
    ),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// What tells an element of a list from the others.
pub(super) fn key<'v>(item: &'v Value, fields: &[&str]) -> Vec<&'v Value> {
    static TCP: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::from("TCP"));
    let value = |field: &&str| match &item[*field] {
        Value::Null if *field == "protocol" => &*TCP,
        value => value,
    };
    fields.iter().map(value).collect()
}

impl<'a> Place<'a> {
    pub(super) fn new(value: &'a Value, given: Option<&'a Value>, path: AttributePath) -> Self {
        Self { value, given, path }
    }

    /// A field; its place is this one where the user said nothing of it.
    pub(super) fn field(&self, name: &str) -> Self {
        let given = self.given.and_then(|given| given.get(name));
        let path = match given {
            Some(_) => self.path.attribute(name),
            None => self.path.clone(),
        };
        Self::new(&self.value[name], given, path)
    }

    /// With the place of another attribute that it comes from, where the user said nothing of it here.
    pub(super) fn or(self, other: &Self) -> Self {
        match (self.given, other.given) {
            (None, Some(_)) => Self {
                given: other.given,
                path: other.path.clone(),
                ..self
            },
            _ => self,
        }
    }

    /// Whether the user wrote it.
    pub(super) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// A field that is there.
    pub(super) fn present(&self, name: &str) -> Option<Self> {
        let field = self.field(name);
        (!field.value.is_null()).then_some(field)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.value[name].as_str()
    }

    /// A text or number as the user wrote it: the template has a normal form of quantities.
    pub(super) fn written(&self) -> String {
        match self.given.unwrap_or(self.value) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.value[name].as_i64()
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.value[name] == true
    }

    /// The elements of a list.
    pub(super) fn items(&self, name: &str) -> Vec<Self> {
        let list = self.field(name);
        let keys = KEYS.iter().find(|(list, _)| *list == name);
        let given = list.given.and_then(Value::as_array);
        let items = list.value.as_array().into_iter().flatten();
        let place = |(index, item): (usize, &'a Value)| {
            let keys = keys.map(|(_, fields)| (*fields, key(item, fields)));
            let found = match keys {
                Some((fields, key_of)) if !key_of[0].is_null() => given
                    .and_then(|given| given.iter().position(|given| key(given, fields) == key_of)),
                // The user's list stands in the place of the other.
                _ => given.map(|_| index),
            };
            match found.and_then(|index| Some((index, given?.get(index)?))) {
                Some((index, given)) => Self::new(item, Some(given), list.path.index(index)),
                None => Self::new(item, None, list.path.clone()),
            }
        };
        items.enumerate().map(place).collect()
    }

    /// Says what is wrong here, and what to write instead.
    pub(super) fn report(&self, checker: &mut Checker<'_>, problem: String, remedy: &str) {
        let remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
        checker.report(&self.path, ProblemKind::Refused { problem, remedy });
    }

    /// Says so of a field, if its text is not one of these.
    pub(super) fn one_of(&self, checker: &mut Checker<'_>, field: &str, allowed: &[&str]) {
        let Some(text) = self.text(field).filter(|text| !allowed.contains(text)) else {
            return;
        };
        let nearest = crate::suggestion::nearest(text, allowed.iter().copied());
        let remedy = match nearest {
            Some(nearest) => format!("did you mean '{nearest}'?"),
            None if allowed.len() == 1 => format!("write '{}'", allowed[0]),
            None => format!("write one of {}", allowed.join(", ")),
        };
        let problem = format!("{text:?} is no {field} that Kubernetes knows here");
        self.field(field).report(checker, problem, &remedy);
    }

    /// Says so of a field, if its number is not between these.
    pub(super) fn between(&self, checker: &mut Checker<'_>, field: &str, least: i64, most: i64) {
        let Some(number) = self.integer(field) else {
            return;
        };
        if number < least || number > most {
            let remedy = if most == i64::MAX {
                format!("write {least} or more")
            } else {
                format!("write {least} to {most}")
            };
            self.field(field)
                .report(checker, format!("{field} is {number}"), &remedy);
        }
    }

    /// Says so of a field, if its text does not have this form.
    pub(super) fn form(
        &self,
        checker: &mut Checker<'_>,
        field: &str,
        (fits, remedy): (fn(&str) -> bool, &str),
    ) {
        if let Some(text) = self.text(field).filter(|text| !fits(text)) {
            let problem = format!("{field} cannot be {text:?}");
            self.field(field).report(checker, problem, remedy);
        }
    }
}
