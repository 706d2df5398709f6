//! Rule E: a call after a job's success has a reason, and of each reason there are no more than there can be.

mod bounds;
mod reason;

use std::collections::{BTreeMap, HashSet};

pub(crate) use self::reason::REASONS;
use self::reason::{Reason, is_behind, is_cut_off, reason};
use super::ledger::Ledger;
use super::order::LEARN;
use super::{Rule, Terms, Violation, broken, texts};
use crate::chaos::history::{Call, Entry, Micros, Verdict};

/// What was finished so shortly before an end may not be committed yet: commits go out every 600 ms, and one may be late where
/// the machine is busy.
const COMMIT: Micros = 2_000_000;
/// The stub ends a call so much earlier than its caller knows.
const ON_THE_WAY: Micros = 20_000;
/// After trouble with Kafka, where nobody sees when the group is whole again and commits work.
const RECOVERY: Micros = 15_000_000;

/// The drain of the workers, and a little less: the stub hears of a call's beginning late where the machine is busy.
const WHOLE_DRAIN: Micros = 4_000_000;
/// A caller gives a call two seconds; the stub hears of its beginning and its end a little off that, and of the beginning
/// late where the machine is busy.
const CALL: Micros = 1_500_000;
/// What a link that was cut held back reaches the stub so soon after it was opened again.
const HELD_BACK: Micros = 500_000;

/// Duplicates of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: usize,
    /// How many there could be in all, if that can be told.
    pub(crate) most: Option<usize>,
}

/// Returns the duplicates by their reason. However often the second time is tried: a success that is followed by another
/// call of its job is one duplicate.
pub(super) fn check(
    ledger: &Ledger<'_>,
    terms: &Terms,
    violations: &mut Vec<Violation>,
) -> BTreeMap<&'static str, Tally> {
    let mut by_reason: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut without = 0;
    for entry in ledger.history.entries.iter().filter(|entry| !entry.aborted) {
        let Some(done) = ledger.success_at(entry.number) else {
            continue;
        };
        let calls = ledger.calls_of(entry.number);
        let mut repeated = HashSet::new();
        for again in calls.iter().filter(|call| call.start > done) {
            let before = calls.iter().filter(|call| {
                call.verdict == Verdict::Success
                    && call.step == again.step
                    && call.end <= again.start
            });
            let Some(before) = before.max_by_key(|call| call.end) else {
                continue;
            };
            committed_long_ago(ledger, entry, again, violations);
            let is_new = repeated.insert((before.step, before.start));
            match reason(ledger, (before, done.max(before.end)), again) {
                Some(reason) => *by_reason.entry(reason).or_default() += usize::from(is_new),
                None => {
                    without += usize::from(is_new);
                    violations.push(unexplained(ledger, entry, before, again));
                }
            }
        }
    }
    dropped(ledger, violations);
    let mut tallies = bounds::all(ledger, terms);
    for (reason, count) in by_reason {
        tallies.entry(reason.name()).or_default().count += count;
        if let Some(most) = bounds::most(ledger, terms, reason)
            && count > most
        {
            violations.push(broken(
                Rule::E,
                format!(
                    "{count} duplicates {}, where {most} could be: {}",
                    reason.name(),
                    reason.cause(ledger)
                ),
            ));
        }
    }
    if without > 0 {
        tallies.entry("without a reason").or_default().count = without;
    }
    tallies
}

fn committed_long_ago(
    ledger: &Ledger<'_>,
    entry: &Entry,
    again: &Call,
    violations: &mut Vec<Violation>,
) {
    if let Some(committed) = ledger.committed_at(entry)
        && again.start > committed.saturating_add(LEARN)
        && !is_behind(ledger, again, committed)
    {
        violations.push(broken(
            Rule::E,
            format!(
                "{} was behind the committed offset at {}, and was called again by w{}, which had long learnt of it: {}",
                ledger.describe(entry),
                super::s(committed),
                again.worker,
                ledger.story(entry)
            ),
        ));
    }
}

fn unexplained(ledger: &Ledger<'_>, entry: &Entry, before: &Call, again: &Call) -> Violation {
    let behind = match ledger.is_held_up(entry, before.end) {
        true => "an earlier record of its partition was not done",
        false => "all earlier records of its partition were done",
    };
    broken(
        Rule::E,
        format!(
            "{} had succeeded with w{} and was called again by w{} without a reason; when it succeeded, {behind}: {}; {}; \
             the group was not stable {}",
            ledger.describe(entry),
            before.worker,
            again.worker,
            ledger.story(entry),
            committed(ledger, entry, again.start),
            unstable(ledger, (before.end.saturating_sub(COMMIT), again.start)),
        ),
    )
}

/// What was committed of the record's partition when it was called again.
fn committed(ledger: &Ledger<'_>, entry: &Entry, by: Micros) -> String {
    let mut commits = ledger.history.commits.iter().rev();
    let last = commits.find(|commit| commit.partition == entry.partition && commit.at <= by);
    let Some(commit) = last else {
        return "nothing was committed".to_owned();
    };
    let told = match texts::names(commit, entry.offset) {
        true => "which named it",
        false => "which did not name it",
    };
    format!(
        "committed since {}: {} with a text of {} bytes, {told}",
        super::s(commit.at),
        commit.offset,
        commit.text.len()
    )
}

/// When the group took no commits, as far as it is known.
fn unstable(ledger: &Ledger<'_>, (from, until): (Micros, Micros)) -> String {
    let periods = ledger.rebalances().unwrap_or_default().iter();
    let within: Vec<_> = periods
        .filter(|(began, ended)| *began <= until && *ended >= from)
        .map(|(began, ended)| format!("{} to {}", super::s(*began), super::s(*ended)))
        .collect();
    match within.is_empty() {
        true => "at no time".to_owned(),
        false => within.join(", "),
    }
}

/// With a server that does its work to the end, a call that was dropped would have been a duplicate.
fn dropped(ledger: &Ledger<'_>, violations: &mut Vec<Violation>) {
    for call in &ledger.history.calls {
        let length = call.end.saturating_sub(call.start);
        let outlasted = |partition| has_drained(ledger, partition, call.worker, call.end);
        if call.verdict == Verdict::Gone
            && length < CALL
            && !is_cut_off(ledger, call)
            && !ledger.partition_of(call.number).is_some_and(outlasted)
        {
            violations.push(broken(
                Rule::E,
                format!(
                    "w{} dropped a call of record {} after {} ms, though nothing had ended abruptly and there was time \
                     to finish it: {} to {}",
                    call.worker,
                    call.number,
                    length / 1_000,
                    super::s(call.start),
                    super::s(call.end)
                ),
            ));
        }
    }
}

/// Whether the worker had started nothing new in that partition for as long as a drain may take.
fn has_drained(ledger: &Ledger<'_>, partition: i32, worker: u16, by: Micros) -> bool {
    let calls = ledger.calls_in(partition).iter();
    let own = calls.filter(|(_, call)| call.worker == worker && call.start < by);
    let Some(newest) = own.clone().map(|(offset, _)| *offset).max() else {
        return false;
    };
    let starts = own.filter(|(offset, _)| *offset == newest);
    let started = starts.map(|(_, call)| call.start).min();
    started.is_some_and(|started| by.saturating_sub(started) >= WHOLE_DRAIN)
}
