//! Making `.ls` listings of NARs while they are written.

use std::io::{self, PipeWriter, Write};
use std::thread::JoinHandle;

use nix_formats::nar::{Event, Reader};
use serde_json::{Map, Value, json};

/// Entries that are listed. A listing is held in memory until the NAR is read.
const MAX_ENTRIES: usize = 200_000;

/// Parses a NAR on a thread of its own, from what is written to it.
pub(crate) struct ListingBuilder {
    pipe: PipeWriter,
    parser: JoinHandle<io::Result<Option<Value>>>,
}

impl ListingBuilder {
    pub(crate) fn start() -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        let parser = std::thread::Builder::new()
            .name("listing".to_owned())
            .spawn(move || {
                let mut reader = Reader::new(reader);
                let listing = list(&mut reader)?;
                Ok(listing)
            })?;
        Ok(Self { pipe, parser })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pipe.write_all(bytes)
    }

    /// The listing as Nix writes it; none if it would have more than [`MAX_ENTRIES`].
    pub(crate) fn finish(self) -> io::Result<Option<Vec<u8>>> {
        drop(self.pipe);
        let root = self
            .parser
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the listing's thread failed")))?;
        let listing = |root| {
            json!({ "root": root, "version": 1 })
                .to_string()
                .into_bytes()
        };
        Ok(root.map(listing))
    }
}

/// A folder that is being read, and the name of the entry that comes next.
struct Open {
    entries: Map<String, Value>,
    name: String,
}

fn list(reader: &mut Reader<impl io::Read>) -> io::Result<Option<Value>> {
    let mut open: Vec<Open> = Vec::new();
    let mut entries = 0;
    let mut root = Value::Null;
    while let Some(event) = reader.next_event().map_err(io::Error::other)? {
        let node = match event {
            Event::Directory => {
                open.push(Open {
                    entries: Map::new(),
                    name: String::new(),
                });
                continue;
            }
            Event::Entry(_) if entries == MAX_ENTRIES => {
                // The rest is read, so that the other end of the pipe can write it.
                while reader.next_event().map_err(io::Error::other)?.is_some() {}
                return Ok(None);
            }
            Event::Entry(name) => {
                entries += 1;
                if let Some(folder) = open.last_mut() {
                    folder.name = String::from_utf8_lossy(&name).into_owned();
                }
                continue;
            }
            Event::EndDirectory => {
                let entries = open.pop().map(|folder| folder.entries);
                json!({ "type": "directory", "entries": entries })
            }
            Event::File {
                executable,
                size,
                offset,
            } => {
                let mut file = json!({ "type": "regular", "size": size, "narOffset": offset });
                if executable {
                    file["executable"] = true.into();
                }
                file
            }
            Event::Symlink(target) => {
                json!({ "type": "symlink", "target": String::from_utf8_lossy(&target) })
            }
        };
        match open.last_mut() {
            Some(folder) => {
                folder
                    .entries
                    .insert(std::mem::take(&mut folder.name), node);
            }
            None => root = node,
        }
    }
    Ok(Some(root))
}
