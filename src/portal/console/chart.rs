//! Charts, as numbers that a template draws: where each bar begins and how long it is. Every one stands beside a table that says the same.
//!
//! In: counts. Out: places on a sheet of `720 × 240`, rounded to a tenth. Nothing here knows what the counts are of.

use serde::Serialize;

/// Width of the sheet.
const WIDTH: f64 = 720.0;
/// Room for the figures of the scale, at the left.
const LEFT: f64 = 44.0;
/// Height of the columns.
const HEIGHT: f64 = 190.0;
/// Where the columns begin: below it there is room for the highest figure.
const TOP: f64 = 12.0;
/// Widest column: two months do not fill a sheet.
const WIDEST: f64 = 56.0;
/// Most names below the columns; of more every second, third, … is said.
const MOST_NAMES: usize = 13;

/// Stacked columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Columns {
    /// Every piece.
    pub pieces: Vec<Piece>,
    /// The scale.
    pub scale: Vec<Mark>,
    /// Names below.
    pub names: Vec<Mark>,
}

/// A piece of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Piece {
    /// From the left.
    pub x: f64,
    /// From above.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
    /// Which of the counts, from 0 on.
    pub series: usize,
    /// The column's name.
    pub name: String,
    /// The count.
    pub count: u64,
}

/// A text on the sheet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// Where: from above for the scale, from the left for names.
    pub at: f64,
    /// What.
    pub text: String,
}

/// Columns of counts that are stacked, the first at the bottom.
pub fn columns(of: &[(String, Vec<u64>)]) -> Columns {
    let highest = of.iter().map(|(_, counts)| counts.iter().sum()).max();
    let (top, step) = scale(highest.unwrap_or(0));
    let place = |count: u64| TOP + HEIGHT * (1.0 - share(count, top));
    let mut out = Columns::default();
    let mut mark = 0;
    while mark <= top {
        out.scale.push(Mark {
            at: tenth(place(mark)),
            text: mark.to_string(),
        });
        mark += step;
    }
    let room = (WIDTH - LEFT) / float(of.len().max(1));
    let width = (room * 0.72).min(WIDEST);
    let every = of.len().div_ceil(MOST_NAMES).max(1);
    for (n, (name, counts)) in of.iter().enumerate() {
        let x = LEFT + room * (float(n) + 0.5) - width / 2.0;
        let mut below = 0;
        for (series, &count) in counts.iter().enumerate() {
            if count > 0 {
                let y = place(below + count);
                out.pieces.push(Piece {
                    x: tenth(x),
                    y: tenth(y),
                    w: tenth(width),
                    h: tenth(place(below) - y),
                    series,
                    name: name.clone(),
                    count,
                });
            }
            below += count;
        }
        if (of.len() - 1 - n).is_multiple_of(every) {
            out.names.push(Mark {
                at: tenth(x + width / 2.0),
                text: name.clone(),
            });
        }
    }
    out
}

/// Bars beside the lines of a table: how long each is, of 100, the longest full.
pub fn bars(counts: impl IntoIterator<Item = u64>) -> Vec<f64> {
    let counts: Vec<u64> = counts.into_iter().collect();
    let most = counts.iter().copied().max().unwrap_or(0);
    counts
        .into_iter()
        .map(|c| tenth(100.0 * share(c, most)))
        .collect()
}

/// The end of the scale and its step: 1, 2 or 5 times a power of ten, at most five of them.
fn scale(highest: u64) -> (u64, u64) {
    let mut power = 1u64;
    loop {
        for step in [1, 2, 5].map(|n| power.saturating_mul(n)) {
            let steps = highest.div_ceil(step).max(1);
            if steps <= 5 {
                return (steps * step, step);
            }
        }
        power = power.saturating_mul(10);
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(count: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        count as f64 / of as f64
    }
}

#[allow(clippy::cast_precision_loss)]
fn float(n: usize) -> f64 {
    n as f64
}

fn tenth(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_ends_above_the_highest_in_round_steps() {
        for (highest, end) in [
            (0, (1, 1)),
            (1, (1, 1)),
            (5, (5, 1)),
            (6, (6, 2)),
            (11, (15, 5)),
            (99, (100, 20)),
            (101, (150, 50)),
            (3606, (4000, 1000)),
        ] {
            assert_eq!(scale(highest), end, "{highest}");
        }
        let (end, step) = scale(u64::MAX / 2);
        assert!(end >= u64::MAX / 2 && end / step <= 5);
    }

    #[test]
    fn pieces_stack_without_gaps_and_stay_on_the_sheet() {
        let of: Vec<_> = (0..30u64)
            .map(|n| (format!("m{n}"), vec![n, 0, 2 * n]))
            .collect();
        let chart = columns(&of);
        assert_eq!(chart.pieces.len(), 2 * 29);
        assert!(chart.names.len() <= MOST_NAMES && chart.names.last().unwrap().text == "m29");
        for p in &chart.pieces {
            assert!(p.x >= LEFT && p.x + p.w <= WIDTH, "{p:?}");
            assert!(p.y >= TOP && p.y + p.h <= TOP + HEIGHT + 0.11, "{p:?}");
        }
        let of_last: Vec<_> = chart.pieces.iter().filter(|p| p.name == "m29").collect();
        assert!((of_last[1].y + of_last[1].h - of_last[0].y).abs() < 0.11);
        assert_eq!(columns(&[]).pieces, []);
    }

    #[test]
    fn the_longest_bar_is_full() {
        assert_eq!(bars([5, 10, 0]), [50.0, 100.0, 0.0]);
        assert_eq!(bars([0, 0]), [0.0, 0.0]);
    }
}
