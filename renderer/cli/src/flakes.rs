//! Arguments of every command that takes a flake, and the way from a reference to what the flake outputs.

use std::path::PathBuf;

use anyhow::Context;
use nix_evaluator::io::{EvalIo, LocalIo};
use nix_evaluator::{Bump, ErrorKind, EvalError, Evaluator, PosIdx, Settings, Value};
use nix_flake::{
    FetchSettings, Fetcher, FlakeError, FlakeIo, FlakeRef, InputPath, LockOptions, LockedFlake,
    ParseOptions, Place, RegistryEntry, install_get_flake, lock, read_flake_nix,
};
use nix_formats::StoreDir;

use crate::evaluation::EvaluationArgs;
use crate::failure::Failure;
use crate::nix_config::NixConfig;

/// How inputs are found and locked.
#[derive(Debug, clap::Args)]
pub(crate) struct FlakeArgs {
    /// Take FLAKE for the input PATH (such as nixpkgs, or a/nixpkgs for the nixpkgs of a), whatever flake.nix says
    #[arg(long, num_args = 2, value_names = ["PATH", "FLAKE"], action = clap::ArgAction::Append)]
    override_input: Vec<String>,
    /// Let FROM, a name of a registry, stand for TO
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], action = clap::ArgAction::Append)]
    override_flake: Vec<String>,
    /// The registry that names are looked up in: a URL or a file
    #[arg(long, value_name = "REGISTRY")]
    flake_registry: Option<String>,
    /// Do not look names up in registries
    #[arg(long, alias = "no-registries")]
    no_use_registries: bool,
    /// Read this lock file instead of the flake's own
    #[arg(long, value_name = "FILE")]
    reference_lock_file: Option<PathBuf>,
    /// Where fetched sources are kept; otherwise $XDG_CACHE_HOME/niphas
    #[arg(long, value_name = "FOLDER", env = "NIPHAS_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
}

/// What is to become of a lock file that is not up to date.
#[derive(Debug, clap::Args)]
pub(crate) struct LockFileArgs {
    /// Leave the lock file as it is, even if it is not up to date
    #[arg(long)]
    no_write_lock_file: bool,
    /// Fail if the lock file is not up to date
    #[arg(long)]
    no_update_lock_file: bool,
}

impl FlakeArgs {
    /// A fetcher with these arguments and Nix's own configuration.
    pub(crate) fn fetcher(&self) -> Result<Fetcher, Failure> {
        let cache = match &self.cache_dir {
            Some(folder) => folder.clone(),
            None => base_folder("XDG_CACHE_HOME", ".cache")
                .context("there is no place for a cache: set XDG_CACHE_HOME or HOME, or give --cache-dir")?
                .join("niphas"),
        };
        let mut settings = FetchSettings::new(cache);
        NixConfig::read().apply(&mut settings);
        settings.registries.user =
            base_folder("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("nix/registry.json"));
        settings.registries.system = Some(PathBuf::from("/etc/nix/registry.json"));
        if let Some(registry) = &self.flake_registry {
            settings.registries.global.clone_from(registry);
        }
        for pair in self.override_flake.chunks_exact(2) {
            let entry = RegistryEntry::new(&parse(&pair[0])?, &parse(&pair[1])?);
            settings.registries.overrides.push(entry);
        }
        Ok(Fetcher::new(settings))
    }

    /// The options that these arguments come to.
    pub(crate) fn lock_options(&self) -> Result<LockOptions, Failure> {
        let mut options = LockOptions {
            use_registries: !self.no_use_registries,
            reference_lock_file: self.reference_lock_file.clone(),
            ..LockOptions::default()
        };
        for pair in self.override_input.chunks_exact(2) {
            let path = InputPath::parse(&pair[0]).map_err(FlakeError::from)?;
            options.overrides.push((path, parse(&pair[1])?));
        }
        Ok(options)
    }

    /// Locks the flake that `reference` refers to, as far as `lock_file` allows.
    pub(crate) fn open(
        &self,
        fetcher: &Fetcher,
        reference: &FlakeRef,
        lock_file: &LockFileArgs,
    ) -> Result<LockedFlake, Failure> {
        let options = self.lock_options()?;
        let locked = lock(fetcher, &read, reference, &options)?;
        if !locked.is_changed() {
            return Ok(locked);
        }
        if lock_file.no_update_lock_file {
            return Err(FlakeError::LockNotUpToDate(locked.flake.resolved.to_string()).into());
        }
        if lock_file.no_write_lock_file {
            return Ok(locked.unwritten());
        }
        write_lock_file(fetcher, locked, &options)
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
        tracing::warn!(
            "updated lock file '{}':\n{}",
            file.display(),
            diff.trim_end()
        );
    }
    Ok(result.locked)
}

/// The flake.nix in a folder of a fetched tree.
pub(crate) fn read(
    place: &Place,
) -> Result<nix_flake::FlakeDecl, Box<dyn std::error::Error + Send + Sync>> {
    read_flake_nix(place, &StoreDir::default())
}

/// Reads a reference; relative paths start in the folder that we are in.
pub(crate) fn parse(reference: &str) -> Result<FlakeRef, Failure> {
    let (reference, fragment) = parse_with_fragment(reference)?;
    if !fragment.is_empty() {
        return Err(anyhow::anyhow!(
            "'#{fragment}' has no meaning here: only a whole flake will do"
        )
        .into());
    }
    Ok(reference)
}

/// Reads `reference#fragment`.
pub(crate) fn parse_with_fragment(reference: &str) -> Result<(FlakeRef, String), Failure> {
    let here = std::env::current_dir().context("the current folder can't be found")?;
    let reference = if reference.is_empty() || reference.starts_with('#') {
        format!(".{reference}")
    } else {
        reference.to_owned()
    };
    FlakeRef::parse_with_fragment(&reference, &ParseOptions::in_dir(here)).map_err(Failure::from)
}

fn base_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set(variable).or_else(|| Some(set("HOME")?.join(in_home)))
}

/// Runs `work` with an evaluator that sees a fetcher's trees, and turns its error into a report.
pub(crate) fn with_flakes<T>(
    args: &EvaluationArgs,
    settings: Settings,
    fetcher: &Fetcher,
    base: impl EvalIo,
    work: impl FnOnce(&mut Evaluator<'_>) -> Result<T, Box<EvalError>>,
) -> Result<T, Failure> {
    let pure = settings.pure;
    let io = FlakeIo::new(fetcher, base, pure);
    let arena = Bump::new();
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    install_get_flake(&mut evaluator, fetcher, pure);
    let result = work(&mut evaluator);
    result.map_err(|error| args.failure(&evaluator, &error))
}

/// Evaluates a locked flake and runs `work` with its outputs.
pub(crate) fn with_outputs<T>(
    args: &EvaluationArgs,
    fetcher: &Fetcher,
    flake: &LockedFlake,
    work: impl for<'a> FnOnce(&mut Evaluator<'a>, Value<'a>) -> Result<T, Box<EvalError>>,
) -> Result<T, Failure> {
    let settings = args.settings(true)?;
    let store_dir = settings.store_dir.clone();
    with_flakes(args, settings, fetcher, LocalIo::default(), |evaluator| {
        let value = flake.evaluate(evaluator, &store_dir)?;
        let outputs = attribute(evaluator, value, "outputs")?.unwrap_or(value);
        work(evaluator, outputs)
    })
}

/// An attribute of a value, evaluated; none if the value is no set or has no such attribute.
pub(crate) fn attribute<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    name: &str,
) -> Result<Option<Value<'a>>, Box<EvalError>> {
    let Value::Attrs(attrs) = evaluator.force(value, PosIdx::NONE)? else {
        return Ok(None);
    };
    match evaluator.find_attr(attrs, name) {
        None => Ok(None),
        Some(attr) => {
            let value = attr.value.share();
            evaluator.force(value, attr.position).map(Some)
        }
    }
}

/// The first of several selection paths that the outputs of a flake have.
pub(crate) fn select_first<'a>(
    evaluator: &mut Evaluator<'a>,
    flake: &str,
    outputs: Value<'a>,
    paths: &[String],
) -> Result<Value<'a>, Box<EvalError>> {
    for path in paths {
        let mut found = Some(outputs);
        for name in split_path(path) {
            found = match found {
                Some(value) => attribute(evaluator, value, &name)?,
                None => None,
            };
        }
        if let Some(value) = found {
            return Ok(value);
        }
    }
    let quoted: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
    let named = match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    };
    let message = format!("flake '{flake}' does not provide attribute {named}");
    Err(EvalError::new(ErrorKind::Eval, message))
}

/// The names in `a.b."c.d"`.
fn split_path(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut name, mut quoted) = (String::new(), false);
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => names.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}
