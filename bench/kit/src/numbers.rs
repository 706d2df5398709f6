//! Numbers as text.

use crate::statistics::Spread;

/// The median, and the spread if there is one.
pub fn shown(spread: Spread, digits: usize) -> String {
    let [median, min, max] =
        [spread.median, spread.min, spread.max].map(|value| format!("{value:.digits$}"));
    if min == max {
        median
    } else {
        format!("{median} ({min}–{max})")
    }
}

/// About three digits.
pub fn significant(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_shown_where_there_is_one() {
        let spread = Spread::of(&[1.04, 2.0, 3.0]).unwrap();
        assert_eq!(shown(spread, 1), "2.0 (1.0–3.0)");
        assert_eq!(shown(Spread::of(&[1.04]).unwrap(), 1), "1.0");
    }

    #[test]
    fn three_digits_say_enough() {
        assert_eq!(
            [0.5, 12.34, 1234.5].map(significant),
            ["0.500", "12.3", "1234"]
        );
    }
}
