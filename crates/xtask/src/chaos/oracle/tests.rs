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
            text: String::new(),
        });
    }

    fn incident(&mut self, trouble: Trouble, from: Micros, until: Micros) {
        // Nobody's in particular is everybody's.
        let workers = match trouble {
            Trouble::Killed | Trouble::Frozen | Trouble::DrainCutOff => vec![1],
            _ => Vec::new(),
        };
        self.history.incidents.push(Incident {
            trouble,
            workers,
            from,
            until,
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

/// The second of two jobs is done at 2.1 s and called again at 30 s; the first one is done only then.
fn one_called_again_behind_one_that_took_long() -> Story {
    let (mut story, first, second) = Story::two_done();
    story.history.calls.retain(|call| call.number != first);
    story.call(first, 2, 29 * SECOND, Verdict::Success);
    story.call(second, 2, 30 * SECOND, Verdict::Success);
    story.commit(2, 32 * SECOND);
    story.history.rebalancing = Some(Vec::new());
    story
}

#[test]
fn a_cut_explains_what_was_finished_just_then_and_nothing_long_before_or_after() {
    let broken_at = |from, until| {
        let mut story = one_called_again_behind_one_that_took_long();
        story.incident(Trouble::KafkaCut, from, until);
        story.broken()
    };
    assert_eq!(broken_at(2 * SECOND, 4 * SECOND), []);
    assert_eq!(broken_at(5 * SECOND / 2, 4 * SECOND), []);
    // The text of a commit before it has told of what was finished long before.
    assert_eq!(broken_at(10 * SECOND, 20 * SECOND), [Rule::E]);

    let mut story = one_called_again_behind_one_that_took_long();
    story.history.calls.iter_mut().for_each(|call| {
        call.start += 40 * SECOND;
        call.end += 40 * SECOND;
    });
    story.history.commits[0].at += 40 * SECOND;
    story.incident(Trouble::KafkaCut, 20 * SECOND, 25 * SECOND);
    assert_eq!(story.broken(), [Rule::E]);
    // Until the group is whole again, Kafka is as good as away.
    story.history.rebalancing = Some(vec![(26 * SECOND, 43 * SECOND)]);
    assert_eq!(story.broken(), []);
}

#[test]
fn a_record_that_is_not_done_is_no_reason_at_a_kill_unless_the_group_was_rebalancing() {
    let mut story = one_called_again_behind_one_that_took_long();
    story.incident(Trouble::Killed, 10 * SECOND, 10 * SECOND);
    assert_eq!(story.broken(), [Rule::E]);
    story.history.rebalancing = Some(vec![(5 * SECOND, 11 * SECOND)]);
    assert_eq!(story.broken(), [Rule::E]);
    story.history.rebalancing = Some(vec![
        (5 * SECOND / 2, 5 * SECOND),
        (11 * SECOND, 12 * SECOND),
    ]);
    assert_eq!(story.broken(), [Rule::E]);
    story.history.rebalancing = Some(vec![(5 * SECOND / 2, 11 * SECOND)]);
    assert_eq!(story.broken(), []);
    // Without a moment for a commit, two are one.
    story.history.rebalancing = Some(vec![
        (5 * SECOND / 2, 5 * SECOND),
        (5 * SECOND + 1, 11 * SECOND),
    ]);
    assert_eq!(story.broken(), []);
}

#[test]
fn no_more_come_again_than_a_commits_interval_before_a_kill_has_finished() {
    // Of jobs 100 ms long, one after the other, the last ones come again.
    let broken_by = |again: usize| {
        let mut story = Story::new();
        story.terms.ordering = Ordering::Unordered;
        let numbers: Vec<_> = (0..30)
            .map(|nth| story.nth(|kind| kind == Kind::Good, nth))
            .collect();
        for (at, number) in (0..).zip(&numbers) {
            story.record(*number, at as i64);
            story.call(*number, 1, at * SECOND / 10, Verdict::Success);
        }
        story.incident(Trouble::Killed, 3 * SECOND + 50_000, 3 * SECOND + 50_000);
        for number in &numbers[30 - again..] {
            story.call(*number, 2, 9 * SECOND, Verdict::Refused(503));
            story.call(*number, 2, 10 * SECOND, Verdict::Success);
        }
        story.commit(30, 11 * SECOND);
        story.broken()
    };
    assert_eq!(broken_by(20), []);
    assert_eq!(broken_by(21), [Rule::E]);
}

#[test]
fn a_text_may_call_finished_only_what_is_done() {
    let (mut story, ..) = Story::two_done();
    story.commit(0, 3 * SECOND / 2);
    story.history.commits[0].text = "mcp-hybrid/2 7 5 0+1".into();
    story.commit(2, 3 * SECOND);
    assert_eq!(story.broken(), []);
    story.history.commits[0].text = "mcp-hybrid/2 7 5 1+1".into();
    assert_eq!(story.broken(), [Rule::B]);
    story.history.commits[0].text = "what is this".into();
    assert_eq!(story.broken(), [Rule::B]);
}

#[test]
fn no_worker_writes_more_dead_letters_than_its_budget_allows() {
    let (mut story, ..) = Story::two_done();
    story.commit(2, 3 * SECOND);
    story.terms.letters_per_minute = 60;
    let poison: Vec<_> = (0..400)
        .map(|nth| story.nth(|kind| kind == Kind::Poison, nth))
        .collect();
    for (offset, number) in (2..).zip(&poison) {
        story.record(*number, offset);
        let recipe = story.terms.workload.recipe(*number);
        story.history.letters.push(Letter {
            at: offset as Micros * SECOND,
            topic: "jobs".into(),
            offset,
            key: Some(recipe.key.into_bytes()),
            value: recipe.value,
            worker: "w1".into(),
            ..Letter::default()
        });
    }
    story.commit(402, 500 * SECOND);
    assert_eq!(story.broken(), []);
    let half_as_long = |letter: &mut Letter| letter.at /= 2;
    story.history.letters.iter_mut().for_each(half_as_long);
    assert_eq!(story.broken(), [Rule::G]);
    // Two workers have two budgets.
    for (number, letter) in (0..).zip(&mut story.history.letters) {
        letter.worker = format!("w{}", number % 2);
    }
    assert_eq!(story.broken(), []);
}
