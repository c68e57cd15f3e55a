//! Reads images as Linux does, with its checks, and panics where Linux would refuse.

use std::collections::{BTreeMap, HashSet};

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    Symlink(Vec<u8>),
    File {
        executable: bool,
        size: u64,
        runs: Vec<Run>,
    },
}

/// Bytes of a file that lie together; `None` are zeros. Lengths are those of the format, so whole blocks but for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) length: u64,
    pub(crate) place: Option<(u16, u64)>,
}

/// An image as bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    inode_area: usize,
    root: u64,
    inodes: u64,
    /// Tags and blocks.
    devices: Vec<(String, u64)>,
}

#[derive(Debug)]
struct Inode {
    number: u64,
    mode: u16,
    links: u32,
    size: u64,
    layout: u16,
    place: u32,
    end: usize,
}

const BLOCK: usize = 512;

/// Name, inode and type.
type Entry = (Vec<u8>, u64, u8);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let superblock = &bytes[1024..1152];
        assert_eq!(number(superblock, 0, 4), 0xe0f5_e1e2, "magic");
        let mut summed = bytes[1024..1536].to_vec();
        summed[4..8].fill(0);
        assert_eq!(
            number(superblock, 4, 4),
            u64::from(crc32c(&summed)),
            "checksum"
        );
        assert_eq!(number(superblock, 8, 4), 3, "compatible features");
        assert_eq!(superblock[12], 9, "block size");
        assert_eq!(number(superblock, 24, 8), 1, "epoch");
        assert_eq!(
            number(superblock, 36, 4) as usize * BLOCK,
            bytes.len(),
            "blocks"
        );
        assert_eq!(superblock[90], 0, "size of directory blocks");
        let devices = number(superblock, 86, 2) as usize;
        let incompatible = if devices == 0 { 4 } else { 12 };
        assert_eq!(
            number(superblock, 80, 4),
            incompatible,
            "incompatible features"
        );
        let table = number(superblock, 88, 2) as usize * 128;
        let devices = (0..devices)
            .map(|device| {
                let slot = &bytes[table + device * 128..][..128];
                let tag = slot[..64].split(|byte| *byte == 0).next().unwrap();
                assert_eq!(
                    number(slot, 68, 4),
                    0,
                    "devices have no place in the image's own numbers"
                );
                (
                    String::from_utf8(tag.to_vec()).unwrap(),
                    number(slot, 64, 4),
                )
            })
            .collect();
        let inode_area = number(superblock, 40, 4) as usize * BLOCK;
        let (root, inodes) = (number(superblock, 14, 2), number(superblock, 16, 8));
        Self {
            bytes,
            inode_area,
            root,
            inodes,
            devices,
        }
    }

    /// The tags of the devices, and how many blocks each has.
    pub(crate) fn devices(&self) -> &[(String, u64)] {
        &self.devices
    }

    /// All nodes by path; the root has the empty path. Checks that every name is found by bisection, too.
    pub(crate) fn tree(&self) -> BTreeMap<Vec<u8>, Node> {
        let nodes = self.walk();
        assert_eq!(self.inodes as usize, nodes.len(), "number of inodes");
        nodes
    }

    fn walk(&self) -> BTreeMap<Vec<u8>, Node> {
        let (mut nodes, mut seen) = (BTreeMap::new(), HashSet::new());
        // Trees are deeper than the stack of a test's thread.
        let mut left = vec![(Vec::new(), self.root, self.root)];
        while let Some((path, number, parent)) = left.pop() {
            let inode = self.inode(number);
            assert!(seen.insert(number), "inode {number} stands in two places");
            let node = match inode.mode {
                0o100_444 | 0o100_555 => {
                    assert_eq!(inode.links, 1);
                    Node::File {
                        executable: inode.mode & 0o111 != 0,
                        size: inode.size,
                        runs: self.runs(&inode),
                    }
                }
                0o120_777 => {
                    assert_eq!(inode.links, 1);
                    Node::Symlink(self.contents(&inode))
                }
                0o040_555 => {
                    let blocks = self.entries(&inode);
                    let entries = blocks.concat();
                    assert!(
                        entries.is_sorted_by(|first, second| first.0 < second.0),
                        "entries are sorted"
                    );
                    let directories = entries.iter().filter(|entry| entry.2 == 2).count();
                    assert_eq!(inode.links as usize, directories, "links of a directory");
                    for (name, child, kind) in entries {
                        assert_eq!(
                            find(&blocks, &name),
                            Some(child),
                            "found by bisection: {name:?}"
                        );
                        match &name[..] {
                            b"." => assert_eq!(child, number),
                            b".." => assert_eq!(child, parent),
                            _ => {
                                let expected = match self.inode(child).mode >> 12 {
                                    0o04 => 2,
                                    0o10 => 1,
                                    0o12 => 7,
                                    other => panic!("type {other:o}"),
                                };
                                assert_eq!(kind, expected, "type of {name:?}");
                                left.push(([&path[..], b"/", &name].concat(), child, number));
                            }
                        }
                    }
                    assert_eq!(find(&blocks, b"no such name\xff"), None);
                    Node::Directory
                }
                other => panic!("mode {other:o}"),
            };
            nodes.insert(path, node);
        }
        nodes
    }

    fn inode(&self, inode: u64) -> Inode {
        let start = self.inode_area + inode as usize * 32;
        let bytes = &self.bytes[start..];
        let format = number(bytes, 0, 2) as u16;
        let extended = format & 1 == 1;
        assert_eq!(number(bytes, 2, 2), 0, "no extended attributes");
        if extended {
            assert_eq!(number(bytes, 32, 8), 1, "modification time");
        }
        let (size, links) = if extended {
            ((8, 8), (44, 4))
        } else {
            ((8, 4), (6, 2))
        };
        Inode {
            number: inode,
            mode: number(bytes, 4, 2) as u16,
            links: number(bytes, links.0, links.1) as u32,
            size: number(bytes, size.0, size.1),
            layout: format >> 1,
            place: number(bytes, 16, 4) as u32,
            end: start + if extended { 64 } else { 32 },
        }
    }

    /// The bytes of a directory or symlink.
    fn contents(&self, inode: &Inode) -> Vec<u8> {
        let size = inode.size as usize;
        let start = inode.place as usize * BLOCK;
        match inode.layout {
            0 => self.bytes[start..start + size].to_vec(),
            2 => {
                let tail = size % BLOCK;
                assert_ne!(tail, 0, "a tail has bytes");
                assert!(
                    inode.end % BLOCK + tail <= BLOCK,
                    "a tail does not cross the end of a block"
                );
                let whole = size - tail;
                let blocks = if whole == 0 {
                    &[][..]
                } else {
                    &self.bytes[start..start + whole]
                };
                [blocks, &self.bytes[inode.end..inode.end + tail]].concat()
            }
            other => panic!("inode {}: layout {other}", inode.number),
        }
    }

    fn runs(&self, inode: &Inode) -> Vec<Run> {
        if inode.size == 0 {
            return Vec::new();
        }
        assert_eq!(inode.layout, 4, "files are in chunks");
        assert_eq!(inode.place & !0x1f, 0x20, "with indexes of 8 bytes");
        let chunk = 512_u64 << (inode.place & 0x1f);
        assert_eq!(inode.end % 8, 0);
        let mut runs: Vec<Run> = Vec::new();
        for index in 0..inode.size.div_ceil(chunk) {
            let bytes = &self.bytes[inode.end + index as usize * 8..][..8];
            assert_eq!(number(bytes, 0, 2), 0);
            let length = chunk.min(inode.size - index * chunk);
            let (device, block) = (number(bytes, 2, 2) as u16, number(bytes, 4, 4));
            let place = (block != 0xffff_ffff)
                .then(|| (device.checked_sub(1).expect("an extra device"), block * 512));
            if let (Some((device, offset)), Some(last)) = (place, runs.last_mut())
                && last.place == Some((device, offset.wrapping_sub(last.length)))
            {
                last.length += length;
            } else if let Some(last) = runs.last_mut()
                && last.place.is_none()
                && place.is_none()
            {
                last.length += length;
            } else {
                runs.push(Run { length, place });
            }
        }
        runs
    }

    /// The entries of a directory, block by block.
    fn entries(&self, inode: &Inode) -> Vec<Vec<Entry>> {
        self.contents(inode).chunks(BLOCK).map(entries_of).collect()
    }
}

/// Looks for a name as Linux does: for the last block whose first name is not greater, then in it.
fn find(blocks: &[Vec<Entry>], name: &[u8]) -> Option<u64> {
    let block = blocks
        .partition_point(|entries| &entries[0].0[..] <= name)
        .checked_sub(1)?;
    let entry = blocks[block]
        .binary_search_by(|entry| entry.0[..].cmp(name))
        .ok()?;
    Some(blocks[block][entry].1)
}

fn entries_of(block: &[u8]) -> Vec<Entry> {
    let names = number(block, 8, 2) as usize;
    assert!(
        names >= 12 && names.is_multiple_of(12) && names < BLOCK,
        "the first name starts after the entries"
    );
    let count = names / 12;
    let start = |entry: usize| number(block, entry * 12 + 8, 2) as usize;
    (0..count)
        .map(|entry| {
            let end = if entry + 1 < count {
                start(entry + 1)
            } else {
                let rest = &block[start(entry)..];
                start(entry)
                    + rest
                        .iter()
                        .position(|byte| *byte == 0)
                        .unwrap_or(rest.len())
            };
            let name = block[start(entry)..end].to_vec();
            assert!(!name.is_empty() && name.len() <= 255);
            (name, number(block, entry * 12, 8), block[entry * 12 + 10])
        })
        .collect()
}

fn number(bytes: &[u8], offset: usize, length: usize) -> u64 {
    bytes[offset..offset + length]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// CRC-32C (reflected 0x1EDC6F41) from all ones, without the last inversion, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}
