//! Names of files in a cache.

use std::fmt;

use http::HeaderValue;
use nix_formats::StorePath;
use percent_encoding::percent_decode_str;

/// The longest name of a file in a folder.
const MAX_NAME: usize = 255;

/// A file that a cache may have. Its name has no separator and no dot at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// `nix-cache-info`.
    CacheInfo,
    /// `<hash>.narinfo`.
    NarInfo(String),
    /// `<hash>.ls`.
    Listing(String),
    /// `nar/…`.
    Nar(String),
    /// `log/<derivation>`.
    Log(String),
    /// `realisations/<hash>!<output>.doi`.
    Realisation(String),
}

impl Name {
    /// The file that the path of a URL names.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        // Decoded once, so that nothing is decoded a second time by what opens it.
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        let (folder, name) = match decoded.split_once('/') {
            Some((folder, name)) => (folder, name),
            None => ("", &*decoded),
        };
        let is_plain =
            |character: char| character.is_ascii_alphanumeric() || "+-._?=!:".contains(character);
        if name.is_empty()
            || name.len() > MAX_NAME
            || name.starts_with('.')
            || !name.chars().all(is_plain)
        {
            return None;
        }
        let name = name.to_owned();
        match folder {
            "" if name == "nix-cache-info" => Some(Self::CacheInfo),
            "" => match name.rsplit_once('.')? {
                (hash, "narinfo") if is_hash_part(hash) => Some(Self::NarInfo(name)),
                (hash, "ls") if is_hash_part(hash) => Some(Self::Listing(name)),
                _ => None,
            },
            "nar" => Some(Self::Nar(name)),
            "log" => Some(Self::Log(name)),
            "realisations" if name.strip_suffix(".doi").is_some() => Some(Self::Realisation(name)),
            _ => None,
        }
    }

    /// The folder, if it is not the cache's own, and the name in it.
    pub(super) fn place(&self) -> (Option<&'static str>, &str) {
        match self {
            Self::CacheInfo => (None, "nix-cache-info"),
            Self::NarInfo(name) | Self::Listing(name) => (None, name),
            Self::Nar(name) => (Some("nar"), name),
            Self::Log(name) => (Some("log"), name),
            Self::Realisation(name) => (Some("realisations"), name),
        }
    }

    pub(super) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::CacheInfo => "text/x-nix-cache-info",
            Self::NarInfo(_) => "text/x-nix-narinfo",
            Self::Listing(_) | Self::Realisation(_) => "application/json",
            Self::Nar(_) => "application/x-nix-nar",
            Self::Log(_) => "text/plain; charset=utf-8",
        })
    }

    /// How long others may keep it. A NAR's name is the hash of its contents.
    pub(super) fn caching(&self) -> &'static str {
        match self {
            Self::Nar(_) => "private, max-age=31536000, immutable",
            _ => "private, no-cache",
        }
    }
}

fn is_hash_part(text: &str) -> bool {
    StorePath::from_base_name(format!("{text}-x")).is_ok()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            (Some(folder), name) => write!(f, "{folder}/{name}"),
            (None, name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_caches_are_taken() {
        let hash = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h";
        for name in [
            "nix-cache-info",
            &format!("{hash}.narinfo"),
            &format!("{hash}.ls"),
            "nar/1w18z28c5av8aybhjd8kksjvcqdwczbdzb739fwmn95hsfk6zvi0.nar.zst",
            &format!("log/{hash}-hello-2.12?x=1.drv"),
            "realisations/sha256:4a3f!out.doi",
        ] {
            let found = Name::of(&format!("/{name}"));
            assert_eq!(found.map(|name| name.to_string()).as_deref(), Some(name));
        }
        let encoded = Name::of("/realisations/sha256%3A4a3f%21out.doi");
        assert_eq!(
            encoded,
            Some(Name::Realisation("sha256:4a3f!out.doi".to_owned()))
        );
        for name in [
            "",
            "/",
            "/nar",
            "/nar/",
            "/nar/../nix-cache-info",
            "/nar/..",
            "/nar/.hidden",
            "/nar/a/b",
            "/nar/a%2Fb",
            "/nar/%2e%2e%2fx",
            "/nar/%252e",
            "/nar/a%00",
            "/nar/a\\b",
            "/nar/%ff",
            "//etc/passwd",
            "/.niphas-push-x/0",
            "/.niphas-push-x.lock",
            "/index.html",
            "/short.narinfo",
            &format!("/nar/{}", "a".repeat(256)),
            &format!("/{hash}.narinfo/x"),
            &format!("/{}.narinfo", "E".repeat(32)),
        ] {
            assert_eq!(Name::of(name), None, "{name}");
        }
    }
}
