//! Functions, `let`s and sets: what opens a level of variables.

use super::{Compiler, Result, select_symbol};
use crate::ast::{BindingValue, Bindings, Name, Node, NodeId, PatternId};
use crate::eval::call::MOST_ON_STACK;
use crate::expr::{
    AttrsCode, BindingCode, DynamicCode, Expr, FormalCode, LambdaCode, Lazy, LetCode, PatternCode,
    Scope,
};
use crate::position::PosIdx;
use crate::shape::Shape;
use crate::symbol::Symbol;

impl<'a> Compiler<'a, '_> {
    /// A function with all the parameters that stand together.
    pub(super) fn lambda(&mut self, id: NodeId) -> Result<Expr<'a>> {
        let outer_captures = std::mem::replace(&mut self.captures, false);
        self.scopes.level += 1;
        let mut names = Vec::new();
        let mut positions = Vec::new();
        let mut body = id;
        let mut pattern = None;
        loop {
            match self.input.ast.node(body) {
                Node::Lambda { param, body: inner } => {
                    positions.push(self.position(body));
                    names.push(param);
                    body = inner;
                }
                Node::PatternLambda {
                    pattern: found,
                    body: inner,
                } => {
                    positions.push(self.position(body));
                    pattern = Some(found);
                    body = inner;
                    break;
                }
                _ => break,
            }
        }
        let params = self
            .input
            .arena
            .alloc_slice_fill_iter(names.iter().map(|&name| self.symbol(name)));
        self.add_names(
            names
                .iter()
                .enumerate()
                .map(|(slot, &name)| (name, slot as u32))
                .collect::<Vec<_>>()
                .into_iter(),
        );
        let mut slots = names.len() as u32;
        let compiled = match pattern {
            Some(pattern) => Some(self.pattern(pattern, &mut names, &mut slots)?),
            None => None,
        };
        let body = self.function_body(body, &names, &mut slots)?;
        self.close(names.into_iter());
        let captures = std::mem::replace(&mut self.captures, outer_captures);
        // The function itself keeps the level around it.
        self.captures = true;
        Ok(Expr::Lambda(self.input.arena.alloc(LambdaCode {
            name: std::cell::Cell::new(None),
            positions: self.input.arena.alloc_slice_copy(&positions),
            params,
            pattern: compiled,
            slots,
            body,
            starts_on_stack: !captures && pattern.is_none() && slots as usize <= MOST_ON_STACK,
        })))
    }

    fn pattern(
        &mut self,
        id: PatternId,
        names: &mut Vec<Name>,
        slots: &mut u32,
    ) -> Result<PatternCode<'a>> {
        let pattern = self.input.ast.pattern(id);
        let mut formals: Vec<_> = pattern.formals.iter().collect();
        formals.sort_by_key(|formal| self.symbol(formal.name));
        let all = pattern
            .at
            .into_iter()
            .chain(formals.iter().map(|formal| formal.name));
        let all: Vec<_> = all.map(|name| (name, post_increment(slots))).collect();
        if all.is_empty() {
            // The argument itself needs a place until it is matched.
            *slots += 1;
        }
        names.extend(all.iter().map(|&(name, _)| name));
        self.add_names(all.into_iter());
        let mut compiled =
            bumpalo::collections::Vec::with_capacity_in(formals.len(), self.input.arena);
        for formal in formals {
            compiled.push(FormalCode {
                name: self.symbol(formal.name),
                position: self.at(formal.position),
                default: formal.default.map(|id| self.lazy(id)).transpose()?,
            });
        }
        Ok(PatternCode {
            formals: compiled.into_bump_slice(),
            ellipsis: pattern.ellipsis,
            at: pattern.at.map(|name| self.symbol(name)),
        })
    }

    /// A `let` right below a function shares the function's level, unless a name stands for both.
    fn function_body(
        &mut self,
        body: NodeId,
        params: &[Name],
        slots: &mut u32,
    ) -> Result<&'a Expr<'a>> {
        if let Node::Let {
            bindings,
            body: inner,
        } = self.input.ast.node(body)
        {
            let bindings = self.input.ast.bindings(bindings);
            if bindings
                .entries
                .iter()
                .all(|entry| !params.contains(&entry.name))
            {
                self.captures = true;
                let first = *slots;
                *slots += (bindings.entries.len() + bindings.inherit_from.len()) as u32;
                let code = self.let_level(bindings, first, true)?;
                let body = self.alloc(inner)?;
                self.remove_names(bindings.entries.iter().map(|entry| entry.name));
                return Ok(self
                    .input
                    .arena
                    .alloc(Expr::Let(self.input.arena.alloc(LetCode {
                        bindings: code.0,
                        inherit_from: code.1,
                        body,
                        merged_at: Some(first),
                    }))));
            }
        }
        self.alloc(body)
    }

    pub(super) fn let_in(&mut self, bindings: &Bindings, body: NodeId) -> Result<Expr<'a>> {
        self.scopes.level += 1;
        let (compiled, inherit_from) = self.let_level(bindings, 0, false)?;
        let body = self.alloc(body)?;
        self.close(bindings.entries.iter().map(|entry| entry.name));
        Ok(Expr::Let(self.input.arena.alloc(LetCode {
            bindings: compiled,
            inherit_from,
            body,
            merged_at: None,
        })))
    }

    /// Bindings and `inherit (e)`s of a level that is open; adds their names, in slots from `first` on.
    fn let_level(
        &mut self,
        bindings: &Bindings,
        first: u32,
        merged: bool,
    ) -> Result<(&'a [BindingCode<'a>], &'a [Lazy<'a>])> {
        let inherited = self.inherited(bindings, merged);
        let order = self.order(bindings);
        let slots = order.iter().zip(first..);
        let slots: Vec<_> = slots
            .map(|(&index, slot)| (bindings.entries[index].name, slot))
            .collect();
        self.add_names(slots.into_iter());
        let froms = first + bindings.entries.len() as u32;
        let inherit_from = self.lazies(&bindings.inherit_from)?;
        let compiled = self.bindings(bindings, &order, inherited, froms)?;
        Ok((compiled, inherit_from))
    }

    /// The entries in the order of symbols, in which Nix looks at them.
    fn order(&self, bindings: &Bindings) -> Vec<usize> {
        let mut order: Vec<_> = (0..bindings.entries.len()).collect();
        order.sort_by_key(|&index| self.symbol(bindings.entries[index].name));
        order
    }

    /// What `inherit x;` refers to: names as they are around the level that was just opened (`merged`: around its
    /// additional names). A missing name is reported in its turn.
    fn inherited(&mut self, bindings: &Bindings, merged: bool) -> Vec<Option<Result<Lazy<'a>>>> {
        let opened = u32::from(!merged);
        self.scopes.level -= opened;
        let mut inherited = Vec::with_capacity(bindings.entries.len());
        for entry in &bindings.entries {
            inherited.push(match entry.value {
                BindingValue::Inherit => {
                    let variable = self.variable(entry.name, self.at(entry.position));
                    Some(variable.map(|variable| self.delayable(self.input.arena.alloc(variable))))
                }
                _ => None,
            });
        }
        self.scopes.level += opened;
        inherited
    }

    /// The entries in `order`; the n-th `inherit (e)` is in slot `froms + n` of the innermost level.
    fn bindings(
        &mut self,
        bindings: &Bindings,
        order: &[usize],
        mut inherited: Vec<Option<Result<Lazy<'a>>>>,
        froms: u32,
    ) -> Result<&'a [BindingCode<'a>]> {
        let mut compiled =
            bumpalo::collections::Vec::with_capacity_in(order.len(), self.input.arena);
        for &index in order {
            let entry = &bindings.entries[index];
            let (name, position) = (self.symbol(entry.name), self.at(entry.position));
            let (scope, value) = match entry.value {
                BindingValue::Plain(id) => (Scope::Inner, self.named(id, name)?),
                BindingValue::Inherit => {
                    let value = inherited[index]
                        .take()
                        .expect("made above for every plain inherit")?;
                    (Scope::Outer, value)
                }
                BindingValue::InheritFrom(from) => {
                    let base = self.input.arena.alloc(Expr::Variable {
                        depth: 0,
                        index: froms + from,
                        position,
                    });
                    let select = self.input.arena.alloc(select_symbol(base, name, position));
                    (Scope::Inner, self.delayable(select))
                }
            };
            compiled.push(BindingCode {
                name,
                position,
                scope,
                value,
            });
        }
        Ok(compiled.into_bump_slice())
    }

    fn shape(&self, bindings: &[BindingCode<'a>]) -> &'a Shape<'a> {
        let names = bindings
            .iter()
            .map(|binding| (binding.name, binding.position));
        Shape::of(self.input.arena, bindings.len(), names)
    }

    /// A bound expression: functions learn their name.
    fn named(&mut self, id: NodeId, name: Symbol) -> Result<Lazy<'a>> {
        if matches!(
            self.input.ast.node(id),
            Node::Lambda { .. } | Node::PatternLambda { .. }
        ) {
            let lambda = self.lambda(id)?;
            if let Expr::Lambda(code) = lambda {
                code.set_name(name);
            }
            let lambda = self.input.arena.alloc(lambda);
            return Ok(self.delayable(lambda));
        }
        self.lazy(id)
    }

    pub(super) fn attrs(&mut self, bindings: &Bindings, position: PosIdx) -> Result<Expr<'a>> {
        let order = self.order(bindings);
        let has_level = bindings.recursive || !bindings.inherit_from.is_empty();
        if has_level {
            self.captures = true;
            self.scopes.level += 1;
        }
        let inherited = self.inherited(bindings, !has_level);
        let mut overrides = None;
        let mut froms = 0;
        let mut inherit_from: &'a [Lazy<'a>] = &[];
        if bindings.recursive {
            let slots: Vec<_> = order
                .iter()
                .enumerate()
                .map(|(slot, &index)| (bindings.entries[index].name, slot as u32))
                .collect();
            overrides = (slots.iter())
                .find(|&&(name, _)| self.symbol(name) == self.input.known.overrides)
                .map(|&(_, slot)| slot);
            self.add_names(slots.into_iter());
            froms = order.len() as u32;
            inherit_from = self.lazies(&bindings.inherit_from)?;
        } else if has_level {
            // Their expressions, like all values here, belong around the level that only holds their results.
            self.scopes.level -= 1;
            inherit_from = self.lazies(&bindings.inherit_from)?;
            self.scopes.level += 1;
        }
        let compiled = self.bindings(bindings, &order, inherited, froms)?;
        let mut dynamic =
            bumpalo::collections::Vec::with_capacity_in(bindings.dynamic.len(), self.input.arena);
        for entry in &bindings.dynamic {
            dynamic.push(DynamicCode {
                name: self.alloc(entry.name)?,
                position: self.at(entry.position),
                value: self.lazy(entry.value)?,
            });
        }
        if bindings.recursive {
            self.remove_names(bindings.entries.iter().map(|entry| entry.name));
        }
        if has_level {
            self.scopes.level -= 1;
        }
        Ok(Expr::Attrs(self.input.arena.alloc(AttrsCode {
            position,
            recursive: bindings.recursive,
            bindings: compiled,
            shape: self.shape(compiled),
            inherit_from,
            dynamic: dynamic.into_bump_slice(),
            overrides,
        })))
    }
}

fn post_increment(counter: &mut u32) -> u32 {
    let value = *counter;
    *counter += 1;
    value
}
