//! Builtins on sets.

use super::{Global, Row};
use crate::attrs::{Attr, AttrRef, Attrs, Entries};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::{Mapped, MappedItem, MappedOver, PartialApplication, Slot, Value};

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::{Bare, Underscored};
    vec![
        ("attrNames", 1, Underscored, attr_names),
        ("attrValues", 1, Underscored, attr_values),
        ("catAttrs", 2, Underscored, cat_attrs),
        ("getAttr", 2, Underscored, get_attr),
        ("hasAttr", 2, Underscored, has_attr),
        ("intersectAttrs", 2, Underscored, intersect_attrs),
        ("listToAttrs", 1, Underscored, list_to_attrs),
        ("mapAttrs", 2, Underscored, map_attrs),
        ("removeAttrs", 2, Bare, remove_attrs),
        ("unsafeGetAttrPos", 2, Underscored, unsafe_get_attr_pos),
        ("zipAttrsWith", 2, Underscored, zip_attrs_with),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

impl<'a> Evaluator<'a> {
    /// The attributes in alphabetical order.
    pub fn sorted_attrs(&self, attrs: &'a Attrs<'a>) -> Vec<AttrRef<'a>> {
        let entries = attrs.entries(self.arena).iter();
        let mut sorted: Vec<_> = entries
            .map(|attr| (self.symbols.prefix(attr.name), attr))
            .collect();
        sorted.sort_unstable_by(|(l_prefix, l), (r_prefix, r)| {
            l_prefix
                .cmp(r_prefix)
                .then_with(|| self.symbols.compare(l.name, r.name))
        });
        sorted.into_iter().map(|(_, attr)| attr).collect()
    }
}

fn attr_names<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let attrs = evaluator.expect_attrs(
        args[0],
        NONE,
        "while evaluating the argument passed to builtins.attrNames",
    )?;
    let sorted = evaluator.sorted_attrs(attrs);
    let names = evaluator
        .arena
        .alloc_slice_fill_with(sorted.len(), |index| {
            Slot::new(Value::String(evaluator.symbols.string(sorted[index].name)))
        });
    Ok(Value::list(evaluator.arena, names))
}

fn attr_values<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let attrs = evaluator.expect_attrs(
        args[0],
        NONE,
        "while evaluating the argument passed to builtins.attrValues",
    )?;
    let sorted = evaluator.sorted_attrs(attrs);
    let values = evaluator
        .arena
        .alloc_slice_fill_with(sorted.len(), |index| Slot::new(sorted[index].value.share()));
    Ok(Value::list(evaluator.arena, values))
}

fn cat_attrs<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let name = evaluator.expect_string_no_context(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.catAttrs",
    )?;
    let name = evaluator.symbols.intern(name);
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.catAttrs",
    )?;
    let what =
        "while evaluating an element in the list passed as second argument to builtins.catAttrs";
    let mut found = Vec::new();
    for item in items {
        let attrs = evaluator.expect_attrs(item.share(), NONE, what)?;
        found.extend(attrs.get(name).map(|attr| attr.value.share()));
    }
    Ok(evaluator.list_of(&found))
}

fn get_attr<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let name = evaluator.expect_string_no_context(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.getAttr",
    )?;
    let name = evaluator.symbols.intern(name);
    let attrs = evaluator.expect_attrs(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.getAttr",
    )?;
    let attr = evaluator.required_attr(attrs, name, "in the attribute set under consideration")?;
    evaluator.force_slot(attr.value, NONE)
}

fn has_attr<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let name = evaluator.expect_string_no_context(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.hasAttr",
    )?;
    let attrs = evaluator.expect_attrs(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.hasAttr",
    )?;
    let name = evaluator.symbols.lookup(name);
    Ok(Value::from(
        name.is_some_and(|name| attrs.get(name).is_some()),
    ))
}

fn intersect_attrs<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let left = evaluator.expect_attrs(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.intersectAttrs",
    )?;
    let right = evaluator.expect_attrs(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.intersectAttrs",
    )?;
    Ok(Value::Attrs(right.intersect(evaluator.arena, left)))
}

fn list_to_attrs<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[0],
        NONE,
        "while evaluating the argument passed to builtins.listToAttrs",
    )?;
    let names = evaluator.names;
    let mut sources = Vec::with_capacity(items.len());
    for item in items {
        let attrs = evaluator.expect_attrs(
            item.share(),
            NONE,
            "while evaluating an element of the list passed to builtins.listToAttrs",
        )?;
        let what = "in a {name=...; value=...;} pair";
        let name = evaluator.required_attr(attrs, names.name, what)?;
        let name = evaluator.expect_string_no_context(
            name.value.share(),
            name.position,
            "while evaluating the `name` attribute of an element of the list passed to builtins.listToAttrs",
        )?;
        sources.push((evaluator.symbols.intern(name), attrs));
    }
    // The first of several pairs with one name counts.
    sources.sort_by_key(|&(name, _)| name);
    sources.dedup_by_key(|&mut (name, _)| name);
    let mut result = Vec::with_capacity(sources.len());
    for (name, attrs) in sources {
        let value =
            evaluator.required_attr(attrs, names.value, "in a {name=...; value=...;} pair")?;
        result.push(Attr::new(name, value.position, value.value.share()));
    }
    Ok(Value::Attrs(Attrs::from_sorted(evaluator.arena, result)))
}

fn map_attrs<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let attrs = evaluator.expect_attrs(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.mapAttrs",
    )?;
    let entries = attrs.entries(evaluator.arena);
    let mapped = evaluator.mapped(Mapped {
        function: args[0],
        called: std::cell::Cell::new(false),
        over: MappedOver::Attrs(entries),
    });
    let arena = evaluator.arena;
    let results = arena.alloc_slice_fill_with(entries.len(), |index| {
        Slot::new(Value::Mapped(MappedItem::new(mapped, index)))
    });
    let results = Entries::new(entries.shape().without_positions(arena), results);
    Ok(Value::Attrs(Attrs::from_entries(arena, results)))
}

fn remove_attrs<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let attrs = evaluator.expect_attrs(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.removeAttrs",
    )?;
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.removeAttrs",
    )?;
    let what = "while evaluating the values of the second argument passed to builtins.removeAttrs";
    let mut removed = Vec::with_capacity(items.len());
    for item in items {
        let name = evaluator.expect_string_no_context(item.share(), NONE, what)?;
        removed.extend(evaluator.symbols.lookup(name));
    }
    removed.retain(|&name| attrs.get(name).is_some());
    removed.sort_unstable();
    removed.dedup();
    Ok(Value::Attrs(attrs.without(evaluator.arena, &removed)))
}

fn unsafe_get_attr_pos<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let name = evaluator.expect_string_no_context(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.unsafeGetAttrPos",
    )?;
    let attrs = evaluator.expect_attrs(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.unsafeGetAttrPos",
    )?;
    let attr = evaluator
        .symbols
        .lookup(name)
        .and_then(|name| attrs.get(name));
    attr.map_or(Ok(Value::Null), |attr| {
        evaluator.position_value(attr.position)
    })
}

fn zip_attrs_with<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.zipAttrsWith",
    )?;
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.zipAttrsWith",
    )?;
    let what =
        "while evaluating a value of the list passed as second argument to builtins.zipAttrsWith";
    let arena = evaluator.arena;
    let mut all = Vec::with_capacity(16);
    for item in items {
        let attrs = evaluator.expect_attrs(item.share(), NONE, what)?;
        all.extend(attrs.entries(arena).iter());
    }
    // Stable: the values of one name stay in the order of the list.
    all.sort_by_key(|attr| attr.name);
    let mut result = Vec::new();
    for group in all.chunk_by(|l, r| l.name == r.name) {
        let values =
            arena.alloc_slice_fill_with(group.len(), |index| Slot::new(group[index].value.share()));
        let name = Value::String(evaluator.symbols.string(group[0].name));
        let args = arena.alloc_slice_copy(&[name, Value::list(arena, values)]);
        let call = arena.alloc(PartialApplication { function, args });
        result.push(Attr::new(group[0].name, NONE, Value::Application(call)));
    }
    Ok(Value::Attrs(Attrs::from_sorted(arena, result)))
}
