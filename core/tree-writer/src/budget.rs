//! How large a tree may be.

use crate::TreeError;

/// How large a tree may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The sum of all files' sizes in bytes, holes included.
    pub bytes: u64,
    /// How many files, symlinks and directories there are.
    pub entries: u64,
    /// How many directories are nested in each other, the tree's root included. Each is held open.
    pub depth: usize,
}

impl Limits {
    /// For a tree that was checked before.
    pub const NONE: Self = Self {
        bytes: u64::MAX,
        entries: u64::MAX,
        depth: usize::MAX,
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

    /// Checks that a directory may be the `depth`th of those that are open.
    pub fn check_depth(&self, depth: usize) -> Result<(), TreeError> {
        if depth > self.limits.depth {
            return Err(TreeError::TooDeep(self.limits.depth));
        }
        Ok(())
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
