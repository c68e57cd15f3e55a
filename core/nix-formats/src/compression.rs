//! How NARs are compressed in caches.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// How a NAR is compressed in a cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// xz, Nix's default.
    Xz,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
    /// bzip2, meant when the field is missing.
    Bzip2,
    /// Brotli, named `br`.
    Brotli,
    /// Another, by its name.
    Other(String),
}

impl Compression {
    /// The furthest that a decoder of what comes from outside may look back, in bytes: xz -9 does 64 MiB, zstd -19 with Nix's
    /// settings 8 MiB.
    pub const MOST_LOOKED_BACK: u64 = 256 << 20;

    /// Nix's name for it.
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Brotli => "br",
            Self::Other(name) => name,
        }
    }
}

impl FromStr for Compression {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(match name {
            "none" => Self::None,
            "xz" => Self::Xz,
            "zstd" => Self::Zstd,
            "gzip" => Self::Gzip,
            "" | "bzip2" => Self::Bzip2,
            "br" => Self::Brotli,
            other => Self::Other(other.to_owned()),
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
