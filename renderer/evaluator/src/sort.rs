//! Sorting as Nix does, comparison for comparison.
//!
//! Which elements are compared, and in what order, is seen from outside: by what an order that fails says, and by what
//! becomes of a list under an order that is none (`a: b: true`). Since 2.31 Nix sorts with peeksort (Munro and Wild, *Nearly-
//! Optimal Mergesorts*, 2018): it looks for the run in the middle of a range, sorts what is left of it and right of it, and
//! merges. Whatever the order says, a permutation comes out.

/// Ranges up to this long are sorted by insertion.
const SHORT: usize = 16;

/// Sorts stably, in n log n comparisons. Ends with the first error of the order.
pub(crate) fn peeksort<T: Copy, E>(
    values: &mut [T],
    less: impl FnMut(T, T) -> Result<bool, E>,
) -> Result<(), E> {
    let length = values.len();
    let mut sorter = Sorter {
        values,
        less,
        buffer: Vec::new(),
    };
    match length {
        0 | 1 => Ok(()),
        2 => sorter.insert(0, 2),
        _ => sorter.sort(0, length, 0, length),
    }
}

struct Sorter<'v, T, F> {
    values: &'v mut [T],
    less: F,
    buffer: Vec<T>,
}

impl<T: Copy, E, F: FnMut(T, T) -> Result<bool, E>> Sorter<'_, T, F> {
    /// Sorts from `start` to `end`, where what ends at `left` and what begins at `right` is sorted already.
    fn sort(&mut self, start: usize, end: usize, left: usize, right: usize) -> Result<(), E> {
        if left == end || right == start {
            return Ok(());
        }
        if end - start <= SHORT {
            return self.insert(start, end);
        }
        let middle = start + (end - start) / 2;
        if middle <= left {
            self.sort(left, end, left + 1, right)?;
            return self.merge(start, left, end);
        }
        if middle >= right {
            self.sort(start, right, left, right - 1)?;
            return self.merge(start, right, end);
        }
        let falls = self.is_less(middle, middle - 1)?;
        let run_start = self.run_before(left, middle, falls)?;
        let run_end = self.run_after(middle - 1, right, falls)?;
        if falls {
            self.values[run_start..run_end].reverse();
        }
        if run_start == start && run_end == end {
            return Ok(());
        }
        if middle - run_start < run_end - middle {
            self.sort(start, run_start, left, run_start.saturating_sub(1))?;
            self.sort(run_start, end, run_end, right)?;
            self.merge(start, run_start, end)
        } else {
            self.sort(start, run_end, left, run_start)?;
            self.sort(run_end, end, run_end + 1, right)?;
            self.merge(start, run_end, end)
        }
    }

    fn is_less(&mut self, a: usize, b: usize) -> Result<bool, E> {
        (self.less)(self.values[a], self.values[b])
    }

    /// Where the run starts that ends at `end` and either falls or does not, no further back than `start`.
    fn run_before(&mut self, start: usize, end: usize, falls: bool) -> Result<usize, E> {
        let mut first = end - 1;
        while first > start && self.is_less(first, first - 1)? == falls {
            first -= 1;
        }
        Ok(first)
    }

    /// Where the run ends that starts at `start` and either falls or does not, no further than `end`.
    fn run_after(&mut self, start: usize, end: usize, falls: bool) -> Result<usize, E> {
        let mut last = start;
        while last + 1 < end && self.is_less(last + 1, last)? == falls {
            last += 1;
        }
        Ok(last + 1)
    }

    fn insert(&mut self, start: usize, end: usize) -> Result<(), E> {
        for next in start + 1..end {
            let mut place = next;
            while place > start && self.is_less(place, place - 1)? {
                self.values.swap(place, place - 1);
                place -= 1;
            }
        }
        Ok(())
    }

    /// Merges what is sorted from `start` to `middle` and from there to `end`.
    fn merge(&mut self, start: usize, middle: usize, end: usize) -> Result<(), E> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.values[start..middle]);
        let (mut left, mut right, mut out) = (0, middle, start);
        while left < self.buffer.len() && right < end {
            let (l, r) = (self.buffer[left], self.values[right]);
            // Which is taken cannot be foretold, so this is no branch.
            let takes_right = (self.less)(r, l)?;
            self.values[out] = if takes_right { r } else { l };
            right += usize::from(takes_right);
            left += usize::from(!takes_right);
            out += 1;
        }
        let rest = &self.buffer[left..];
        self.values[out..out + rest.len()].copy_from_slice(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::peeksort;

    proptest! {
        #[test]
        fn it_sorts_stably(keys in prop::collection::vec(0..50_u32, 0..400)) {
            let mut values: Vec<(u32, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = values.clone();
            expected.sort_by_key(|(key, _)| *key);
            let sorted = peeksort(&mut values, |a, b| Ok::<_, Infallible>(a.0 < b.0));
            sorted.unwrap();
            prop_assert_eq!(values, expected);
        }

        #[test]
        fn whatever_the_order_nothing_is_lost(length in 0..300_usize, answers in prop::collection::vec(any::<bool>(), 1..64)) {
            let mut values: Vec<usize> = (0..length).collect();
            let mut answers = answers.iter().cycle();
            let sorted = peeksort(&mut values, |_, _| Ok::<_, Infallible>(*answers.next().unwrap()));
            sorted.unwrap();
            values.sort_unstable();
            prop_assert!(values.into_iter().eq(0..length));
        }

        #[test]
        fn an_order_that_fails_ends_it(length in 2..300_usize, at in 0..40_usize) {
            let mut values: Vec<usize> = (0..length).rev().collect();
            let mut left = at;
            let sorted = peeksort(&mut values, |a, b| {
                left = left.checked_sub(1).ok_or("no more")?;
                Ok::<_, &str>(a < b)
            });
            prop_assert!(sorted.is_err() || values.is_sorted());
        }
    }
}
