//! Where everything of a store lies, and how packs are named.

use std::fmt;
use std::path::{Path, PathBuf};

use nix_formats::StorePath;
use serde::{Deserialize, Serialize};

/// The number of a pack, unique in its store and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PackId(pub(crate) u64);

impl PackId {
    /// The fewest digits of a number. With a store path of the longest name behind them they still make a file name of Linux,
    /// which has 255 bytes; no store ever sees enough packs to take more.
    const DIGITS: usize = 10;

    /// Reads what [`PackId`] prints: lower-case hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !text.bytes().all(is_digit) {
            return None;
        }
        let id = u64::from_str_radix(text, 16).ok().map(Self)?;
        // Every number has one name only.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = Self::DIGITS)
    }
}

/// The name of a pack's file: `<id>-<base name>` while its store path is there, `<id>` once the path was collected but
/// other paths' files are still in it, and `<id>.common` of one that many paths are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackName {
    pub(crate) id: PackId,
    pub(crate) path: Option<StorePath>,
    pub(crate) is_common: bool,
}

/// See [`crate::common`].
const COMMON: &str = ".common";

impl PackName {
    pub(crate) fn of_path(id: PackId, path: StorePath) -> Self {
        Self {
            id,
            path: Some(path),
            is_common: false,
        }
    }

    pub(crate) fn of_rest(id: PackId) -> Self {
        Self {
            id,
            path: None,
            is_common: false,
        }
    }

    pub(crate) fn common(id: PackId) -> Self {
        Self {
            id,
            path: None,
            is_common: true,
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        if let Some((id, path)) = name.split_once('-') {
            let path = StorePath::from_base_name(path).ok()?;
            return Some(Self::of_path(PackId::parse(id)?, path));
        }
        match name.strip_suffix(COMMON) {
            Some(id) => Some(Self::common(PackId::parse(id)?)),
            None => Some(Self::of_rest(PackId::parse(name)?)),
        }
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}-{path}", self.id),
            None if self.is_common => write!(f, "{}{COMMON}", self.id),
            None => self.id.fmt(f),
        }
    }
}

/// The folders and files of one store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Held locked by the process that writes.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What must outlive a process: see `State`.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The key that signs what was made here: see [`crate::key`].
    pub(crate) fn key(&self) -> PathBuf {
        self.root.join("key")
    }

    /// Packs that are whole.
    pub(crate) fn packs(&self) -> PathBuf {
        self.root.join("packs")
    }

    pub(crate) fn pack(&self, name: &PackName) -> PathBuf {
        self.packs().join(name.to_string())
    }

    /// Whatever is being made; emptied when a process starts to write.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Closures by digest.
    pub(crate) fn closures(&self) -> PathBuf {
        self.root.join("closures")
    }

    /// Garbage collection roots.
    pub(crate) fn roots(&self) -> PathBuf {
        self.root.join("roots")
    }

    /// Signatures that came after a pack was written, by pack.
    pub(crate) fn signatures(&self) -> PathBuf {
        self.root.join("signatures")
    }

    pub(crate) fn signatures_of(&self, id: PackId) -> PathBuf {
        self.signatures().join(id.to_string())
    }

    /// What is known without reading records: see [`crate::catalog`].
    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Paths as files, by pack: see [`crate::exports`].
    pub(crate) fn exports(&self) -> PathBuf {
        self.root.join("exports")
    }

    pub(crate) fn export(&self, id: PackId) -> PathBuf {
        self.exports().join(id.to_string())
    }

    pub(crate) fn folders(&self) -> [PathBuf; 7] {
        [
            self.index(),
            self.packs(),
            self.tmp(),
            self.closures(),
            self.roots(),
            self.signatures(),
            self.exports(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packs_round_trip() {
        for name in [
            "00000000ff-0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0",
            "0000000000",
            "0000000001.common",
            "ffffffffffffffff",
        ] {
            assert_eq!(PackName::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn the_longest_store_path_makes_a_name_of_a_file() {
        let path = format!("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-{}", "n".repeat(211));
        let path = StorePath::from_base_name(&path).unwrap();
        let name = PackName::of_path(PackId(0xff_ffff_ffff), path);
        assert_eq!(name.to_string().len(), 255);
    }

    #[test]
    fn what_names_no_pack_is_refused() {
        for name in [
            "",
            "ff",
            "00000000FF",
            "+0000000ff",
            "00000000000000ff",
            "00000000ff-",
            "00000000ff-web",
            "00000000ff.",
            "ff.common",
            ".common",
            "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0",
        ] {
            assert_eq!(PackName::parse(name), None, "{name}");
        }
    }
}
