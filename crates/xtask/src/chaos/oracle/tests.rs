use super::*;
use crate::chaos::history::{Call, Committed, Entry, Incident, Letter, Trouble, Verdict};
use crate::chaos::workload::Kind;

const SECOND: Micros = 1_000_000;

/// A history of jobs of one partition that succeed one after the other and are committed behind that.
struct Story {
    history: History,
    terms: Terms,
}

impl Story {
    fn new() -> Self {
        let workload = Workload {
            seed: 1,
            partitions: 1,
        };
        Self {
            history: History {
                topic: "jobs".into(),
                ..History::default()
            },
            terms: Terms {
                workload,
                ordering: Ordering::Key,
                concurrency: 1,
                workers_max: 1,
                letters_per_minute: 1_000,
            },
        }
    }

    fn nth(&self, wanted: impl Fn(Kind) -> bool, nth: usize) -> u32 {
        let mut numbers = (0..).filter(|number| wanted(self.terms.workload.kind(*number)));
        numbers.nth(nth).expect("numbers do not end")
    }

    fn record(&mut self, number: u32, offset: i64) {
        self.history.entries.push(Entry {
            number,
            partition: 0,
            offset,
            aborted: false,
        });
        self.history.ends = vec![offset + 1];
    }

    fn call(&mut self, number: u32, worker: u16, start: Micros, verdict: Verdict) {
        self.history.calls.push(Call {
            number,
            step: 0,
            worker,
            start,
            end: start + SECOND / 10,
            verdict,
        });
    }

    fn commit(&mut self, offset: i64, at: Micros) {
        self.history.commits.push(Committed {
            at,
            partition: 0,
            offset,
        });
    }

    fn broken(&self) -> Vec<Rule> {
        let mut rules: Vec<_> = judge(&self.history, &self.terms)
            .violations
            .into_iter()
            .map(|violation| violation.rule)
            .collect();
        rules.dedup();
        rules
    }

    /// Two good jobs, done and committed.
    fn two_done() -> (Self, u32, u32) {
        let mut story = Self::new();
        let (first, second) = (
            story.nth(|kind| kind == Kind::Good, 0),
            story.nth(|kind| kind == Kind::Good, 1),
        );
        story.record(first, 0);
        story.record(second, 1);
        story.call(first, 1, SECOND, Verdict::Success);
        story.call(second, 1, 2 * SECOND, Verdict::Success);
        (story, first, second)
    }
}

#[test]
fn a_run_in_which_all_is_done_before_it_is_committed_breaks_no_rule() {
    let (mut story, ..) = Story::two_done();
    story.commit(1, 2 * SECOND);
    story.commit(2, 3 * SECOND);
    assert_eq!(story.broken(), []);
}

#[test]
fn an_offset_committed_before_its_job_was_done_is_early() {
    let (mut story, ..) = Story::two_done();
    story.commit(2, 2 * SECOND);
    assert_eq!(story.broken(), [Rule::B]);
}

#[test]
fn work_done_without_an_answer_is_no_outcome() {
    let (mut story, _, second) = Story::two_done();
    story.history.calls.retain(|call| call.number != second);
    story.call(second, 1, 2 * SECOND, Verdict::DoneAndReset);
    story.commit(2, 3 * SECOND);
    assert_eq!(story.broken(), [Rule::A, Rule::B]);
}

#[test]
fn a_commit_that_goes_back_and_lag_that_stays_are_seen() {
    let (mut story, ..) = Story::two_done();
    story.commit(2, 3 * SECOND);
    story.commit(1, 4 * SECOND);
    assert_eq!(story.broken(), [Rule::C, Rule::F]);
}

#[test]
fn a_job_called_again_after_its_success_needs_an_abrupt_end() {
    let (mut story, first, _) = Story::two_done();
    story.call(first, 2, 10 * SECOND, Verdict::Success);
    story.commit(2, 12 * SECOND);
    assert_eq!(story.broken(), [Rule::E]);

    story.history.incidents.push(Incident {
        trouble: Trouble::Killed,
        workers: vec![1],
        from: 2 * SECOND,
        until: 2 * SECOND,
    });
    assert_eq!(story.broken(), []);
    // Of another worker it explains nothing, and neither does one long after.
    story.history.incidents[0].workers = vec![7];
    assert_eq!(story.broken(), [Rule::E]);
    story.history.incidents[0].workers = vec![1];
    story.history.incidents[0].from = 8 * SECOND;
    assert_eq!(story.broken(), [Rule::E]);
}

#[test]
fn a_good_job_that_is_dead_lettered_and_a_letter_that_is_not_its_record_are_seen() {
    let mut story = Story::new();
    let good = story.nth(|kind| kind == Kind::Good, 0);
    let poison = story.nth(|kind| kind == Kind::Poison, 0);
    story.record(good, 0);
    story.record(poison, 1);
    for (offset, number) in [(0, good), (1, poison)] {
        let recipe = story.terms.workload.recipe(number);
        story.history.letters.push(Letter {
            at: SECOND,
            topic: "jobs".into(),
            offset,
            key: Some(recipe.key.into_bytes()),
            value: recipe.value,
            ..Letter::default()
        });
    }
    story.commit(2, 2 * SECOND);
    assert_eq!(story.broken(), [Rule::G]);
    story.history.letters[1].value = None;
    assert_eq!(story.broken(), [Rule::G, Rule::A]);
}

#[test]
fn jobs_of_one_lane_must_not_overlap_or_change_places() {
    let (mut story, _, second) = Story::two_done();
    story.terms.ordering = Ordering::Partition;
    story.commit(2, 3 * SECOND);
    assert_eq!(story.broken(), []);
    story.history.calls[1].start = SECOND + 1;
    assert_eq!(story.broken(), [Rule::D]);
    story.history.calls.retain(|call| call.number != second);
    story.call(second, 1, SECOND / 2, Verdict::Success);
    assert_eq!(story.broken(), [Rule::D]);
}

#[test]
fn a_record_of_an_aborted_transaction_must_not_run() {
    let (mut story, first, _) = Story::two_done();
    story.commit(2, 3 * SECOND);
    let entries = &mut story.history.entries;
    let aborted = entries.iter_mut().find(|entry| entry.number == first);
    aborted.expect("it is there").aborted = true;
    assert_eq!(story.broken(), [Rule::A]);
}

#[test]
fn a_call_that_was_dropped_with_time_left_needs_an_abrupt_end() {
    let (mut story, first, _) = Story::two_done();
    story.commit(2, 3 * SECOND);
    story.call(first, 1, 0, Verdict::Gone);
    assert_eq!(story.broken(), [Rule::E]);
    story.history.calls[2].end = 2 * SECOND;
    assert_eq!(story.broken(), []);
}

#[test]
fn a_record_that_outlasts_a_drain_is_no_excuse_for_those_behind_it() {
    let (mut story, first, second) = Story::two_done();
    story.terms.ordering = Ordering::Unordered;
    story.history.calls.retain(|call| call.number != first);
    story.call(first, 2, 8 * SECOND, Verdict::Success);
    story.call(second, 2, 7 * SECOND, Verdict::Success);
    story.commit(2, 10 * SECOND);
    assert_eq!(story.broken(), [Rule::E]);
}

#[test]
fn nobody_calls_what_was_committed_long_ago() {
    let (mut story, first, _) = Story::two_done();
    story.commit(2, 3 * SECOND);
    story.history.incidents.push(Incident {
        trouble: Trouble::Killed,
        workers: vec![1],
        from: 2 * SECOND,
        until: 2 * SECOND,
    });
    // Begun before the commit was known, which the kill explains.
    story.call(first, 2, 4 * SECOND, Verdict::Success);
    assert_eq!(story.broken(), []);
    story.history.calls[2].start = 20 * SECOND;
    story.history.calls[2].end = 21 * SECOND;
    assert_eq!(story.broken(), [Rule::E]);
}
