//! Nix's formats, pure: no I/O of its own.
//!
//! Everything here is a value, a computation, or a reader or writer over
//! `std::io` traits that the caller supplies. What comes from outside (NARs,
//! narinfo, derivations, keys) is parsed with bounded memory and typed errors.
//!
//! - [`hash`] and [`nix32`]: digests, their textual forms, Nix's base-32.
//! - [`store_path`]: [`StorePath`], [`StoreDir`] and all ways to compute a path.
//! - [`derivation`]: the `.drv` format, its JSON form, output paths, placeholders.
//! - [`nar`]: the archive format, written and read as a stream.
//! - [`narinfo`] and [`signature`]: what a binary cache says, and who vouches for it.
//! - [`references`]: which store paths contents name.
//! - [`chain`]: an error with its causes, as everybody here shows it; [`few`] and [`shortened`]: what an error names, bounded.
//! - [`write_json_float`]: floats in JSON, by the digits that Nix prints.
//! - [`printable`]: text from outside, without what would drive a terminal; [`size`]: sizes for people.

mod chain;
mod compression;
pub mod content_address;
mod content_hash;
pub mod derivation;
pub mod hash;
mod json_float;
pub mod nar;
mod nar_hash;
pub mod narinfo;
pub mod nix32;
mod printable;
pub mod references;
pub mod signature;
mod size;
pub mod store_path;

pub use chain::{chain, few, shortened};
pub use compression::Compression;
pub use content_address::{ContentAddress, ContentAddressMethod};
pub use content_hash::ContentHasher;
pub use derivation::{Derivation, DerivationOutput};
pub use hash::{Hash, HashAlgorithm, HashFormat, HashWriter, Hasher};
pub use json_float::write_json_float;
pub use nar_hash::{NarHash, NarHashError};
pub use narinfo::NarInfo;
pub use printable::printable;
pub use signature::{PublicKey, PublicKeys, SecretKey, Signature, verify_all};
pub use size::size;
pub use store_path::{FixedOutput, StoreDir, StorePath, check_name};
