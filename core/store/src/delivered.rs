//! Which caches delivered which stored path: bytes that are on a node are shown only to those whose own caches gave them.
//!
//! On disk it is the file `delivered`, to which 40 bytes are appended for each path and origin: the number of the pack, the
//! origin, and a tag that ties both to the path's name and contents. What the tag does not fit is not believed: the rest of a
//! write that a crash cut off, or a number that was given again after a power cut. Nothing waits for it to be on disk: what is
//! lost is fetched and compared once more.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Mutex;

use hashbrown::{HashMap, HashSet};
use nix_formats::{NarHash, NarInfo, StorePath};

use crate::error::{FileError, failed};
use crate::index::Index;
use crate::layout::{Layout, PackId};
use crate::realise::Origin;
use crate::state::replace;
use crate::store::lock;

const NAME: &str = "delivered";
const ENTRY: usize = 40;
const TAG_AT: usize = 24;

/// More origins than any configuration has over the years.
const MAX_ORIGINS: usize = 1 << 14;

/// Which origin delivered which path.
#[derive(Debug, Default)]
pub(crate) struct Delivered(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Each has a number: its place.
    origins: Vec<Origin>,
    numbers: HashMap<Origin, u32>,
    delivered: HashSet<(PackId, u32)>,
    /// None if the store is open for reading only.
    file: Option<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Delivered {
    /// Reads what is known of the packs in the index. If it `may_write`, what is of no use any more goes.
    pub(crate) fn load(layout: &Layout, index: &Index, may_write: bool) -> Result<Self, FileError> {
        let path = layout.root().join(NAME);
        let mut known = Known::default();
        let mut useless = false;
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::new("open", path, error)),
            Ok(file) => {
                let mut file = io::BufReader::with_capacity(64 << 10, file);
                let mut entry = [0; ENTRY];
                loop {
                    match read(&mut file, &mut entry).map_err(failed("read", &path))? {
                        0 => break,
                        ENTRY => useless |= !known.take(&entry, index),
                        _ => useless = true,
                    }
                }
            }
        }
        if may_write {
            if useless {
                let mut text = Vec::with_capacity(known.delivered.len() * ENTRY);
                for &(pack, number) in &known.delivered {
                    if let Some(info) = index.pack(pack).and_then(|pack| pack.info.as_ref())
                        && let Some(origin) = known.origins.get(number as usize)
                    {
                        text.extend_from_slice(&entry(pack, *origin, &info.path, &info.nar_hash));
                    }
                }
                replace(&layout.tmp().join(NAME), &path, &text)?;
            }
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path);
            let file = file.map_err(failed("open", &path))?;
            let length = file.metadata().map_err(failed("read", &path))?.len();
            known.file = Some(Log { file, path, length });
        }
        Ok(Self(Mutex::new(known)))
    }

    /// Whether one of these delivered what is in a pack.
    pub(crate) fn is_by(&self, origins: &[Origin], pack: PackId) -> bool {
        self.are_by(origins, &[pack])
    }

    /// Whether each of these packs was delivered by one of these origins.
    pub(crate) fn are_by(&self, origins: &[Origin], packs: &[PackId]) -> bool {
        let known = lock(&self.0);
        let numbers = origins
            .iter()
            .filter_map(|origin| known.numbers.get(origin));
        let numbers: Vec<u32> = numbers.copied().collect();
        packs.iter().all(|&pack| {
            let mut numbers = numbers.iter();
            numbers.any(|&number| known.delivered.contains(&(pack, number)))
        })
    }

    /// Remembers who delivered a path. That this cannot be written down is no reason to refuse the path.
    pub(crate) fn add(&self, origin: Origin, pack: PackId, info: &NarInfo) {
        let mut known = lock(&self.0);
        if !known.insert(origin, pack) {
            return;
        }
        let entry = entry(pack, origin, &info.path, &info.nar_hash);
        if let Some(log) = &mut known.file {
            match log.file.write_all_at(&entry, log.length) {
                Ok(()) => log.length += ENTRY as u64,
                Err(error) => {
                    tracing::debug!(path = %log.path.display(), %error, "who delivered a path is not noted");
                }
            }
        }
    }

    /// Forgets a pack.
    pub(crate) fn forget(&self, pack: PackId) {
        let mut known = lock(&self.0);
        for number in 0..known.origins.len() as u32 {
            known.delivered.remove(&(pack, number));
        }
    }
}

impl Known {
    fn insert(&mut self, origin: Origin, pack: PackId) -> bool {
        let known = self.numbers.get(&origin).copied();
        if known.is_none() && self.origins.len() >= MAX_ORIGINS {
            return false;
        }
        let number = known.unwrap_or_else(|| {
            let number = self.origins.len() as u32;
            self.origins.push(origin);
            self.numbers.insert(origin, number);
            number
        });
        self.delivered.insert((pack, number))
    }

    /// Whether an entry is of use.
    fn take(&mut self, bytes: &[u8; ENTRY], index: &Index) -> bool {
        let (mut number, mut origin) = ([0; 8], [0; 16]);
        number.copy_from_slice(&bytes[..8]);
        origin.copy_from_slice(&bytes[8..TAG_AT]);
        let (pack, origin) = (
            PackId(u64::from_le_bytes(number)),
            Origin::from_bytes(origin),
        );
        let Some(info) = index.pack(pack).and_then(|pack| pack.info.as_ref()) else {
            return false;
        };
        entry(pack, origin, &info.path, &info.nar_hash) == *bytes && self.insert(origin, pack)
    }
}

fn entry(pack: PackId, origin: Origin, path: &StorePath, nar_hash: &NarHash) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    bytes[..8].copy_from_slice(&pack.0.to_le_bytes());
    bytes[8..TAG_AT].copy_from_slice(origin.as_bytes());
    let tag = blake3::Hasher::new()
        .update(&bytes[..TAG_AT])
        .update(nar_hash.as_bytes())
        .update(path.base_name().as_bytes())
        .finalize();
    bytes[TAG_AT..].copy_from_slice(&tag.as_bytes()[..ENTRY - TAG_AT]);
    bytes
}

/// Reads as much of an entry as there is.
fn read(file: &mut impl Read, entry: &mut [u8; ENTRY]) -> io::Result<usize> {
    let mut count = 0;
    while count < ENTRY {
        match file.read(&mut entry[count..]) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use nix_formats::StoreDir;

    use super::*;
    use crate::index::Pack;
    use crate::layout::PackName;

    fn info(name: &str) -> Arc<NarInfo> {
        let text = format!(
            "StorePath: /nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-{name}\nURL: nar/x\n\
             NarHash: sha256:1b8m03r63zqhnjf7l5wnldhh7c134p5lq0x0rj6ibdg4g6rqnb3v\nNarSize: 8\n"
        );
        Arc::new(NarInfo::parse(&StoreDir::default(), &text).unwrap())
    }

    fn index(packs: &[(u64, &str)]) -> Index {
        let mut index = Index::default();
        for &(id, name) in packs {
            let info = info(name);
            let name = PackName::of_path(PackId(id), info.path.clone());
            index.insert(Pack::new(name, Some(info)));
        }
        index
    }

    #[test]
    fn what_was_delivered_is_known_after_a_restart_and_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.tmp()).unwrap();
        let (a, b) = (Origin::new("https://a", ""), Origin::new("https://a", "b"));
        let file = folder.path().join(NAME);
        let packs = index(&[(1, "one"), (2, "two")]);
        let delivered = Delivered::load(&layout, &packs, true).unwrap();
        delivered.add(a, PackId(1), &info("one"));
        delivered.add(b, PackId(2), &info("two"));
        delivered.add(b, PackId(2), &info("two"));
        drop(delivered);
        assert_eq!(fs::metadata(&file).unwrap().len(), 2 * ENTRY as u64);
        let check = |packs: &Index| {
            let delivered = Delivered::load(&layout, packs, true).unwrap();
            assert!(delivered.is_by(&[a], PackId(1)) && !delivered.is_by(&[b], PackId(1)));
            assert!(delivered.is_by(&[a, b], PackId(2)) && !delivered.is_by(&[a], PackId(2)));
            assert!(delivered.are_by(&[a, b], &[PackId(1), PackId(2)]));
            assert!(!delivered.are_by(&[a], &[PackId(1), PackId(2)]));
            delivered
        };
        check(&packs);
        // A write that was cut off, and one that went wrong: what comes after it counts all the same.
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend_from_slice(&[7; ENTRY + 13]);
        fs::write(&file, bytes).unwrap();
        check(&packs).add(a, PackId(2), &info("two"));
        let delivered = Delivered::load(&layout, &packs, true).unwrap();
        assert!(delivered.is_by(&[a], PackId(2)));
        delivered.forget(PackId(2));
        assert!(!delivered.is_by(&[a, b], PackId(2)));
        // A number that another path has now.
        let delivered = Delivered::load(&layout, &index(&[(1, "other")]), true).unwrap();
        assert!(!delivered.is_by(&[a, b], PackId(1)));
        assert_eq!(fs::metadata(&file).unwrap().len(), 0);
    }
}
