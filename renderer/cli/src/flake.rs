//! Flakes on the command line: from a reference to a flake that can be evaluated.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use niphas_environments::OpenedFlake;
use nix_conf::{NixConf, home};
use nix_flake::{
    FetchSettings, Fetcher, FlakeDecl, FlakeError, FlakeRef, InputPath, LockOptions, LockedFlake,
    ParseOptions, Place, RegistryEntry, lock, read_flake_nix,
};
use nix_formats::StoreDir;

use crate::failure::Failure;
use crate::nix_config;

/// How a flake is locked and fetched.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Flakes")]
pub(crate) struct FlakeArgs {
    /// Use another flake for an input, such as `nixpkgs path:../nixpkgs`; repeatable
    ///
    /// Inputs of inputs are named with slashes: `a/nixpkgs`.
    #[arg(long, num_args = 2, value_names = ["INPUT", "FLAKE"], action = clap::ArgAction::Append, hide_short_help = true)]
    override_input: Vec<String>,
    /// Do not use flake registries
    #[arg(long, alias = "no-registries", hide_short_help = true)]
    no_use_registries: bool,
    /// Read this lock file instead of the flake's own
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    reference_lock_file: Option<PathBuf>,
    /// Taken for scripts that give it to Nix, with a warning: no setting is read from a flake
    #[arg(long, hide = true)]
    accept_flake_config: bool,
    #[command(flatten)]
    fetching: FetchArgs,
}

/// How sources are fetched.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Flakes")]
pub(crate) struct FetchArgs {
    /// Use another flake for a name of the registries; repeatable
    #[arg(long, num_args = 2, value_names = ["NAME", "FLAKE"], action = clap::ArgAction::Append, hide_short_help = true)]
    override_flake: Vec<String>,
    /// Look names up in this registry: a URL or a file
    #[arg(long, value_name = "REGISTRY", hide_short_help = true)]
    flake_registry: Option<String>,
    /// Fetch sources without an exact version again, even if they are recent
    #[arg(long, hide_short_help = true)]
    refresh: bool,
    /// Fetch no sources from servers: use what earlier runs fetched, however old it is
    #[arg(long, hide_short_help = true, conflicts_with = "refresh")]
    offline: bool,
    /// Keep fetched sources in this directory [default: niphas in the user's cache directory]
    #[arg(
        long,
        value_name = "DIR",
        env = "NIPHAS_CACHE_DIR",
        hide_env_values = true,
        hide_short_help = true
    )]
    cache_dir: Option<PathBuf>,
}

/// What becomes of a lock file that is not up to date.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Flakes")]
pub(crate) struct LockFileArgs {
    /// Leave the lock file as it is, even if it is not up to date
    #[arg(long, hide_short_help = true)]
    no_write_lock_file: bool,
    /// Fail if the lock file is not up to date
    #[arg(long)]
    no_update_lock_file: bool,
    /// Commit the lock file if it is not up to date, and nothing else
    #[arg(long, hide_short_help = true, conflicts_with_all = ["no_write_lock_file", "no_update_lock_file"])]
    commit_lock_file: bool,
}

/// How a flake is locked and fetched, and which states of it are rendered.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Flakes")]
pub(crate) struct RenderedFlakeArgs {
    #[command(flatten)]
    flakes: FlakeArgs,
    /// Write the lock file if it is not up to date
    ///
    /// Without this, such a lock file is an error: what is deployed would be what the inputs are today.
    #[arg(long, hide_short_help = true, overrides_with = "no_update_lock_file")]
    update_lock_file: bool,
    /// Fail if the lock file is not up to date, as without any option
    #[arg(long, hide = true, overrides_with = "update_lock_file")]
    no_update_lock_file: bool,
    /// Fail if the flake's repository has uncommitted changes
    #[arg(long, hide_short_help = true)]
    require_clean: bool,
}

/// What a user named: a flake, and something of it.
pub(crate) struct Installable {
    pub flake: OpenedFlake,
    /// What stood after `#`.
    pub fragment: String,
}

impl FetchArgs {
    /// The fetcher that these arguments, Nix's own configuration and the environment ask for.
    pub(crate) fn fetcher(&self) -> Result<Fetcher, Failure> {
        self.with_refresh(self.refresh)
    }

    fn with_refresh(&self, refresh: bool) -> Result<Fetcher, Failure> {
        let folder = match &self.cache_dir {
            Some(folder) => folder.clone(),
            None => base_folder("XDG_CACHE_HOME", ".cache")
                .context("XDG_CACHE_HOME is not set, and you have no home folder; name a directory for sources with --cache-dir")?
                .join("niphas"),
        };
        let mut settings = FetchSettings::new(folder);
        if let Ok(token) = std::env::var("GITHUB_TOKEN")
            && !token.is_empty()
        {
            settings
                .access_tokens
                .insert("github.com".to_owned(), token.into());
        }
        nix_config::apply(&NixConf::read(), &mut settings);
        if refresh {
            settings.ttl = Duration::ZERO;
        }
        settings.offline = self.offline;
        let registries = &mut settings.registries;
        registries.user = base_folder("XDG_CONFIG_HOME", ".config")
            .map(|folder| folder.join("nix/registry.json"));
        registries.system = Some(PathBuf::from("/etc/nix/registry.json"));
        if let Some(registry) = &self.flake_registry {
            registries.global.clone_from(registry);
        }
        for pair in self.override_flake.chunks_exact(2) {
            registries
                .overrides
                .push(RegistryEntry::new(&parse(&pair[0])?, &parse(&pair[1])?));
        }
        Ok(Fetcher::new(settings))
    }
}

impl FlakeArgs {
    /// The fetcher: see [`FetchArgs::fetcher`].
    pub(crate) fn fetcher(&self) -> Result<Fetcher, Failure> {
        self.fetching.fetcher()
    }

    /// The fetcher of commands that are about what inputs are now: it asks servers again.
    pub(crate) fn refreshing_fetcher(&self) -> Result<Fetcher, Failure> {
        self.fetching.with_refresh(true)
    }

    /// How to lock, before what a command adds.
    pub(crate) fn lock_options(&self) -> Result<LockOptions, Failure> {
        if self.accept_flake_config {
            tracing::warn!(
                "--accept-flake-config has no effect: 'nixConfig' of flakes is not read; give settings as options, or in nix.conf"
            );
        }
        let mut options = LockOptions {
            use_registries: !self.no_use_registries,
            reference_lock_file: self.reference_lock_file.clone(),
            ..LockOptions::default()
        };
        for pair in self.override_input.chunks_exact(2) {
            let input = InputPath::parse(&pair[0]).map_err(FlakeError::from)?;
            options.overrides.push((input, parse(&pair[1])?));
        }
        Ok(options)
    }

    /// Fetches and locks a flake and something of it, and writes its lock file as far as that is allowed.
    pub(crate) fn open_with(
        &self,
        installable: &str,
        lock_file: LockFileArgs,
    ) -> Result<Installable, Failure> {
        let (reference, fragment) = parse_with_fragment(without_outputs(installable)?)?;
        let fetcher = self.fetcher()?;
        let locked = self.lock_with(&fetcher, &reference, lock_file)?;
        let flake = OpenedFlake { fetcher, locked };
        Ok(Installable { flake, fragment })
    }

    /// The same of a whole flake.
    pub(crate) fn open_whole(
        &self,
        reference: &str,
        lock_file: LockFileArgs,
    ) -> Result<OpenedFlake, Failure> {
        let fetcher = self.fetcher()?;
        let locked = self.lock_with(&fetcher, &parse(reference)?, lock_file)?;
        Ok(OpenedFlake { fetcher, locked })
    }

    /// Locks a flake, and writes its lock file as far as that is allowed.
    pub(crate) fn lock_with(
        &self,
        fetcher: &Fetcher,
        reference: &FlakeRef,
        lock_file: LockFileArgs,
    ) -> Result<LockedFlake, Failure> {
        let mut options = self.lock_options()?;
        options.commit = lock_file.commit_lock_file;
        let locked = lock(fetcher, &read, reference, &options)?;
        self.settle(fetcher, locked, &options, lock_file)
    }
}

impl RenderedFlakeArgs {
    /// Fetches and locks a flake whose files say exactly what it is.
    pub(crate) fn open(&self, reference: &str) -> Result<Installable, Failure> {
        let (reference, fragment) = parse_with_fragment(reference)?;
        let fetcher = self.flakes.fetcher()?;
        let options = self.flakes.lock_options()?;
        let mut locked = lock(&fetcher, &read, &reference, &options)?;
        let name = locked.flake.resolved.to_string();
        let input = &locked.flake.locked.input;
        let in_git = input.attrs().string("type").map_err(FlakeError::from)? == Some("git");
        let has_revision = input.rev().map_err(FlakeError::from)?.is_some();
        if self.require_clean && in_git && !has_revision {
            return Err(Failure::with_hint(
                anyhow::anyhow!("the repository of flake '{name}' has uncommitted changes"),
                "commit them, or leave out --require-clean",
            ));
        }
        // What another flake is taken for once should not stay so.
        let is_as_given = options.overrides.is_empty() && options.reference_lock_file.is_none();
        if locked.is_changed() && is_as_given {
            if self.no_update_lock_file || !self.update_lock_file {
                return Err(Failure::with_hint(
                    anyhow::anyhow!("the lock file of flake '{name}' is not up to date"),
                    "run 'niphas flake lock' and commit flake.lock, or write it with --update-lock-file",
                ));
            }
            locked = write_lock_file(&fetcher, locked, &options)?;
        }
        let locked = locked.unwritten();
        let flake = OpenedFlake { fetcher, locked };
        Ok(Installable { flake, fragment })
    }
}

impl FlakeArgs {
    /// Writes a lock file that has changed, where that is allowed and possible.
    fn settle(
        &self,
        fetcher: &Fetcher,
        locked: LockedFlake,
        options: &LockOptions,
        lock_file: LockFileArgs,
    ) -> Result<LockedFlake, Failure> {
        if !locked.is_changed() {
            return Ok(locked);
        }
        // What another flake is taken for once is not to stay so.
        if lock_file.no_write_lock_file || !self.override_input.is_empty() {
            return Ok(locked.unwritten());
        }
        let name = locked.flake.resolved.to_string();
        if let Some(input) = locked
            .lock_file
            .unlocked_input(false)
            .map_err(FlakeError::from)?
        {
            tracing::warn!(
                "not writing lock file of flake '{name}' because it has an unlocked input ('{input}')"
            );
            return Ok(locked);
        }
        if lock_file.no_update_lock_file {
            return Err(FlakeError::LockNotUpToDate(name).into());
        }
        write_lock_file(fetcher, locked, options)
    }
}

/// Writes a lock file into its flake, and says so.
pub(crate) fn write_lock_file(
    fetcher: &Fetcher,
    locked: LockedFlake,
    options: &LockOptions,
) -> Result<LockedFlake, Failure> {
    let diff = locked.lock_file.diff(&locked.old_lock_file);
    let result = locked.write(fetcher, &read, options)?;
    if let Some(file) = &result.written {
        tracing::warn!("wrote lock file '{}':\n{}", file.display(), diff.trim_end());
    }
    Ok(result.locked)
}

/// What stands before `^`, with which Nix names outputs of a derivation: `hello^out,dev`, `hello^*`. They are checked, and
/// make no difference to an evaluation.
pub(crate) fn without_outputs(installable: &str) -> Result<&str, Failure> {
    let Some((path, outputs)) = installable.rsplit_once('^') else {
        return Ok(installable);
    };
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
        !name.is_empty() && name.bytes().all(is_part)
    };
    if outputs == "*" || outputs.split(',').all(is_name) {
        return Ok(path);
    }
    Err(Failure::with_hint(
        anyhow::anyhow!("invalid extended outputs specifier '{installable}'"),
        "after '^' name outputs, separated by commas, or write '*' for all",
    ))
}

/// Reads the flake.nix in a folder of a fetched tree.
pub(crate) fn read(place: &Place) -> Result<FlakeDecl, Box<dyn std::error::Error + Send + Sync>> {
    read_flake_nix(place, &StoreDir::default())
}

/// Reads a reference to a whole flake; relative paths start in the folder that we are in.
pub(crate) fn parse(reference: &str) -> Result<FlakeRef, Failure> {
    let (flake, fragment) = parse_with_fragment(reference)?;
    if fragment.is_empty() {
        return Ok(flake);
    }
    Err(
        anyhow::anyhow!("'#{fragment}' has no meaning in '{reference}': expected a whole flake")
            .into(),
    )
}

/// Reads a reference to a flake, and what stands after `#`.
pub(crate) fn parse_with_fragment(reference: &str) -> Result<(FlakeRef, String), Failure> {
    let here = std::env::current_dir()?;
    // `#x` is x of the flake here.
    let whole = if reference.is_empty() || reference.starts_with('#') {
        format!(".{reference}")
    } else {
        reference.to_owned()
    };
    Ok(
        FlakeRef::parse_with_fragment(&whole, &ParseOptions::in_dir(here))
            .map_err(FlakeError::from)?,
    )
}

/// The folder that a variable names, or the usual one in the home folder.
pub(crate) fn base_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(home()?.join(in_home)))
}
