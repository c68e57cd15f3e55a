//! Places of attributes: in what nixlib evaluates to, and as users wrote them.

use serde_json::Value;

use crate::attribute_path::{AttributePath, Element};
use crate::environment::Evaluated;

/// `workloads.web.x86_64-linux.attributes.args` is what the user wrote as `workloads.web.args`.
pub(crate) fn as_written(path: &AttributePath) -> AttributePath {
    let elements = path.elements();
    let inner = elements.get(3) == Some(&Element::Attribute("attributes".to_owned()));
    let skipped = if inner { 2..4 } else { 0..0 };
    elements
        .iter()
        .enumerate()
        .filter(|(index, _)| !skipped.contains(index))
        .fold(
            AttributePath::default(),
            |path, (_, element)| match element {
                Element::Attribute(name) => path.attribute(name),
                Element::Index(index) => path.index(*index),
            },
        )
}

/// The position of an attribute or of the nearest one around it.
pub(crate) fn locate(evaluated: &Evaluated<'_>, path: &AttributePath) -> Option<String> {
    let mut elements = path.elements();
    while let Some((_, above)) = elements.split_last() {
        let position = match elements {
            [Element::Attribute(first), Element::Attribute(workload)] if first == "workloads" => {
                workload_position(evaluated.value, workload)
                    .or_else(|| (evaluated.position)(elements))
            }
            // `workloads.<name>.<system>` and its `attributes` are made by nixlib: no places of the user's.
            [Element::Attribute(first), ..]
                if first == "workloads" && matches!(elements.len(), 3 | 4) =>
            {
                None
            }
            _ => (evaluated.position)(elements),
        };
        if position.is_some() {
            return position;
        }
        elements = above;
    }
    None
}

/// Where a workload is defined, as nixlib found out.
fn workload_position(environment: &Value, workload: &str) -> Option<String> {
    let position = &environment["positions"][workload];
    let file = position["file"].as_str()?;
    let line = position["line"].as_u64()?;
    Some(format!("{file}:{line}:{}", position["column"].as_u64()?))
}
