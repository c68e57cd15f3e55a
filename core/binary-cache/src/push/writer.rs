//! What caches have beside store paths: logs of builds, and the build trace.

use bytes::Bytes;
use nix_formats::{SecretKey, StorePath};

use super::PushError;
use crate::error::FetchError;
use crate::limits::Limits;
use crate::log;
use crate::realisation::{DerivationOutput, File, MAX_SIZE};
use crate::transport::{Payload, Transport};
use crate::url::CacheUrl;

/// Writes logs and entries of the build trace to a cache, in Nix's formats.
#[derive(Debug)]
pub struct CacheWriter {
    transport: Transport,
    limits: Limits,
}

/// What became of an entry of the build trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// The cache has it now, or had it already.
    Written,
    /// The cache has an entry by which the output became another path. It stays.
    Other(String),
}

impl CacheWriter {
    /// Of a cache that something was [pushed](super::push) to: it is one of the right store folder.
    pub fn new(to: &CacheUrl, limits: Limits) -> Result<Self, PushError> {
        let transport = Transport::for_writing(to, &limits)?;
        Ok(Self { transport, limits })
    }

    /// Writes the log of a derivation's build, in place of an older one. `nix log` reads it.
    pub async fn put_log(&self, derivation: &StorePath, text: Bytes) -> Result<(), PushError> {
        let (name, payload) = (log::file_name(derivation), Payload::Memory(text));
        let content_type = "text/plain; charset=utf-8";
        let put = self
            .transport
            .put(&name, content_type, payload, &self.limits);
        put.await.map_err(|source| PushError::Log {
            derivation: derivation.clone(),
            source,
        })
    }

    /// Writes that an output of a content-addressed derivation became a path, signed by keys. Signatures that the cache has
    /// of the same are kept. To be called once the path is in the cache.
    pub async fn put_realisation(
        &self,
        output: &DerivationOutput,
        path: &StorePath,
        keys: &[SecretKey],
    ) -> Result<Recorded, PushError> {
        let failed = |source: FetchError| PushError::Realisation {
            output: output.to_string(),
            source,
        };
        let name = output.file_name();
        let known = self.transport.get(&name, MAX_SIZE, &self.limits).await;
        let known = known.map_err(failed)?;
        // What is damaged is as good as missing.
        let known: Option<File> = known.and_then(|text| serde_json::from_slice(&text).ok());
        let mut file = File::new(output, path);
        let text = |file: &File| file.signed_text().expect("texts are JSON");
        let signed = text(&file);
        if let Some(known) = known {
            if known.out_path != file.out_path {
                return Ok(Recorded::Other(known.out_path));
            }
            if text(&known) == signed {
                file.signatures = known.signatures;
            }
        }
        for key in keys {
            let signature = key.sign(signed.as_bytes()).to_string();
            if !file.signatures.contains(&signature) {
                file.signatures.push(signature);
            }
        }
        let text = serde_json::to_vec(&file).expect("texts are JSON");
        let (payload, limits) = (Payload::Memory(text.into()), &self.limits);
        let put = self
            .transport
            .put(&name, "application/json", payload, limits);
        put.await.map_err(failed)?;
        Ok(Recorded::Written)
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::{PublicKeys, StoreDir};

    use super::*;
    use crate::Caches;

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(format!("{}-{name}", "0".repeat(32))).unwrap()
    }

    #[tokio::test]
    async fn what_was_written_is_read_again_and_another_build_stays() {
        let folder = tempfile::tempdir().unwrap();
        let url: CacheUrl = format!("file://{}", folder.path().display())
            .parse()
            .unwrap();
        let writer = CacheWriter::new(&url, Limits::default()).unwrap();
        let key = SecretKey::from_seed("a-1", [7; 32]);
        let output: DerivationOutput = format!("sha256:{}!out", "4a".repeat(32)).parse().unwrap();
        let keys = [key.clone(), SecretKey::from_seed("b-1", [8; 32])];
        for keys in [&keys[..1], &keys[..], &keys[1..]] {
            let written = writer.put_realisation(&output, &path("x"), keys).await;
            assert_eq!(written.unwrap(), Recorded::Written);
        }
        let other = writer.put_realisation(&output, &path("y"), &keys).await;
        let first = path("x").base_name().to_owned();
        assert_eq!(other.unwrap(), Recorded::Other(first));

        writer
            .put_log(&path("x.drv"), Bytes::from_static(b"a\nb\n"))
            .await
            .unwrap();
        let name = folder.path().join(format!("log/{}", path("x.drv")));
        assert_eq!(std::fs::read(name).unwrap(), b"a\nb\n");

        std::fs::write(
            folder.path().join("nix-cache-info"),
            "StoreDir: /nix/store\n",
        )
        .unwrap();
        let trusted: PublicKeys = keys.iter().map(SecretKey::public_key).collect();
        let caches = Caches::new(StoreDir::default(), [url], trusted, Limits::default()).unwrap();
        let found = caches.realisation(&output).await.unwrap().unwrap();
        assert_eq!(found.path, path("x"));
        assert_eq!(found.signers, ["a-1", "b-1"]);
        let log = caches.log(&path("x.drv")).await.unwrap().unwrap();
        assert_eq!(log.text, b"a\nb\n"[..]);
        assert!(caches.log(&path("y.drv")).await.unwrap().is_none());
    }
}
