//! The history, indexed by job and by place.

use std::collections::{BTreeMap, HashMap};

use super::s;
use crate::chaos::history::{Call, Entry, History, Letter, Micros, Verdict};
use crate::chaos::workload::Workload;

/// Between two rebalances, for a commit to go out.
const APART: Micros = 800_000;

/// What the rules look things up in.
pub(super) struct Ledger<'h> {
    pub(super) history: &'h History,
    pub(super) workload: &'h Workload,
    /// By partition and offset; with the time at which all up to there was done.
    places: BTreeMap<(i32, i64), (&'h Entry, Micros)>,
    partitions: HashMap<u32, i32>,
    /// By partition, upwards.
    commits: HashMap<i32, Vec<(i64, Micros)>>,
    calls: HashMap<u32, Vec<&'h Call>>,
    /// By partition, with the offset, in the order of their beginnings.
    calls_in: HashMap<i32, Vec<(i64, &'h Call)>>,
    letters: HashMap<(i32, i64), Vec<&'h Letter>>,
    success: HashMap<u32, Micros>,
    /// None where nobody was told.
    rebalances: Option<Vec<(Micros, Micros)>>,
}

impl<'h> Ledger<'h> {
    pub(super) fn new(history: &'h History, workload: &'h Workload) -> Self {
        let mut calls: HashMap<u32, Vec<&Call>> = HashMap::new();
        for call in &history.calls {
            calls.entry(call.number).or_default().push(call);
        }
        let mut letters: HashMap<_, Vec<_>> = HashMap::new();
        for letter in &history.letters {
            letters
                .entry((letter.partition, letter.offset))
                .or_default()
                .push(letter);
        }
        let success = calls
            .iter()
            .filter_map(|(number, calls)| {
                let steps = workload.kind(*number).steps();
                Some((*number, success(calls, steps)?))
            })
            .collect();
        let places: HashMap<u32, &Entry> = history
            .entries
            .iter()
            .map(|entry| (entry.number, entry))
            .collect();
        let mut calls_in: HashMap<i32, Vec<_>> = HashMap::new();
        for call in &history.calls {
            if let Some(entry) = places.get(&call.number) {
                let calls = calls_in.entry(entry.partition).or_default();
                calls.push((entry.offset, call));
            }
        }
        let mut commits: HashMap<i32, Vec<(i64, Micros)>> = HashMap::new();
        for commit in &history.commits {
            let known = commits.entry(commit.partition).or_default();
            // One that goes back breaks rule C, and is no news here.
            if known
                .last()
                .is_none_or(|(offset, _)| commit.offset > *offset)
            {
                known.push((commit.offset, commit.at));
            }
        }
        let mut ledger = Self {
            history,
            commits,
            workload,
            places: BTreeMap::new(),
            partitions: places
                .iter()
                .map(|(number, entry)| (*number, entry.partition))
                .collect(),
            calls,
            calls_in,
            letters,
            success,
            rebalances: history.rebalancing.as_deref().map(joined),
        };
        let mut entries: Vec<&Entry> = history.entries.iter().collect();
        entries.sort_by_key(|entry| (entry.partition, entry.offset));
        let mut so_far = (-1, 0);
        for entry in entries {
            if so_far.0 != entry.partition {
                so_far = (entry.partition, 0);
            }
            if !entry.aborted {
                so_far.1 = so_far.1.max(ledger.done_at(entry).unwrap_or(Micros::MAX));
            }
            ledger
                .places
                .insert((entry.partition, entry.offset), (entry, so_far.1));
        }
        ledger
    }

    /// Jobs of a partition from one offset to before another one, those of aborted transactions left out.
    pub(super) fn between(
        &self,
        partition: i32,
        from: i64,
        to: i64,
    ) -> impl Iterator<Item = &'h Entry> {
        let range = (partition, from.min(to))..(partition, to);
        self.places
            .range(range)
            .map(|(_, (entry, _))| *entry)
            .filter(|entry| !entry.aborted)
    }

    pub(super) fn knows(&self, partition: i32, offset: i64) -> bool {
        self.places.contains_key(&(partition, offset))
    }

    pub(super) fn calls_of(&self, number: u32) -> &[&'h Call] {
        self.calls.get(&number).map_or(&[], Vec::as_slice)
    }

    pub(super) fn partition_of(&self, number: u32) -> Option<i32> {
        self.partitions.get(&number).copied()
    }

    /// The calls for a partition's records, with their offsets, in the order of their beginnings.
    pub(super) fn calls_in(&self, partition: i32) -> &[(i64, &'h Call)] {
        self.calls_in.get(&partition).map_or(&[], Vec::as_slice)
    }

    pub(super) fn letters_of(&self, entry: &Entry) -> &[&'h Letter] {
        let place = (entry.partition, entry.offset);
        self.letters.get(&place).map_or(&[], Vec::as_slice)
    }

    /// When all of the job's calls had succeeded.
    pub(super) fn success_at(&self, number: u32) -> Option<Micros> {
        self.success.get(&number).copied()
    }

    /// When the record had its outcome: all calls answered with success, or its dead letter appended.
    pub(super) fn done_at(&self, entry: &Entry) -> Option<Micros> {
        let letter = self.letters_of(entry).iter().map(|letter| letter.at).min();
        [self.success_at(entry.number), letter]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the record was first seen to be behind the committed offset.
    pub(super) fn committed_at(&self, entry: &Entry) -> Option<Micros> {
        let commits = self.commits.get(&entry.partition)?;
        let at = commits.partition_point(|(offset, _)| *offset <= entry.offset);
        commits.get(at).map(|(_, at)| *at)
    }

    /// Whether a record before this one was not done by then: so that this one could not be committed.
    pub(super) fn is_held_up(&self, entry: &Entry, by: Micros) -> bool {
        let before = self
            .places
            .range((entry.partition, 0)..(entry.partition, entry.offset));
        before
            .last()
            .is_some_and(|(_, (_, all_done))| *all_done > by)
    }

    /// When the group was not stable. One rebalance often follows another, with no time for a commit in between: those
    /// are one.
    pub(super) fn rebalances(&self) -> Option<&[(Micros, Micros)]> {
        self.rebalances.as_deref()
    }

    pub(super) fn describe(&self, entry: &Entry) -> String {
        format!(
            "record {} ({:?}, partition {}, offset {})",
            entry.number,
            self.workload.kind(entry.number),
            entry.partition,
            entry.offset
        )
    }

    /// All that is known of a record.
    pub(super) fn story(&self, entry: &Entry) -> String {
        let calls = self.calls_of(entry.number).iter().map(|call| {
            format!(
                "w{} step {} {} to {} {:?}",
                call.worker,
                call.step,
                s(call.start),
                s(call.end),
                call.verdict
            )
        });
        let letters = self.letters_of(entry).iter().map(|letter| {
            format!(
                "dead letter {} by {} at {}",
                letter.code,
                letter.worker,
                s(letter.at)
            )
        });
        let all: Vec<_> = calls.chain(letters).collect();
        match all.is_empty() {
            true => "neither called nor dead-lettered".to_owned(),
            false => all.join("; "),
        }
    }
}

fn joined(periods: &[(Micros, Micros)]) -> Vec<(Micros, Micros)> {
    let mut joined: Vec<(Micros, Micros)> = Vec::new();
    for (from, until) in periods {
        match joined.last_mut() {
            Some(last) if last.1.saturating_add(APART) >= *from => last.1 = last.1.max(*until),
            _ => joined.push((*from, *until)),
        }
    }
    joined
}

fn success(calls: &[&Call], steps: usize) -> Option<Micros> {
    let step = |step: usize| {
        calls
            .iter()
            .filter(|call| usize::from(call.step) == step && call.verdict == Verdict::Success)
            .map(|call| call.end)
            .min()
    };
    let ends: Option<Vec<_>> = (0..steps).map(step).collect();
    ends?.into_iter().max()
}
