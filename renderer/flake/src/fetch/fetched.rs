//! What a fetch gives, and what an expression sees of it.

use std::sync::Arc;

use nix_formats::hash::{Hash, HashFormat};
use nix_formats::store_path::{StoreDir, StorePath};

use crate::attrs::Attrs;
use crate::date::Date;
use crate::error::FlakeError;
use crate::input::{Input, NULL_REV, Scheme};
use crate::tree::SourceTree;

/// A fetched input.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The input with all that the fetch found out: what a lock file holds.
    pub input: Input,
    /// The path it would have in a store.
    pub store_path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: Hash,
    /// Its files.
    pub tree: Arc<SourceTree>,
}

/// How to make the attributes that an expression sees of a [`Fetched`].
#[derive(Debug, Clone, Copy, Default)]
pub struct TreeAttrOptions {
    /// As `fetchGit` does for dirty trees: a `rev` of zeros rather than none.
    pub empty_rev_fallback: bool,
    /// Leave out what says that the tree is a commit: its lock file isn't the committed one.
    pub force_dirty: bool,
}

impl Fetched {
    /// The attributes that an expression sees: `outPath`, `narHash`, `rev` and so on. `outPath`
    /// is a string whose context is the store path.
    pub fn tree_attrs(
        &self,
        store_dir: &StoreDir,
        options: TreeAttrOptions,
    ) -> Result<Attrs, FlakeError> {
        let input = &self.input;
        let mut attrs = Attrs::new();
        attrs.set("outPath", store_dir.print(&self.store_path));
        if let Some(hash) = input.nar_hash()? {
            attrs.set("narHash", hash.to_string(HashFormat::Sri, true));
        }
        if input.scheme() == Some(Scheme::Git) {
            attrs.set("submodules", input.flag("submodules")?);
        }
        if !options.force_dirty {
            let rev = match input.rev()? {
                None if options.empty_rev_fallback => Some(NULL_REV.to_owned()),
                rev => rev,
            };
            if let Some(rev) = rev {
                attrs.set("shortRev", short_rev(&rev));
                attrs.set("rev", rev);
            }
            if let Some(count) = input.rev_count()? {
                attrs.set("revCount", count);
            } else if options.empty_rev_fallback {
                attrs.set("revCount", 0);
            }
        }
        for name in ["dirtyRev", "dirtyShortRev"] {
            if let Some(rev) = input.attrs().string(name)? {
                attrs.set(name, rev);
            }
        }
        if let Some(seconds) = input.last_modified()? {
            attrs.set("lastModified", seconds);
            attrs.set("lastModifiedDate", Date::from_unix(seconds).compact());
        }
        Ok(attrs)
    }
}

/// The first digits of a commit's name.
pub(super) fn short_rev(rev: &str) -> &str {
    rev.get(..7).unwrap_or(rev)
}

/// A fetched input, and what the registries had to do with it.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What was fetched, as written in the reference or in a registry.
    pub resolved: Input,
    /// The folder that a registry names.
    pub dir: Option<String>,
    /// What came of it.
    pub fetched: Fetched,
}
