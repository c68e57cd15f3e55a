//! What a cache says about itself.

use nix_formats::StoreDir;

use crate::error::FetchError;

/// Nix's for caches that name none; lower is asked sooner.
pub(crate) const DEFAULT_PRIORITY: u32 = 50;

/// What a cache says about itself, in `nix-cache-info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheInfo {
    /// The store folder that it serves.
    pub store_dir: StoreDir,
    /// Its place among others; lower is asked sooner.
    pub priority: u32,
    /// Whether it minds being asked for many paths at once: not if true.
    pub want_mass_query: bool,
}

impl CacheInfo {
    /// The file's name in a cache.
    pub(crate) const NAME: &str = "nix-cache-info";

    /// Bytes of the largest file that is read.
    pub(crate) const MAX_SIZE: usize = 64 << 10;

    /// Reads the file of a cache that must serve this store folder, or name none.
    pub(crate) fn parse(ours: &StoreDir, bytes: &[u8]) -> Result<Self, FetchError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FetchError::NotACache)?;
        let mut info = Self {
            store_dir: ours.clone(),
            priority: DEFAULT_PRIORITY,
            want_mass_query: false,
        };
        for line in text.lines() {
            let (name, value) = line.split_once(':').ok_or(FetchError::NotACache)?;
            let value = value.trim();
            match name {
                "StoreDir" if value != ours.as_str() => {
                    return Err(FetchError::OtherStoreDir {
                        theirs: value.to_owned(),
                        ours: ours.clone(),
                    });
                }
                "WantMassQuery" => info.want_mass_query = value == "1",
                "Priority" => info.priority = value.parse().map_err(|_| FetchError::NotACache)?,
                _ => {}
            }
        }
        Ok(info)
    }

    /// The file of a new cache.
    pub(crate) fn of_new_cache(ours: &StoreDir) -> String {
        format!("StoreDir: {ours}\nWantMassQuery: 1\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CacheInfo, FetchError> {
        CacheInfo::parse(&StoreDir::default(), text.as_bytes())
    }

    #[test]
    fn a_new_cache_is_read_as_one_of_its_store_folder() {
        let store_dir = StoreDir::default();
        assert_eq!(
            parse(&CacheInfo::of_new_cache(&store_dir)).unwrap(),
            CacheInfo {
                store_dir,
                priority: DEFAULT_PRIORITY,
                want_mass_query: true,
            }
        );
    }

    #[test]
    fn what_a_cache_does_not_say_has_nixs_defaults() {
        let info = parse("Unknown: x\nPriority: 10\nWantMassQuery: 0").unwrap();
        assert_eq!((info.priority, info.want_mass_query), (10, false));
        assert_eq!(parse("").unwrap().priority, DEFAULT_PRIORITY);
    }

    #[test]
    fn other_files_and_caches_of_other_stores_are_refused() {
        for text in ["<html>", "Priority: high", "Priority: -1", "StoreDir"] {
            assert!(matches!(parse(text), Err(FetchError::NotACache)), "{text}");
        }
        assert!(matches!(
            CacheInfo::parse(&StoreDir::default(), b"Priority: \xff"),
            Err(FetchError::NotACache)
        ));
        assert!(matches!(
            parse("StoreDir: /other/store\n"),
            Err(FetchError::OtherStoreDir { theirs, .. }) if theirs == "/other/store"
        ));
    }
}
