//! Directories: sorted entries, cut into blocks that each hold their entries first and then the names.

use crate::error::Error;
use crate::format::{BLOCK, FileType, MAX_NAME_LENGTH, put};

const ENTRY: usize = 12;

/// Whether `name` can be the name of an entry.
pub(crate) fn check_name(name: &[u8]) -> Result<(), Error> {
    if name.is_empty()
        || name == b"."
        || name == b".."
        || name.iter().any(|byte| matches!(byte, b'/' | 0))
    {
        return Err(Error::InvalidName {
            name: name.to_vec(),
        });
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(Error::NameTooLong {
            name: name.to_vec(),
        });
    }
    Ok(())
}

/// The entries of a directory that is still open.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    entries: Vec<Entry>,
    /// The names one after the other: a directory of many entries is a few allocations.
    names: Vec<u8>,
    /// How many entries are directories.
    directories: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    inode: u64,
    name_start: usize,
    name_length: u16,
    file_type: FileType,
}

/// A directory as bytes: whole blocks but for the last, which ends where its last name does.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) bytes: Vec<u8>,
    /// Where the number of the directory's own inode stands in `bytes`: its `.`.
    pub(crate) self_offset: usize,
    /// Where the number of the parent's inode stands in `bytes`: its `..`.
    pub(crate) parent_offset: usize,
}

impl Directory {
    /// Adds an entry. Names are checked for sense here, for being different in [`list`](Self::list).
    pub(crate) fn add(
        &mut self,
        name: &[u8],
        inode: u64,
        file_type: FileType,
    ) -> Result<(), Error> {
        check_name(name)?;
        self.directories += u32::from(file_type == FileType::Directory);
        self.push(name, inode, file_type);
        Ok(())
    }

    fn push(&mut self, name: &[u8], inode: u64, file_type: FileType) {
        let name_start = self.names.len();
        self.names.extend_from_slice(name);
        self.entries.push(Entry {
            inode,
            name_start,
            name_length: name.len() as u16,
            file_type,
        });
    }

    /// Links to the directory: its name, its `.`, and the `..` of each directory in it.
    pub(crate) fn links(&self) -> u32 {
        2 + self.directories
    }

    /// The directory's bytes, with `.` and `..` pointing to inode 0 until told.
    pub(crate) fn list(mut self) -> Result<Listing, Error> {
        self.push(b".", 0, FileType::Directory);
        self.push(b"..", 0, FileType::Directory);
        let names = &self.names;
        let name = |entry: &Entry| &names[entry.name_start..][..usize::from(entry.name_length)];
        // Linux searches by bisection, comparing bytes. Trees that come sorted are sorted in linear time.
        self.entries
            .sort_by(|first, second| name(first).cmp(name(second)));
        for pair in self.entries.windows(2) {
            if let [first, second] = pair
                && name(first) == name(second)
            {
                return Err(Error::DuplicateName {
                    name: name(first).to_vec(),
                });
            }
        }

        let mut bytes = Vec::new();
        let (mut self_offset, mut parent_offset) = (0, 0);
        let mut rest = &self.entries[..];
        while !rest.is_empty() {
            let count = entries_of_a_block(rest);
            let (here, later) = rest.split_at(count);
            let start = bytes.len();
            let mut name_offset = count * ENTRY;
            bytes.resize(start + name_offset, 0);
            for (number, entry) in here.iter().enumerate() {
                let offset = start + number * ENTRY;
                match name(entry) {
                    b"." => self_offset = offset,
                    b".." => parent_offset = offset,
                    _ => {}
                }
                let to = &mut bytes[offset..offset + ENTRY];
                put(to, 0, &entry.inode.to_le_bytes());
                put(to, 8, &(name_offset as u16).to_le_bytes());
                to[10] = entry.file_type as u8;
                bytes.extend_from_slice(name(entry));
                name_offset += usize::from(entry.name_length);
            }
            if !later.is_empty() {
                bytes.resize(start + BLOCK, 0);
            }
            rest = later;
        }
        Ok(Listing {
            bytes,
            self_offset,
            parent_offset,
        })
    }
}

/// How many of the first `entries` fit a block: at least one.
fn entries_of_a_block(entries: &[Entry]) -> usize {
    let mut room = BLOCK;
    entries
        .iter()
        .take_while(|entry| {
            let Some(left) = room.checked_sub(ENTRY + usize::from(entry.name_length)) else {
                return false;
            };
            room = left;
            true
        })
        .count()
}
