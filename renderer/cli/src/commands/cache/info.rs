//! `niphas cache info`

use std::process::ExitCode;

use anyhow::anyhow;
use binary_cache::{CacheDescription, Caches, DerivationOutput, FetchError, Found, Listing, Trust};
use niphas_cache_args::{CacheArgs, login_hint};
use niphas_terminal::{OutputFormat, say, size};
use nix_formats::StorePath;
use serde_json::json;

use super::installables::InstallableArgs;
use super::runtime;
use crate::failure::Failure;

/// Show what binary caches say of themselves, or of paths
///
/// Without paths: each cache, the store folder that it serves, and its priority (lower is asked sooner). With paths:
/// which cache has each, who signed it, its hash, its sizes and its references. An output of a content-addressed
/// derivation, `sha256:<hash>!<output>`, is looked up first: the path that it became is shown.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas cache info --cache https://cache.example.org
  niphas cache info --cache https://cache.example.org --key-file cache.public /nix/store/…-hello
Exit codes: 0 done; 1 a cache cannot be used, a path is missing or not trusted, or something went wrong.")]
pub(crate) struct Args {
    /// Store paths, links to them such as result, outputs of flakes such as .#api, or outputs of content-addressed derivations
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// List the files of each path too, where the cache has a listing; listings are not signed
    #[arg(long)]
    files: bool,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    installables: InstallableArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = self.caches.open()?;
        let runtime = runtime()?;
        if self.paths.is_empty() {
            let descriptions = runtime.block_on(caches.describe());
            return Ok(self.tell_caches(&descriptions));
        }
        let is_output = |text: &&String| text.contains('!');
        let (outputs, paths): (Vec<_>, Vec<_>) = self.paths.iter().partition(is_output);
        let paths: Vec<String> = paths.into_iter().cloned().collect();
        let mut paths = self.installables.store_paths(caches.store_dir(), &paths)?;
        for output in outputs {
            paths.push(runtime.block_on(realised(&caches, output))?);
        }
        for path in paths {
            let found = runtime.block_on(caches.find(&path, None));
            let found = found?;
            let listing = if self.files {
                runtime.block_on(caches.listing(&found))?
            } else {
                None
            };
            self.tell_path(&caches, &found, listing.as_ref());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn tell_caches(&self, descriptions: &[CacheDescription]) -> ExitCode {
        let mut all_well = true;
        for CacheDescription { cache, answer } in descriptions {
            all_well &= answer.is_ok();
            if let Err(FetchError::Status {
                status: 401 | 403, ..
            }) = answer
            {
                tracing::warn!("{}", login_hint(cache));
            }
            match (self.output, answer) {
                (OutputFormat::Json, Ok(info)) => say!(
                    "{}",
                    json!({
                        "cache": cache,
                        "storeDir": info.store_dir.as_str(),
                        "priority": info.priority,
                        "wantMassQuery": info.want_mass_query,
                    })
                ),
                (OutputFormat::Json, Err(error)) => {
                    let error = format!("{:#}", anyhow::Error::new(error.clone()));
                    say!("{}", json!({ "cache": cache, "error": error }));
                }
                (OutputFormat::Text, Ok(info)) => say!(
                    "{cache}: store folder {}, priority {}{}",
                    info.store_dir,
                    info.priority,
                    if info.want_mass_query {
                        ", takes many questions"
                    } else {
                        ""
                    }
                ),
                (OutputFormat::Text, Err(error)) => {
                    say!("{cache}: {:#}", anyhow::Error::new(error.clone()));
                }
            }
        }
        if all_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn tell_path(&self, caches: &Caches, found: &Found, listing: Option<&Listing>) {
        let (store_dir, info) = (caches.store_dir(), &found.info);
        let path = store_dir.print(&info.path);
        let hash = info.nar_hash.sri();
        let print = |path: &StorePath| store_dir.print(path);
        let signers = match &found.trust {
            Trust::Signed(keys) => keys.as_slice(),
            Trust::ContentAddressed => &[],
        };
        match self.output {
            OutputFormat::Json => say!(
                "{}",
                json!({
                    "path": path,
                    "cache": found.cache,
                    "signers": signers,
                    "narHash": hash,
                    "narSize": info.nar_size,
                    "url": info.url,
                    "compression": info.compression.name(),
                    "fileSize": info.file_size,
                    "references": info.references.iter().map(print).collect::<Vec<_>>(),
                    "deriver": info.deriver.as_ref().map(print),
                    "ca": info.ca.map(|ca| ca.to_string()),
                    "files": listing.map(files),
                })
            ),
            OutputFormat::Text => {
                say!("{path}");
                say!("  cache       {}", found.cache);
                match &found.trust {
                    Trust::Signed(keys) => say!("  signed by   {}", keys.join(", ")),
                    Trust::ContentAddressed => {
                        say!("  signed by   no key; its content address makes the path");
                    }
                }
                say!("  NAR         {} {}", hash, size(info.nar_size));
                let compressed = info
                    .file_size
                    .map_or(String::new(), |bytes| format!(", {}", size(bytes)));
                say!("  compressed  {}{compressed}", info.compression.name());
                say!("  references  {}", info.references.len());
                for reference in &info.references {
                    say!("    {}", print(reference));
                }
                match listing {
                    Some(listing) => {
                        say!("  files");
                        for line in files(listing) {
                            say!("    {line}");
                        }
                    }
                    None if self.files => say!("  files       the cache has no listing"),
                    None => {}
                }
            }
        }
    }
}

/// A line for each file, folder and link.
fn files(listing: &Listing) -> Vec<String> {
    let mut lines = Vec::new();
    listing.walk(&mut |name, listing| {
        let name = name.escape_debug();
        lines.push(match listing {
            Listing::Directory { .. } => format!("{name}/"),
            Listing::Regular {
                size: bytes,
                executable,
            } => {
                let size = size(*bytes);
                let star = if *executable { "*" } else { "" };
                format!("{name}{star} {size}")
            }
            Listing::Symlink { target } => format!("{name} -> {}", target.escape_debug()),
        });
    });
    lines
}

/// The path that an output became.
async fn realised(caches: &Caches, output: &str) -> Result<StorePath, Failure> {
    let output: DerivationOutput = output.parse()?;
    let realisation = caches.realisation(&output).await?;
    let unknown = || anyhow!("no cache has a realisation of '{output}'");
    Ok(realisation.ok_or_else(unknown)?.path)
}
