//! `niphas cache push`

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use binary_cache::{
    Compressor, DaemonStore, Limits, LocalStore, PushOptions, PushProgress, PushReport, push,
};
use niphas_cache_args::LoginArgs;
use niphas_terminal::{OutputFormat, say, size};
use nix_formats::{Compression, SecretKey, StoreDir};
use serde_json::json;

use super::installables::InstallableArgs;
use super::runtime;
use crate::commands::key::read_secret_key;
use crate::failure::Failure;
use crate::push_progress::PushBar;

/// Push closures from a Nix store to a binary cache
///
/// Reads the paths and all that they refer to from the Nix store of this machine, compresses and signs them, and puts
/// those into the cache that it lacks. A path becomes visible last, after its contents and all that it refers to, so
/// a push that is killed at any time leaves a cache that is whole, and the next goes on from there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas cache push --to file:///srv/cache --sign-key cache.secret ./result
  niphas cache push --to 's3://bucket?region=eu-central-1' --sign-key cache.secret /nix/store/…-hello
  nix-build | niphas cache push --to https://cache.example.org --netrc-file ~/.netrc -
  niphas roots --paths | niphas cache push --to https://cache.example.org --sign-key cache.secret -
A key is made with: niphas key generate cache.example.org-1 --output cache.secret
Servers must take PUT, as nginx with WebDAV does.
Exit codes: 0 everything is in the cache; 1 something went wrong.")]
pub(crate) struct Args {
    /// Store paths, links to them such as result, outputs of flakes such as .#api, or - to read them from standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// The cache: file:///…, http://…, https://… or s3://…
    #[arg(long, value_name = "URL", env = "NIPHAS_PUSH_TO")]
    to: String,
    /// A file with a secret key to sign with; can be given several times
    #[arg(long = "sign-key", value_name = "FILE")]
    sign_keys: Vec<PathBuf>,
    /// How to compress: zstd, xz, gzip, bzip2, br or none
    #[arg(long, value_name = "METHOD", default_value = "zstd", value_parser = parse_compression)]
    compression: Compression,
    /// How hard to compress [default: the method's own; zstd 3, xz 6]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    level: Option<i32>,
    /// Paths to compress at once [default: one for each processor]
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,
    /// Threads for one large path, with zstd [default: one for each processor]
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// Also write a listing of each path's files, as `nix store ls` reads it
    #[arg(long)]
    listings: bool,
    /// The Nix daemon's socket [default: Nix's own; without a daemon there, nix-daemon --stdio is run]
    #[arg(long, value_name = "FILE", env = "NIX_DAEMON_SOCKET_PATH")]
    daemon_socket: Option<PathBuf>,
    /// The store folder that the paths are in
    #[arg(long, value_name = "DIR", env = "NIX_STORE_DIR", default_value = "/nix/store", value_parser = parse_store_dir)]
    store_dir: StoreDir,
    /// How to print what was done
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    installables: InstallableArgs,
}

const SOCKET: &str = "/nix/var/nix/daemon-socket/socket";

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let to = self.login.with_login(self.to.parse()?)?;
        let options = self.options()?;
        let roots = self
            .installables
            .store_paths(&self.store_dir, &self.paths()?)?;
        let source = Arc::new(self.open_store()?);
        let progress = Arc::new(PushProgress::default());
        let bar = PushBar::start(&progress);
        let runtime = runtime()?;
        let pushed = runtime.block_on(push(source, &roots, &to, options, progress));
        bar.clear();
        self.tell(&pushed?);
        Ok(ExitCode::SUCCESS)
    }

    fn paths(&self) -> Result<Vec<String>, Failure> {
        let mut paths = Vec::new();
        for path in &self.paths {
            if path == "-" {
                let mut text = String::new();
                let read = std::io::stdin().read_to_string(&mut text);
                read.context("cannot read paths from standard input")?;
                paths.extend(text.split_ascii_whitespace().map(str::to_owned));
            } else {
                paths.push(path.clone());
            }
        }
        Ok(paths)
    }

    fn options(&self) -> Result<PushOptions, Failure> {
        let defaults = PushOptions::default();
        let threads = self.threads.unwrap_or(defaults.jobs);
        let threads = u32::try_from(threads.get()).unwrap_or(u32::MAX);
        let keys = self.sign_keys.iter().map(|file| read_secret_key(file));
        let keys = keys.collect::<Result<Vec<SecretKey>, _>>()?;
        Ok(PushOptions {
            compressor: Compressor::new(self.compression.clone(), self.level, threads)?,
            keys: keys.into(),
            listings: self.listings,
            jobs: self.jobs.unwrap_or(defaults.jobs),
            limits: Limits::default(),
        })
    }

    fn open_store(&self) -> Result<LocalStore, Failure> {
        let store_dir = self.store_dir.clone();
        let socket = self.daemon_socket.as_deref().unwrap_or(Path::new(SOCKET));
        let by_socket = match DaemonStore::connect(store_dir.clone(), socket) {
            Ok(daemon) => return Ok(LocalStore::new(daemon, Path::new("/"))),
            Err(error) => error,
        };
        match DaemonStore::run(store_dir, Path::new("nix-daemon"), Path::new("/")) {
            Ok(daemon) => Ok(LocalStore::new(daemon, Path::new("/"))),
            Err(error) => Err(Failure::with_hint(
                anyhow::Error::new(error).context(format!(
                    "no Nix store can be read here: {by_socket}, nor run one"
                )),
                "push where the closure was built: the paths are read from a Nix store",
            )),
        }
    }

    fn tell(&self, report: &PushReport) {
        let print = |paths: &[nix_formats::StorePath]| -> Vec<String> {
            paths
                .iter()
                .map(|path| self.store_dir.print(path))
                .collect()
        };
        match self.output {
            OutputFormat::Json => say!(
                "{}",
                json!({
                    "pushed": print(&report.pushed),
                    "signed": print(&report.signed),
                    "present": print(&report.present),
                    "narSize": report.nar_size,
                    "fileSize": report.file_size,
                })
            ),
            OutputFormat::Text => {
                let lines = [("pushed ", &report.pushed), ("signed ", &report.signed)];
                let lines = lines.map(|(done, paths)| {
                    let lines = print(paths)
                        .into_iter()
                        .map(|path| done.to_owned() + &path + "\n");
                    lines.collect::<String>()
                });
                let lines = lines.concat();
                let signed = if self.sign_keys.is_empty() {
                    "none signed: name a key by --sign-key".to_owned()
                } else {
                    format!("{} signed", report.pushed.len() + report.signed.len())
                };
                say!(
                    "{lines}{} paths pushed ({}, compressed {}), {signed}, {} were there",
                    report.pushed.len(),
                    size(report.nar_size),
                    size(report.file_size),
                    report.present.len(),
                );
            }
        }
    }
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    let Ok(method) = text.parse::<Compression>();
    // Refused here, with the grammar, and not only once it is used.
    match Compressor::new(method.clone(), None, 1) {
        Ok(_) => Ok(method),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_store_dir(text: &str) -> Result<StoreDir, String> {
    StoreDir::new(text).map_err(|error| error.to_string())
}
