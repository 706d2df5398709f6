//! Rule D: jobs of one lane run one after the other, in the order of their offsets.

use std::collections::BTreeMap;

use super::ledger::Ledger;
use super::{Ordering, Rule, Terms, Violation, broken, s};
use crate::chaos::history::{Call, Entry, Micros, Trouble, Verdict};

/// A rebalance is noticed so much later than it happens: the look at a worker's metrics, and a worker that is busy.
const NOTICED: Micros = 2_000_000;
/// How long a worker that was cut off or stopped may take to learn that it owns nothing any more.
pub(super) const LEARN: Micros = 5_000_000;

pub(super) fn check(ledger: &Ledger<'_>, terms: &Terms, violations: &mut Vec<Violation>) {
    let mut lanes: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for entry in ledger.history.entries.iter().filter(|entry| !entry.aborted) {
        let lane = match terms.ordering {
            Ordering::Partition => entry.partition.to_string(),
            _ => terms.workload.recipe(entry.number).key,
        };
        lanes.entry(lane).or_default().push(entry);
    }
    for (name, mut lane) in lanes {
        lane.sort_by_key(|entry| entry.offset);
        each_begins_after_those_before_it(ledger, &name, &lane, violations);
        one_at_a_time(ledger, &name, &lane, violations);
    }
}

/// Whoever runs it: no job is called before every earlier one of its lane has its outcome.
fn each_begins_after_those_before_it(
    ledger: &Ledger<'_>,
    lane: &str,
    entries: &[&Entry],
    violations: &mut Vec<Violation>,
) {
    let mut latest: Option<(&Entry, Micros)> = None;
    for entry in entries {
        let first = ledger
            .calls_of(entry.number)
            .iter()
            .map(|call| call.start)
            .min();
        if let (Some(first), Some((before, done))) = (first, latest)
            && first < done
        {
            violations.push(broken(
                Rule::D,
                format!(
                    "lane {lane}: {} was called at {}, before {} was done at {}: {} | {}",
                    ledger.describe(entry),
                    s(first),
                    ledger.describe(before),
                    s(done),
                    ledger.story(entry),
                    ledger.story(before)
                ),
            ));
        }
        let done = ledger.done_at(entry).unwrap_or(Micros::MAX);
        if latest.is_none_or(|(_, before)| done > before) {
            latest = Some((entry, done));
        }
    }
}

/// Two calls of different jobs in one lane do not overlap, and one owner does not go back.
fn one_at_a_time(
    ledger: &Ledger<'_>,
    lane: &str,
    entries: &[&Entry],
    violations: &mut Vec<Violation>,
) {
    let mut calls: Vec<(&Entry, &Call)> = entries
        .iter()
        .flat_map(|entry| {
            let calls = ledger.calls_of(entry.number);
            calls.iter().map(|call| (*entry, *call))
        })
        .collect();
    calls.sort_by_key(|(_, call)| call.start);
    for pair in calls.windows(2) {
        let [(first_entry, first), (second_entry, second)] = pair else {
            continue;
        };
        if first_entry.offset == second_entry.offset {
            continue;
        }
        // When the caller goes away the stub hears of it a little later.
        let overlap = second.start < first.end && first.verdict != Verdict::Gone;
        let back = second_entry.offset < first_entry.offset;
        let same_owner = first.worker == second.worker;
        let excused = match same_owner {
            true => !overlap && rebalanced(ledger, first.worker, first.start, second.start),
            false => !overlap || let_go(ledger, first, second),
        };
        if (overlap || back) && !excused {
            violations.push(broken(
                Rule::D,
                format!(
                    "lane {lane}: {} and {} {}: {} | {}",
                    ledger.describe(first_entry),
                    ledger.describe(second_entry),
                    if overlap {
                        "overlap"
                    } else {
                        "are in the wrong order"
                    },
                    ledger.story(first_entry),
                    ledger.story(second_entry)
                ),
            ));
        }
    }
}

/// Whether the worker's assignment changed in between.
fn rebalanced(ledger: &Ledger<'_>, worker: u16, from: Micros, until: Micros) -> bool {
    ledger.history.rebalances.iter().any(|(who, at)| {
        *who == worker && *at + NOTICED >= from && *at <= until.saturating_add(NOTICED)
    })
}

/// Whether one of the two owners lost the partition without a chance to finish, or has not learnt of it yet.
fn let_go(ledger: &Ledger<'_>, first: &Call, second: &Call) -> bool {
    ledger.history.incidents.iter().any(|incident| {
        let concerns = incident.workers.is_empty()
            || incident.workers.contains(&first.worker)
            || incident.workers.contains(&second.worker);
        let stalled = incident.trouble == Trouble::MachineStalled;
        concerns
            && !stalled
            && incident.from <= second.start
            && incident.until.saturating_add(LEARN) >= first.start
    })
}
