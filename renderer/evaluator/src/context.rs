//! String contexts: which store paths a string refers to.

use std::collections::HashMap;

use bumpalo::Bump;

/// One thing that a string refers to. Store paths are written as `hash-name`, without the store folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextElement<'a> {
    /// A store path that is there, or will be without a build.
    Opaque(&'a str),
    /// A derivation with everything it needs and makes.
    DrvDeep(&'a str),
    /// An output of a derivation.
    Built {
        /// The derivation.
        drv_path: &'a str,
        /// The name of its output.
        output: &'a str,
    },
}

/// A set of [`ContextElement`]s, never empty.
pub struct Context<'a> {
    /// Numbers of elements, ascending.
    ids: &'a [u32],
}

/// All context elements of one evaluation.
pub(crate) struct Contexts<'a> {
    arena: &'a Bump,
    elements: Vec<ContextElement<'a>>,
    index: HashMap<ContextElement<'a>, u32, rustc_hash::FxBuildHasher>,
}

/// A context in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextBuilder {
    ids: Vec<u32>,
}

impl ContextBuilder {
    /// Adds all elements of `context`.
    pub fn add(&mut self, context: Option<&Context<'_>>) {
        if let Some(context) = context {
            self.ids.extend_from_slice(context.ids);
        }
    }

    /// Nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn normalise(&mut self) {
        self.ids.sort_unstable();
        self.ids.dedup();
    }
}

impl<'a> Contexts<'a> {
    pub(crate) fn new(arena: &'a Bump) -> Self {
        Self {
            arena,
            elements: Vec::new(),
            index: HashMap::default(),
        }
    }

    fn id(&mut self, element: ContextElement<'_>) -> u32 {
        if let Some(&id) = self.index.get(&element) {
            return id;
        }
        let arena = self.arena;
        let element = match element {
            ContextElement::Opaque(path) => ContextElement::Opaque(arena.alloc_str(path)),
            ContextElement::DrvDeep(path) => ContextElement::DrvDeep(arena.alloc_str(path)),
            ContextElement::Built { drv_path, output } => ContextElement::Built {
                drv_path: arena.alloc_str(drv_path),
                output: arena.alloc_str(output),
            },
        };
        let id = self.elements.len() as u32;
        self.elements.push(element);
        self.index.insert(element, id);
        id
    }

    /// Adds one element to a context in the making.
    pub(crate) fn add(&mut self, builder: &mut ContextBuilder, element: ContextElement<'_>) {
        let id = self.id(element);
        builder.ids.push(id);
    }

    /// The context that was made; `None` where nothing was added.
    pub(crate) fn finish(&self, mut builder: ContextBuilder) -> Option<&'a Context<'a>> {
        if builder.is_empty() {
            return None;
        }
        builder.normalise();
        let ids = self.arena.alloc_slice_copy(&builder.ids);
        Some(self.arena.alloc(Context { ids }))
    }

    /// A context of one element.
    pub(crate) fn single(&mut self, element: ContextElement<'_>) -> &'a Context<'a> {
        let id = self.id(element);
        let ids = self.arena.alloc_slice_copy(&[id]);
        self.arena.alloc(Context { ids })
    }

    /// The elements of a context in the making, in their own order (kind, then path).
    pub(crate) fn elements_of(&self, builder: &ContextBuilder) -> Vec<ContextElement<'a>> {
        let mut elements: Vec<_> = builder
            .ids
            .iter()
            .map(|&id| self.elements[id as usize])
            .collect();
        elements.sort_unstable();
        elements.dedup();
        elements
    }

    /// The elements of a context, in their own order.
    pub(crate) fn elements(&self, context: Option<&Context<'_>>) -> Vec<ContextElement<'a>> {
        let mut builder = ContextBuilder::default();
        builder.add(context);
        self.elements_of(&builder)
    }

    /// Both strings' contexts together.
    pub(crate) fn union(
        &self,
        left: Option<&'a Context<'a>>,
        right: Option<&'a Context<'a>>,
    ) -> Option<&'a Context<'a>> {
        match (left, right) {
            (None, other) | (other, None) => other,
            (Some(l), Some(r)) if std::ptr::eq(l, r) || l.ids == r.ids => left,
            (Some(l), Some(r)) => {
                let mut builder = ContextBuilder {
                    ids: l.ids.to_vec(),
                };
                builder.add(Some(r));
                self.finish(builder)
            }
        }
    }
}
