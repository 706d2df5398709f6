//! Finds partitions in which nothing moves although there is work: pure, and independent of the threads that do the work.
//!
//! A consumer that lost a wake-up, a handler that hangs beyond its timeouts, a poll thread that is blocked: all of them
//! look the same from outside, lag without progress, and none of them raises an error.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How one owned partition stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Of its assignment.
    pub epoch: u64,
    /// Changes whenever something moves, see [`crate::engine::ownership::Ownership::progress`].
    pub progress: u64,
    /// How many calls have ended, well or not.
    pub attempts: u64,
    /// How many jobs are done.
    pub completed: u64,
    /// The offset that may be committed; none before the first record of the assignment.
    pub committable: Option<i64>,
    /// How far the client has fetched, as far as it has told.
    pub fetched: Option<i64>,
    /// Records received and not finished.
    pub unfinished: usize,
    /// Those of them that wait for a retry, for their time, or behind another job.
    pub waiting: usize,
    /// Those of them that are under way.
    pub in_flight: usize,
    /// Whether it is paused alone, because too many of its jobs wait.
    pub is_crowded: bool,
    /// Whether it is paused because the engine is full and it has its share of it.
    pub is_full: bool,
    /// Whether it stands before a batch that can't be read, which is told elsewhere.
    pub is_corrupt: bool,
}

impl Standing {
    fn all_wait(&self) -> bool {
        self.unfinished > 0 && self.waiting >= self.unfinished
    }

    /// Nothing of it is under way, and what could be has no permit.
    fn waits_for_its_turn(&self) -> bool {
        self.in_flight == 0 && self.unfinished > self.waiting
    }
}

/// Why nothing moves, or comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody knows: there is work that could be done. A new process may cure it.
    Unknown,
    /// Every record here waits for its time. A new process would wait as well.
    Waiting,
    /// Jobs of other partitions have all permits, and end so slowly that its turn does not come. It would not in a new
    /// process either.
    Turn,
    /// Calls end, and none of them ends a job. They would not in a new process either.
    Failing,
}

/// A partition in which nothing moves.
#[derive(Clone, Debug)]
pub struct Stall {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Records behind the end.
    pub lag: u64,
    /// Records received and not finished.
    pub unfinished: usize,
    /// Since when nothing moves, or no job is done.
    pub idle: Duration,
    /// Why.
    pub cause: Cause,
}

/// Remembers when each partition moved last.
#[derive(Debug)]
pub struct Watchdog {
    limit: Duration,
    seen: HashMap<(Arc<str>, i32), Seen>,
    /// When something moved last, in any partition.
    moved: Option<Instant>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    epoch: u64,
    progress: u64,
    since: Instant,
    completed: u64,
    /// Since when no job was done, and how many calls had ended then.
    fruitless: (Instant, u64),
}

impl Watchdog {
    /// A partition may stand still for `limit`.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            seen: HashMap::new(),
            moved: None,
        }
    }

    /// The partitions that have stood still for too long. `standings` come with their lag, none where it is not known;
    /// `held` says that intake is held on purpose, and then nothing is expected to move.
    pub fn observe(
        &mut self,
        now: Instant,
        standings: &[(Standing, Option<u64>)],
        held: bool,
    ) -> Vec<Stall> {
        let before = |standing: &Standing| {
            let key = (standing.topic.clone(), standing.partition);
            self.seen.get(&key)
        };
        let any_moves = standings.iter().any(|(standing, _)| {
            before(standing).is_none_or(|before| before.progress != standing.progress)
        });
        if any_moves {
            self.moved = Some(now);
        }
        let others_move = self.moved.is_some_and(|moved| now - moved < self.limit);
        let mut seen = HashMap::with_capacity(standings.len());
        let mut stalls = Vec::new();
        for (standing, lag) in standings {
            let key = (standing.topic.clone(), standing.partition);
            // While others move, a partition that has its share of a full engine has its turn to come; and jobs that
            // wait for their time are no trouble while others may come in.
            let is_explained = held
                || standing.is_corrupt
                || (standing.is_full && any_moves)
                || (standing.all_wait() && !standing.is_crowded);
            // While the lag is not known, time does not count, neither for a stall nor against it.
            let has_work = !is_explained && lag.is_none_or(|lag| lag > 0);
            let unknown = |before: &Seen| match lag {
                None => now - before.at,
                Some(_) => Duration::ZERO,
            };
            let since = match self.seen.get(&key) {
                Some(before)
                    if has_work
                        && before.epoch == standing.epoch
                        && before.progress == standing.progress =>
                {
                    before.since + unknown(before)
                }
                _ => now,
            };
            let fruitless = match self.seen.get(&key) {
                Some(before)
                    if !held
                        && lag.is_none_or(|lag| lag > 0)
                        && before.epoch == standing.epoch
                        && before.completed == standing.completed =>
                {
                    (before.fruitless.0 + unknown(before), before.fruitless.1)
                }
                _ => (now, standing.attempts),
            };
            let (idle, without) = (now - since, now - fruitless.0);
            let cause = match () {
                () if idle >= self.limit && standing.all_wait() => Some((Cause::Waiting, idle)),
                () if idle >= self.limit && others_move && standing.waits_for_its_turn() => {
                    Some((Cause::Turn, idle))
                }
                () if idle >= self.limit => Some((Cause::Unknown, idle)),
                () if without >= self.limit && standing.attempts != fruitless.1 => {
                    Some((Cause::Failing, without))
                }
                () => None,
            };
            stalls.extend(cause.map(|(cause, idle)| Stall {
                topic: standing.topic.clone(),
                partition: standing.partition,
                lag: lag.unwrap_or_default(),
                unfinished: standing.unfinished,
                idle,
                cause,
            }));
            seen.insert(
                key,
                Seen {
                    at: now,
                    epoch: standing.epoch,
                    progress: standing.progress,
                    since,
                    completed: standing.completed,
                    fruitless,
                },
            );
        }
        self.seen = seen;
        stalls
    }
}

impl std::fmt::Display for Stall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            topic,
            partition,
            lag,
            unfinished,
            ..
        } = self;
        let seconds = self.idle.as_secs();
        let what = match self.cause {
            Cause::Unknown | Cause::Waiting | Cause::Turn => "nothing moved",
            Cause::Failing => "no job was done",
        };
        write!(
            f,
            "{topic}[{partition}]: lag {lag}, {what} for {seconds} s, "
        )?;
        match self.cause {
            Cause::Failing => write!(f, "the calls of {unfinished} jobs here fail or take long"),
            Cause::Turn => write!(
                f,
                "{unfinished} jobs here wait for a permit, and others have them all"
            ),
            Cause::Waiting => write!(f, "all {unfinished} jobs here wait for their time"),
            Cause::Unknown if *unfinished > 0 => write!(f, "{unfinished} jobs here do not end"),
            Cause::Unknown => write!(f, "no record comes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn standing(progress: u64, unfinished: usize, waiting: usize) -> Standing {
        Standing {
            topic: "t".into(),
            partition: 3,
            epoch: 1,
            progress,
            attempts: 0,
            completed: 0,
            committable: Some(5),
            fetched: None,
            unfinished,
            waiting,
            in_flight: 1,
            is_crowded: waiting > 0,
            is_full: false,
            is_corrupt: false,
        }
    }

    /// What is said after the limit, when the second standing follows the first.
    fn after(
        first: (Standing, Option<u64>),
        second: (Standing, Option<u64>),
        held: bool,
    ) -> Vec<String> {
        let mut watchdog = Watchdog::new(LIMIT);
        let now = Instant::now();
        assert!(watchdog.observe(now, &[first], held).is_empty());
        let stalls = watchdog.observe(now + LIMIT, &[second], held);
        stalls.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lag_without_progress_is_a_stall() {
        let stuck = |unfinished, waiting| (standing(1, unfinished, waiting), Some(7));
        for (unfinished, waiting, what) in [
            (0, 0, "no record comes"),
            (4, 1, "4 jobs here do not end"),
            (4, 4, "all 4 jobs here wait for their time"),
        ] {
            let said = after(
                stuck(unfinished, waiting),
                stuck(unfinished, waiting),
                false,
            );
            let expected = format!("t[3]: lag 7, nothing moved for 10 s, {what}");
            assert_eq!(said, [expected]);
        }
    }

    #[test]
    fn calls_that_end_no_job_are_told_of_and_are_no_reason_for_a_new_process() {
        let mut watchdog = Watchdog::new(LIMIT);
        let now = Instant::now();
        let at = |attempts, completed| {
            let mut standing = standing(attempts, 4, 1);
            (standing.attempts, standing.completed) = (attempts, completed);
            [(standing, Some(7))]
        };
        assert!(watchdog.observe(now, &at(1, 0), false).is_empty());
        let half = now + LIMIT / 2;
        assert!(watchdog.observe(half, &at(2, 0), false).is_empty());
        let stalls = watchdog.observe(now + LIMIT, &at(3, 0), false);
        assert_eq!(stalls[0].cause, Cause::Failing);
        let said =
            "t[3]: lag 7, no job was done for 10 s, the calls of 4 jobs here fail or take long";
        assert_eq!(stalls[0].to_string(), said);
        // One is done; and then intake is held, which explains it.
        assert!(watchdog.observe(now + LIMIT, &at(4, 1), false).is_empty());
        assert!(
            watchdog
                .observe(now + LIMIT * 2, &at(5, 1), true)
                .is_empty()
        );
        assert!(
            watchdog
                .observe(now + LIMIT * 2, &at(6, 1), false)
                .is_empty()
        );
    }

    #[test]
    fn jobs_that_others_leave_no_permit_are_told_of_and_are_no_reason_for_a_new_process() {
        let mut watchdog = Watchdog::new(LIMIT);
        let now = Instant::now();
        let at = |progress| {
            let mut waits = standing(1, 4, 1);
            waits.in_flight = 0;
            let mut moves = standing(progress, 4, 1);
            moves.partition = 4;
            [(waits, Some(7)), (moves, Some(7))]
        };
        assert!(watchdog.observe(now, &at(1), false).is_empty());
        let stalls = watchdog.observe(now + LIMIT, &at(2), false);
        assert_eq!(stalls[0].cause, Cause::Turn);
        // Nobody moves any more.
        let stalls = watchdog.observe(now + LIMIT * 2, &at(2), false);
        assert_eq!(stalls[0].cause, Cause::Unknown);
    }

    #[test]
    fn time_in_which_the_lag_is_not_known_does_not_count() {
        let mut watchdog = Watchdog::new(LIMIT);
        let now = Instant::now();
        let at = |lag| [(standing(1, 1, 0), lag)];
        for (tenths, lag, is_stall) in [
            (0, Some(7), false),
            (9, Some(7), false),
            (30, None, false),
            (30, Some(7), false),
            (31, Some(7), true),
        ] {
            let stalls = watchdog.observe(now + LIMIT / 10 * tenths, &at(lag), false);
            assert_eq!(!stalls.is_empty(), is_stall, "{tenths}");
        }
    }

    #[test]
    fn what_moves_has_no_work_or_is_held_is_none() {
        let idle = |progress| standing(progress, 1, 0);
        let moved = after((idle(1), Some(7)), (idle(2), Some(7)), false);
        let done = after((idle(1), Some(7)), (idle(1), Some(0)), false);
        let unknown = after((idle(1), Some(7)), (idle(1), None), false);
        let held = after((idle(1), Some(7)), (idle(1), Some(9)), true);
        let mut waits = standing(1, 4, 4);
        waits.is_crowded = false;
        let waits = after((waits.clone(), Some(7)), (waits, Some(7)), false);
        let mut again = idle(1);
        again.epoch = 2;
        let assigned_again = after((idle(1), Some(7)), (again, Some(7)), false);
        for said in [moved, done, unknown, held, waits, assigned_again] {
            assert_eq!(said, Vec::<String>::new());
        }
    }
}
