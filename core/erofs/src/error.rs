//! What the format cannot hold.

/// Why an image cannot be built.
///
/// Names and targets are shown with their bytes escaped where they are not printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A directory entry has no name, or one that means something else: `.`, `..`, or a name with a slash or a zero byte.
    #[error("{:?} is no name of a directory entry", name.escape_ascii().to_string())]
    InvalidName {
        /// The name as given.
        name: Vec<u8>,
    },
    /// A name has more than [`MAX_NAME_LENGTH`](crate::MAX_NAME_LENGTH) bytes.
    #[error("the name {:?} has {} bytes, and a directory entry holds {}", name.escape_ascii().to_string(), name.len(), crate::MAX_NAME_LENGTH)]
    NameTooLong {
        /// The name as given.
        name: Vec<u8>,
    },
    /// A directory has two entries of one name.
    #[error("the name {:?} stands twice in one directory", name.escape_ascii().to_string())]
    DuplicateName {
        /// The name.
        name: Vec<u8>,
    },
    /// The target of a symlink is empty or has a zero byte.
    #[error("the symlink {:?} has the target {:?}, which is no path", name.escape_ascii().to_string(), target.escape_ascii().to_string())]
    InvalidTarget {
        /// The name of the symlink.
        name: Vec<u8>,
        /// Its target as given.
        target: Vec<u8>,
    },
    /// The target of a symlink has more than [`MAX_SYMLINK_LENGTH`](crate::MAX_SYMLINK_LENGTH) bytes.
    #[error("the symlink {:?} has a target of {length} bytes, and Linux follows no more than {}", name.escape_ascii().to_string(), crate::MAX_SYMLINK_LENGTH)]
    TargetTooLong {
        /// The name of the symlink.
        name: Vec<u8>,
        /// Bytes of its target.
        length: usize,
    },
    /// A device has an empty tag, one with a zero byte, or one longer than [`MAX_TAG_LENGTH`](crate::MAX_TAG_LENGTH).
    #[error("{:?} is no tag of a device: it takes 1 to {} bytes, none of them zero", tag.escape_ascii().to_string(), crate::MAX_TAG_LENGTH)]
    InvalidTag {
        /// The tag as given.
        tag: Vec<u8>,
    },
    /// There are more than [`MAX_DEVICES`](crate::MAX_DEVICES) devices.
    #[error("an image refers to {} devices at most", crate::MAX_DEVICES)]
    TooManyDevices,
    /// A device has more bytes than block numbers of 32 bits reach.
    #[error("the device {:?} has {length} bytes, and block numbers reach {limit}", tag.escape_ascii().to_string())]
    DeviceTooLong {
        /// The tag of the device.
        tag: Vec<u8>,
        /// Its length in bytes.
        length: u64,
        /// The greatest length in bytes.
        limit: u64,
    },
    /// An extent names a device that the image does not have.
    #[error("the file {:?} refers to device {device}, and the image has {devices}", name.escape_ascii().to_string())]
    UnknownDevice {
        /// The name of the file.
        name: Vec<u8>,
        /// The device's number, from 0.
        device: u16,
        /// How many devices there are.
        devices: usize,
    },
    /// An extent does not start at a multiple of [`BLOCK_SIZE`](crate::BLOCK_SIZE) in its device, or one that is not the
    /// last does not end at such a multiple in its file.
    #[error("the file {:?} has an extent at {offset}, which is no multiple of {}", name.escape_ascii().to_string(), crate::BLOCK_SIZE)]
    UnalignedExtent {
        /// The name of the file.
        name: Vec<u8>,
        /// The offset in bytes: in the device where the extent starts, or in the file where it ends.
        offset: u64,
    },
    /// An extent reaches past the end of its device.
    #[error("the file {:?} refers to {length} bytes at {offset} of a device of {device_length} bytes", name.escape_ascii().to_string())]
    ExtentPastDevice {
        /// The name of the file.
        name: Vec<u8>,
        /// Where the extent starts in the device, in bytes.
        offset: u64,
        /// Its length in bytes.
        length: u64,
        /// The length of the device in bytes.
        device_length: u64,
    },
    /// A file's extents add up to more than a file may have (2⁶³ − 1 bytes).
    #[error("the file {:?} is longer than files can be", name.escape_ascii().to_string())]
    FileTooLong {
        /// The name of the file.
        name: Vec<u8>,
    },
    /// A file has too many or too badly aligned extents: its index would take more than its share of memory.
    #[error("the file {:?} would need {chunks} chunk indexes, and {limit} are allowed", name.escape_ascii().to_string())]
    TooFragmented {
        /// The name of the file.
        name: Vec<u8>,
        /// How many indexes it would need.
        chunks: u64,
        /// How many a file may have.
        limit: u64,
    },
    /// The metadata takes more blocks than block numbers of 32 bits count.
    #[error("the metadata takes {blocks} blocks, more than an image can have")]
    ImageTooLarge {
        /// Blocks of 512 bytes.
        blocks: u64,
    },
    /// The scratch space can't be written or read.
    #[error("failed to use the scratch space of an image: {0}")]
    Scratch(std::io::ErrorKind),
    /// [`leave`](crate::ImageBuilder::leave) without a directory entered before, or a directory entered and never left.
    #[error("directories entered and left do not match")]
    Unbalanced,
}
