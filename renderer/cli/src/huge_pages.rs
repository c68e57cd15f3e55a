//! Where the program's memory comes from.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsStr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// The system's allocator, with huge pages for large blocks where they are cheap.
///
/// An evaluation fills its arena from one end to the other; a page fault for every 4 KiB of it costs more than zeroing. A
/// huge page that the machine has ready costs a quarter of the small ones in its place. But a virtual machine that gives free
/// memory back to its host has to ask for each huge page again, which takes six times as long as small ones: evaluations
/// of whole systems took twice the time. So the first pages of each block are timed, and once one was dear there
/// are no huge pages any more.
pub(crate) struct HugePages;

/// The size of a huge page, and of the smallest block that gets some.
const HUGE_PAGE: usize = 2 << 20;

/// All blocks together that get huge pages, for what is found out about the first page of a block need not hold for a
/// block much larger than this.
const MOST: usize = 64 << 20;

/// More processor time than this for a huge page is dear: zeroing it takes a fifth of that, small pages in its place less.
const DEAR_NANOSECONDS: i64 = 1_000_000;

static POLICY: AtomicU8 = AtomicU8::new(AUTO);
/// As long as they are cheap, up to [`MOST`].
const AUTO: u8 = 0;
/// For all large blocks.
const ALWAYS: u8 = 1;
/// For none, also where the system gives them without being asked.
const NEVER: u8 = 2;

/// What is left of [`MOST`].
static LEFT: AtomicUsize = AtomicUsize::new(MOST);

/// Sets when blocks get huge pages: `auto`, `always` or `never`. Empty is `auto`.
pub(crate) fn configure(setting: &OsStr) -> anyhow::Result<()> {
    let policy = match setting.as_encoded_bytes() {
        b"" | b"auto" => AUTO,
        b"always" => ALWAYS,
        b"never" => NEVER,
        _ => anyhow::bail!(
            "expected auto, always or never in NIPHAS_HUGE_PAGES, found {}",
            setting.display()
        ),
    };
    POLICY.store(policy, Ordering::Relaxed);
    Ok(())
}

/// Whether a new block of this size gets huge pages; `None` leaves that to the system.
fn wants_huge_pages(policy: u8, size: usize, left: &AtomicUsize) -> Option<bool> {
    match policy {
        ALWAYS => Some(true),
        NEVER => Some(false),
        _ => left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(size)
            })
            .is_ok()
            .then_some(true),
    }
}

#[expect(unsafe_code, reason = "advice to the kernel, and the price of a page")]
/// Asks for the pages that a block gets.
///
/// # Safety
///
/// The block is of that size, a multiple of huge pages, and nothing is in it yet.
unsafe fn prepare(block: *mut u8, size: usize) {
    let advise = |advice| {
        // SAFETY: the range is the block. Where there are no huge pages this fails, and nothing is lost.
        unsafe { libc::madvise(block.cast(), size, advice) };
    };
    let policy = POLICY.load(Ordering::Relaxed);
    match wants_huge_pages(policy, size, &LEFT) {
        Some(true) => advise(libc::MADV_HUGEPAGE),
        Some(false) => return advise(libc::MADV_NOHUGEPAGE),
        None => {}
    }
    // Arenas fill their blocks from the end.
    for page in [size - HUGE_PAGE, size / 2] {
        if policy == AUTO && page < size {
            let start = processor_time();
            // SAFETY: the page is in the block, and nothing is in it.
            unsafe { block.add(page).write_volatile(0) };
            if processor_time() - start > DEAR_NANOSECONDS {
                POLICY.store(NEVER, Ordering::Relaxed);
                return advise(libc::MADV_NOHUGEPAGE);
            }
        }
    }
}

#[expect(unsafe_code, reason = "the standard library has no clock of threads")]
/// Nanoseconds that this thread has run.
fn processor_time() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

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
            // SAFETY: the block was just allocated, with this size.
            unsafe { prepare(block, adjusted.size()) };
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
    use super::*;

    #[test]
    fn huge_pages_are_asked_for_until_there_are_enough() {
        let left = AtomicUsize::new(3 * HUGE_PAGE);
        let wanted = |policy, pages| wants_huge_pages(policy, pages * HUGE_PAGE, &left);
        assert_eq!(wanted(ALWAYS, 100), Some(true));
        assert_eq!(wanted(NEVER, 1), Some(false));
        assert_eq!(wanted(AUTO, 2), Some(true));
        assert_eq!(wanted(AUTO, 2), None);
        assert_eq!(wanted(AUTO, 1), Some(true));
        assert_eq!(wanted(AUTO, 1), None);
    }

    #[test]
    fn settings_are_one_of_three() {
        for setting in ["", "auto", "always", "never"] {
            configure(OsStr::new(setting)).unwrap();
        }
        configure(OsStr::new("auto")).unwrap();
        let error = configure(OsStr::new("on")).unwrap_err().to_string();
        let expected = "expected auto, always or never in NIPHAS_HUGE_PAGES, found on";
        assert_eq!(error, expected);
    }

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
