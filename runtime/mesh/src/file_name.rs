//! Names of files within a cache.

use niphas_mesh_policy::FileId;
use nix_formats::{NarInfo, StoreDir};

/// Bytes of the longest name.
const LONGEST: usize = 512;

/// A file of a configured cache. Its name is relative, and stays below the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName {
    /// The cache's place in the configuration.
    pub(crate) cache: usize,
    /// The name within the cache, with a query if there is one.
    pub(crate) name: String,
    /// What the file is known by among the members.
    pub(crate) id: FileId,
}

impl FileName {
    /// None if the name does not stay below the cache.
    pub(crate) fn new(cache: usize, url: &str, name: String) -> Option<Self> {
        is_inside(&name).then(|| Self {
            id: FileId::new(url, &name),
            cache,
            name,
        })
    }

    /// Whether another file may have the name one day.
    pub(crate) fn may_change(&self) -> bool {
        self.is_narinfo() || self.is_cache_info()
    }

    /// Whether it tells what the cache is. Readers leave a cache alone where this is wrong, and nothing verifies it.
    pub(crate) fn is_cache_info(&self) -> bool {
        self.name == "nix-cache-info"
    }

    /// Whether a text can be this narinfo: one of the store path that its name says. Signatures are for readers to check.
    pub(crate) fn is_narinfo_of(&self, text: &[u8]) -> bool {
        let info = std::str::from_utf8(text).ok();
        let info = info.and_then(|text| NarInfo::parse(&StoreDir::default(), text).ok());
        let hash = self.name.strip_suffix(".narinfo");
        info.is_some_and(|info| hash == Some(info.path.hash_part()))
    }

    pub(crate) fn is_narinfo(&self) -> bool {
        self.name.ends_with(".narinfo")
    }
}

/// Plain characters only: what caches name their files by needs no others, and nothing is left to be decoded.
fn is_inside(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+=/?&:!~,@".contains(&byte);
    let path = name.split('?').next().unwrap_or_default();
    name.len() <= LONGEST
        && name.bytes().all(is_plain)
        && !path.split('/').next().unwrap_or_default().contains(':')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_cache() {
        let name = |name: &str| FileName::new(0, "https://cache", name.to_owned());
        for inside in [
            "nix-cache-info",
            "nar/a.nar.xz?hash=sha256:b",
            "a..b",
            "x.narinfo",
        ] {
            assert!(name(inside).is_some(), "{inside}");
        }
        for outside in [
            "",
            "/x",
            "../x",
            "nar/../x",
            "a//b",
            "nar/%2e%2e/x",
            "http://x/y",
            "a\nb",
            "a\\b",
            "nar/ä",
        ] {
            assert!(name(outside).is_none(), "{outside}");
        }
        assert!(name(&"a".repeat(LONGEST + 1)).is_none());
        assert!(name("x.narinfo").unwrap().may_change());
        assert!(!name("nar/x.nar").unwrap().may_change());
    }
}
