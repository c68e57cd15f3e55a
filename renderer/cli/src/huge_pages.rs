//! Where the program's memory comes from.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with huge pages for large blocks.
///
/// An evaluation fills its arena from one end to the other; a page fault for every 4 KiB of it costs more than zeroing.
pub(crate) struct HugePages;

/// The size of a huge page, and of the smallest block that gets some.
const HUGE_PAGE: usize = 2 << 20;

/// What is asked of the system for a block: whole huge pages, if it is large.
fn adjusted(layout: Layout) -> Option<Layout> {
    if layout.size() < HUGE_PAGE {
        return Some(layout);
    }
    let size = layout.size().checked_next_multiple_of(HUGE_PAGE)?;
    Layout::from_size_align(size, layout.align().max(HUGE_PAGE)).ok()
}

#[expect(
    unsafe_code,
    reason = "an allocator's interface is unsafe, and so is advice to the kernel"
)]
// SAFETY: every block comes from `System` and goes back to it with one and the same layout, `adjusted`, which is at
// least as large and as aligned as what was asked for. The advice changes no contents.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(adjusted) = adjusted(layout) else {
            return std::ptr::null_mut();
        };
        // SAFETY: `adjusted` is not of size zero, for `layout` is not.
        let block = unsafe { System.alloc(adjusted) };
        if adjusted.size() >= HUGE_PAGE && !block.is_null() {
            // SAFETY: the range is the block just allocated. Where there are no huge pages this fails, and nothing is lost.
            unsafe { libc::madvise(block.cast(), adjusted.size(), libc::MADV_HUGEPAGE) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(adjusted) = adjusted(layout) {
            // SAFETY: the block was allocated with this layout.
            unsafe { System.dealloc(block, adjusted) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match adjusted(layout) {
            // SAFETY: as in `alloc`.
            Some(adjusted) => unsafe { System.alloc_zeroed(adjusted) },
            None => std::ptr::null_mut(),
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size().max(size) < HUGE_PAGE {
            // SAFETY: small blocks have the layout that was asked for.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: the caller answers for the new size not being zero, nor overflowing with this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the new block is as large as what is copied, and another one than the old.
        unsafe {
            let new = self.alloc(new_layout);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn contents_stay_when_a_block_becomes_large_and_small_again() {
        let mut numbers: Vec<u32> = (0..1_000).collect();
        while numbers.len() < 3_000_000 {
            numbers.push(numbers.len() as u32);
        }
        assert!(
            numbers
                .iter()
                .enumerate()
                .all(|(n, &number)| number as usize == n)
        );
        numbers.truncate(10);
        numbers.shrink_to_fit();
        assert_eq!(numbers, (0..10).collect::<Vec<u32>>());
    }

    #[test]
    fn large_zeroed_blocks_are_zeroed() {
        let dirty = vec![1_u8; 5 << 20];
        drop(dirty);
        assert!(vec![0_u8; 5 << 20].iter().all(|&byte| byte == 0));
    }
}
