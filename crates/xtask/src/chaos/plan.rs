//! What goes wrong when: a pure function of the seed.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;

use super::dice::Dice;

/// Quiet time at the beginning, in milliseconds: the group forms.
const CALM: u64 = 3_000;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Deed {
    /// SIGKILL for a worker, and a new one in its place
    Kill,
    /// SIGTERM for a worker, and a new one in its place
    Term,
    /// SIGSTOP for a worker until its session is over, then SIGCONT: a zombie
    Stop,
    /// More workers
    ScaleUp,
    /// Fewer workers, by SIGTERM
    ScaleDown,
    /// Kafka cannot be reached by the workers, or does not answer
    KafkaCut,
    /// The server cannot be reached by one worker, or does not answer it
    ServerCut,
    /// The dead-letter topic refuses every record
    Letters,
    /// The server refuses connections
    Refused,
    /// The server answers 503 to everything
    Unavailable,
    /// The server answers 401 to everything
    Unauthorized,
    /// A broker is killed, and comes back; needs three brokers
    Broker,
}

/// How a proxy treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It forwards.
    Open,
    /// It keeps connections open and forwards nothing.
    Silent,
    /// It resets all connections and takes none.
    Closed,
}

/// How the server is out, all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    Refused,
    Unavailable,
    Unauthorized,
}

impl Outage {
    /// What the server answers to every request.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Refused | Self::Unavailable => 503,
            Self::Unauthorized => 401,
        }
    }
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Start(usize),
    Kill(usize),
    Terminate(usize),
    Freeze(usize),
    Continue(usize),
    Kafka(Passage),
    Server(usize, Passage),
    LettersWritable(bool),
    Outage(Option<Outage>),
    KillBroker(usize),
    StartBroker(usize),
}

/// What a plan is made of beside the seed.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Milliseconds.
    pub(crate) duration: u64,
    /// Fewest and most workers.
    pub(crate) workers: (usize, usize),
    pub(crate) brokers: usize,
    /// Only these deeds; all of them when empty.
    pub(crate) only: Vec<Deed>,
}

/// All actions, by their time in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan(pub(crate) Vec<(u64, Action)>);

struct Draft {
    dice: Dice,
    steps: Vec<(u64, Action)>,
    /// By slot: whether a worker is meant to run there, and until when it is taken.
    slots: Vec<(bool, u64)>,
    fewest: usize,
    brokers: usize,
    /// Until when Kafka, the server and the letters are taken.
    kafka: u64,
    server: u64,
    letters: u64,
    end: u64,
}

impl Plan {
    /// The plan of that seed.
    pub(crate) fn new(seed: u64, terms: &Terms) -> Self {
        let (fewest, most) = terms.workers;
        let mut draft = Draft {
            dice: Dice::new(seed, "plan", 0),
            steps: Vec::new(),
            slots: vec![(false, 0); most],
            fewest,
            brokers: terms.brokers,
            kafka: 0,
            server: 0,
            letters: 0,
            end: terms.duration,
        };
        let first = draft
            .dice
            .between(fewest as u64, fewest.midpoint(most) as u64) as usize;
        (0..first).for_each(|slot| draft.start(slot, 0));
        let mut deck = Vec::new();
        let mut now = CALM;
        while now < terms.duration {
            if deck.is_empty() {
                deck = match terms.only.is_empty() {
                    true => Deed::value_variants().to_vec(),
                    false => terms.only.clone(),
                };
                draft.dice.shuffle(&mut deck);
            }
            if let Some(deed) = deck.pop() {
                draft.add(deed, now);
            }
            now += draft.dice.between(1_500, 3_500);
        }
        let mut steps = draft.steps;
        steps.sort_by_key(|(at, _)| *at);
        Self(steps)
    }
}

impl Plan {
    /// How many minutes all workers have together until that time in milliseconds, and how many are started.
    pub(crate) fn workers(&self, until: u64) -> (f64, usize) {
        let mut up: BTreeMap<usize, u64> = BTreeMap::new();
        let (mut millis, mut starts) = (0, 0);
        for (at, action) in &self.0 {
            match action {
                Action::Start(slot) => {
                    starts += usize::from(up.insert(*slot, *at).is_none());
                }
                Action::Kill(slot) | Action::Terminate(slot) => {
                    millis += up.remove(slot).map_or(0, |since| at - since);
                }
                _ => {}
            }
        }
        millis += up
            .values()
            .map(|since| until.saturating_sub(*since))
            .sum::<u64>();
        (millis as f64 / 60_000.0, starts)
    }
}

impl Draft {
    fn add(&mut self, deed: Deed, now: u64) {
        match deed {
            Deed::Kill => self.replace(now, Action::Kill, 500, 3_000),
            Deed::Term => self.replace(now, Action::Terminate, 1_000, 6_000),
            Deed::Stop => {
                // Longer than the session of six seconds.
                let back = now + self.dice.between(8_000, 10_000);
                if let Some(slot) = self.running(now).filter(|_| back < self.end) {
                    self.push(now, Action::Freeze(slot));
                    self.push(back, Action::Continue(slot));
                    self.slots[slot].1 = back + 4_000;
                }
            }
            Deed::ScaleUp => {
                for slot in 0..self.slots.len() {
                    let (up, free) = self.slots[slot];
                    if !up && free <= now && self.dice.per_mille(700) {
                        self.start(slot, now);
                    }
                }
            }
            Deed::ScaleDown => {
                let surplus = self.slots.iter().filter(|(up, _)| *up).count();
                for _ in self.fewest..surplus {
                    if let Some(slot) = self.running(now).filter(|_| self.dice.per_mille(700)) {
                        self.push(now, Action::Terminate(slot));
                        self.slots[slot] = (false, now + 3_000);
                    }
                }
            }
            Deed::KafkaCut => {
                let (low, high) = match self.dice.per_mille(500) {
                    true => (500, 3_000),
                    // Longer than the session.
                    false => (7_000, 9_000),
                };
                let passage = self.passage();
                if let Some(until) = self.period(now, self.kafka, low, high) {
                    self.push(now, Action::Kafka(passage));
                    self.push(until, Action::Kafka(Passage::Open));
                    self.kafka = until + 5_000;
                }
            }
            Deed::ServerCut => {
                let passage = self.passage();
                if let Some(slot) = self.running(now)
                    && let Some(until) = self.period(now, self.server, 1_000, 5_000)
                {
                    self.push(now, Action::Server(slot, passage));
                    self.push(until, Action::Server(slot, Passage::Open));
                    self.slots[slot].1 = until;
                }
            }
            Deed::Letters => {
                if let Some(until) = self.period(now, self.letters, 3_000, 7_000) {
                    self.push(now, Action::LettersWritable(false));
                    self.push(until, Action::LettersWritable(true));
                    self.letters = until + 2_000;
                }
            }
            Deed::Refused => self.outage(now, Outage::Refused),
            Deed::Unavailable => self.outage(now, Outage::Unavailable),
            Deed::Unauthorized => self.outage(now, Outage::Unauthorized),
            Deed::Broker => {
                if self.brokers >= 3
                    && let Some(until) = self.period(now, self.kafka, 3_000, 8_000)
                {
                    let node = self.dice.below(self.brokers as u64) as usize;
                    self.push(now, Action::KillBroker(node));
                    self.push(until, Action::StartBroker(node));
                    self.kafka = until + 10_000;
                }
            }
        }
    }

    fn outage(&mut self, now: u64, outage: Outage) {
        if let Some(until) = self.period(now, self.server, 2_000, 6_000) {
            self.push(now, Action::Outage(Some(outage)));
            self.push(until, Action::Outage(None));
            self.server = until + 2_000;
        }
    }

    /// One worker goes and another one comes.
    fn replace(&mut self, now: u64, end: impl Fn(usize) -> Action, low: u64, high: u64) {
        if let Some(slot) = self.running(now) {
            self.push(now, end(slot));
            let back = now + self.dice.between(low, high);
            self.start(slot, back);
        }
    }

    fn start(&mut self, slot: usize, at: u64) {
        self.push(at, Action::Start(slot));
        // Time to join, so that what follows meets a worker that works.
        self.slots[slot] = (true, at + 2_500);
    }

    /// A slot with a worker that is free for something new.
    fn running(&mut self, now: u64) -> Option<usize> {
        let free: Vec<usize> = (0..self.slots.len())
            .filter(|slot| self.slots[*slot].0 && self.slots[*slot].1 <= now)
            .collect();
        let chosen = self.dice.below(free.len() as u64) as usize;
        free.get(chosen).copied()
    }

    /// The end of a period that begins now, if what it needs is free and the run long enough.
    fn period(&mut self, now: u64, free: u64, low: u64, high: u64) -> Option<u64> {
        let until = now + self.dice.between(low, high);
        (free <= now && until < self.end).then_some(until)
    }

    fn passage(&mut self) -> Passage {
        match self.dice.per_mille(500) {
            true => Passage::Silent,
            false => Passage::Closed,
        }
    }

    fn push(&mut self, at: u64, action: Action) {
        self.steps.push((at, action));
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, action) in &self.0 {
            writeln!(f, "  {:>4}.{:03} s  {action:?}", at / 1_000, at % 1_000)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, only: &[Deed]) -> Plan {
        let terms = Terms {
            duration: 300_000,
            workers: (1, 5),
            brokers: 3,
            only: only.to_vec(),
        };
        Plan::new(seed, &terms)
    }

    #[test]
    fn a_plan_is_a_function_of_the_seed() {
        assert_eq!(plan(1, &[]), plan(1, &[]));
        assert_ne!(plan(1, &[]), plan(2, &[]));
    }

    #[test]
    fn what_is_broken_is_mended() {
        for seed in 0..50 {
            let Plan(steps) = plan(seed, &[]);
            let last = |wanted: fn(&Action) -> bool| {
                let found = steps.iter().rev().find(|(_, action)| wanted(action));
                found.map(|(_, action)| *action)
            };
            assert_eq!(
                last(|a| matches!(a, Action::Outage(_))),
                Some(Action::Outage(None))
            );
            assert_eq!(
                last(|a| matches!(a, Action::LettersWritable(_))),
                Some(Action::LettersWritable(true))
            );
            assert_eq!(
                last(|a| matches!(a, Action::Kafka(_))),
                Some(Action::Kafka(Passage::Open))
            );
            let frozen = steps
                .iter()
                .filter(|(_, a)| matches!(a, Action::Freeze(_)))
                .count();
            let continued = steps
                .iter()
                .filter(|(_, a)| matches!(a, Action::Continue(_)))
                .count();
            assert!(frozen > 0 && frozen == continued, "seed {seed}");
        }
    }

    #[test]
    fn a_plan_tells_how_long_its_workers_work() {
        let plan = Plan(vec![
            (0, Action::Start(0)),
            (30_000, Action::Start(1)),
            (60_000, Action::Kill(0)),
            (90_000, Action::Start(0)),
        ]);
        assert_eq!(plan.workers(120_000), (3.0, 3));
    }

    #[test]
    fn only_what_was_asked_for_goes_wrong() {
        let Plan(steps) = plan(1, &[Deed::Kill]);
        assert!(steps.iter().any(|(_, a)| matches!(a, Action::Kill(_))));
        assert!(
            steps
                .iter()
                .all(|(_, a)| matches!(a, Action::Kill(_) | Action::Start(_)))
        );
    }
}
