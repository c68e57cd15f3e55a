//! What a cache has, in little memory: a path is a number, and its references are numbers.

use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use nix_formats::{NarInfo, StorePath};

use super::{GcError, Options};

/// All narinfos of a cache.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Paths that there are, or that others refer to.
    pub(super) entries: Vec<Entry>,
    numbers: HashMap<[u8; 20], u32>,
    /// Files that are no narinfos, though they are called so.
    pub(super) malformed: Vec<String>,
    /// NARs that these may be of.
    pub(super) doubtful: Vec<String>,
}

/// A path.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Its narinfo, if there is one.
    pub(super) file: Option<EntryFile>,
    pub(super) references: Box<[u32]>,
}

/// The narinfo of a path.
#[derive(Debug)]
pub(super) struct EntryFile {
    /// The hash part of the path.
    pub(super) hash_part: String,
    pub(super) modified: SystemTime,
    /// Where the NAR is.
    pub(super) url: String,
    /// The size of the NAR as it is compressed.
    pub(super) file_size: u64,
    pub(super) deriver: Option<StorePath>,
}

impl Index {
    /// Reads all narinfos of a cache.
    pub(super) fn read(folder: &Path, options: &Options) -> Result<Self, GcError> {
        let mut index = Self::default();
        let entries = fs::read_dir(folder).map_err(GcError::io("read", folder))?;
        for entry in entries {
            let entry = entry.map_err(GcError::io("read", folder))?;
            let name = entry.file_name();
            let Some(hash_part) = name.to_str().and_then(|name| name.strip_suffix(".narinfo"))
            else {
                continue;
            };
            index.add(hash_part, &entry.path(), options)?;
        }
        Ok(index)
    }

    fn add(&mut self, hash_part: &str, path: &Path, options: &Options) -> Result<(), GcError> {
        let failed = |source| GcError::io("read", path)(source);
        let read = regular_file::open_no_follow(path).and_then(|file| {
            let modified = file.metadata()?.modified()?;
            let mut text = Vec::new();
            let limit = nix_formats::narinfo::MAX_SIZE as u64 + 1;
            io::Read::read_to_end(&mut io::Read::take(file, limit), &mut text)?;
            Ok((text, modified))
        });
        let (text, modified) = match read {
            Ok(read) => read,
            // Another process may have replaced it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.malformed.push(hash_part.to_owned());
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        let text = String::from_utf8_lossy(&text);
        let info = NarInfo::parse(&options.store_dir, &text);
        let Some(info) = info.ok().filter(|info| info.path.hash_part() == hash_part) else {
            self.malformed.push(hash_part.to_owned());
            let urls = text.lines().filter_map(|line| line.strip_prefix("URL:"));
            self.doubtful.extend(urls.map(|url| url.trim().to_owned()));
            return Ok(());
        };
        let number = self.number(&info.path);
        let references = info.references.iter().filter(|path| **path != info.path);
        let references = references.map(|path| self.number(path)).collect();
        self.entries[number as usize] = Entry {
            file: Some(EntryFile {
                hash_part: hash_part.to_owned(),
                modified,
                file_size: info.file_size.unwrap_or(info.nar_size),
                url: info.url,
                deriver: info.deriver,
            }),
            references,
        };
        Ok(())
    }

    fn number(&mut self, path: &StorePath) -> u32 {
        let next = self.entries.len() as u32;
        let number = *self.numbers.entry(path.hash_bytes()).or_insert(next);
        if number == next {
            self.entries.push(Entry::default());
        }
        number
    }

    /// The number of a path that the cache has.
    pub(super) fn find(&self, path: &StorePath) -> Option<u32> {
        let number = *self.numbers.get(&path.hash_bytes())?;
        let entry = &self.entries[number as usize];
        entry.file.is_some().then_some(number)
    }
}
