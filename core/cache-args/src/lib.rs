//! How every program names binary caches, logins for them, and the keys it trusts: the same options, environment variables
//! and files everywhere.

mod error;
mod hint;
mod login;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use binary_cache::{CacheUrl, Caches, Limits, TrustPolicy, read_keys};
use nix_formats::StoreDir;

pub use error::CacheArgsError;
pub use hint::{login_hint, unavailable_hint};
pub use login::LoginArgs;

/// The caches to read, and what to believe of them.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Binary caches")]
pub struct CacheArgs {
    /// Read this binary cache; repeatable
    ///
    /// At https://…, http://…, s3://… or file:///….
    ///
    /// Variable: `NIPHAS_CACHES`, with spaces between several.
    #[arg(
        long = "cache",
        value_name = "URL",
        env = "NIPHAS_CACHES",
        value_delimiter = ' ',
        hide_env = true
    )]
    caches: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// The keys whose signatures count.
#[derive(Clone, Debug, clap::Args)]
struct TrustArgs {
    /// Trust the signatures of a key, NAME:BASE64; repeatable
    ///
    /// Variable: `NIPHAS_TRUSTED_PUBLIC_KEYS`, with spaces between several.
    #[arg(
        long = "trusted-public-key",
        value_name = "KEY",
        env = "NIPHAS_TRUSTED_PUBLIC_KEYS",
        value_delimiter = ' ',
        hide_env = true
    )]
    keys: Vec<String>,
    /// Trust the keys in a file, one on a line; repeatable
    #[arg(long = "key-file", value_name = "FILE")]
    key_files: Vec<PathBuf>,
    /// Require signatures of this many of the keys
    ///
    /// Variable: `NIPHAS_REQUIRED_SIGNATURES`.
    #[arg(
        long,
        value_name = "N",
        env = "NIPHAS_REQUIRED_SIGNATURES",
        default_value = "1",
        hide_env = true
    )]
    required_signatures: NonZeroUsize,
}

impl CacheArgs {
    /// The caches, at least one.
    pub fn open(&self) -> Result<Caches, CacheArgsError> {
        if self.caches.is_empty() {
            return Err(CacheArgsError::NoCache);
        }
        self.open_any()
    }

    /// The caches, of which there may be none.
    pub fn open_any(&self) -> Result<Caches, CacheArgsError> {
        let urls = self.caches.iter().map(|url| url.parse());
        let urls = urls.collect::<Result<Vec<CacheUrl>, _>>()?;
        let urls = self.login.with_logins(urls)?;
        let trust = &self.trust;
        let keys = read_keys(&trust.keys, &trust.key_files)?;
        let policy = TrustPolicy::new(keys, trust.required_signatures)?;
        let limits = Limits::default();
        Ok(Caches::new(StoreDir::default(), urls, policy, limits)?)
    }

    /// The caches' URLs, as given: passwords can be among them.
    pub fn urls(&self) -> &[String] {
        &self.caches
    }
}
