//! How many duplicates of each reason there can be.

use std::collections::{BTreeMap, BTreeSet};

use super::reason::{
    Reason, concerns, end, expelled_from, rebalance_at, unreachable_from, whole_again,
};
use super::{COMMIT, ON_THE_WAY, Tally};
use crate::chaos::history::{Incident, Micros, Trouble, Verdict};
use crate::chaos::oracle::Terms;
use crate::chaos::oracle::ledger::Ledger;
use crate::chaos::oracle::order::LEARN;
use crate::chaos::workload::STEPS_MAX;

/// The reasons that there were, each with what all of its causes allow together, and no duplicate yet.
pub(super) fn all(ledger: &Ledger<'_>, terms: &Terms) -> BTreeMap<&'static str, Tally> {
    let history = ledger.history;
    let incidents = history.incidents.iter().enumerate();
    let reasons = incidents.flat_map(|(index, incident)| match incident.trouble {
        Trouble::Killed | Trouble::Frozen | Trouble::DrainCutOff => vec![
            Reason::InFlight(index),
            Reason::NotYetCommitted(index),
            Reason::Rebalancing(index),
        ],
        Trouble::ServerCut => vec![Reason::InFlight(index)],
        Trouble::KafkaCut | Trouble::BrokerKilled => vec![Reason::Uncommittable(index)],
        Trouble::MachineStalled => vec![Reason::Stalled(index)],
    });
    let expelled = (0..history.expulsions.len()).map(Reason::Expelled);
    let workers: BTreeSet<u16> = history.rebalances.iter().map(|(who, _)| *who).collect();
    let outlasted = workers.into_iter().map(Reason::Outlasted);
    let mut all: BTreeMap<_, Tally> = BTreeMap::new();
    for reason in reasons.chain(expelled).chain(outlasted) {
        let tally = all.entry(reason.name()).or_default();
        if let Some(most) = most(ledger, terms, reason) {
            tally.most = Some(tally.most.unwrap_or(0) + most);
        }
    }
    all
}

/// The most duplicates for that reason and this one cause of it; none where nothing can be told.
pub(super) fn most(ledger: &Ledger<'_>, terms: &Terms, reason: Reason) -> Option<usize> {
    let history = ledger.history;
    let incident = |index: usize| history.incidents.get(index);
    match reason {
        Reason::InFlight(index) => {
            let incident = incident(index)?;
            let workers = match incident.workers.len() {
                0 => terms.workers_max,
                workers => workers,
            };
            let in_flight = terms.concurrency * STEPS_MAX * workers;
            Some(in_flight + after_waking(ledger, incident))
        }
        Reason::NotYetCommitted(index) => {
            let incident = incident(index)?;
            Some(finished(ledger, incident, incident.from, end(incident)))
        }
        Reason::Rebalancing(index) => {
            let incident = incident(index)?;
            let began = rebalance_at(ledger, end(incident));
            Some(began.map_or(0, |began| {
                finished(ledger, incident, began.min(incident.from), end(incident))
            }))
        }
        Reason::Uncommittable(index) => {
            let incident = incident(index)?;
            let from = unreachable_from(ledger, incident);
            let until = whole_again(ledger, incident);
            Some(finished(ledger, incident, from, until))
        }
        Reason::Expelled(index) => {
            let (worker, at) = *history.expulsions.get(index)?;
            let from = expelled_from(ledger, at);
            let of_it = |who: u16| who == worker;
            Some(finished_by(ledger, of_it, from, at))
        }
        Reason::Outlasted(worker) => {
            let rebalances = history.rebalances.iter();
            let own = rebalances.filter(|(who, _)| *who == worker).count();
            Some(terms.concurrency * STEPS_MAX * own)
        }
        Reason::Stalled(_) => None,
    }
}

/// What a worker that was stopped begins after it has woken up, until it has learnt that it owns nothing any more.
fn after_waking(ledger: &Ledger<'_>, incident: &Incident) -> usize {
    if incident.trouble != Trouble::Frozen {
        return 0;
    }
    let awake = incident.until..=incident.until.saturating_add(LEARN);
    let calls = ledger.history.calls.iter();
    calls
        .filter(|call| concerns(incident, call.worker) && awake.contains(&call.start))
        .count()
}

fn finished(ledger: &Ledger<'_>, incident: &Incident, from: Micros, until: Micros) -> usize {
    finished_by(ledger, |worker| concerns(incident, worker), from, until)
}

/// The calls that succeeded from a commit's interval before that time on, and those in flight at the end of it.
fn finished_by(
    ledger: &Ledger<'_>,
    by: impl Fn(u16) -> bool,
    from: Micros,
    until: Micros,
) -> usize {
    let from = from.saturating_sub(COMMIT);
    let calls = ledger.history.calls.iter().filter(|call| by(call.worker));
    let counted = calls.filter(|call| {
        let in_flight = call.start <= until && call.end.saturating_add(ON_THE_WAY) >= until;
        in_flight || (call.verdict == Verdict::Success && (from..=until).contains(&call.end))
    });
    counted.count()
}
