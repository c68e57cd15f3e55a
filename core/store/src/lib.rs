//! The node's store: realises closures into packs, makes closure images, collects garbage.
//!
//! A store path becomes one *pack*: the contents of its files one after the other, and a record that says where each is. It
//! is written in the one pass that fetches, decompresses and verifies the path's NAR, and it becomes visible at once. A file
//! whose contents an older pack holds is referred to, not written. Small paths are many to a file. Everything that reads back
//! works from records and packs: NARs, single files, [closure images](Store::image) whose metadata point into the packs,
//! [exports](Store::export). Paths that were made here are [packed](Store::pack) and [added](Store::add) in the same way.
//!
//! [`Store`] is the entry. One process at a time writes to a store; any number may read.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use binary_cache::{Caches, Limits};
//! use niphas_store::{Options, Request, Store, Terms};
//! use nix_formats::{PublicKey, PublicKeys, StoreDir};
//! use std::{path::Path, sync::Arc};
//!
//! let keys = ["cache.example.org-1:…".parse::<PublicKey>()?];
//! let caches = Caches::new(
//!     StoreDir::default(),
//!     ["https://cache.example.org".parse()?],
//!     PublicKeys::from_iter(keys),
//!     Limits::default(),
//! )?;
//! let store = Store::open(Path::new("/var/lib/niphas/store"), Options::default())?;
//! let realisation = store.realise(Request {
//!     roots: StoreDir::default().parse("/nix/store/…-hello")?.into(),
//!     expected: None,
//!     caches: Arc::new(caches),
//!     terms: Terms::default(),
//! });
//! let closure = realisation.wait().await?;
//! let image = store.image(&closure)?;
//! println!("{} is in {}", closure.digest, image.file.display());
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | `packs/<id>-<base name>` | the pack of a store path; mode 0444 once it is known to be on disk, 0644 before |
//! | `packs/<id>.common` | many small paths |
//! | `packs/<id>` | a pack whose path was collected, with files that others refer to |
//! | `closures/<digest>/paths` | the lines of a closure that was realised |
//! | `closures/<digest>/<hash>.erofs` | its image, `<hash>` being one of the name of the store path that `root` leads to |
//! | `roots/<name>` | what is not to be collected, as JSON |
//! | `delivered` | which caches delivered which path |
//! | `signatures/<id>` | signatures that came after the pack was written |
//! | `index/` | a cache of what the records say: paths, and where contents lie |
//! | `tmp/` | what is being made; emptied when a process opens the store to write |
//! | `exports/<id>` | a path as files, for builds without mounts: see [`Store::exported`] |
//! | `key` | the store's own key, which signs what was made here: see [`Store::add`] |
//! | `state`, `lock` | what must be known of earlier processes; the process that writes |

mod add;
mod admit;
mod allocator;
mod catalog;
mod closures;
mod common;
mod contents;
mod delivered;
mod discard;
mod error;
mod export;
mod exports;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod gc;
#[cfg(any(test, feature = "generated"))]
pub mod generated;
mod image;
mod index;
mod key;
mod layout;
mod leases;
mod load;
mod lock;
pub mod mount;
mod pack;
mod places;
mod realise;
mod record;
mod report;
mod roots;
mod source;
mod state;
mod store;
mod sync;
mod usage;
mod verdicts;
mod verify;

pub use add::{HeldPath, NewPath, PackError, Packed};
pub use allocator::{ALLOCATOR_SETTINGS, Allocator};
pub use error::{FileError, OpenError, StoreError};
pub use exports::ExportedPath;
pub use gc::{GcOptions, GcReport, Watermark, WatermarkError};
pub use image::ClosureImage;
pub use layout::PackId;
pub use realise::{
    Admit, Collected, Fetched, KeepFree, Limit, LimitExceeded, Origin, Outlook, Progress,
    Realisation, RealiseError, RealisedClosure, Request, RequestLimits, Terms,
};
pub use record::{Events, FileNode, Node, Place, RecordError, Tree, TreeEvent};
pub use roots::{RootHold, RootName, RootNameError};
pub use store::{Options, Store, StoredPath};
pub use usage::{ClosureUsage, DiskUsage, StoreSize};
pub use verify::{DamagedPath, RepairError, VerifyReport};

/// Files start at multiples of this many bytes in a pack: the block size of closure images.
pub(crate) const BLOCK: u64 = 512;
