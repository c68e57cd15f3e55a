//! What evaluations put into a store that is not there.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use nix_formats::StorePath;

use super::{Outputs, StoreObject};
use crate::path::parent;

/// Texts of derivations are kept up to this size, all together.
const MOST_BYTES: usize = 1 << 30;

/// Objects that evaluations put into the store, by their paths: texts with their contents, trees by where their files are.
/// Evaluators on several threads may share it. Derivations beyond a size are left out.
#[derive(Default)]
pub struct StoreObjects {
    kept: RwLock<Kept>,
    /// What was built for the evaluations.
    outputs: OnceLock<Arc<dyn Outputs>>,
}

#[derive(Default)]
struct Kept {
    by_path: HashMap<Vec<u8>, KeptObject>,
    /// Of derivations.
    bytes: usize,
    is_full: bool,
}

/// An object that is kept. Cloning is cheap.
#[derive(Clone, Debug)]
pub enum KeptObject {
    /// A text.
    Text {
        /// The text.
        contents: Arc<[u8]>,
        /// What it refers to.
        references: Arc<[StorePath]>,
    },
    /// A file tree, or a single file.
    Tree {
        /// Where it is.
        source: Arc<[u8]>,
        /// Which of its paths belong to it; all if `None`.
        included: Option<Arc<BTreeSet<Vec<u8>>>>,
    },
}

/// Where something is that lies in a kept object.
pub(super) enum Place {
    Text(Arc<[u8]>),
    File(Vec<u8>),
}

impl StoreObjects {
    /// Lets evaluations see outputs that are built for them. Only the first call counts.
    pub fn set_outputs(&self, outputs: Arc<dyn Outputs>) {
        let _ = self.outputs.set(outputs);
    }

    pub(super) fn outputs(&self) -> Option<&dyn Outputs> {
        self.outputs.get().map(|outputs| &**outputs)
    }

    /// Keeps an object. The same path has the same contents, so only the first counts.
    pub(super) fn put(&self, path: &[u8], object: StoreObject<'_>) {
        if self.read(|kept| kept.by_path.contains_key(path)) {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let StoreObject::Text { contents, .. } = object
            && path.ends_with(b".drv")
        {
            kept.is_full |= kept.bytes + contents.len() > MOST_BYTES;
            if kept.is_full {
                return;
            }
            kept.bytes += contents.len();
        }
        let object = kept.own(object);
        kept.by_path.insert(path.to_vec(), object);
    }

    /// The object with this path.
    pub fn get(&self, path: &[u8]) -> Option<KeptObject> {
        self.read(|kept| kept.by_path.get(path).cloned())
    }

    /// There were more derivations than are kept.
    pub fn is_full(&self) -> bool {
        self.read(|kept| kept.is_full)
    }

    /// How many objects there are, and the bytes of the derivations among them.
    pub fn size(&self) -> (usize, usize) {
        self.read(|kept| (kept.by_path.len(), kept.bytes))
    }

    /// Where that is which lies at `path`, or would in a store.
    pub(super) fn place(&self, path: &[u8]) -> Option<Place> {
        self.read(|kept| kept.place(path))
    }

    fn read<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(&self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn place(&self, path: &[u8]) -> Option<Place> {
        match self.find(path)? {
            (KeptObject::Text { contents, .. }, b"") => Some(Place::Text(Arc::clone(contents))),
            (KeptObject::Text { .. }, _) => None,
            (KeptObject::Tree { source, included }, rest) => {
                let file = [source, rest].concat();
                let whole = included.as_ref().is_none_or(|set| set.contains(&file));
                (whole || rest.is_empty()).then_some(Place::File(file))
            }
        }
    }

    /// The object that a path is in, and where.
    fn find<'p>(&self, path: &'p [u8]) -> Option<(&KeptObject, &'p [u8])> {
        let mut object = path;
        while object != b"/" && !self.by_path.is_empty() {
            if let Some(found) = self.by_path.get(object) {
                return Some((found, &path[object.len()..]));
            }
            object = parent(object);
        }
        None
    }

    /// An object as it is kept. What lies in a kept object is in the place of that.
    fn own(&self, object: StoreObject<'_>) -> KeptObject {
        let (source, included) = match object {
            StoreObject::Text {
                contents,
                references,
            } => {
                return KeptObject::Text {
                    contents: contents.into(),
                    references: references.into(),
                };
            }
            StoreObject::Tree { source, included } => (source, included),
        };
        match self.find(source) {
            Some((KeptObject::Text { contents, .. }, _)) => KeptObject::Text {
                contents: Arc::clone(contents),
                references: Arc::default(),
            },
            Some((
                KeptObject::Tree {
                    source: whole,
                    included: of_whole,
                },
                rest,
            )) => {
                let real = [whole, rest].concat();
                let moved = |path: &Vec<u8>| [&real, &path[source.len()..]].concat();
                let included = match (included, of_whole) {
                    (Some(included), _) => Some(Arc::new(included.iter().map(moved).collect())),
                    (None, of_whole) => of_whole.clone(),
                };
                KeptObject::Tree {
                    source: real.into(),
                    included,
                }
            }
            None => KeptObject::Tree {
                source: source.into(),
                included: included.cloned().map(Arc::new),
            },
        }
    }
}

impl fmt::Debug for StoreObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, _) = self.size();
        f.debug_struct("StoreObjects")
            .field("count", &count)
            .finish_non_exhaustive()
    }
}
