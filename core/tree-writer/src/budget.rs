//! How large a tree may be.

use crate::TreeError;

/// The most directories that are nested in each other, the tree's root included: as in a NAR.
pub const MAX_DEPTH: usize = 64;

/// How large a tree may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The sum of all files' sizes in bytes, holes included.
    pub bytes: u64,
    /// How many files, symlinks and directories there are.
    pub entries: u64,
}

impl Limits {
    /// For a tree that was checked before.
    pub const NONE: Self = Self {
        bytes: u64::MAX,
        entries: u64::MAX,
    };
}

/// What is left of [`Limits`]. Charge it before the work.
#[derive(Debug, Clone)]
pub struct Budget {
    limits: Limits,
    left: Limits,
}

impl Budget {
    /// All of `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            left: limits,
        }
    }

    /// Takes one entry.
    pub fn take_entry(&mut self) -> Result<(), TreeError> {
        let too_many = || TreeError::TooManyEntries(self.limits.entries);
        self.left.entries = self.left.entries.checked_sub(1).ok_or_else(too_many)?;
        Ok(())
    }

    /// Takes the bytes of a file.
    pub fn take_bytes(&mut self, count: u64) -> Result<(), TreeError> {
        let too_many = || TreeError::TooManyBytes(self.limits.bytes);
        self.left.bytes = self.left.bytes.checked_sub(count).ok_or_else(too_many)?;
        Ok(())
    }
}
