//! What a builder sends: where its pieces lie in the builder's memory.

use rustix::io::Errno;

use super::address::MAX_LENGTH;
use super::call::{Call, Layout};
use super::caller::Caller;

/// As many pieces as the kernel takes in a message.
const MAX_PIECES: u64 = 1024;

/// The length of `struct mmsghdr` but for the count of bytes, and the whole.
const WIDE: (usize, u64) = (56, 64);
const NARROW: (usize, u64) = (28, 32);

/// A message in the memory of a builder.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// As many bytes as the builder says; none if there is no address.
    pub(super) address: Vec<u8>,
    /// Address and length of each piece.
    pub(super) pieces: Vec<(u64, u64)>,
    /// Where its control messages lie, and how long they are.
    pub(super) control: (u64, u64),
}

impl Message {
    /// What `sendto` sends.
    pub(super) fn of_send_to(call: &Call, caller: &Caller) -> Result<Self, Errno> {
        let [_, data, length, _, address, _] = call.args;
        Ok(Self {
            address: read_address(caller, address, call.int(5))?,
            pieces: vec![(data, length)],
            control: (0, 0),
        })
    }

    /// What a structure (`struct msghdr`) says.
    pub(super) fn read(caller: &Caller, layout: Layout, at: u64) -> Result<Self, Errno> {
        let mut bytes = [0; WIDE.0];
        let [name, length, pieces, count, control, control_length] = match layout {
            Layout::Wide => {
                caller.read(at, &mut bytes)?;
                let word = |index| word(&bytes, index, 8);
                [word(0), word(1), word(2), word(3), word(4), word(5)]
            }
            Layout::Narrow => {
                caller.read(at, &mut bytes[..NARROW.0])?;
                let word = |index| word(&bytes, index, 4);
                [word(0), word(1), word(2), word(3), word(4), word(5)]
            }
        };
        let length = (length as u32).cast_signed();
        // The kernel takes a name that is too long for this call, and cuts it.
        let length = length.min(MAX_LENGTH as i32);
        Ok(Self {
            address: read_address(caller, name, length)?,
            pieces: read_pieces(caller, layout, pieces, count)?,
            control: if control == 0 {
                (0, 0)
            } else {
                (control, control_length)
            },
        })
    }

    pub(super) fn length(&self) -> u64 {
        let lengths = self.pieces.iter().map(|(_, length)| *length);
        lengths.fold(0, u64::saturating_add)
    }

    /// The pieces of a part of the message.
    pub(super) fn part(&self, mut skip: u64, mut length: u64) -> Vec<(u64, u64)> {
        let mut part = Vec::new();
        for (address, piece) in &self.pieces {
            let skipped = skip.min(*piece);
            skip -= skipped;
            let taken = length.min(piece - skipped);
            length -= taken;
            if taken > 0 {
                part.push((address.wrapping_add(skipped), taken));
            }
        }
        part
    }
}

/// The place of a message in a list (`struct mmsghdr`), and the place of its count of bytes.
pub(super) fn in_list(layout: Layout, at: u64, index: u64) -> (u64, u64) {
    let (count, size) = match layout {
        Layout::Wide => WIDE,
        Layout::Narrow => NARROW,
    };
    let start = at.wrapping_add(index * size);
    (start, start.wrapping_add(count as u64))
}

/// Reads an address of as many bytes as the builder says.
pub(super) fn read_address(caller: &Caller, at: u64, length: i32) -> Result<Vec<u8>, Errno> {
    if at == 0 {
        return Ok(Vec::new());
    }
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_LENGTH)
        .ok_or(Errno::INVAL)?;
    let mut address = vec![0; length];
    caller.read(at, &mut address)?;
    Ok(address)
}

fn read_pieces(
    caller: &Caller,
    layout: Layout,
    at: u64,
    count: u64,
) -> Result<Vec<(u64, u64)>, Errno> {
    if count > MAX_PIECES {
        return Err(Errno::MSGSIZE);
    }
    let size = match layout {
        Layout::Wide => 8,
        Layout::Narrow => 4,
    };
    let mut bytes = vec![0; 2 * size * count as usize];
    caller.read(at, &mut bytes)?;
    let pieces = (0..count as usize).map(|index| {
        (
            word(&bytes, 2 * index, size),
            word(&bytes, 2 * index + 1, size),
        )
    });
    Ok(pieces.collect())
}

/// One of several numbers of the same size.
pub(super) fn word(bytes: &[u8], index: usize, size: usize) -> u64 {
    let mut word = [0; 8];
    word[..size].copy_from_slice(&bytes[index * size..][..size]);
    u64::from_le_bytes(word)
}
