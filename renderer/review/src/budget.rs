//! What of a list is shown when not all of it fits.

/// Splits a list into what fits into `limit`, and the rest; both in the list's order. What weighs most is kept.
pub(crate) fn keep<T, W: Ord>(
    items: Vec<T>,
    limit: usize,
    cost: impl Fn(&T) -> usize,
    weight: impl Fn(&T) -> W,
) -> (Vec<T>, Vec<T>) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_cached_key(|&index| std::cmp::Reverse(weight(&items[index])));
    let mut is_kept = vec![false; items.len()];
    let mut used = 0_usize;
    for index in order {
        used = used.saturating_add(cost(&items[index]));
        // What weighs less is not shown in the place of what weighs more.
        if used > limit {
            break;
        }
        is_kept[index] = true;
    }
    let mut is_kept = is_kept.into_iter();
    items
        .into_iter()
        .partition(|_| is_kept.next().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::keep;

    #[test]
    fn what_weighs_most_is_kept_in_the_order_of_the_list() {
        let items = vec![3, 9, 1, 7];
        let (kept, rest) = keep(items.clone(), 2, |_| 1, |&item| item);
        assert_eq!((kept, rest), (vec![9, 7], vec![3, 1]));
        let (kept, rest) = keep(items.clone(), 4, |_| 1, |&item| item);
        assert_eq!((kept, rest), (items.clone(), vec![]));
        let (kept, rest) = keep(items.clone(), 0, |_| 1, |&item| item);
        assert_eq!((kept, rest), (vec![], items));
    }
}
