//! Squarified treemaps: areas in proportion to sizes, as near to squares as can be (Bruls, Huizing and van Wijk, 2000).

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    pub(crate) fn area(&self) -> f64 {
        self.width * self.height
    }

    /// Less a border on each side, and more at the top.
    pub(crate) fn inner(&self, border: f64, top: f64) -> Self {
        Self {
            x: self.x + border,
            y: self.y + border + top,
            width: (self.width - 2.0 * border).max(0.0),
            height: (self.height - 2.0 * border - top).max(0.0),
        }
    }
}

/// Divides a rectangle; `sizes` are sorted, the largest first, and none is 0.
pub(crate) fn squarify(sizes: &[u64], mut rect: Rect) -> Vec<Rect> {
    let mut tiles = Vec::with_capacity(sizes.len());
    let mut left: f64 = sizes.iter().map(|&size| size as f64).sum();
    let mut rest = sizes;
    while !rest.is_empty() && left > 0.0 {
        let scale = rect.area() / left;
        let side = rect.width.min(rect.height);
        let mut count = 1;
        let mut sum = rest[0] as f64;
        while let Some(&next) = rest.get(count) {
            let next = next as f64;
            let (largest, smallest) = (rest[0] as f64, rest[count - 1] as f64);
            let now = worst(largest, smallest, sum, side, scale);
            if worst(largest, next, sum + next, side, scale) > now {
                break;
            }
            sum += next;
            count += 1;
        }
        let (row, others) = rest.split_at(count);
        place(row, sum, scale, &mut rect, &mut tiles);
        rest = others;
        left -= sum;
    }
    tiles
}

/// How far from a square the worst tile of a row is.
fn worst(largest: f64, smallest: f64, sum: f64, side: f64, scale: f64) -> f64 {
    let (sum, side) = (sum * scale, side * side);
    let (largest, smallest) = (largest * scale, smallest * scale);
    (side * largest / (sum * sum)).max(sum * sum / (side * smallest))
}

/// Puts a row along the shorter side, and takes it off the rectangle.
fn place(row: &[u64], sum: f64, scale: f64, rect: &mut Rect, tiles: &mut Vec<Rect>) {
    let is_column = rect.width >= rect.height;
    let side = if is_column { rect.height } else { rect.width };
    if side <= 0.0 {
        tiles.extend(row.iter().map(|_| Rect {
            width: 0.0,
            height: 0.0,
            ..*rect
        }));
        return;
    }
    let depth = sum * scale / side;
    let mut along = 0.0;
    for &size in row {
        let length = size as f64 * scale / depth;
        tiles.push(if is_column {
            Rect {
                x: rect.x,
                y: rect.y + along,
                width: depth,
                height: length,
            }
        } else {
            Rect {
                x: rect.x + along,
                y: rect.y,
                width: length,
                height: depth,
            }
        });
        along += length;
    }
    if is_column {
        rect.x += depth;
        rect.width = (rect.width - depth).max(0.0);
    } else {
        rect.y += depth;
        rect.height = (rect.height - depth).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Rect = Rect {
        x: 10.0,
        y: 20.0,
        width: 600.0,
        height: 400.0,
    };

    #[test]
    fn tiles_of_the_paper_are_as_in_the_paper() {
        let rect = Rect {
            x: 0.0,
            y: 0.0,
            width: 6.0,
            height: 4.0,
        };
        let tiles = squarify(&[6, 6, 4, 3, 2, 2, 1], rect);
        let rounded = tiles.iter().map(|tile| {
            [tile.x, tile.y, tile.width, tile.height].map(|value| (value * 100.0).round() / 100.0)
        });
        assert_eq!(
            rounded.collect::<Vec<_>>()[..4],
            [
                [0.0, 0.0, 3.0, 2.0],
                [0.0, 2.0, 3.0, 2.0],
                [3.0, 0.0, 1.71, 2.33],
                [4.71, 0.0, 1.29, 2.33]
            ]
        );
    }

    proptest! {
        #[test]
        fn areas_are_in_proportion_and_inside(mut sizes in proptest::collection::vec(1..1_u64 << 40, 1..60)) {
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            let total: f64 = sizes.iter().map(|&size| size as f64).sum();
            let tiles = squarify(&sizes, WHOLE);
            prop_assert_eq!(tiles.len(), sizes.len());
            for (tile, size) in tiles.iter().zip(&sizes) {
                let wanted = *size as f64 / total * WHOLE.area();
                prop_assert!((tile.area() - wanted).abs() < 1e-3 * WHOLE.area(), "{:?} {}", tile, wanted);
                prop_assert!(tile.x >= WHOLE.x - 1e-6 && tile.x + tile.width <= WHOLE.x + WHOLE.width + 1e-3);
                prop_assert!(tile.y >= WHOLE.y - 1e-6 && tile.y + tile.height <= WHOLE.y + WHOLE.height + 1e-3);
            }
        }
    }
}
