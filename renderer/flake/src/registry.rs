//! Registries: which input a name such as `nixpkgs` stands for.

use std::fmt;
use std::path::{Path, PathBuf};

use niphas_http::redacted;
use serde::Deserialize;

use crate::attrs::Attrs;
use crate::error::{FlakeError, RefError};
use crate::flake_ref::FlakeRef;
use crate::input::Input;

/// Which registries a look-up may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseRegistries {
    /// None: names are refused.
    No,
    /// The overrides of the command line and the global one: what flake.nix means by a name must
    /// not hang on the user.
    Limited,
    /// All.
    All,
}

/// One entry of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEntry {
    from: Input,
    to: Input,
    dir: Option<String>,
    exact: bool,
}

impl RegistryEntry {
    /// What `--override-flake from to` says.
    pub fn new(from: &FlakeRef, to: &FlakeRef) -> Self {
        Self {
            from: from.input.clone(),
            to: to.input.clone(),
            dir: Some(to.subdir.clone()).filter(|dir| !dir.is_empty()),
            exact: false,
        }
    }
}

/// Where registries are.
#[derive(Clone, Default)]
pub struct RegistrySettings {
    /// From the command line.
    pub overrides: Vec<RegistryEntry>,
    /// The user's, e.g. `~/.config/nix/registry.json`.
    pub user: Option<PathBuf>,
    /// The machine's, e.g. `/etc/nix/registry.json`.
    pub system: Option<PathBuf>,
    /// The global one: a URL or an absolute path. Empty for none.
    pub global: String,
}

impl fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrySettings")
            .field("overrides", &self.overrides)
            .field("user", &self.user)
            .field("system", &self.system)
            .field("global", &redacted(&self.global))
            .finish()
    }
}

#[derive(Deserialize)]
struct RegistryJson {
    #[serde(default)]
    version: u64,
    #[serde(default)]
    flakes: Vec<EntryJson>,
}

#[derive(Deserialize)]
struct EntryJson {
    from: Attrs,
    to: Attrs,
    #[serde(default)]
    exact: bool,
}

/// A registry's entries, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Vec<RegistryEntry>);

impl Registry {
    pub(crate) fn new(entries: Vec<RegistryEntry>) -> Self {
        Self(entries)
    }

    /// Parses a registry file. One that can't be read is empty, with a warning: a broken
    /// registry must not stop those who need no registry.
    pub(crate) fn parse(contents: &str, path: &str) -> Self {
        match Self::try_parse(contents) {
            Ok(registry) => registry,
            Err(reason) => {
                let path = redacted(path);
                tracing::warn!("cannot read flake registry '{path}': {reason}");
                Self::default()
            }
        }
    }

    fn try_parse(contents: &str) -> Result<Self, String> {
        let json: RegistryJson =
            serde_json::from_str(contents).map_err(|error| error.to_string())?;
        if json.version != 2 {
            return Err(format!("unsupported version {}", json.version));
        }
        json.flakes
            .into_iter()
            .map(|mut entry| {
                let dir = entry.to.string("dir")?.map(str::to_owned);
                entry.to.remove("dir");
                Ok(RegistryEntry {
                    from: Input::from_attrs(entry.from)?,
                    to: Input::from_attrs(entry.to)?,
                    dir,
                    exact: entry.exact,
                })
            })
            .collect::<Result<_, RefError>>()
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Reads a registry file; one that isn't there is empty.
    pub(crate) fn read(path: &Path) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the user's own, which may be a pipe"
        )]
        let contents = std::fs::read_to_string(path);
        match contents {
            Ok(contents) => Self::parse(&contents, &path.display().to_string()),
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!("cannot read flake registry '{}': {error}", path.display());
                }
                Self::default()
            }
        }
    }

    /// What `input` stands for here, and in which folder of it.
    fn resolve(&self, input: &Input) -> Result<Option<(Input, Option<String>)>, RefError> {
        for entry in &self.0 {
            if entry.exact {
                if entry.from == *input {
                    return Ok(Some((entry.to.clone(), entry.dir.clone())));
                }
            } else if entry.from.contains(input) {
                let reference = match entry.from.reference()? {
                    None => input.reference()?,
                    Some(_) => None,
                };
                let rev = match entry.from.rev()? {
                    None => input.rev()?,
                    Some(_) => None,
                };
                let to = entry.to.with_overrides(reference, rev.as_deref())?;
                return Ok(Some((to, entry.dir.clone())));
            }
        }
        Ok(None)
    }
}

/// Looks `input` up until it is something that can be fetched. `global` is asked only if the
/// others don't know it.
pub(crate) fn look_up(
    input: &Input,
    local: &[&Registry],
    global: &dyn Fn() -> Result<Registry, FlakeError>,
) -> Result<(Input, Option<String>), FlakeError> {
    let (mut at, mut dir) = (input.clone(), None);
    for _ in 0..100 {
        let mut found = None;
        for registry in local {
            found = registry.resolve(&at)?;
            if found.is_some() {
                break;
            }
        }
        if found.is_none() && !at.is_direct() {
            let global = global().map_err(|source| FlakeError::GlobalRegistry {
                input: at.to_string(),
                source: Box::new(source),
            })?;
            found = global.resolve(&at)?;
        }
        match found {
            Some((to, to_dir)) => (at, dir) = (to, to_dir),
            None if at.is_direct() => return Ok((at, dir)),
            None => return Err(FlakeError::NotInRegistries(at.to_string())),
        }
    }
    Err(FlakeError::RegistryCycle(input.to_string()))
}
