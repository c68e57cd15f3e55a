//! Making sets, lists and levels of variables.

use super::{Evaluator, Result};
use crate::attrs::{Attr, Attrs, Entries};
use crate::env::Env;
use crate::error::{ErrorKind, EvalError};
use crate::expr::{AttrsCode, BindingCode, DynamicCode, Expr, Lazy, LazyKind, LetCode, Scope};
use crate::position::{Origin, PosIdx};
use crate::value::{Slot, Value};

impl<'a> Evaluator<'a> {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is called last, for what returns this"
    )]
    #[inline(never)]
    pub(super) fn eval_list(
        &mut self,
        items: &'a [Lazy<'a>],
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        Ok(self.make_list(items, env))
    }

    pub(super) fn make_list(&mut self, items: &'a [Lazy<'a>], env: &Env<'_, 'a>) -> Value<'a> {
        let slots = self.null_slots(items.len());
        for (slot, item) in slots.iter().zip(items) {
            slot.set(self.delay(item, env));
        }
        Value::list(self.arena, slots)
    }

    pub(super) fn null_slots(&self, count: usize) -> &'a [Slot<'a>] {
        self.arena
            .alloc_slice_fill_with(count, |_| Slot::new(Value::Null))
    }

    /// Fills slots of the enclosing function's level, which is in the arena for having such bindings.
    pub(super) fn fill_own_level(&mut self, code: &'a LetCode<'a>, env: &Env<'_, 'a>, first: u32) {
        let level = self.capture(env);
        let slots = self.levels.slots(level);
        let code = (code.bindings, code.inherit_from);
        self.fill_level(code, slots, [env; 2], first, true);
    }

    /// A level of `count` variables inside that of `env`.
    fn open_inside(&mut self, env: &Env<'_, 'a>, count: usize) -> (Env<'a, 'a>, &'a [Slot<'a>]) {
        let outer = self.capture(env);
        let (level, slots) = self.open_level(outer, count);
        (Env::opened(outer, level, slots), slots)
    }

    /// What the body of a `let` is evaluated in.
    pub(super) fn open_let(&mut self, code: &'a LetCode<'a>, env: &Env<'_, 'a>) -> Env<'a, 'a> {
        let count = code.bindings.len() + code.inherit_from.len();
        let (inner, slots) = self.open_inside(env, count);
        let scopes = [&inner, env];
        let bindings = (code.bindings, code.inherit_from);
        self.fill_level(bindings, slots, scopes, 0, true);
        inner
    }

    /// Puts bindings into a level's slots from `first` on; `scopes` are the level itself and what is around it. With `shares`, its variables are there already.
    fn fill_level(
        &mut self,
        (bindings, inherit_from): (&'a [BindingCode<'a>], &'a [Lazy<'a>]),
        slots: &'a [Slot<'a>],
        [inner, outer]: [&Env<'_, 'a>; 2],
        first: u32,
        shares: bool,
    ) {
        let (own, from_others) = slots[first as usize..].split_at(bindings.len());
        for ((index, binding), slot) in (first..).zip(bindings).zip(own) {
            match binding.scope {
                Scope::Inner => {
                    let filled = shares.then_some(index);
                    slot.set(self.delay_in_level(&binding.value, inner, filled));
                }
                Scope::Outer => slot.set(self.delay(&binding.value, outer)),
            }
        }
        for (from, slot) in inherit_from.iter().zip(from_others) {
            slot.set(self.delay_in_level(from, inner, Some(first)));
        }
    }

    /// As [`Evaluator::delay`], but only this many variables of this level are in their places yet, if any may be looked
    /// at. Those it shares, as Nix does: which lists are the same one is seen when they are printed.
    pub(super) fn delay_in_level(
        &mut self,
        value: &Lazy<'a>,
        env: &Env<'_, 'a>,
        filled: Option<u32>,
    ) -> Value<'a> {
        match value.expr {
            Expr::Variable { depth, index, .. }
                if filled.is_some_and(|filled| *depth > 0 || *index < filled) =>
            {
                env.share(&self.levels, *depth, *index)
            }
            Expr::Constant(value) => *value,
            Expr::Lambda(code) if value.kind == LazyKind::Constructor => {
                self.make_lambda(code, env)
            }
            Expr::List { items: [] } => Value::list(self.arena, &[]),
            _ => self.delayed(value, env),
        }
    }

    #[inline(never)]
    pub(super) fn eval_attrs(
        &mut self,
        code: &'a AttrsCode<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        self.check_stack()?;
        if code.recursive {
            return self.eval_recursive_attrs(code, env);
        }
        if code.inherit_from.is_empty() && code.dynamic.is_empty() {
            return Ok(self.make_plain_attrs(code, env));
        }
        let opened;
        let mut inner = env;
        if !code.inherit_from.is_empty() {
            let slots;
            (opened, slots) = self.open_inside(env, code.inherit_from.len());
            for (slot, from) in slots.iter().zip(code.inherit_from) {
                slot.set(self.delay(from, env));
            }
            inner = &opened;
        }
        let values = self.null_slots(code.bindings.len());
        for (value, binding) in values.iter().zip(code.bindings) {
            let env = match binding.scope {
                Scope::Inner => inner,
                Scope::Outer => env,
            };
            value.set(self.delay(&binding.value, env));
        }
        let attrs = Attrs::from_entries(self.arena, Entries::new(code.shape, values));
        self.add_dynamic(attrs, code.dynamic, inner)
    }

    /// A set whose names are all known and whose values all belong to the same level.
    #[inline]
    pub(super) fn make_plain_attrs(
        &mut self,
        code: &'a AttrsCode<'a>,
        env: &Env<'_, 'a>,
    ) -> Value<'a> {
        let values = self.null_slots(code.bindings.len());
        for (value, binding) in values.iter().zip(code.bindings) {
            value.set(self.delay(&binding.value, env));
        }
        let entries = Entries::new(code.shape, values);
        Value::Attrs(Attrs::from_entries(self.arena, entries))
    }

    fn eval_recursive_attrs(
        &mut self,
        code: &'a AttrsCode<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let count = code.bindings.len() + code.inherit_from.len();
        let (inner, slots) = self.open_inside(env, count);
        // What overrides may replace is asked for later.
        let shares = code.overrides.is_none();
        let scopes = [&inner, env];
        let bindings = (code.bindings, code.inherit_from);
        self.fill_level(bindings, slots, scopes, 0, shares);
        let values = self
            .arena
            .alloc_slice_fill_with(code.bindings.len(), |index| Slot::new(slots[index].share()));
        let mut attrs = Attrs::from_entries(self.arena, Entries::new(code.shape, values));
        if let Some(index) = code.overrides {
            attrs = self.apply_overrides(attrs, index, code.bindings, slots)?;
        }
        self.add_dynamic(attrs, code.dynamic, &inner)
    }

    /// `__overrides`: its attributes replace variables of the set as well as attributes.
    fn apply_overrides(
        &mut self,
        attrs: &'a Attrs<'a>,
        index: u32,
        bindings: &'a [BindingCode<'a>],
        slots: &'a [Slot<'a>],
    ) -> Result<&'a Attrs<'a>> {
        let overrides = self.force_slot(&slots[index as usize], PosIdx::NONE)?;
        let overrides = self.expect_attrs(
            overrides,
            PosIdx::NONE,
            "while evaluating the `__overrides` attribute",
        )?;
        for attr in overrides.entries(self.arena) {
            if let Some(binding) = bindings
                .iter()
                .position(|binding| binding.name == attr.name)
            {
                slots[binding].set(attr.value.share());
            }
        }
        Ok(attrs.update(self.arena, &mut self.shapes, overrides))
    }

    fn add_dynamic(
        &mut self,
        attrs: &'a Attrs<'a>,
        dynamic: &'a [DynamicCode<'a>],
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        if dynamic.is_empty() {
            return Ok(Value::Attrs(attrs));
        }
        let mut added: Vec<Attr<'a>> = Vec::new();
        for code in dynamic {
            let name = match self.eval(code.name, env)? {
                Value::Null => continue,
                name => self.expect_string_no_context(
                    name,
                    code.position,
                    "while evaluating the name of a dynamic attribute",
                )?,
            };
            let name = self.symbols.intern(name);
            let existing = attrs.get(name).map(|attr| attr.position);
            let existing =
                existing.or_else(|| Some(added.iter().find(|attr| attr.name == name)?.position));
            if let Some(existing) = existing {
                let message = format!(
                    "dynamic attribute '{}' already defined at {}",
                    self.shown_name(name),
                    self.describe_position(existing)
                );
                return Err(EvalError::new(ErrorKind::Eval, message).at(code.position));
            }
            if let Expr::Lambda(function) = code.value.expr {
                function.set_name(name);
            }
            let attr = Attr::new(name, code.position, Value::Null);
            attr.value.set(self.delay(&code.value, env));
            added.push(attr);
        }
        let added = Attrs::from_unsorted(self.arena, added);
        Ok(Value::Attrs(attrs.update(
            self.arena,
            &mut self.shapes,
            added,
        )))
    }

    /// `FILE:LINE:COLUMN`, or `«none»:0`.
    pub(crate) fn describe_position(&self, position: PosIdx) -> String {
        let described = self.positions.describe(position);
        described.unwrap_or_else(|| "«none»:0".to_owned())
    }

    /// What the body of a `with` is evaluated in: its only variable is the set.
    pub(super) fn open_with(&mut self, scope: &Lazy<'a>, env: &Env<'_, 'a>) -> Env<'a, 'a> {
        let (inner, slots) = self.open_inside(env, 1);
        slots[0].set(self.delay(scope, env));
        inner
    }

    /// `{ file, line, column }`, or null.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is called last, for what returns this"
    )]
    #[inline(never)]
    pub(crate) fn position_value(&mut self, position: PosIdx) -> Result<Value<'a>> {
        let Some(found) = self.positions.resolve(position) else {
            return Ok(Value::Null);
        };
        let file = match found.origin {
            Origin::File(path) => {
                self.io.observed(path);
                Value::string(self.arena, path)
            }
            Origin::Internal(name) => Value::string(self.arena, format!("/{name}").as_bytes()),
            Origin::String | Origin::Stdin => return Ok(Value::Null),
        };
        let (line, column) = (i64::from(found.line), i64::from(found.column));
        let names = self.names;
        Ok(Value::Attrs(Attrs::from_unsorted(
            self.arena,
            vec![
                Attr::new(names.file, PosIdx::NONE, file),
                Attr::new(names.line, PosIdx::NONE, Value::Int(line)),
                Attr::new(names.column, PosIdx::NONE, Value::Int(column)),
            ],
        )))
    }
}
