//! Options of the commands that evaluate Nix, by purpose. A command flattens those that it reads.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use niphas_environments::{Access, Evaluation};
use nix_evaluator::{
    Attr, Attrs, ErrorKind, EvalError, Evaluator, Feature, Limits, Origin, PosIdx, Settings, Value,
};

use crate::evaluation::{hear, here};
use crate::failure::Failure;

/// Options of all commands that evaluate.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Evaluation")]
pub(crate) struct EvaluationArgs {
    #[command(flatten)]
    limits: LimitArgs,
    /// Show the whole way to an error
    #[arg(long, overrides_with = "no_show_trace")]
    show_trace: bool,
    /// Show only the end of the way to an error
    #[arg(long, hide = true)]
    no_show_trace: bool,
    /// Fetch only from URIs under this prefix, or with this scheme; repeatable
    ///
    /// A prefix counts in whole parts: `https://example.org/a` allows `https://example.org/a/b`, not
    /// `https://example.org/ab`. A scheme ends with a colon: `https:`.
    #[arg(long, value_name = "PREFIX", hide_short_help = true)]
    allow_uri: Vec<String>,
    /// Write to a file which functions the time goes to
    ///
    /// Folded stacks, as tools for flame graphs read them.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    profile: Option<PathBuf>,
    #[command(flatten)]
    compatibility: NixCompatibilityArgs,
}

/// How much an evaluation may take.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Evaluation")]
struct LimitArgs {
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, hide_short_help = true)]
    eval_timeout: Option<Duration>,
    /// Give up when values need more memory
    ///
    /// By default three quarters of what the machine or the control group has.
    #[arg(long, value_name = "MIB", hide_short_help = true)]
    eval_memory: Option<usize>,
    /// Give up when calls are nested deeper
    #[arg(long, value_name = "N", hide_short_help = true)]
    max_call_depth: Option<u32>,
}

/// Whether evaluation is pure, for commands where it is pure by default.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Evaluation")]
pub(crate) struct PurityArgs {
    /// Allow what can differ between runs
    ///
    /// The environment, the time, files outside of the flake, unpinned sources.
    #[arg(long)]
    impure: bool,
}

/// What earlier runs found, for commands that keep it.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Evaluation")]
pub(crate) struct AnswerArgs {
    /// Evaluate everything, and keep nothing for later runs
    #[arg(long, hide_short_help = true)]
    no_eval_cache: bool,
}

/// Arguments for functions, for commands that call what they evaluate.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Evaluation")]
pub(crate) struct AutoCallArgs {
    /// Pass an expression as an argument to functions; repeatable
    #[arg(long, num_args = 2, value_names = ["NAME", "EXPR"], action = clap::ArgAction::Append)]
    arg: Vec<String>,
    /// Pass a string as an argument to functions; repeatable
    #[arg(long, num_args = 2, value_names = ["NAME", "STRING"], action = clap::ArgAction::Append)]
    argstr: Vec<String>,
    /// Pass the contents of a file, as a string, as an argument to functions; repeatable
    #[arg(long, num_args = 2, value_names = ["NAME", "FILE"], action = clap::ArgAction::Append, hide_short_help = true)]
    arg_from_file: Vec<String>,
    /// Pass what standard input has, as a string, as an argument to functions
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    arg_from_stdin: Option<String>,
}

/// Bytes of an argument that is read from a file or from standard input.
const MAX_ARGUMENT: u64 = 256 << 20;

/// Options that Nix's commands have.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Nix compatibility")]
struct NixCompatibilityArgs {
    /// Add an entry to the look-up path: `PATH`, or `NAME=PATH` for `<NAME>`; repeatable
    #[arg(
        short = 'I',
        long = "include",
        value_name = "PATH",
        hide_short_help = true
    )]
    include: Vec<String>,
    /// Set one of Nix's settings; repeatable
    ///
    /// Known are pure-eval, restrict-eval, allowed-uris, system, eval-system, show-trace, trace-verbose, max-call-depth,
    /// allow-import-from-derivation, experimental-features and the lints; others are ignored.
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"], action = clap::ArgAction::Append, hide_short_help = true)]
    option: Vec<String>,
    /// Print the messages of builtins.traceVerbose
    #[arg(long, hide_short_help = true)]
    trace_verbose: bool,
    /// Enable experimental features of Nix, by name
    #[arg(
        long,
        alias = "experimental-features",
        value_name = "NAMES",
        hide = true
    )]
    extra_experimental_features: Vec<String>,
    /// Evaluate for this system
    #[arg(long, value_name = "SYSTEM", hide_short_help = true)]
    system: Option<String>,
    /// Let evaluations see nothing that can differ between runs
    #[arg(long, hide = true)]
    pure_eval: bool,
    /// Let evaluations see only files on the look-up path
    #[arg(long, hide = true)]
    restrict_eval: bool,
    /// Ignore, warn or fail: absolute path literals
    #[arg(long, value_name = "LEVEL", hide = true)]
    lint_absolute_path_literals: Option<String>,
    /// Ignore, warn or fail: relative path literals that do not begin with a dot
    #[arg(long, value_name = "LEVEL", hide = true)]
    lint_short_path_literals: Option<String>,
    /// Ignore, warn or fail: URLs without quotes
    #[arg(long, value_name = "LEVEL", hide = true)]
    lint_url_literals: Option<String>,
}

impl PurityArgs {
    /// Whether evaluation is pure.
    pub(crate) fn is_pure(self) -> bool {
        !self.impure
    }
}

impl AnswerArgs {
    /// Whether what earlier runs found counts.
    pub(crate) fn count(self) -> bool {
        !self.no_eval_cache
    }
}

impl AutoCallArgs {
    /// Fails if there are any: for what takes no arguments.
    pub(crate) fn refuse(&self) -> Result<(), Failure> {
        let from_elsewhere = self.arg_from_stdin.is_some() || !self.arg_from_file.is_empty();
        if self.arg.is_empty() && self.argstr.is_empty() && !from_elsewhere {
            return Ok(());
        }
        Err(Failure::with_hint(
            anyhow::anyhow!(
                "the outputs of a flake take no arguments: --arg and --argstr mean nothing here"
            ),
            "leave them out, or give an expression that is a function",
        ))
    }

    /// The set of arguments.
    pub(crate) fn arguments<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
    ) -> Result<&'a Attrs<'a>, Box<EvalError>> {
        let arena = evaluator.arena();
        let mut attrs = Vec::new();
        for pair in self.arg.chunks_exact(2) {
            let value = evaluator.eval_source(pair[1].as_bytes(), Origin::String, &here())?;
            let name = evaluator.symbols().intern(pair[0].as_bytes());
            attrs.push(Attr::new(name, PosIdx::NONE, value));
        }
        for pair in self.argstr.chunks_exact(2) {
            let name = evaluator.symbols().intern(pair[0].as_bytes());
            let value = Value::string(arena, pair[1].as_bytes());
            attrs.push(Attr::new(name, PosIdx::NONE, value));
        }
        let files = self.arg_from_file.chunks_exact(2);
        let files = files.map(|pair| (&pair[0], File::open(&pair[1]), format!("'{}'", pair[1])));
        let stdin = self.arg_from_stdin.iter().map(|name| {
            let stdin = stdin().as_fd().try_clone_to_owned();
            (name, stdin.map(File::from), "standard input".to_owned())
        });
        for (name, file, place) in files.chain(stdin) {
            let contents = file.and_then(read_argument).map_err(|error| {
                EvalError::new(ErrorKind::Io, format!("failed to read {place}: {error}"))
            })?;
            let name = evaluator.symbols().intern(name.as_bytes());
            attrs.push(Attr::new(
                name,
                PosIdx::NONE,
                Value::string(arena, &contents),
            ));
        }
        Ok(Attrs::from_unsorted(arena, attrs))
    }
}

impl EvaluationArgs {
    /// The system, if one is named.
    pub(crate) fn system(&self) -> Option<&str> {
        self.compatibility.system.as_deref()
    }

    /// The value that one of Nix's settings has by --option.
    pub(crate) fn nix_option(&self, name: &str) -> Option<&str> {
        let pairs = self.compatibility.option.chunks_exact(2);
        pairs
            .rev()
            .find(|pair| pair[0] == name)
            .map(|pair| &*pair[1])
    }

    /// What these options and `NIX_PATH` come to.
    pub(crate) fn evaluation(&self, pure: bool) -> Result<Evaluation, Failure> {
        let mut settings = Settings {
            pure,
            show_trace: self.show_trace,
            profile: self.profile.is_some(),
            directory: here(),
            limits: self.limits.limits(),
            ..Settings::default()
        };
        if let Some(depth) = self.limits.max_call_depth {
            settings.max_call_depth = depth;
        }
        let access = self.compatibility.apply(&mut settings, &self.allow_uri)?;
        Ok(Evaluation {
            settings,
            uses_cache: true,
            access,
            profile: self.profile.clone(),
            hear: Arc::new(hear),
            record: None,
            builds: None,
        })
    }
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        Limits {
            time: self.eval_timeout,
            memory: match self.eval_memory {
                Some(mib) => Some(mib.saturating_mul(1 << 20)),
                None => crate::memory::available().map(|bytes| bytes / 4 * 3),
            },
            interrupt: None,
        }
    }
}

impl NixCompatibilityArgs {
    /// Changes settings, and finds out what may be reached beside the URLs that are allowed.
    fn apply(&self, settings: &mut Settings, allowed: &[String]) -> Result<Access, Failure> {
        settings.trace_verbose = self.trace_verbose;
        let features = self.extra_experimental_features.iter();
        for name in features.flat_map(|names| names.split_whitespace()) {
            settings.features.extend(Feature::from_name(name));
        }
        for (name, value) in self.lints() {
            set(settings, name, value)?;
        }
        settings.pure |= self.pure_eval;
        if let Some(system) = &self.system {
            system.clone_into(&mut settings.system);
        }
        let mut restricted = self.restrict_eval;
        let mut urls = allowed.to_vec();
        for pair in self.option.chunks_exact(2) {
            let (name, value) = (&pair[0], &pair[1]);
            match name.as_str() {
                "restrict-eval" => restricted = boolean(name, value)?,
                "allowed-uris" => urls.extend(value.split_whitespace().map(str::to_owned)),
                name => set(settings, name, value)?,
            }
        }
        let from_env = std::env::var_os("NIX_PATH").unwrap_or_default();
        let entries = self.include.iter().map(|entry| entry.as_bytes().to_vec());
        settings.search_path = entries
            .chain(split_nix_path(from_env.as_bytes()))
            .map(|entry| search_path_entry(&entry))
            .collect();
        Ok(match (restricted, allowed.is_empty()) {
            (true, _) => Access::Restricted(urls),
            (false, false) => Access::Urls(urls),
            (false, true) => Access::Everything,
        })
    }

    /// The lints that are given, by name.
    fn lints(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            (
                "lint-absolute-path-literals",
                &self.lint_absolute_path_literals,
            ),
            ("lint-short-path-literals", &self.lint_short_path_literals),
            ("lint-url-literals", &self.lint_url_literals),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// All that a file or a pipe has.
fn read_argument(file: File) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    let read = file.take(MAX_ARGUMENT + 1).read_to_end(&mut contents)?;
    if read as u64 > MAX_ARGUMENT {
        let message = format!("more than {} MiB", MAX_ARGUMENT >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(contents)
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds, such as 30 or 0.5".to_owned())
}

fn boolean(name: &str, value: &str) -> anyhow::Result<bool> {
    match value {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => anyhow::bail!("Boolean setting '{name}' has invalid value '{value}'"),
    }
}

fn set(settings: &mut Settings, name: &str, value: &str) -> Result<(), Failure> {
    let boolean = || boolean(name, value);
    match name {
        "pure-eval" => settings.pure = boolean()?,
        "show-trace" => settings.show_trace = boolean()?,
        "trace-verbose" => settings.trace_verbose = boolean()?,
        "system" | "eval-system" => value.clone_into(&mut settings.system),
        "experimental-features" | "extra-experimental-features" => {
            let names = value.split_whitespace();
            settings
                .features
                .extend(names.filter_map(Feature::from_name));
        }
        "max-call-depth" => {
            settings.max_call_depth = value
                .parse()
                .map_err(|_| anyhow::anyhow!("setting '{name}' has invalid value '{value}'"))?;
        }
        name => {
            if let Some(lint) = settings.lints.by_name(name) {
                *lint = value.parse().map_err(|error| {
                    anyhow::anyhow!("option '{name}' has invalid value '{value}' ({error})")
                })?;
            }
        }
    }
    Ok(())
}

/// Colons part entries, but not the ones of URLs.
fn split_nix_path(text: &[u8]) -> Vec<Vec<u8>> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut start = 0;
    for (index, &byte) in text.iter().enumerate() {
        if byte != b':' || text[index + 1..].starts_with(b"//") {
            continue;
        }
        entries.push(text[start..index].to_vec());
        start = index + 1;
    }
    entries.push(text[start..].to_vec());
    entries.retain(|entry| !entry.is_empty());
    entries
}

fn search_path_entry(entry: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match entry.iter().position(|&byte| byte == b'=') {
        Some(equals) => (entry[..equals].to_vec(), entry[equals + 1..].to_vec()),
        None => (Vec::new(), entry.to_vec()),
    }
}
