//! Arguments of every command that evaluates Nix, and what they mean.

use anyhow::Context as _;
use nix_evaluator::io::{EvalIo, RestrictedIo, Restriction};
use nix_evaluator::{
    Attr, Attrs, ErrorKind, EvalError, Evaluator, Feature, Limits, Origin, PosIdx, Settings, Value,
};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;

/// How Nix is evaluated.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct EvaluationArgs {
    /// Add an entry to the look-up path: `PATH`, or `NAME=PATH` for `<NAME>`
    #[arg(short = 'I', long = "include", value_name = "PATH")]
    include: Vec<String>,
    /// Pass an expression as an argument to functions
    #[arg(long, num_args = 2, value_names = ["NAME", "EXPR"], action = clap::ArgAction::Append)]
    arg: Vec<String>,
    /// Pass a string as an argument to functions
    #[arg(long, num_args = 2, value_names = ["NAME", "STRING"], action = clap::ArgAction::Append)]
    argstr: Vec<String>,
    /// Set one of Nix's settings (pure-eval, restrict-eval, system, trace-verbose, max-call-depth); others are ignored
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"], action = clap::ArgAction::Append)]
    option: Vec<String>,
    /// Show the whole way to an error
    #[arg(long, overrides_with = "no_show_trace")]
    pub show_trace: bool,
    /// Show only the end of the way to an error
    #[arg(long, hide = true)]
    no_show_trace: bool,
    /// Print what builtins.traceVerbose says
    #[arg(long)]
    trace_verbose: bool,
    /// Calls nested deeper than this are an error
    #[arg(long, value_name = "N")]
    max_call_depth: Option<u32>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    eval_timeout: Option<Duration>,
    /// Give up when values need more memory than so many MiB [default: three quarters of what this process may have]
    #[arg(long, value_name = "MIB")]
    eval_memory: Option<usize>,
    /// Fetch from nowhere but URIs that begin so, in whole parts, or have this scheme (`https:`); can be given several times
    #[arg(long, value_name = "PREFIX")]
    allow_uri: Vec<String>,
    /// Neither use what earlier runs found out about this flake, nor keep what this one finds
    #[arg(long)]
    no_eval_cache: bool,
    /// Write to a file which functions the time goes to: folded stacks, as tools for flame graphs read them
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    #[command(flatten)]
    lints: LintArgs,
    /// Allow what can differ from one run to the next: the environment, the time, unpinned sources
    #[arg(long)]
    pub impure: bool,
    /// Enable experimental features of Nix, by name
    #[arg(long, value_name = "NAMES", hide = true)]
    extra_experimental_features: Vec<String>,
    /// What the evaluation puts into the store is to be kept, so that it can be read.
    #[arg(skip)]
    pub keep_texts: bool,
}

/// What to do about literals that are advised against: `ignore`, `warn` or `fatal`.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the options are called so")]
struct LintArgs {
    /// Absolute path literals
    #[arg(long, value_name = "LEVEL", hide = true)]
    lint_absolute_path_literals: Option<String>,
    /// Relative path literals that do not begin with a dot
    #[arg(long, value_name = "LEVEL", hide = true)]
    lint_short_path_literals: Option<String>,
    /// URLs without quotes
    #[arg(long, value_name = "LEVEL", hide = true)]
    lint_url_literals: Option<String>,
}

impl LintArgs {
    /// Settings by name.
    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
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

impl EvaluationArgs {
    /// The settings that these arguments, `NIX_PATH` and a command's default for purity come to.
    pub(crate) fn settings(&self, pure: bool) -> Result<Settings, Failure> {
        let mut settings = Settings {
            pure: pure && !self.impure,
            show_trace: self.show_trace,
            trace_verbose: self.trace_verbose,
            write_store: self.keep_texts,
            profile: self.profile.is_some(),
            ..Settings::default()
        };
        settings.limits = Limits {
            time: self.eval_timeout,
            memory: match self.eval_memory {
                Some(mib) => Some(mib.saturating_mul(1 << 20)),
                None => crate::memory::available().map(|bytes| bytes / 4 * 3),
            },
            interrupt: None,
        };
        if let Some(depth) = self.max_call_depth {
            settings.max_call_depth = depth;
        }
        for name in self
            .extra_experimental_features
            .iter()
            .flat_map(|names| names.split_whitespace())
        {
            settings.features.extend(Feature::from_name(name));
        }
        for (name, value) in self.lints.given() {
            set(&mut settings, name, value)?;
        }
        for pair in self.option.chunks_exact(2) {
            set(&mut settings, &pair[0], &pair[1])?;
        }
        settings.directory = here();
        let from_env = std::env::var_os("NIX_PATH").unwrap_or_default();
        let entries = self.include.iter().map(|entry| entry.as_bytes().to_vec());
        settings.search_path = entries
            .chain(split_nix_path(from_env.as_bytes()))
            .map(|entry| search_path_entry(&entry))
            .collect();
        Ok(settings)
    }

    /// What restricted evaluation sees of `io`: the look-up path, and the URLs that `allowed-uris` or `--allow-uri` list.
    /// Nothing where evaluation is not restricted.
    pub(crate) fn restricted<I: EvalIo>(
        &self,
        settings: &Settings,
        io: I,
    ) -> Result<Option<RestrictedIo<I>>, Failure> {
        let mut restricted = false;
        let mut urls: Vec<&str> = self.allow_uri.iter().map(String::as_str).collect();
        for pair in self.option.chunks_exact(2) {
            match pair[0].as_str() {
                "restrict-eval" => restricted = boolean(&pair[0], &pair[1])?,
                "allowed-uris" => urls.extend(pair[1].split_whitespace()),
                _ => {}
            }
        }
        let restriction = match (restricted, self.allow_uri.is_empty()) {
            (true, _) => Restriction::Restricted,
            (false, false) => Restriction::Urls,
            (false, true) => return Ok(None),
        };
        let mut view = RestrictedIo::new(io, restriction);
        for url in urls {
            view.allow_url(url);
        }
        for (_, location) in &settings.search_path {
            view.allow(location);
        }
        Ok(Some(view))
    }

    /// The set of `--arg`s and `--argstr`s.
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
            attrs.push(Attr::new(
                name,
                PosIdx::NONE,
                Value::string(arena, pair[1].as_bytes()),
            ));
        }
        Ok(Attrs::from_unsorted(arena, attrs))
    }

    /// What earlier runs found may be used: nobody wants to see this evaluation itself.
    pub(crate) fn uses_cache(&self) -> bool {
        !self.no_eval_cache && self.can_be_shared()
    }

    /// Other threads may help: nobody wants to see one evaluation.
    pub(crate) fn can_be_shared(&self) -> bool {
        self.profile.is_none() && !self.keep_texts
    }

    /// What answers depend on beside the flake and the evaluator's settings.
    pub(crate) fn cache_key(&self) -> String {
        format!("{:?}", (&self.option, &self.allow_uri))
    }

    /// Writes the profile that is asked for.
    pub(crate) fn write_profile(&self, evaluator: &mut Evaluator<'_>) -> Result<(), Failure> {
        let Some(path) = &self.profile else {
            return Ok(());
        };
        let written = File::create(path).and_then(|file| {
            let mut file = BufWriter::new(file);
            evaluator.write_profile(&mut file)?;
            file.flush()
        });
        Ok(written.with_context(|| format!("writing the profile '{}'", path.display()))?)
    }

    /// An error as it is to be shown.
    pub(crate) fn failure(&self, evaluator: &Evaluator<'_>, error: &EvalError) -> Failure {
        let mut report = error.report_bytes(evaluator.positions(), self.show_trace);
        if error.kind == ErrorKind::ImportFromDerivation {
            let hint = "\nhint: niphas evaluates without building; build the derivation beforehand and refer to its \
                        output, or generate the file that is imported and commit it";
            report.extend_from_slice(hint.as_bytes());
        }
        Failure::Nix(report)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "want a number of seconds, such as 30 or 0.5".to_owned())
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

/// The folder that relative paths start in.
pub(crate) fn here() -> Vec<u8> {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    here.as_os_str().as_bytes().to_vec()
}

/// A path from the command line, absolute.
pub(crate) fn absolute(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return nix_evaluator::normalise(path);
    }
    nix_evaluator::normalise(&[&here()[..], b"/", path].concat())
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
