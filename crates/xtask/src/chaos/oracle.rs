//! The rules that a run must obey, as pure functions of what was seen.

mod budget;
mod duplicates;
mod ledger;
mod order;
mod texts;

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;

use self::ledger::Ledger;
use super::history::{History, Micros};
use super::workload::Workload;

pub(crate) use self::duplicates::{REASONS, Tally};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Every job has its outcome in the end; aborted records have none.
    A,
    /// No offset is committed before everything below it has its outcome.
    B,
    /// Committed offsets never go backwards.
    C,
    /// Order is kept.
    D,
    /// Duplicates have a reason, and of each there are no more than there can be.
    E,
    /// In the end there is no lag, and the members of the group are the live workers.
    F,
    /// Good jobs are never dead-lettered, and dead letters stay under their budget.
    G,
    /// The harness itself worked.
    Harness,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A: every job has an outcome",
            Self::B => "B: nothing is committed early",
            Self::C => "C: commits never go back",
            Self::D => "D: order is kept",
            Self::E => "E: duplicates are bounded",
            Self::F => "F: no lag is left",
            Self::G => "G: good jobs are not dead-lettered",
            Self::Harness => "harness: it could see everything",
        })
    }
}

/// A rule that was broken, with all that is needed to understand it.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// What keeps its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ordering {
    /// Jobs of one key
    Key,
    /// Jobs of one partition
    Partition,
    /// Nothing
    Unordered,
}

/// What the workers were told, as far as the rules depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) workload: Workload,
    pub(crate) ordering: Ordering,
    pub(crate) concurrency: usize,
    pub(crate) workers_max: usize,
    pub(crate) letters_per_minute: usize,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) violations: Vec<Violation>,
    /// Successes of jobs that were called again, by the reason for that.
    pub(crate) duplicates: BTreeMap<&'static str, Tally>,
    /// Jobs that were seen to be called finished by the text beside an offset.
    pub(crate) ahead: usize,
}

/// Judges a run by all rules.
pub(crate) fn judge(history: &History, terms: &Terms) -> Judgement {
    let ledger = Ledger::new(history, &terms.workload);
    let mut violations = Vec::new();
    outcomes(&ledger, &mut violations);
    commits(&ledger, &mut violations);
    let ahead = texts::check(&ledger, &mut violations);
    if terms.ordering != Ordering::Unordered {
        order::check(&ledger, terms, &mut violations);
    }
    let duplicates = duplicates::check(&ledger, terms, &mut violations);
    the_end(&ledger, &mut violations);
    budget::check(history, terms, &mut violations);
    for trouble in &history.own_trouble {
        violations.push(broken(Rule::Harness, trouble.clone()));
    }
    Judgement {
        violations,
        duplicates,
        ahead,
    }
}

fn broken(rule: Rule, what: String) -> Violation {
    Violation { rule, what }
}

/// Seconds, for people.
fn s(at: Micros) -> String {
    match at {
        super::history::NEVER => "never".to_owned(),
        at => format!("{}.{:03} s", at / 1_000_000, at / 1_000 % 1_000),
    }
}

/// Rules A and the first half of G.
fn outcomes(ledger: &Ledger<'_>, violations: &mut Vec<Violation>) {
    for entry in &ledger.history.entries {
        let kind = ledger.workload.kind(entry.number);
        let who = ledger.describe(entry);
        let letters = ledger.letters_of(entry);
        let calls = ledger.calls_of(entry.number);
        if entry.aborted {
            if !calls.is_empty() || !letters.is_empty() {
                violations.push(broken(
                    Rule::A,
                    format!(
                        "{who} is of an aborted transaction and was run: {}",
                        ledger.story(entry)
                    ),
                ));
            }
            continue;
        }
        if ledger.done_at(entry).is_none() {
            let story = ledger.story(entry);
            violations.push(broken(Rule::A, format!("{who} has no outcome: {story}")));
        }
        let recipe = ledger.workload.recipe(entry.number);
        for letter in letters {
            if letter.topic != ledger.history.topic
                || letter.value != recipe.value
                || letter.key.as_deref() != Some(recipe.key.as_bytes())
            {
                violations.push(broken(
                    Rule::A,
                    format!(
                        "the dead letter of {who} is not its record: topic {:?}, key {:?}, value of {:?} bytes",
                        letter.topic,
                        letter.key.as_deref().map(String::from_utf8_lossy),
                        letter.value.as_ref().map(Vec::len)
                    ),
                ));
            }
            if kind.is_good() {
                let story = ledger.story(entry);
                violations.push(broken(
                    Rule::G,
                    format!(
                        "{who} was dead-lettered as {} by {} at {}: {story}",
                        letter.code,
                        letter.worker,
                        s(letter.at)
                    ),
                ));
            }
        }
        if kind.is_never_called() && !calls.is_empty() {
            violations.push(broken(
                Rule::A,
                format!("{who} was called: {}", ledger.story(entry)),
            ));
        }
    }
    for letter in &ledger.history.letters {
        if !ledger.knows(letter.partition, letter.offset) {
            violations.push(broken(
                Rule::A,
                format!(
                    "a dead letter by {} names partition {} offset {}, where no record of ours lies",
                    letter.worker, letter.partition, letter.offset
                ),
            ));
        }
    }
}

/// Rule C, and the first half of B.
fn commits(ledger: &Ledger<'_>, violations: &mut Vec<Violation>) {
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for commit in &ledger.history.commits {
        let before = last.insert(commit.partition, commit.offset).unwrap_or(0);
        if commit.offset < before {
            violations.push(broken(
                Rule::C,
                format!(
                    "partition {}: committed {before}, and at {} only {}",
                    commit.partition,
                    s(commit.at),
                    commit.offset
                ),
            ));
        }
        for entry in ledger.between(commit.partition, before, commit.offset) {
            let done = ledger.done_at(entry);
            if done.is_none_or(|done| done > commit.at) {
                violations.push(broken(
                    Rule::B,
                    format!(
                        "partition {} was committed up to {} at {}, but {} was done at {}: {}",
                        commit.partition,
                        commit.offset,
                        s(commit.at),
                        ledger.describe(entry),
                        done.map_or_else(|| "no time".to_owned(), s),
                        ledger.story(entry)
                    ),
                ));
            }
        }
    }
}

/// Rule F.
fn the_end(ledger: &Ledger<'_>, violations: &mut Vec<Violation>) {
    let history = ledger.history;
    let mut committed: BTreeMap<i32, i64> = BTreeMap::new();
    for commit in &history.commits {
        committed.insert(commit.partition, commit.offset);
    }
    for (partition, end) in (0..).zip(&history.ends) {
        let at = committed.get(&partition).copied().unwrap_or(0);
        // Control records at the end of a log are no jobs, so the log may end a little further on.
        let left = ledger.between(partition, at, i64::MAX).count();
        if left > 0 {
            violations.push(broken(
                Rule::F,
                format!(
                    "partition {partition}: committed {at} of {end}, {left} jobs are behind it"
                ),
            ));
        }
        if at > *end {
            violations.push(broken(
                Rule::F,
                format!("partition {partition}: committed {at}, beyond its end {end}"),
            ));
        }
    }
    if let Some(members) = &history.members {
        let (mut members, mut live) = (members.clone(), history.live.clone());
        members.sort();
        live.sort();
        if members != live {
            violations.push(broken(
                Rule::F,
                format!("the group has the members {members:?}, and the workers {live:?} live"),
            ));
        }
    }
}

#[cfg(test)]
mod tests;
