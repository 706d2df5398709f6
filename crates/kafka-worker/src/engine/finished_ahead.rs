//! What is finished beyond the committed offset, as the text that a commit carries beside it.
//!
//! Jobs finish out of order, and one that takes long holds the committed offset back. Without this, all that was
//! finished behind it would come again with the next owner of the partition. A commit has room for some text (OffsetCommit's
//! `committed_metadata`, by default 4096 bytes at the broker), so it names the finished offsets:
//!
//! ```text
//! mcp-hybrid/2 4711 1763712000123 1+3 2+40
//! ```
//!
//! First the committed offset itself: a text that somebody carried to another offset (tools that copy a group's commits
//! do) means nothing there. Then the timestamp of the record at it, in milliseconds: where it is another one, the log is
//! not the one that this was written for. Then follow runs: from the committed offset on, so many that are not finished, plus
//! so many that are. What has no room is left out, and comes again.

use std::fmt::Write as _;

/// The format and its version.
const FORMAT: &str = "mcp-hybrid/2";
/// Longest text, in bytes. Below the broker's default limit (`offset.metadata.max.bytes`), with room for other defaults.
const LENGTH_MAX: usize = 3_000;

/// The offsets that were finished ahead of a committed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedAhead {
    committed: i64,
    timestamp: i64,
    /// Each from its first offset to before the second one; in order, apart from each other.
    runs: Vec<(i64, i64)>,
}

impl FinishedAhead {
    /// Of records from the committed offset on, in the order of their offsets, each with whether it is finished; the
    /// timestamp is that of the first one. `beyond` are runs of what was finished further on, and has not come yet. None,
    /// if nothing is finished.
    pub fn collect(
        timestamp: i64,
        records: impl Iterator<Item = (i64, bool)>,
        beyond: impl Iterator<Item = (i64, i64)>,
    ) -> Option<Self> {
        let mut records = records.peekable();
        let (committed, _) = *records.peek()?;
        let mut runs: Vec<(i64, i64)> = Vec::new();
        let mut is_run = false;
        for (offset, finished) in records {
            match runs.last_mut() {
                // Offsets in between have no record.
                Some(run) if finished && is_run => run.1 = offset + 1,
                _ if finished => runs.push((offset, offset + 1)),
                _ => {}
            }
            is_run = finished;
        }
        for (first, end) in beyond {
            match runs.last_mut() {
                Some(run) if run.1 == first => run.1 = end,
                _ => runs.push((first, end)),
            }
        }
        (!runs.is_empty()).then_some(Self {
            committed,
            timestamp,
            runs,
        })
    }

    /// What the commit of `committed` carries.
    pub fn encode(&self) -> String {
        let mut text = format!("{FORMAT} {} {}", self.committed, self.timestamp);
        let mut from = self.committed;
        let mut run = String::new();
        for (first, end) in &self.runs {
            run.clear();
            // Writing to a string does not fail.
            let _ = write!(run, " {}+{}", first - from, end - first);
            if text.len() + run.len() > LENGTH_MAX {
                break;
            }
            text.push_str(&run);
            from = *end;
        }
        text
    }

    /// The same, filled up to the longest that there can be.
    pub fn encode_longest(&self) -> String {
        format!("{:LENGTH_MAX$}", self.encode())
    }

    /// What the commit of `committed` carried. None, if it is not in this format (another program's, or another version's), or
    /// was written for another offset.
    pub fn decode(committed: i64, text: &str) -> Option<Self> {
        let mut words = text.trim_end().split(' ');
        if text.len() > LENGTH_MAX || words.next() != Some(FORMAT) {
            return None;
        }
        if words.next()?.parse() != Ok(committed) {
            return None;
        }
        let timestamp = words.next()?.parse().ok()?;
        let mut runs = Vec::new();
        let mut from = committed;
        for word in words {
            let (unfinished, finished) = word.split_once('+')?;
            let lengths = (unfinished.parse().ok()?, finished.parse().ok()?);
            let first = from.checked_add_unsigned(lengths.0)?;
            from = first.checked_add_unsigned(lengths.1)?;
            runs.push((first, from));
        }
        Some(Self {
            committed,
            timestamp,
            runs,
        })
    }

    /// Without what is at that offset or beyond; None, if nothing is left.
    pub fn before(mut self, offset: i64) -> Option<Self> {
        self.runs.retain(|(first, _)| *first < offset);
        if let Some(last) = self.runs.last_mut() {
            last.1 = last.1.min(offset);
        }
        (!self.runs.is_empty()).then_some(self)
    }

    /// Whether it is about the log in which the first record that was received has this offset and timestamp. Only if
    /// that is the record at the committed offset itself, there is no doubt.
    pub fn is_about(&self, offset: i64, timestamp: i64) -> bool {
        (self.committed, self.timestamp) == (offset, timestamp)
    }

    /// Its runs from `offset` on.
    pub fn beyond(&self, offset: i64) -> impl Iterator<Item = (i64, i64)> {
        let at = self.runs.partition_point(|(_, end)| *end <= offset);
        let runs = self.runs[at..].iter();
        runs.map(move |(first, end)| (offset.max(*first), *end))
    }

    /// Whether the record at `offset` was finished.
    pub fn contains(&self, offset: i64) -> bool {
        let at = self.runs.partition_point(|(_, end)| *end <= offset);
        self.runs.get(at).is_some_and(|(first, _)| *first <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collect(timestamp: i64, records: &[(i64, bool)]) -> Option<FinishedAhead> {
        FinishedAhead::collect(timestamp, records.iter().copied(), std::iter::empty())
    }

    #[test]
    fn what_was_finished_further_on_is_told_on() {
        let before = collect(
            5,
            &[(1, false), (2, true), (5, false), (6, true), (7, true)],
        )
        .unwrap();
        let told = |records: &[(i64, bool)], next: i64| {
            let records = records.iter().copied();
            FinishedAhead::collect(5, records, before.beyond(next))
        };
        assert_eq!(told(&[(1, false)], 2).as_ref(), Some(&before));
        assert_eq!(told(&[(1, false), (2, true)], 3).as_ref(), Some(&before));
        let within = told(&[(5, false), (6, true)], 7).unwrap();
        assert_eq!(within.encode(), "mcp-hybrid/2 5 5 1+2");
        assert_eq!(told(&[(7, false)], 8), None);
    }

    #[test]
    fn the_text_is_short_and_can_be_read() {
        let records = [
            (100, false),
            (101, true),
            // 102 is the marker of a transaction.
            (103, true),
            (104, false),
            (106, false),
            (107, true),
        ];
        let ahead = collect(1_763_712_000_123, &records).unwrap();
        assert_eq!(ahead.encode(), "mcp-hybrid/2 100 1763712000123 1+3 3+1");
        assert_eq!(
            FinishedAhead::decode(100, &ahead.encode()),
            Some(ahead.clone())
        );
        let longest = ahead.encode_longest();
        assert_eq!(longest.len(), LENGTH_MAX);
        assert_eq!(FinishedAhead::decode(100, &longest), Some(ahead.clone()));
        assert!(ahead.is_about(100, 1_763_712_000_123));
        assert!(!ahead.is_about(100, 1_763_712_000_124) && !ahead.is_about(99, 1_763_712_000_123));
    }

    #[test]
    fn a_text_that_was_carried_to_another_offset_means_nothing() {
        let records = [(100, false), (101, true)];
        let ahead = collect(5, &records).unwrap();
        let text = ahead.encode();
        assert_eq!(FinishedAhead::decode(100, &text), Some(ahead));
        for elsewhere in [0, 99, 101] {
            assert_eq!(FinishedAhead::decode(elsewhere, &text), None);
        }
    }

    #[test]
    fn with_nothing_finished_there_is_none() {
        assert_eq!(collect(1, &[]), None);
        assert_eq!(collect(1, &[(1, false)]), None);
    }

    #[test]
    fn what_others_wrote_is_not_taken_for_ours() {
        for text in [
            "",
            "hello",
            // Of earlier versions, which did not say the offset.
            "mcp-hybrid/1 5 1+1",
            "mcp-hybrid/3 1 5 1+1",
            "mcp-hybrid/2",
            "mcp-hybrid/2 1",
            "mcp-hybrid/2 x 5 1+1",
            "mcp-hybrid/2 1 x",
            "mcp-hybrid/2 1 5 1",
            "mcp-hybrid/2 1 5 1+-1",
            "mcp-hybrid/2 1 5 9223372036854775807+1",
        ] {
            assert_eq!(FinishedAhead::decode(1, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_was_finished_and_is_all_that_had_room(
            gaps in prop::collection::vec((1i64..4, any::<bool>()), 1..3_000),
        ) {
            let mut offset = 1_000_000;
            let mut records = vec![(offset, false)];
            for (gap, finished) in gaps {
                offset += gap;
                records.push((offset, finished));
            }
            let Some(ahead) = collect(7, &records) else {
                return Ok(());
            };
            let text = ahead.encode();
            prop_assert!(text.len() <= LENGTH_MAX);
            let read = FinishedAhead::decode(records[0].0, &text).unwrap();
            let end = read.runs.last().map_or(0, |(_, end)| *end);
            for (offset, finished) in records {
                prop_assert_eq!(ahead.contains(offset), finished);
                prop_assert_eq!(read.contains(offset), finished && offset < end);
            }
            prop_assert!(read.runs.len() == ahead.runs.len() || text.len() > LENGTH_MAX - 50);
        }
    }
}
