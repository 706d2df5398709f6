use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{LaneId, Place, Queued, Scheduler};

type Jobs = Scheduler<&'static str, u32>;

impl Queued for u32 {
    fn set_waiting(&mut self, _: bool) {}
}

/// Its lane, its number, and whether it was told that it waits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Told(usize, u32, bool);

impl Queued for Told {
    fn set_waiting(&mut self, waiting: bool) {
        self.2 = waiting;
    }
}

#[test]
fn jobs_that_could_not_run_with_a_permit_are_told_so() {
    let mut jobs: Scheduler<&str, Told> = Scheduler::default();
    (1..=3).for_each(|n| jobs.push(0, Some("a"), Told(0, n, false)));
    let told = |jobs: &Scheduler<&str, Told>| -> Vec<bool> {
        let lane = jobs.lanes.values().next().unwrap();
        lane.queue.iter().map(|job| job.2).collect()
    };
    assert_eq!(told(&jobs), [false, true, true]);
    let now = start();
    let (lane, job) = jobs.next(now).unwrap();
    assert_eq!(told(&jobs), [true, true]);
    jobs.park(lane, job, now + Duration::from_secs(1), Place::First);
    assert_eq!(told(&jobs), [true, true, true]);
    let (lane, job) = jobs.next(now + Duration::from_secs(1)).unwrap();
    assert_eq!(job, Told(0, 1, false));
    jobs.finish(lane);
    assert_eq!(told(&jobs), [false, true]);
    jobs.retain(|job, _| job.1 != 2);
    assert_eq!(told(&jobs), [false]);
}

#[test]
fn a_group_that_has_its_share_leaves_the_last_permits_to_others() {
    let mut jobs = Jobs::default();
    (0..8).for_each(|n| jobs.push(1, None, n));
    let now = start();
    // Of each group three at most, counted here: it has jobs from 100 on, or those below.
    let running = Cell::new([0, 0]);
    let change = |job: u32, by: i32| {
        let mut of = running.get();
        of[usize::from(job >= 100)] += by;
        running.set(of);
    };
    let next = |jobs: &mut Jobs| {
        let next = jobs.next_within(now, |job| running.get()[usize::from(*job >= 100)] < 3);
        next.inspect(|(_, job)| change(*job, 1))
    };
    let slow: Vec<_> = std::iter::from_fn(|| next(&mut jobs)).collect();
    assert_eq!(slow.len(), 3);
    jobs.push(2, None, 100);
    assert_eq!(next(&mut jobs).unwrap().1, 100);
    assert_eq!(next(&mut jobs), None);
    jobs.finish(slow[0].0);
    change(slow[0].1, -1);
    assert_eq!(next(&mut jobs).unwrap().1, 3);
    let (lane, job) = slow[1];
    jobs.park(lane, job, now + Duration::from_secs(1), Place::First);
    change(job, -1);
    assert_eq!(next(&mut jobs).unwrap().1, 4);
    assert_eq!(jobs.next(now).unwrap().1, 5);
}

fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_lane_runs_one_job_at_a_time_in_order() {
    let mut jobs = Jobs::default();
    jobs.push(0, Some("a"), 1);
    jobs.push(0, Some("a"), 2);
    jobs.push(0, Some("b"), 3);
    let now = start();
    let (first, job) = jobs.next(now).unwrap();
    assert_eq!(job, 1);
    assert_eq!(jobs.next(now).unwrap().1, 3);
    assert_eq!(jobs.next(now), None);
    jobs.finish(first);
    assert_eq!(jobs.next(now).unwrap().1, 2);
}

#[test]
fn jobs_without_a_name_run_beside_each_other() {
    let mut jobs = Jobs::default();
    jobs.push(0, None, 1);
    jobs.push(0, None, 2);
    let now = start();
    assert_eq!(jobs.next(now).unwrap().1, 1);
    assert_eq!(jobs.next(now).unwrap().1, 2);
    assert_eq!(jobs.running(), 2);
}

#[test]
fn a_parked_job_holds_its_lane_but_no_permit() {
    let mut jobs = Jobs::default();
    jobs.push(0, Some("a"), 1);
    jobs.push(0, Some("a"), 2);
    let now = start();
    let (lane, job) = jobs.next(now).unwrap();
    let due = now + Duration::from_secs(1);
    jobs.park(lane, job, due, Place::First);
    assert_eq!((jobs.running(), jobs.parked()), (0, 1));
    assert_eq!(jobs.next_due(), Some(due));
    assert_eq!(jobs.next(now), None);
    assert_eq!(jobs.next(due).unwrap().1, 1);
    assert_eq!(jobs.parked(), 0);
}

#[test]
fn due_jobs_go_before_or_behind_the_others_in_the_order_of_their_time() {
    let mut jobs = Jobs::default();
    (1..=4).for_each(|job| jobs.push(0, None, job));
    let now = start();
    let at = |millis| now + Duration::from_millis(millis);
    for (due, place) in [(2, Place::First), (1, Place::First), (1, Place::Last)] {
        let (lane, job) = jobs.next(now).unwrap();
        jobs.park(lane, job, at(due), place);
    }
    let order: Vec<_> = std::iter::from_fn(|| Some(jobs.next(at(9))?.1)).collect();
    assert_eq!(order, [2, 1, 4, 3]);
}

#[test]
fn dropping_a_parked_job_frees_its_lane() {
    let mut jobs = Jobs::default();
    jobs.push(0, Some("a"), 1);
    jobs.push(0, Some("a"), 2);
    let now = start();
    let (lane, job) = jobs.next(now).unwrap();
    jobs.park(lane, job, now + Duration::from_secs(9), Place::First);
    jobs.retain(|job, parked| *job != 1 || parked.is_none());
    assert_eq!((jobs.parked(), jobs.next_due()), (0, None));
    assert_eq!(jobs.next(now).unwrap().1, 2);
    jobs.retain(|_, _| false);
    jobs.finish(lane);
    jobs.push(0, Some("a"), 7);
    assert_eq!(jobs.next(now).unwrap().1, 7);
}

#[test]
fn a_job_that_is_preferred_overtakes_those_of_other_lanes_only() {
    let mut jobs = Jobs::default();
    for (lane, job) in [("a", 1), ("b", 2), ("b", 3)] {
        jobs.push(0, Some(lane), job);
    }
    let now = start();
    let mut next = |wanted: u32| {
        jobs.next_preferring(now, |job| *job == wanted)
            .map(|(_, job)| job)
    };
    assert_eq!(next(2), Some(2));
    assert_eq!(next(3), Some(1));
    assert_eq!(next(3), None);
}

#[test]
fn groups_take_turns_however_many_jobs_each_has() {
    let mut jobs = Jobs::default();
    (1..=4).for_each(|job| jobs.push(1, None, job));
    (11..=12).for_each(|job| jobs.push(2, None, job));
    let now = start();
    let order: Vec<_> = std::iter::from_fn(|| Some(jobs.next(now)?.1)).collect();
    assert_eq!(order, [1, 11, 2, 12, 3, 4]);
}

#[test]
fn what_is_given_up_is_not_overtaken_by_those_behind_it() {
    let mut jobs = Jobs::default();
    (1..=3).for_each(|job| jobs.push(0, Some("a"), job));
    let now = start();
    let (lane, _) = jobs.next(now).unwrap();
    jobs.give_up(lane, |job| *job == 3);
    assert_eq!(jobs.next(now).unwrap().1, 3);
}

proptest! {
    /// Whatever is pushed, parked, finished and dropped: within a lane jobs run in order and never two at once, every
    /// job that is kept runs to its end, and the counts are those of the model.
    #[test]
    fn order_within_a_lane_holds_and_nothing_is_forgotten(
        actions in prop::collection::vec((0u8..5, 0usize..4, 0u64..3), 1..200),
    ) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let mut jobs: Scheduler<&str, Told> = Scheduler::default();
        let mut now = start();
        let mut pushed = 0u32;
        let mut running: Vec<(LaneId<&'static str>, Told)> = Vec::new();
        let mut last_started: HashMap<usize, u32> = HashMap::new();
        let mut unfinished = 0usize;
        let mut step = |jobs: &mut Scheduler<&'static str, Told>,
                        running: &mut Vec<(LaneId<&'static str>, Told)>, now| {
            if let Some((lane, job)) = jobs.next(now) {
                assert!(!job.2, "a job that runs does not wait");
                assert!(running.iter().all(|(_, other)| other.0 != job.0), "two of a lane at once");
                let last = last_started.entry(job.0).or_default();
                assert!(*last <= job.1, "order broken");
                *last = job.1;
                running.push((lane, job));
                return true;
            }
            false
        };
        for (action, pick, wait) in actions {
            match action {
                0 | 1 => {
                    pushed += 1;
                    unfinished += 1;
                    jobs.push(0, Some(NAMES[pick]), Told(pick, pushed, false));
                }
                2 => { step(&mut jobs, &mut running, now); }
                3 if !running.is_empty() => {
                    let (lane, _) = running.remove(pick % running.len());
                    jobs.finish(lane);
                    unfinished -= 1;
                }
                4 if !running.is_empty() => {
                    let (lane, job) = running.remove(pick % running.len());
                    jobs.park(lane, job, now + Duration::from_secs(wait), Place::First);
                }
                _ => now += Duration::from_secs(wait),
            }
            prop_assert_eq!(jobs.running(), running.len());
        }
        now += Duration::from_secs(10);
        while unfinished > 0 {
            while step(&mut jobs, &mut running, now) {}
            prop_assert!(!running.is_empty(), "{} jobs are forgotten", unfinished);
            for (lane, _) in running.drain(..) {
                jobs.finish(lane);
                unfinished -= 1;
            }
        }
        prop_assert_eq!((jobs.running(), jobs.parked(), jobs.next_due()), (0, 0, None));
    }
}
