//! The second half of rule G: each worker stays under its budget of dead letters.

use std::collections::{BTreeMap, HashSet};

use super::{Rule, Terms, Violation, broken, s};
use crate::chaos::history::{History, Micros};

const MINUTE: Micros = 60_000_000;
/// A letter may be written so much later than its budget allowed it: Kafka was away, the topic refused it, or the worker
/// was stopped.
const LATE: Micros = 20_000_000;

/// A worker may write as many letters at once as it has for a minute, and then so many in each.
pub(super) fn check(history: &History, terms: &Terms, violations: &mut Vec<Violation>) {
    let mut by_worker: BTreeMap<&str, Vec<Micros>> = BTreeMap::new();
    let mut known = HashSet::new();
    for letter in &history.letters {
        // One that was written without an acknowledgement is written again from the same token.
        if known.insert((&letter.worker, letter.partition, letter.offset)) {
            let times = by_worker.entry(&letter.worker).or_default();
            times.push(letter.at);
        }
    }
    let each = terms.letters_per_minute as u64;
    // In microseconds of the budget's time: each letter takes a minute's share.
    let most = MINUTE + LATE;
    for (worker, mut times) in by_worker {
        times.sort_unstable();
        let mut level = 0;
        let mut last = 0;
        for at in times {
            level = u64::saturating_sub(level, at - last) + MINUTE / each.max(1);
            last = at;
            if level > most + MINUTE / each.max(1) {
                violations.push(broken(
                    Rule::G,
                    format!(
                        "{worker} had written more dead letters by {} than {each} and {each} a minute",
                        s(at)
                    ),
                ));
                break;
            }
        }
    }
}
