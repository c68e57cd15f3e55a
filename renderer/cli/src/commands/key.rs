//! `niphas key`

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use niphas_terminal::say;
use nix_formats::SecretKey;

use crate::failure::Failure;

/// Make keys that sign store paths, in Nix's format
///
/// Who pushes to a binary cache signs with the secret half of a key; who reads trusts the public half.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Generate(GenerateArgs),
    Public(PublicArgs),
}

/// Make a key: write its secret half to a file, and print its public half
///
/// The file can be read by its owner only. An existing file is never overwritten: signatures by a key that is lost cannot be
/// made again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas key generate cache.example.org-1 --output cache.secret > cache.public
  niphas cache push --to https://cache.example.org --sign-key cache.secret ./result
  niphas render . --to ../gitops --cache https://cache.example.org --key-file cache.public")]
struct GenerateArgs {
    /// The key's name: by convention that of the cache, and a number to count up with each new key
    #[arg(value_name = "NAME", value_parser = key_name)]
    name: String,
    /// Write the secret half to this file [default: NAME.secret]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Print the public half of a key
#[derive(Debug, clap::Args)]
struct PublicArgs {
    /// The file with its secret half
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let key = match &self.command {
            Command::Generate(args) => args.generate()?,
            Command::Public(args) => read_secret_key(&args.file)?,
        };
        say!("{}", key.public_key());
        Ok(ExitCode::SUCCESS)
    }
}

impl GenerateArgs {
    fn generate(&self) -> Result<SecretKey, Failure> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("the system gives no random bytes")?;
        let key = SecretKey::from_seed(&self.name, seed);
        let file = match &self.output {
            Some(file) => file.clone(),
            None => PathBuf::from(format!("{}.secret", self.name)),
        };
        write_secret_key(&key, &file)?;
        Ok(key)
    }
}

/// Writes a secret key to a file that does not exist yet.
fn write_secret_key(key: &SecretKey, file: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        anyhow::Error::new(error).context(format!("failed to write '{}'", file.display()))
    };
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Failure::with_hint(
                anyhow!("'{}' exists, and keys are not overwritten", file.display()),
                "name another file with --output; the public half of the key in it is printed by 'niphas key public'",
            ));
        }
        Err(error) => return Err(failed(error).into()),
    };
    let written = opened.write_all(key.to_secret_string().as_bytes());
    if let Err(error) = written.and_then(|()| opened.sync_all()) {
        // A part of a key is of no use, and would be in the way.
        let _ = std::fs::remove_file(file);
        return Err(failed(error).into());
    }
    Ok(())
}

/// Much more than a key takes.
const KEY_FILE_BYTES: u64 = 64 << 10;

/// Reads a secret key from a file, which may be a pipe.
pub(super) fn read_secret_key(file: &Path) -> Result<SecretKey, Failure> {
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(KEY_FILE_BYTES).read_to_string(&mut text))
        .with_context(|| format!("failed to read '{}'", file.display()))?;
    let key = text.trim().parse();
    Ok(key.with_context(|| format!("in '{}'", file.display()))?)
}

/// A name that is one word wherever keys are listed.
fn key_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+@=".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_plain) {
        return Err(
            "expected letters, digits and . _ - + @ =, such as cache.example.org-1".to_owned(),
        );
    }
    Ok(text.to_owned())
}
