//! Fetching: from an input to a tree on this machine, with the attributes Nix gives.
//!
//! There is no Nix store. Folders and work trees are used where they are; all else is unpacked
//! into the cache folder, under the hash of its contents, which is checked before each use.

mod cache;
mod fetched;
mod forge;
mod git;
mod git_lfs;
mod git_remote;
mod git_size;
mod git_tree;
mod git_worktree;
mod http;
mod output;
mod rate;
mod settings;
mod submodules;
mod tarball;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use nix_evaluator::io::FetchRequest;
use nix_formats::content_address::ContentAddressMethod;
use nix_formats::hash::{Hash, HashFormat};
use nix_formats::store_path::{FixedOutput, StorePath, StorePathError};

use crate::attrs::{Attr, Attrs};
use crate::error::FlakeError;
use crate::flake_ref::clean;
use crate::input::{Input, Scheme};
use crate::registry::{Registry, UseRegistries, look_up};
use crate::source_trees::SourceTrees;
use crate::tree::SourceTree;

pub use fetched::{Fetched, Resolved, TreeAttrOptions};
pub use settings::{FetchLimits, FetchSettings};

use cache::Cache;
use fetched::short_rev;
use git_size::Part;
use http::Http;
use tarball::Shape;

/// The largest answer of a forge, and the largest registry. Commits come with their changes.
const MAX_ANSWER: u64 = 16 << 20;

/// What a scheme's fetcher found: a tree and the attributes it adds to the input.
struct Found {
    input: Input,
    tree: SourceTree,
    /// The NAR hash, where it is known already.
    nar_hash: Option<Hash>,
}

/// A file that was downloaded: what `builtins.fetchurl` gives.
#[derive(Debug, Clone)]
pub struct FetchedFile {
    /// The path it would have in a store.
    pub store_path: StorePath,
    /// The file.
    pub tree: Arc<SourceTree>,
}

/// What an evaluation asks a fetcher for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// What a `fetch…` builtin does.
    Fetch(FetchRequest),
    /// The flake of this reference, for `getFlake`.
    Flake(String),
}

/// Fetches inputs, each at most once.
#[derive(Debug)]
pub struct Fetcher {
    settings: FetchSettings,
    cache: Cache,
    http: OnceLock<Http>,
    local_registries: OnceLock<[Registry; 3]>,
    global_registry: Mutex<Option<Registry>>,
    seen: Mutex<BTreeMap<Input, Resolved>>,
    /// What evaluations on several threads ask for: one that asks for the same as another waits for it.
    turns: Mutex<BTreeMap<Turn, Arc<Mutex<()>>>>,
    sources: SourceTrees,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Fetcher {
    /// A fetcher with these settings.
    pub fn new(settings: FetchSettings) -> Self {
        Self {
            cache: Cache::new(settings.cache_dir.clone()),
            settings,
            http: OnceLock::new(),
            local_registries: OnceLock::new(),
            global_registry: Mutex::default(),
            seen: Mutex::default(),
            turns: Mutex::default(),
            sources: SourceTrees::default(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &FetchSettings {
        &self.settings
    }

    /// Does what an evaluation asks for, not at the same time as another asks for the same: it finds in the cache what the
    /// first brings there.
    pub(crate) fn in_turn<T>(&self, asked: Turn, work: impl FnOnce() -> T) -> T {
        let turn = Arc::clone(lock(&self.turns).entry(asked).or_default());
        let _turn = lock(&turn);
        work()
    }

    /// The files behind a store path that a fetch gave.
    pub fn source(&self, path: &StorePath) -> Option<Arc<SourceTree>> {
        self.sources.get(path)
    }

    /// A path as messages name it: of a folder or work tree of this machine where it is, of other sources by their URLs.
    pub fn shown_path(&self, path: &[u8]) -> String {
        let shown = self.tree_at(path).map(|(tree, rest)| tree.shown(rest));
        shown.unwrap_or_else(|| String::from_utf8_lossy(path).into_owned())
    }

    /// The tree that a path is in, and where.
    pub(crate) fn tree_at<'p>(&self, path: &'p [u8]) -> Option<(Arc<SourceTree>, &'p Path)> {
        let (store_path, rest) = self.settings.store_dir.parse_subpath(path).ok()?;
        let rest = Path::new(OsStr::from_bytes(rest.strip_prefix(b"/").unwrap_or(rest)));
        Some((self.source(&store_path)?, rest))
    }

    /// The trees behind all store paths that fetches gave so far, and will give.
    pub fn sources(&self) -> &SourceTrees {
        &self.sources
    }

    /// Fetches an input, a name through the registries.
    pub fn fetch(&self, input: &Input, registries: UseRegistries) -> Result<Resolved, FlakeError> {
        if let Some(seen) = lock(&self.seen).get(input) {
            return Ok(seen.clone());
        }
        let (resolved, dir) = if input.is_direct() {
            (input.clone(), None)
        } else {
            self.look_up(input, registries)?
        };
        let fetched = self
            .fetch_direct(&resolved)
            .map_err(|source| FlakeError::Fetching {
                input: resolved.to_string(),
                source: Box::new(source),
            })?;
        let result = Resolved {
            resolved,
            dir,
            fetched,
        };
        let mut seen = lock(&self.seen);
        seen.insert(result.resolved.clone(), result.clone());
        seen.insert(input.clone(), result.clone());
        Ok(result)
    }

    /// Forgets what was fetched of `input`, because its files have changed.
    pub fn forget(&self, input: &Input) {
        lock(&self.seen).retain(|seen, resolved| seen != input && resolved.resolved != *input);
    }

    /// What a name stands for, and in which folder of it.
    pub fn look_up(
        &self,
        input: &Input,
        registries: UseRegistries,
    ) -> Result<(Input, Option<String>), FlakeError> {
        let settings = &self.settings.registries;
        let [overrides, user, system] = self.local_registries.get_or_init(|| {
            let read =
                |path: &Option<PathBuf>| path.as_deref().map(Registry::read).unwrap_or_default();
            [
                Registry::new(settings.overrides.clone()),
                read(&settings.user),
                read(&settings.system),
            ]
        });
        let local: &[&Registry] = match registries {
            UseRegistries::No => {
                return Err(FlakeError::RegistriesNotAllowed(input.to_string()));
            }
            UseRegistries::Limited => &[overrides],
            UseRegistries::All => &[overrides, user, system],
        };
        look_up(input, local, &|| self.global_registry())
    }

    fn global_registry(&self) -> Result<Registry, FlakeError> {
        let mut known = lock(&self.global_registry);
        if let Some(registry) = &*known {
            return Ok(registry.clone());
        }
        let place = self.settings.registries.global.as_str();
        let registry = if place.is_empty() {
            Registry::default()
        } else if place.starts_with('/') {
            Registry::read(Path::new(place))
        } else {
            let file = self.download(place, &[], Shape::File, MAX_ANSWER)?;
            let contents = regular_file::read_to_string(file.tree.root())
                .map_err(FlakeError::io("reading file", file.tree.root()))?;
            Registry::parse(&contents, place)
        };
        *known = Some(registry.clone());
        Ok(registry)
    }

    fn fetch_direct(&self, input: &Input) -> Result<Fetched, FlakeError> {
        let name = input.name()?.to_owned();
        let mut found = match self.find_cached(input)? {
            Some(found) => found,
            None => self.find(input)?,
        };
        found.input.set_final();
        check_against(input, &mut found.input)?;
        let nar_hash = match found.nar_hash {
            Some(hash) => hash,
            None => found.tree.nar_hash()?,
        };
        if let Some(expected) = input.nar_hash()?
            && expected != nar_hash
        {
            return Err(hash_mismatch(input, &expected, &nar_hash));
        }
        found.input.set_nar_hash(&nar_hash);
        let store_path = self.recursive_path(&nar_hash, &name)?;
        let is_here = found.tree.tracked_files().is_some() || input.scheme() == Some(Scheme::Path);
        let tree = if is_here {
            found.tree
        } else {
            found.tree.fetched_from(found.input.name_for_people())
        };
        let tree = self.mount(&store_path, tree);
        Ok(Fetched {
            input: found.input,
            store_path,
            nar_hash,
            tree,
        })
    }

    /// The store path of a tree with this NAR hash.
    fn recursive_path(&self, hash: &Hash, name: &str) -> Result<StorePath, StorePathError> {
        self.fixed_path(ContentAddressMethod::Recursive, hash, name)
    }

    fn fixed_path(
        &self,
        method: ContentAddressMethod,
        hash: &Hash,
        name: &str,
    ) -> Result<StorePath, StorePathError> {
        let output = FixedOutput {
            method,
            hash: *hash,
            references: BTreeSet::new(),
            self_reference: false,
        };
        self.settings
            .store_dir
            .make_fixed_output_path(&output, name)
    }

    fn mount(&self, path: &StorePath, tree: SourceTree) -> Arc<SourceTree> {
        let tree = Arc::new(tree);
        self.sources.insert(path.clone(), Arc::clone(&tree));
        tree
    }

    /// A locked input needs no look at where it came from, if its contents are in the cache.
    fn find_cached(&self, input: &Input) -> Result<Option<Found>, FlakeError> {
        let Some(hash) = input.nar_hash()? else {
            return Ok(None);
        };
        if !input.is_final() || input.scheme() == Some(Scheme::Path) {
            return Ok(None);
        }
        Ok(self.cache.tree(&hash)?.map(|tree| Found {
            input: input.clone(),
            tree,
            nar_hash: Some(hash),
        }))
    }

    fn find(&self, input: &Input) -> Result<Found, FlakeError> {
        match input.scheme() {
            None => Err(FlakeError::UnsupportedInput(input.attrs().to_json())),
            Some(Scheme::Indirect) => Err(FlakeError::Indirect(input.to_string())),
            Some(Scheme::Path) => find_path(input),
            Some(Scheme::Git) => self.find_git(input, Part::top(&Cell::default())),
            Some(Scheme::Tarball) => self.find_tarball(input),
            Some(Scheme::File) => self.find_file(input),
            Some(Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut) => self.find_forge(input),
        }
    }

    fn http(&self) -> &Http {
        self.http
            .get_or_init(|| Http::new(self.settings.limits.clone()))
    }
}

/// A folder, used where it is.
fn find_path(input: &Input) -> Result<Found, FlakeError> {
    let path = input.attrs().required_string("path")?;
    if input.relative_path().is_some() {
        return Err(FlakeError::RelativePath(input.to_string()));
    }
    let root = clean(Path::new(path));
    if root.symlink_metadata().is_err() {
        return Err(FlakeError::NotFound(root));
    }
    let tree = SourceTree::new(root);
    let mut input = input.clone();
    if input.last_modified()?.is_none() {
        let last_modified = tree.last_modified()?;
        input.attrs_mut().set("lastModified", last_modified);
    }
    Ok(Found {
        input,
        tree,
        nar_hash: None,
    })
}

/// Holds what was fetched against what was asked for.
fn check_against(specified: &Input, result: &mut Input) -> Result<(), FlakeError> {
    if specified.is_final() {
        // A lock file: nothing may differ, and nothing is added.
        let mut specified = specified.clone();
        if let Some(hash) = specified.nar_hash()? {
            // Some old lock files lack the padding.
            specified.set_nar_hash(&hash);
        }
        for (field, value) in specified.attrs().iter() {
            if result.attrs().get(field).is_some_and(|got| got != value) {
                return Err(FlakeError::LockMismatch {
                    field: field.to_owned(),
                    expected: specified.attrs().to_json(),
                    got: result.attrs().to_json(),
                });
            }
        }
        *result = specified;
        return Ok(());
    }
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let fields = |input: &Input| -> Result<_, FlakeError> {
        Ok([
            ("lastModified", number(input.last_modified()?)),
            ("rev", input.rev()?),
            ("revCount", number(input.rev_count()?)),
        ])
    };
    for ((field, expected), (_, got)) in fields(specified)?.into_iter().zip(fields(result)?) {
        if let Some(expected) = expected
            && got.as_ref() != Some(&expected)
        {
            return Err(FlakeError::FieldMismatch {
                field: field.to_owned(),
                input: result.to_string(),
                expected,
                got: got.unwrap_or_else(|| "none".to_owned()),
            });
        }
    }
    Ok(())
}

fn hash_mismatch(input: &Input, expected: &Hash, got: &Hash) -> FlakeError {
    FlakeError::NarHashMismatch {
        input: input.to_string(),
        expected: expected.to_string(HashFormat::Sri, true),
        got: got.to_string(HashFormat::Sri, true),
    }
}

/// A number that a file of the cache holds.
fn cached_number(attrs: &Attrs, name: &str) -> Option<u64> {
    match attrs.get(name) {
        Some(Attr::Int(number)) => Some(*number),
        _ => None,
    }
}
