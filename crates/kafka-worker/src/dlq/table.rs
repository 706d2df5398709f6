//! The table of `list`: pure.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use console::{measure_text_width, truncate_str};
use mcp_core::text::bounded;

use super::letter::Letter;

const COLUMNS: usize = 10;
const TITLES: [&str; COLUMNS] = [
    "TIME", "AGE", "POSITION", "JOB", "TYPE", "CODE", "CLASS", "ATTEMPTS", "REDRIVES", "MESSAGE",
];
/// The most of a column, in cells; the last one gets what is left of the line.
const WIDEST: [usize; COLUMNS - 1] = [20, 5, 60, 40, 24, 24, 10, 8, 8];
/// A message where no terminal sets a bound, and where a narrow one leaves too little.
const MESSAGE: std::ops::RangeInclusive<usize> = 20..=200;
/// Rows that are looked at for the columns' widths before the first is printed.
const AHEAD: usize = 500;

/// A table that is printed in pieces, so that its length is not bounded by memory.
pub(super) struct Table {
    rows: Vec<[String; COLUMNS]>,
    widths: [usize; COLUMNS - 1],
    /// Of the terminal, in cells.
    width: Option<usize>,
    titled: bool,
}

impl Table {
    pub(super) fn new(width: Option<usize>) -> Self {
        Self {
            rows: Vec::new(),
            widths: std::array::from_fn(|column| TITLES[column].len()),
            width,
            titled: false,
        }
    }

    /// Adds a row; returns lines to be printed now.
    pub(super) fn push(&mut self, row: [String; COLUMNS]) -> Vec<String> {
        for (column, width) in self.widths.iter_mut().enumerate() {
            *width = measure_text_width(&row[column])
                .max(*width)
                .min(WIDEST[column]);
        }
        self.rows.push(row);
        match self.rows.len() < AHEAD {
            true => Vec::new(),
            false => self.flush(),
        }
    }

    /// The lines that were not printed yet.
    pub(super) fn flush(&mut self) -> Vec<String> {
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        if !self.titled && !self.rows.is_empty() {
            self.titled = true;
            lines.push(self.line(&TITLES.map(str::to_owned)));
        }
        let rows = std::mem::take(&mut self.rows);
        lines.extend(rows.iter().map(|row| self.line(row)));
        lines
    }

    fn line(&self, row: &[String; COLUMNS]) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(self.widths) {
            let cell = truncate_str(cell, width, "…");
            line.push_str(&cell);
            let padding = width.saturating_sub(measure_text_width(&cell));
            line.extend(std::iter::repeat_n(' ', padding + 2));
        }
        let left = self.width.map_or(*MESSAGE.end(), |width| {
            width.saturating_sub(measure_text_width(&line))
        });
        let left = left.clamp(*MESSAGE.start(), *MESSAGE.end());
        line.push_str(&truncate_str(&row[COLUMNS - 1], left, "…"));
        line.trim_end().to_owned()
    }
}

/// The row of a letter; `several` says that there are several dead-letter topics.
pub(super) fn row(
    letter: &Letter,
    message: &str,
    several: bool,
    now: DateTime<Utc>,
) -> [String; COLUMNS] {
    let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |text| bounded(text, 600));
    let place = match several {
        true => format!("{}/{}", letter.topic, letter.place()),
        false => letter.place(),
    };
    [
        letter.time().to_rfc3339_opts(SecondsFormat::Secs, true),
        age(now - letter.time()),
        place,
        text(letter.job_id()),
        text(letter.job_type()),
        text(letter.code()),
        text(letter.class()),
        letter
            .attempts()
            .map_or_else(|| "-".to_owned(), |attempts| attempts.to_string()),
        letter.redrives().to_string(),
        bounded(message, 800),
    ]
}

/// `5s`, `12m`, `3h`, `8d`.
pub(super) fn age(age: TimeDelta) -> String {
    match age.num_seconds().max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::letter::tests::letter;

    fn lines(width: Option<usize>, message: &str) -> Vec<String> {
        let letter = letter(&[
            ("mcp.job.id", "tab\tand\x1b[31mred"),
            ("mcp.error.code", "tool-failed"),
        ]);
        let now = letter.time() + TimeDelta::hours(3);
        let mut table = Table::new(width);
        assert!(table.push(row(&letter, message, false, now)).is_empty());
        assert!(table.push(row(&letter, "short", true, now)).is_empty());
        table.flush()
    }

    #[test]
    fn columns_are_aligned_and_no_control_character_reaches_the_terminal() {
        let lines = lines(None, "long");
        assert_eq!(
            lines,
            [
                "TIME                  AGE  POSITION      JOB              TYPE  CODE         CLASS  ATTEMPTS  REDRIVES  MESSAGE",
                "2023-11-14T22:13:20Z  3h   2:7           tab and [31mred  -     tool-failed  -      -         0         long",
                "2023-11-14T22:13:20Z  3h   jobs-dlq/2:7  tab and [31mred  -     tool-failed  -      -         0         short",
            ]
        );
    }

    #[test]
    fn the_message_gets_what_the_terminal_leaves() {
        let lines = lines(Some(140), &"ä".repeat(300));
        assert_eq!(lines[1].chars().count(), 140);
        assert!(lines[1].ends_with('…'));
    }

    #[test]
    fn nothing_is_printed_of_an_empty_table_and_a_long_one_comes_in_pieces() {
        assert!(Table::new(None).flush().is_empty());
        let mut table = Table::new(None);
        let cells = || std::array::from_fn(|_| "x".to_owned());
        let printed: usize = (0..AHEAD * 2).map(|_| table.push(cells()).len()).sum();
        assert_eq!(printed, AHEAD * 2 + 1);
    }

    #[test]
    fn an_age_is_short() {
        let of = |seconds| age(TimeDelta::seconds(seconds));
        assert_eq!(
            [of(-5), of(119), of(120), of(7_200)],
            ["0s", "119s", "2m", "2h"]
        );
        assert_eq!(of(8 * 86_400 + 5), "8d");
    }
}
