//! Why a job that had succeeded was called again.

use super::{COMMIT, HELD_BACK, ON_THE_WAY, RECOVERY, has_drained};
use crate::chaos::history::{Call, Incident, Micros, Trouble};
use crate::chaos::oracle::ledger::Ledger;
use crate::chaos::oracle::order::LEARN;

/// With the place of its incident, or expulsion, in the history. Of several reasons the least one counts: what could not
/// be committed need not have been in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// The machine stood still.
    Stalled(usize),
    /// Kafka could not be reached to commit it.
    Uncommittable(usize),
    /// Its owner was expelled from the group before a commit was taken.
    Expelled(usize),
    /// Finished in a rebalance, in which Kafka takes no commits, and in which its owner ended.
    Rebalancing(usize),
    /// Finished, and committed with the next commit, which did not come.
    NotYetCommitted(usize),
    /// In flight when its owner ended.
    InFlight(usize),
    /// In flight when the time was over that a rebalance gives its owner, that worker, for what it has begun.
    Outlasted(u16),
}

/// All names of reasons, for columns.
pub(crate) const REASONS: [&str; 7] = [
    IN_FLIGHT,
    OUTLASTED,
    NOT_YET_COMMITTED,
    REBALANCING,
    EXPELLED,
    UNCOMMITTABLE,
    STALLED,
];
const IN_FLIGHT: &str = "in flight at an abrupt end";
const OUTLASTED: &str = "in flight at the end of a rebalance's drain";
const NOT_YET_COMMITTED: &str = "within a commit's interval of an abrupt end";
const REBALANCING: &str = "in a rebalance at an abrupt end";
const EXPELLED: &str = "in a rebalance that expelled the owner";
const UNCOMMITTABLE: &str = "while Kafka was away";
const STALLED: &str = "while the machine stood still";

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stalled(_) => STALLED,
            Self::Uncommittable(_) => UNCOMMITTABLE,
            Self::Expelled(_) => EXPELLED,
            Self::Rebalancing(_) => REBALANCING,
            Self::NotYetCommitted(_) => NOT_YET_COMMITTED,
            Self::InFlight(_) => IN_FLIGHT,
            Self::Outlasted(_) => OUTLASTED,
        }
    }

    /// What it was, for people.
    pub(super) fn cause(self, ledger: &Ledger<'_>) -> String {
        match self {
            Self::Expelled(index) => format!("{:?}", ledger.history.expulsions.get(index)),
            Self::Outlasted(worker) => format!("w{worker} gave partitions up"),
            Self::Stalled(index)
            | Self::Uncommittable(index)
            | Self::Rebalancing(index)
            | Self::NotYetCommitted(index)
            | Self::InFlight(index) => format!("{:?}", ledger.history.incidents.get(index)),
        }
    }
}

/// `finished`: when all calls of the job had succeeded, of which `before` is one.
pub(super) fn reason(
    ledger: &Ledger<'_>,
    (before, finished): (&Call, Micros),
    again: &Call,
) -> Option<Reason> {
    let incidents = ledger.history.incidents.iter().enumerate();
    let found = incidents.filter_map(|(index, incident)| {
        let was = concerns(incident, before.worker) && incident.from <= again.start;
        let is = concerns(incident, again.worker);
        match incident.trouble {
            Trouble::Killed | Trouble::Frozen | Trouble::DrainCutOff if was => {
                after_an_end(ledger, (before, finished), index, incident)
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
                    && before.start <= incident.until.saturating_add(HELD_BACK) =>
            {
                Some(Reason::InFlight(index))
            }
            Trouble::KafkaCut | Trouble::BrokerKilled
                if incident.from <= again.start
                    && finished.saturating_add(COMMIT) >= unreachable_from(ledger, incident)
                    && before.start <= whole_again(ledger, incident) =>
            {
                Some(Reason::Uncommittable(index))
            }
            Trouble::MachineStalled
                if incident.from <= again.start
                    && before.start <= incident.until.saturating_add(COMMIT)
                    && finished.saturating_add(COMMIT) >= incident.from =>
            {
                Some(Reason::Stalled(index))
            }
            _ => None,
        }
    });
    found
        .chain(expulsion(ledger, before.worker, finished, again.start))
        .chain(outlasted(ledger, before))
        .min()
}

/// The call that succeeded went on for as long as a drain may take: its partition was given up meanwhile.
fn outlasted(ledger: &Ledger<'_>, before: &Call) -> Option<Reason> {
    let partition = ledger.partition_of(before.number)?;
    rebalance_at(ledger, before.end)?;
    let is_over = has_drained(ledger, partition, before.worker, before.end);
    is_over.then_some(Reason::Outlasted(before.worker))
}

fn after_an_end(
    ledger: &Ledger<'_>,
    (before, finished): (&Call, Micros),
    index: usize,
    incident: &Incident,
) -> Option<Reason> {
    let end = end(incident);
    let rebalance = rebalance_at(ledger, end);
    match () {
        () if before.start > incident.until.saturating_add(LEARN) => None,
        () if finished.saturating_add(ON_THE_WAY) >= end => Some(Reason::InFlight(index)),
        () if rebalance.is_some_and(|began| finished.saturating_add(COMMIT) >= began) => {
            Some(Reason::Rebalancing(index))
        }
        () if finished.saturating_add(COMMIT) >= incident.from => {
            Some(Reason::NotYetCommitted(index))
        }
        () => None,
    }
}

/// When the incident ended its worker: a drain that is cut off ends at the cut.
pub(super) fn end(incident: &Incident) -> Micros {
    match incident.trouble {
        Trouble::DrainCutOff => incident.until,
        _ => incident.from,
    }
}

/// When the rebalance began that went on at that time, or had ended so shortly before that no commit had gone out.
pub(super) fn rebalance_at(ledger: &Ledger<'_>, at: Micros) -> Option<Micros> {
    let mut rebalances = ledger.rebalances()?.iter();
    let found = rebalances.find(|(from, until)| *from <= at && until.saturating_add(COMMIT) >= at);
    found.map(|(from, _)| *from)
}

/// Since when nothing could be committed before Kafka was back: since a rebalance began that the cut followed, with no time
/// for a commit in between.
pub(super) fn unreachable_from(ledger: &Ledger<'_>, incident: &Incident) -> Micros {
    let began = rebalance_at(ledger, incident.from);
    began.map_or(incident.from, |began| began.min(incident.from))
}

/// When commits worked again after Kafka was away: the group has become whole in a rebalance, if it had to.
pub(super) fn whole_again(ledger: &Ledger<'_>, incident: &Incident) -> Micros {
    let Some(rebalances) = ledger.rebalances() else {
        return incident.until.saturating_add(RECOVERY);
    };
    let noticed = incident.until.saturating_add(LEARN);
    let following = rebalances
        .iter()
        .filter(|(from, until)| *from <= noticed && *until >= incident.from);
    let whole = following.map(|(_, until)| *until).max().unwrap_or(0);
    whole.max(incident.until).saturating_add(COMMIT)
}

/// The expulsion of the worker after that time, in a rebalance that was held up by a member that was killed, stopped or
/// cut off: its commits then wait behind its join, and are refused after it.
fn expulsion(ledger: &Ledger<'_>, worker: u16, finished: Micros, by: Micros) -> Option<Reason> {
    let history = ledger.history;
    let held_up = |at: Micros| {
        history.incidents.iter().any(|incident| {
            incident.trouble != Trouble::MachineStalled
                && incident.from <= at
                && incident.until.saturating_add(RECOVERY) >= at
        })
    };
    let mut expulsions = history.expulsions.iter();
    let index = expulsions.position(|(who, at)| {
        *who == worker
            && finished <= *at
            && finished.saturating_add(COMMIT) >= expelled_from(ledger, *at)
            && *at <= by.saturating_add(LEARN)
            && held_up(*at)
    });
    index.map(Reason::Expelled)
}

/// When the rebalance began in which a worker was seen to have been expelled then.
pub(super) fn expelled_from(ledger: &Ledger<'_>, at: Micros) -> Micros {
    let Some(rebalances) = ledger.rebalances() else {
        return at.saturating_sub(RECOVERY);
    };
    let mut rebalances = rebalances.iter();
    let found = rebalances.find(|(from, until)| *from <= at && until.saturating_add(LEARN) >= at);
    found.map_or(at, |(from, _)| *from)
}

/// Whether the caller may not know yet what was committed: it was stopped, or cut off from Kafka.
pub(super) fn is_behind(ledger: &Ledger<'_>, call: &Call, committed: Micros) -> bool {
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
pub(super) fn is_cut_off(ledger: &Ledger<'_>, call: &Call) -> bool {
    ledger.history.incidents.iter().any(|incident| {
        let recovered = match incident.trouble {
            Trouble::KafkaCut | Trouble::BrokerKilled => whole_again(ledger, incident),
            _ => incident.until.saturating_add(LEARN),
        };
        concerns(incident, call.worker)
            && incident.from <= call.end.saturating_add(ON_THE_WAY)
            && recovered >= call.start
    })
}

pub(super) fn concerns(incident: &Incident, worker: u16) -> bool {
    incident.workers.is_empty() || incident.workers.contains(&worker)
}
