//! The second half of rule B: the text beside a committed offset makes the next owner skip jobs just as a commit does.

use std::collections::HashSet;
use std::ops::Range;

use super::ledger::Ledger;
use super::{Rule, Violation, broken, s};
use crate::chaos::history::Committed;

/// Returns how many jobs a text has called finished ahead of their turn.
pub(super) fn check(ledger: &Ledger<'_>, violations: &mut Vec<Violation>) -> usize {
    let mut judged = HashSet::new();
    for commit in &ledger.history.commits {
        if commit.text.is_empty() {
            continue;
        }
        let Some(runs) = runs(commit.offset, &commit.text) else {
            violations.push(broken(
                Rule::B,
                format!(
                    "partition {}: nobody can read the text at {}: {:?}",
                    commit.partition,
                    s(commit.at),
                    commit.text
                ),
            ));
            continue;
        };
        let named = runs.into_iter();
        let named = named.flat_map(|run| ledger.between(commit.partition, run.start, run.end));
        for entry in named {
            let is_new = judged.insert((entry.partition, entry.offset));
            let done = ledger.done_at(entry);
            if is_new && done.is_none_or(|done| done > commit.at) {
                violations.push(broken(
                    Rule::B,
                    format!(
                        "the text beside offset {} of partition {} called {} finished at {}, but it was done at {}: {}",
                        commit.offset,
                        commit.partition,
                        ledger.describe(entry),
                        s(commit.at),
                        done.map_or_else(|| "no time".to_owned(), s),
                        ledger.story(entry)
                    ),
                ));
            }
        }
    }
    judged.len()
}

/// Whether the text beside the commit calls that offset finished.
pub(super) fn names(commit: &Committed, offset: i64) -> bool {
    let runs = runs(commit.offset, &commit.text).unwrap_or_default();
    runs.iter().any(|run| run.contains(&offset))
}

/// The finished offsets: from the committed one on, `a+b` is so many that are not finished, then so many that are. What
/// else the text says is for its readers, who may not be sure which log it is about.
fn runs(committed: i64, text: &str) -> Option<Vec<Range<i64>>> {
    let words = text.trim_end().strip_prefix("mcp-hybrid/")?.split(' ');
    let mut from = committed;
    let runs = words.filter_map(|word| word.split_once('+'));
    runs.map(|(unfinished, finished)| {
        let first = from.checked_add_unsigned(unfinished.parse().ok()?)?;
        from = first.checked_add_unsigned(finished.parse().ok()?)?;
        Some(first..from)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_follow_each_other_from_the_committed_offset_on() {
        let read = runs(100, "mcp-hybrid/2 7 1763712000123 1+3 3+1");
        assert_eq!(read, Some(vec![101..104, 107..108]));
        assert_eq!(runs(100, "mcp-hybrid/2 7 5  "), Some(vec![]));
        for text in ["hello", "mcp-hybrid/2 7 5 1+x", "mcp-hybrid/1 5 -1+1"] {
            assert_eq!(runs(100, text), None, "{text}");
        }
    }
}
