//! Environment variables, in an order in which `$(NAME)` works: Kubernetes expands it only to
//! variables that stand before.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::EnvVar;

use super::ChildrenError;
use crate::workload::EnvironmentVariable;

/// The variables, each after those that its value names; else by name.
pub(super) fn variables(
    env: &BTreeMap<String, EnvironmentVariable>,
) -> Result<Vec<EnvVar>, ChildrenError> {
    let mut waiting: Vec<(&String, &EnvironmentVariable)> = env.iter().collect();
    let mut ordered: Vec<EnvVar> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_waiting = |name: &str| waiting.iter().any(|(other, _)| *other == name);
        let (ready, rest): (Vec<_>, Vec<_>) =
            waiting.iter().copied().partition(|(name, variable)| {
                let value = variable.value.as_deref().unwrap_or_default();
                // A variable that names itself means what the image sets; no other can come before it.
                references(value).all(|other| other == name.as_str() || !is_waiting(other))
            });
        if ready.is_empty() {
            let names: Vec<&str> = rest.iter().map(|(name, _)| name.as_str()).collect();
            return Err(ChildrenError::CircularEnvironment(names.join(", ")));
        }
        ordered.extend(ready.into_iter().map(|(name, variable)| EnvVar {
            name: name.clone(),
            value: variable.value.clone(),
            value_from: variable.value_from.clone(),
        }));
        waiting = rest;
    }
    Ok(ordered)
}

/// The names in `$(NAME)`; `$$(NAME)` is none.
fn references(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('$')? + 1..];
            if let Some(escaped) = rest.strip_prefix('$') {
                rest = escaped;
            } else if let Some(inner) = rest.strip_prefix('(')
                && let Some((name, after)) = inner.split_once(')')
            {
                rest = after;
                return Some(name);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> BTreeMap<String, EnvironmentVariable> {
        let variable = |&(name, value): &(&str, &str)| {
            let variable = EnvironmentVariable {
                value: Some(value.to_owned()),
                value_from: None,
            };
            (name.to_owned(), variable)
        };
        variables.iter().map(variable).collect()
    }

    #[test]
    fn variables_stand_after_those_that_they_name() {
        let env = env(&[
            ("A", "$(C)/a $$(Z)"),
            ("B", "b"),
            ("C", "$(D)$(MISSING)"),
            ("D", "$(D"),
            ("Z", "$(A)$(Z)"),
        ]);
        let names: Vec<String> = variables(&env)
            .unwrap()
            .into_iter()
            .map(|v| v.name)
            .collect();
        assert_eq!(names, ["B", "D", "C", "A", "Z"]);
    }

    #[test]
    fn a_circle_is_refused() {
        let error = variables(&env(&[("A", "$(B)"), ("B", "$(A)"), ("C", "")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the environment variables A, B refer to each other in a circle"
        );
    }
}
