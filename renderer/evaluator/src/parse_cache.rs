//! Trees of source texts that several evaluations share.

use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

use crate::ast::Ast;
use crate::parser::{ParseError, ParseOptions, parse_with};

/// What evaluations on several threads have parsed: each text is parsed once, by the first that needs it, and the others
/// wait for it. A tree is kept until each of them has had it.
///
/// Texts are told apart by their bytes, not by their files, so it does not matter how each evaluation sees the world.
#[derive(Debug)]
pub struct ParseCache {
    evaluations: usize,
    trees: Mutex<FxHashMap<Text, Shared>>,
}

type Text = (Box<[u8]>, ParseOptions);

#[derive(Debug)]
struct Shared {
    tree: Arc<OnceLock<Result<Arc<Ast>, ParseError>>>,
    /// This many evaluations have not had it.
    awaited_by: usize,
}

impl ParseCache {
    /// For this many evaluations.
    pub fn new(evaluations: usize) -> Self {
        Self {
            evaluations,
            trees: Mutex::default(),
        }
    }

    /// The tree of a text.
    pub(crate) fn parse(
        &self,
        source: &[u8],
        options: ParseOptions,
    ) -> Result<Arc<Ast>, ParseError> {
        let tree = {
            let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            match trees.entry((source.into(), options)) {
                Entry::Occupied(mut entry) if entry.get().awaited_by > 1 => {
                    entry.get_mut().awaited_by -= 1;
                    Arc::clone(&entry.get().tree)
                }
                Entry::Occupied(entry) => entry.remove().tree,
                Entry::Vacant(entry) => {
                    let shared = Shared {
                        tree: Arc::default(),
                        awaited_by: self.evaluations.saturating_sub(1),
                    };
                    Arc::clone(&entry.insert(shared).tree)
                }
            }
        };
        tree.get_or_init(|| parse_with(source, options).map(Arc::new))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_parsed_once_and_forgotten_when_all_have_it() -> Result<(), ParseError> {
        let (cache, options) = (ParseCache::new(3), ParseOptions::default());
        let first = cache.parse(b"x: x", options)?;
        assert!(Arc::ptr_eq(&first, &cache.parse(b"x: x", options)?));
        assert!(!Arc::ptr_eq(&first, &cache.parse(b"y: y", options)?));
        assert!(Arc::ptr_eq(&first, &cache.parse(b"x: x", options)?));
        assert!(!Arc::ptr_eq(&first, &cache.parse(b"x: x", options)?));
        Ok(())
    }

    #[test]
    fn an_error_is_told_to_all() {
        let (cache, options) = (ParseCache::new(2), ParseOptions::default());
        let first = cache.parse(b"(", options);
        assert!(first.is_err());
        assert_eq!(first.err(), cache.parse(b"(", options).err());
    }
}
