//! Rule E: a call after a job's success has a reason, and those in flight at an abrupt end are no more than could be.

use std::collections::BTreeMap;

use super::ledger::Ledger;
use super::order::LEARN;
use super::{Rule, Terms, Violation, broken};
use crate::chaos::history::{Call, Entry, Incident, Micros, Trouble, Verdict};
use crate::chaos::workload::STEPS_MAX;

/// What was finished so shortly before an end may not be committed yet: commits go out every 600 ms, and take a while.
const COMMIT: Micros = 2_000_000;
/// The stub ends a call so much earlier than its caller knows.
const ON_THE_WAY: Micros = 20_000;
/// After trouble with Kafka: until the group is whole again and commits work.
const RECOVERY: Micros = 15_000_000;

/// The drain of the workers, and a little less: their clock is not ours.
const WHOLE_DRAIN: Micros = 4_500_000;
/// A caller gives a call two seconds; the stub hears of its end a little off that.
const CALL: Micros = 1_800_000;

/// Why a job that had succeeded was called again.
enum Reason {
    /// It was in flight when this incident, by its place in the history, ended its owner.
    InFlight(usize),
    /// Finished, and committed with the next commit, which did not come.
    NotYetCommitted,
    /// Finished, behind a record that was not, at an abrupt end: the offset had not moved since.
    HeldUp,
    /// Kafka could not be reached to commit it.
    Uncommittable,
    /// Its owner was expelled from the group before a commit was taken.
    Expelled,
    /// The machine stood still.
    Stalled,
}

/// Returns the duplicates by their reason.
pub(super) fn check(
    ledger: &Ledger<'_>,
    terms: &Terms,
    violations: &mut Vec<Violation>,
) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut in_flight: BTreeMap<usize, usize> = BTreeMap::new();
    for entry in ledger.history.entries.iter().filter(|entry| !entry.aborted) {
        let Some(done) = ledger.success_at(entry.number) else {
            continue;
        };
        let calls = ledger.calls_of(entry.number);
        for again in calls.iter().filter(|call| call.start > done) {
            let before = calls.iter().filter(|call| {
                call.verdict == Verdict::Success
                    && call.step == again.step
                    && call.end <= again.start
            });
            let Some(before) = before.max_by_key(|call| call.end) else {
                continue;
            };
            if let Some(committed) = ledger.committed_at(entry)
                && again.start > committed.saturating_add(LEARN)
                && !is_behind(ledger, again, committed)
            {
                violations.push(broken(
                    Rule::E,
                    format!(
                        "{} was behind the committed offset at {}, and was called again by w{}, which had long learnt \
                         of it: {}",
                        ledger.describe(entry),
                        super::s(committed),
                        again.worker,
                        ledger.story(entry)
                    ),
                ));
            }
            let name = match reason(ledger, entry, (before, done.max(before.end)), again) {
                Some(Reason::InFlight(incident)) => {
                    *in_flight.entry(incident).or_default() += 1;
                    "in flight at an abrupt end"
                }
                Some(Reason::NotYetCommitted) => {
                    "finished within a commit's interval of an abrupt end"
                }
                Some(Reason::HeldUp) => "finished behind an unfinished record at an abrupt end",
                Some(Reason::Uncommittable) => "finished while Kafka was away",
                Some(Reason::Expelled) => "finished in a rebalance that expelled its owner",
                Some(Reason::Stalled) => "the machine stood still",
                None => {
                    let behind = match ledger.is_held_up(entry, before.end) {
                        true => "an earlier record of its partition was not done",
                        false => "all earlier records of its partition were done",
                    };
                    violations.push(broken(
                        Rule::E,
                        format!(
                            "{} had succeeded with w{} and was called again by w{} though nothing had ended \
                             abruptly; when it succeeded, {behind}: {}",
                            ledger.describe(entry),
                            before.worker,
                            again.worker,
                            ledger.story(entry)
                        ),
                    ));
                    "without a reason"
                }
            };
            *counts.entry(name).or_default() += 1;
        }
    }
    for call in &ledger.history.calls {
        // With a server that does its work to the end this would have been a duplicate.
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
    for (index, count) in in_flight {
        let incident = &ledger.history.incidents[index];
        let workers = match incident.workers.len() {
            0 => terms.workers_max,
            workers => workers,
        };
        let most = terms.concurrency * STEPS_MAX * workers;
        if count > most {
            violations.push(broken(
                Rule::E,
                format!(
                    "{count} duplicates for {incident:?}, where at most {most} calls could be in flight"
                ),
            ));
        }
    }
    counts
}

/// `finished`: when all calls of the job had succeeded, of which `before` is one. Of several reasons that is taken which
/// sets no bound: what could not be committed need not have been in flight.
fn reason(
    ledger: &Ledger<'_>,
    entry: &Entry,
    (before, finished): (&Call, Micros),
    again: &Call,
) -> Option<Reason> {
    if was_expelled(ledger, before.worker, finished, again.start) {
        return Some(Reason::Expelled);
    }
    let incidents = ledger.history.incidents.iter().enumerate();
    let found = incidents.filter_map(|(index, incident)| {
        let was = concerns(incident, before.worker) && incident.from <= again.start;
        let is = concerns(incident, again.worker);
        match incident.trouble {
            Trouble::Killed | Trouble::Frozen | Trouble::DrainCutOff if was => {
                after_an_end(ledger, entry, (before, finished), index, incident)
            }
            // A zombie that begins what another one has done.
            Trouble::Frozen
                if is
                    && again.start >= incident.from
                    && again.start <= incident.until.saturating_add(LEARN) =>
            {
                Some(Reason::InFlight(index))
            }
            Trouble::ServerCut
                if was
                    && before.end.saturating_add(ON_THE_WAY) >= incident.from
                    && before.start <= incident.until =>
            {
                Some(Reason::InFlight(index))
            }
            Trouble::KafkaCut | Trouble::BrokerKilled
                if incident.from <= again.start
                    && finished.saturating_add(COMMIT) >= incident.from
                    && before.start <= incident.until.saturating_add(RECOVERY) =>
            {
                Some(Reason::Uncommittable)
            }
            Trouble::KafkaCut | Trouble::BrokerKilled
                if incident.from <= again.start
                    && ledger.is_held_up(entry, incident.from.saturating_sub(COMMIT)) =>
            {
                Some(Reason::HeldUp)
            }
            Trouble::MachineStalled
                if incident.from <= again.start
                    && before.start <= incident.until.saturating_add(COMMIT)
                    && finished.saturating_add(COMMIT) >= incident.from =>
            {
                Some(Reason::Stalled)
            }
            _ => None,
        }
    });
    found.min_by_key(|reason| matches!(reason, Reason::InFlight(_)))
}

/// Whether the worker was expelled after that time, in a rebalance that was held up by a member that was killed, stopped
/// or cut off: its commits then wait behind its join, and are refused after it.
fn was_expelled(ledger: &Ledger<'_>, worker: u16, finished: Micros, by: Micros) -> bool {
    let history = ledger.history;
    let held_up = |at: Micros| {
        history.incidents.iter().any(|incident| {
            incident.trouble != Trouble::MachineStalled
                && incident.from <= at
                && incident.until.saturating_add(RECOVERY) >= at
        })
    };
    history.expulsions.iter().any(|(who, at)| {
        *who == worker
            && finished <= *at
            && finished.saturating_add(RECOVERY) >= *at
            && *at <= by.saturating_add(LEARN)
            && held_up(*at)
    })
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

fn after_an_end(
    ledger: &Ledger<'_>,
    entry: &Entry,
    (before, finished): (&Call, Micros),
    index: usize,
    incident: &Incident,
) -> Option<Reason> {
    // A drain that is cut off ends at the cut.
    let end = match incident.trouble {
        Trouble::DrainCutOff => incident.until,
        _ => incident.from,
    };
    if before.start > incident.until.saturating_add(LEARN) {
        None
    } else if finished.saturating_add(ON_THE_WAY) >= end {
        Some(Reason::InFlight(index))
    } else if finished.saturating_add(COMMIT) >= incident.from {
        Some(Reason::NotYetCommitted)
    } else if ledger.is_held_up(entry, incident.from.saturating_sub(COMMIT)) {
        Some(Reason::HeldUp)
    } else {
        None
    }
}

/// Whether the caller may not know yet what was committed: it was stopped, or cut off from Kafka.
fn is_behind(ledger: &Ledger<'_>, call: &Call, committed: Micros) -> bool {
    ledger.history.incidents.iter().any(|incident| {
        let kind = matches!(
            incident.trouble,
            Trouble::Frozen | Trouble::KafkaCut | Trouble::BrokerKilled | Trouble::MachineStalled
        );
        kind && concerns(incident, call.worker)
            && incident.from <= call.start
            && incident.until.saturating_add(LEARN)
                >= committed.max(call.start.saturating_sub(LEARN))
    })
}

/// Whether anything cut the call off.
fn is_cut_off(ledger: &Ledger<'_>, call: &Call) -> bool {
    ledger.history.incidents.iter().any(|incident| {
        let recovery = match incident.trouble {
            Trouble::KafkaCut | Trouble::BrokerKilled => RECOVERY,
            _ => LEARN,
        };
        concerns(incident, call.worker)
            && incident.from <= call.end.saturating_add(ON_THE_WAY)
            && incident.until.saturating_add(recovery) >= call.start
    })
}

fn concerns(incident: &Incident, worker: u16) -> bool {
    incident.workers.is_empty() || incident.workers.contains(&worker)
}
