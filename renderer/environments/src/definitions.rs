//! Where attributes are defined, in environments that are written as modules: nixlib hands over the definitions as users wrote
//! them, with `mkIf` and the like in them, for what it merges of them has no positions.

use niphas_render::Element;
use nix_evaluator::{Attrs, Bool, EvalError, Evaluator, PosIdx, Value};

use crate::attributes::{attribute, members};

/// The priority of what has none, in nixpkgs.
const DEFAULT_PRIORITY: i64 = 100;

/// Where the definitions are among an environment's attributes.
pub(crate) const DEFINITIONS: &str = "definitions";

/// A place, and the priorities of the definitions on the way to it. The lowest counts.
type Found = (Vec<i64>, PosIdx);

/// Evaluates the lists of definitions, so that places can be looked up in them: those of the environment itself, and of these
/// workloads.
pub(crate) fn evaluate_definitions<'a>(
    evaluator: &mut Evaluator<'a>,
    environment: Value<'a>,
    workloads: &[String],
) -> Result<(), Box<EvalError>> {
    let Some(definitions) = attribute(evaluator, environment, DEFINITIONS)? else {
        return Ok(());
    };
    if let Some(list) = attribute(evaluator, definitions, "environment")? {
        evaluate_list(evaluator, list)?;
    }
    if workloads.is_empty() {
        return Ok(());
    }
    let Some(all) = attribute(evaluator, definitions, "workloads")? else {
        return Ok(());
    };
    for workload in workloads {
        let Some(systems) = attribute(evaluator, all, workload)? else {
            continue;
        };
        for (_, list) in members(evaluator, systems)? {
            evaluate_list(evaluator, list)?;
        }
    }
    Ok(())
}

fn evaluate_list<'a>(evaluator: &mut Evaluator<'a>, list: Value<'a>) -> Result<(), Box<EvalError>> {
    if let Value::List(list) = evaluator.force(list, PosIdx::NONE)? {
        for item in list.items {
            evaluator.force(item.share(), PosIdx::NONE)?;
        }
    }
    Ok(())
}

/// Where an attribute of an environment is defined by the definition that counts.
pub(crate) fn defined_at<'a>(
    evaluator: &Evaluator<'a>,
    environment: Value<'a>,
    path: &[Element],
) -> Option<PosIdx> {
    let definitions = look_up(evaluator, environment, DEFINITIONS)?;
    let (list, path) = match path {
        [
            Element::Attribute(workloads),
            Element::Attribute(workload),
            Element::Attribute(system),
            Element::Attribute(attributes),
            path @ ..,
        ] if workloads == "workloads" && attributes == "attributes" => {
            let of_all = look_up(evaluator, definitions, "workloads")?;
            let of_one = look_up(evaluator, of_all, workload)?;
            (look_up(evaluator, of_one, system)?, path)
        }
        path => (look_up(evaluator, definitions, "environment")?, path),
    };
    let Value::List(list) = list else {
        return None;
    };
    let mut found = Vec::new();
    for item in list.items {
        found.extend(find(evaluator, item.share(), path, DEFAULT_PRIORITY));
    }
    // Elements of lists that are joined of several definitions have other numbers there.
    let is_in_list = path
        .iter()
        .any(|element| matches!(element, Element::Index(_)));
    if is_in_list && found.len() > 1 {
        return None;
    }
    nearest(found).map(|(_, position)| position)
}

/// The first of those with the lowest priority.
fn nearest(found: Vec<Found>) -> Option<Found> {
    found
        .into_iter()
        .min_by(|(left, _), (right, _)| left.cmp(right))
}

/// The place of an attribute below a value, whose properties are read as nixpkgs' modules read them.
fn find<'a>(
    evaluator: &Evaluator<'a>,
    value: Value<'a>,
    path: &[Element],
    priority: i64,
) -> Option<Found> {
    if let Value::Attrs(attrs) = value
        && let Some(kind) = property(evaluator, attrs)
    {
        let inner = |name: &str| {
            evaluator
                .find_attr(attrs, name)
                .map(|attr| attr.value.share())
        };
        return match kind {
            Property::If => match inner("condition")? {
                Value::Bool(Bool::True) => find(evaluator, inner("content")?, path, priority),
                _ => None,
            },
            Property::Merge => {
                let Value::List(contents) = inner("contents")? else {
                    return None;
                };
                // The last is the nearest.
                let contents = contents.items.iter().rev();
                nearest(
                    contents
                        .filter_map(|content| find(evaluator, content.share(), path, priority))
                        .collect(),
                )
            }
            Property::Override => {
                let Value::Int(priority) = inner("priority")? else {
                    return None;
                };
                find(evaluator, inner("content")?, path, priority)
            }
            Property::Order => find(evaluator, inner("content")?, path, priority),
        };
    }
    let (first, rest) = path.split_first()?;
    let (inner, position) = match (first, value) {
        (Element::Attribute(name), Value::Attrs(attrs)) => {
            let attr = evaluator.find_attr(attrs, name)?;
            (attr.value.share(), attr.position)
        }
        (Element::Index(index), Value::List(list)) => {
            (list.items.get(*index)?.share(), PosIdx::NONE)
        }
        _ => return None,
    };
    let (mut priorities, position) = if rest.is_empty() {
        let last = own_priority(evaluator, inner)?;
        (vec![last], position)
    } else {
        find(evaluator, inner, rest, DEFAULT_PRIORITY)?
    };
    priorities.insert(0, priority);
    position.is_some().then_some((priorities, position))
}

/// The priority of a definition itself; none if it does not count.
fn own_priority<'a>(evaluator: &Evaluator<'a>, value: Value<'a>) -> Option<i64> {
    let Value::Attrs(attrs) = value else {
        return Some(DEFAULT_PRIORITY);
    };
    let inner = |name: &str| {
        evaluator
            .find_attr(attrs, name)
            .map(|attr| attr.value.share())
    };
    match property(evaluator, attrs) {
        None => Some(DEFAULT_PRIORITY),
        Some(Property::Override) => match inner("priority")? {
            Value::Int(priority) => Some(priority),
            _ => None,
        },
        Some(Property::If) => match inner("condition")? {
            Value::Bool(Bool::True) => own_priority(evaluator, inner("content")?),
            _ => None,
        },
        Some(Property::Order) => own_priority(evaluator, inner("content")?),
        Some(Property::Merge) => match inner("contents")? {
            Value::List(contents) => contents
                .items
                .iter()
                .filter_map(|content| own_priority(evaluator, content.share()))
                .min(),
            _ => None,
        },
    }
}

/// What nixpkgs' modules put around definitions.
enum Property {
    If,
    Merge,
    Order,
    Override,
}

fn property<'a>(evaluator: &Evaluator<'a>, attrs: &'a Attrs<'a>) -> Option<Property> {
    let Value::String(kind) = evaluator.find_attr(attrs, "_type")?.value.share() else {
        return None;
    };
    match kind.bytes {
        b"if" => Some(Property::If),
        b"merge" => Some(Property::Merge),
        b"order" => Some(Property::Order),
        b"override" => Some(Property::Override),
        _ => None,
    }
}

fn look_up<'a>(evaluator: &Evaluator<'a>, value: Value<'a>, name: &str) -> Option<Value<'a>> {
    match value {
        Value::Attrs(attrs) => Some(evaluator.find_attr(attrs, name)?.value.share()),
        _ => None,
    }
}
