//! The extents of a file as chunks: pieces of one size, a power of two of blocks, each with an index that tells its place.

use crate::error::Error;
use crate::format::{BLOCK_SIZE, HOLE, MAX_CHUNK_BITS, chunk_index};

/// An extra device of an image, as [`ImageBuilder::device`](crate::ImageBuilder::device) numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIndex(pub(crate) u16);

impl DeviceIndex {
    /// Where the device stands in the table and among the `device` options of a mount, from 0.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// A run of a file's bytes. A file's extents follow one another without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    length: u64,
    place: Option<(DeviceIndex, u64)>,
}

impl Extent {
    /// `length` bytes that lie at byte `offset` of `device`, a multiple of [`BLOCK_SIZE`]. What follows them up to the next
    /// such multiple must be zeros: programs that map the file see it after its end.
    pub fn data(length: u64, device: DeviceIndex, offset: u64) -> Self {
        Self {
            length,
            place: Some((device, offset)),
        }
    }

    /// `length` zeros that lie nowhere.
    pub fn hole(length: u64) -> Self {
        Self {
            length,
            place: None,
        }
    }
}

/// Indexes a file may have: with the smallest chunks a file of 2 GiB, with one extent a file of 2⁶² bytes.
pub(crate) const MAX_CHUNKS: u64 = 1 << 22;

/// Extra devices and how many bytes each has.
pub(crate) type DeviceLengths<'a> = &'a [u64];

/// How the contents of one file are cut.
#[derive(Debug)]
pub(crate) struct Chunks {
    pub(crate) size: u64,
    /// The size of a chunk is this power of two, in blocks.
    pub(crate) bits: u32,
    extents: Vec<Extent>,
}

impl Chunks {
    /// Cuts `extents` into the fewest chunks. `name` is for errors.
    pub(crate) fn cut(
        name: &[u8],
        extents: &[Extent],
        devices: DeviceLengths<'_>,
    ) -> Result<Self, Error> {
        let extents = merge(name, extents, devices)?;
        let mut size = 0_u64;
        // All ends but the last, of which chunks must not run across any.
        let mut ends = 0;
        for extent in &extents {
            ends |= size;
            size = size
                .checked_add(extent.length)
                .filter(|size| i64::try_from(*size).is_ok())
                .ok_or_else(|| Error::FileTooLong {
                    name: name.to_vec(),
                })?;
        }
        if ends % BLOCK_SIZE != 0 {
            let offset = ends_of(&extents)
                .find(|end| end % BLOCK_SIZE != 0)
                .unwrap_or(ends);
            return Err(Error::UnalignedExtent {
                name: name.to_vec(),
                offset,
            });
        }
        let blocks = size.div_ceil(BLOCK_SIZE).max(1);
        let whole = blocks.next_power_of_two().trailing_zeros();
        let bits = whole
            .min((ends / BLOCK_SIZE).trailing_zeros())
            .min(MAX_CHUNK_BITS);
        let chunks = Self {
            size,
            bits,
            extents,
        };
        if chunks.count() > MAX_CHUNKS {
            return Err(Error::TooFragmented {
                name: name.to_vec(),
                chunks: chunks.count(),
                limit: MAX_CHUNKS,
            });
        }
        Ok(chunks)
    }

    /// How many indexes there are.
    pub(crate) fn count(&self) -> u64 {
        self.size.div_ceil(BLOCK_SIZE << self.bits)
    }

    /// The indexes, one after the other.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = [u8; 8]> {
        let chunk = BLOCK_SIZE << self.bits;
        self.extents.iter().flat_map(move |extent| {
            (0..extent.length.div_ceil(chunk)).map(move |number| match extent.place {
                Some((device, offset)) => {
                    // In range: the extent ends within its device.
                    let block = (offset + number * chunk) / BLOCK_SIZE;
                    chunk_index(device.0 + 1, block as u32)
                }
                None => chunk_index(0, HOLE),
            })
        })
    }
}

/// Where the extents end in their file, in bytes.
fn ends_of(extents: &[Extent]) -> impl Iterator<Item = u64> {
    extents.iter().scan(0, |end, extent| {
        *end += extent.length;
        Some(*end)
    })
}

/// The extents without empty ones, those that continue the one before joined to it, each checked against its device.
fn merge(
    name: &[u8],
    extents: &[Extent],
    devices: DeviceLengths<'_>,
) -> Result<Vec<Extent>, Error> {
    let mut merged: Vec<Extent> = Vec::with_capacity(extents.len());
    for extent in extents {
        if let Some((device, offset)) = extent.place {
            let length = extent.length;
            let Some(&device_length) = devices.get(device.position()) else {
                return Err(Error::UnknownDevice {
                    name: name.to_vec(),
                    device: device.0,
                    devices: devices.len(),
                });
            };
            if offset % BLOCK_SIZE != 0 {
                return Err(Error::UnalignedExtent {
                    name: name.to_vec(),
                    offset,
                });
            }
            if offset
                .checked_add(length)
                .is_none_or(|end| end > device_length)
            {
                return Err(Error::ExtentPastDevice {
                    name: name.to_vec(),
                    offset,
                    length,
                    device_length,
                });
            }
        }
        if extent.length == 0 {
            continue;
        }
        let joined = merged.last().and_then(|last| continued(*last, *extent));
        if let (Some(last), Some(joined)) = (merged.last_mut(), joined) {
            *last = joined;
        } else {
            merged.push(*extent);
        }
    }
    Ok(merged)
}

/// Both extents as one, if the second goes on where the first ends.
fn continued(first: Extent, second: Extent) -> Option<Extent> {
    let goes_on = match (first.place, second.place) {
        (None, None) => true,
        (Some((device, offset)), Some(next)) => next == (device, offset + first.length),
        _ => false,
    };
    let length = first.length.checked_add(second.length)?;
    goes_on.then_some(Extent {
        length,
        place: first.place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: DeviceIndex = DeviceIndex(0);
    const GIB: u64 = 1 << 30;

    fn cut(extents: &[Extent]) -> Result<Chunks, Error> {
        Chunks::cut(b"file", extents, &[1 << 41])
    }

    #[test]
    fn a_file_of_one_extent_is_one_chunk() {
        for (size, bits) in [
            (1, 0),
            (512, 0),
            (513, 1),
            (4096, 3),
            (4 * GIB + 1, 24),
            (1 << 40, 31),
        ] {
            let chunks = cut(&[Extent::data(size, PACK, 1024)]).unwrap();
            assert_eq!((chunks.count(), chunks.bits), (1, bits), "{size} bytes");
            assert_eq!(chunks.indexes().collect::<Vec<_>>(), [chunk_index(1, 2)]);
        }
    }

    #[test]
    fn a_file_larger_than_the_greatest_chunk_takes_several() {
        let chunks = Chunks::cut(
            b"file",
            &[Extent::data((1 << 40) + 1, PACK, 512)],
            &[1 << 41],
        )
        .unwrap();
        assert_eq!(
            chunks.indexes().collect::<Vec<_>>(),
            [chunk_index(1, 1), chunk_index(1, (1 << 31) + 1)]
        );
    }

    #[test]
    fn chunks_are_as_large_as_all_ends_allow() {
        let extents = [
            Extent::data(8192, PACK, 512),
            Extent::hole(4096),
            Extent::data(100, PACK, 0),
        ];
        let chunks = cut(&extents).unwrap();
        assert_eq!((chunks.size, chunks.bits), (12388, 3));
        assert_eq!(
            chunks.indexes().collect::<Vec<_>>(),
            [
                chunk_index(1, 1),
                chunk_index(1, 9),
                chunk_index(0, HOLE),
                chunk_index(1, 0)
            ]
        );
    }

    #[test]
    fn extents_that_go_on_in_their_device_are_one() {
        let extents = [
            Extent::data(512, PACK, 512),
            Extent::hole(0),
            Extent::data(700, PACK, 1024),
        ];
        assert_eq!(cut(&extents).unwrap().count(), 1);
        assert_eq!(
            cut(&[Extent::hole(3), Extent::hole(4 * GIB)])
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn an_extent_in_the_middle_ends_at_a_block() {
        let extents = [
            Extent::data(512, PACK, 512),
            Extent::hole(7),
            Extent::data(700, PACK, 1024),
        ];
        let error = cut(&extents).unwrap_err();
        assert_eq!(
            error,
            Error::UnalignedExtent {
                name: b"file".to_vec(),
                offset: 519
            }
        );
        let error = cut(&[Extent::data(1, PACK, 100)]).unwrap_err();
        assert_eq!(
            error,
            Error::UnalignedExtent {
                name: b"file".to_vec(),
                offset: 100
            }
        );
    }

    #[test]
    fn extents_lie_within_their_device() {
        let error = Chunks::cut(b"file", &[Extent::data(513, PACK, 512)], &[1024]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::ExtentPastDevice {
                    length: 513,
                    device_length: 1024,
                    ..
                }
            ),
            "{error}"
        );
        let error =
            Chunks::cut(b"file", &[Extent::data(u64::MAX, PACK, 512)], &[1024]).unwrap_err();
        assert!(matches!(error, Error::ExtentPastDevice { .. }), "{error}");
        let error =
            Chunks::cut(b"file", &[Extent::data(1, DeviceIndex(1), 0)], &[1024]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::UnknownDevice {
                    device: 1,
                    devices: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn sizes_and_indexes_are_bounded() {
        assert!(matches!(
            cut(&[Extent::hole(u64::MAX)]),
            Err(Error::FileTooLong { .. })
        ));
        assert!(matches!(
            cut(&[
                Extent::hole(1 << 62),
                Extent::data(1, PACK, 0),
                Extent::hole(1 << 62)
            ]),
            Err(Error::FileTooLong { .. } | Error::UnalignedExtent { .. })
        ));
        let error = cut(&[Extent::data(512, PACK, 0), Extent::hole(1 << 40)]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooFragmented {
                    chunks: 2_147_483_649,
                    ..
                }
            ),
            "{error}"
        );
    }
}
