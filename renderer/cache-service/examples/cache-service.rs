//! What ci/cache-service runs: a cache that is served, its garbage that is collected, and a measurement of uploads.
//!
//!     cache-service serve FOLDER [TOKEN]            prints the port
//!     cache-service collect FOLDER [ROOT]...        keeps the closures of the roots
//!     cache-service measure MIB zstd|identity     uploads an output of a build, and prints how long that took

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program of tests"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use binary_cache::{NarSource, PathInfo, SourceError};
use niphas_cache_service::client::{Client, Options as ClientOptions, Token};
use niphas_cache_service::gc::{self, collect};
use niphas_cache_service::ingest::Limits;
use niphas_cache_service::protocol::{BuildResult, Outcome, OutputClaim};
use niphas_cache_service::serve::{ServedCache, router};
use niphas_daemon::{Bounds, serve_within};
use niphas_http::Secret;
use nix_formats::nar::Writer;
use nix_formats::{DerivationOutput, HashAlgorithm, HashWriter, NarHash, StoreDir};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match args[..] {
        ["serve", folder, ref tokens @ ..] => runtime.block_on(serve(folder.into(), tokens)),
        ["collect", folder, ref roots @ ..] => {
            let roots = roots
                .iter()
                .map(|root| StoreDir::default().parse(root).unwrap());
            let options = gc::Options {
                min_age: Duration::ZERO,
                ..gc::Options::new(StoreDir::default(), 0)
            };
            let roots: BTreeSet<_> = roots.collect();
            let report = collect(Path::new(folder), &roots, &options).unwrap();
            println!(
                "{} kept, {} removed",
                report.kept_paths, report.removed_paths
            );
        }
        ["measure", size, encoding] => {
            let size: u64 = size.parse().unwrap();
            runtime.block_on(measure(size << 20, encoding == "zstd"));
        }
        _ => panic!("see the source"),
    }
}

async fn serve(folder: PathBuf, tokens: &[&str]) {
    let tokens: Vec<Secret> = tokens.iter().map(|token| Secret::from(*token)).collect();
    let cache = ServedCache {
        folder,
        store_dir: StoreDir::default(),
        priority: 30,
        tokens: (!tokens.is_empty()).then(|| tokens.into_iter().collect()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    std::io::stdout().flush().unwrap();
    let stop = CancellationToken::new();
    serve_within(listener, router(cache), Bounds::FILES, stop).await;
}

/// A NAR of one large file, half of which can be compressed.
struct Large(StoreDir, u64);

impl Large {
    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mut writer = Writer::new(out);
        writer
            .file_from(false, self.1, &mut Bytes { state: 1 }.take(self.1))
            .map_err(std::io::Error::other)?;
        writer.finish().map(|_| ()).map_err(std::io::Error::other)
    }
}

struct Bytes {
    state: u64,
}

impl Read for Bytes {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        for piece in out.chunks_mut(16) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let bytes = [self.state.to_le_bytes(), *b"the same"].concat();
            piece.copy_from_slice(&bytes[..piece.len()]);
        }
        Ok(out.len())
    }
}

impl NarSource for Large {
    fn store_dir(&self) -> &StoreDir {
        &self.0
    }

    fn infos(
        &self,
        paths: &[nix_formats::StorePath],
    ) -> Result<Vec<Option<PathInfo>>, SourceError> {
        Ok(vec![None; paths.len()])
    }

    fn write_nar(&self, _: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        self.write(out).map_err(SourceError::Write)
    }
}

async fn measure(size: u64, is_compressed: bool) {
    let service = support::Service::start(Limits::default()).await;
    let outputs = [("out", DerivationOutput::Deferred)];
    let derivation = support::derivation("large", &[], &outputs, &[]);
    let output = derivation.outputs["out"].path(&StoreDir::default(), "large", "out");
    let path = output.unwrap().unwrap();
    let build = service.world.add("pod", support::spec(&derivation));
    let source = Large(StoreDir::default(), size);
    let mut hasher = HashWriter::new(HashAlgorithm::Sha256, std::io::sink());
    source.write(&mut hasher).unwrap();
    let (_, hash, nar_size) = hasher.finish();
    let nar_hash = NarHash::try_from(hash).unwrap();
    let mut info = support::info(&path, b"", &[]);
    (info.nar_hash, info.nar_size) = (nar_hash, nar_size);
    let options = ClientOptions {
        is_compressed,
        ..ClientOptions::default()
    };
    let token = Token::Secret(Secret::from("pod"));
    let client = Client::new(
        support::http(),
        service.base.parse().unwrap(),
        token,
        options,
    );
    let before = peak_memory();
    let begun = Instant::now();
    client
        .upload(&build, "out", Arc::new(source), &info)
        .await
        .unwrap();
    let uploaded = begun.elapsed();
    let claim = OutputClaim {
        path,
        nar_hash,
        nar_size,
    };
    let outputs = [("out".to_owned(), claim)].into();
    let outcome = client
        .finish(&build, &BuildResult::Built { outputs })
        .await
        .unwrap();
    assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
    let stored = begun.elapsed().checked_sub(uploaded).unwrap();
    let rate = |time: Duration| (size >> 20) as f64 / time.as_secs_f64();
    println!(
        "uploaded at {:.0} MiB/s, checked and stored at {:.0} MiB/s; memory of pod and service together: {} MiB, {} MiB before",
        rate(uploaded),
        rate(stored),
        peak_memory() >> 10,
        before >> 10
    );
}

/// In KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
