use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Arrival, Arrived, Commit, FinishedAhead, PartitionTracker};

fn record(offset: i64) -> Arrival {
    Arrival {
        offset,
        timestamp: 1_000 + offset,
        bytes: 10,
    }
}

fn tracker_with(offsets: &[i64]) -> PartitionTracker {
    let mut tracker = PartitionTracker::new(1, None);
    for offset in offsets {
        assert_eq!(tracker.receive(record(*offset)), Arrived::New);
    }
    tracker
}

/// The offset to commit, if there is something new; it counts as committed then.
fn take(tracker: &mut PartitionTracker) -> Option<i64> {
    let commit = tracker.commit(true)?;
    let offset = commit.offset;
    tracker.committed(commit);
    Some(offset)
}

#[test]
fn nothing_is_committed_before_the_oldest_record_is_finished() {
    let mut tracker = tracker_with(&[5, 6, 7]);
    tracker.finish(1, 7);
    tracker.finish(1, 6);
    assert_eq!(tracker.commit(false), None);
    tracker.finish(1, 5);
    assert_eq!(take(&mut tracker), Some(8));
    assert_eq!(take(&mut tracker), None);
}

#[test]
fn what_was_finished_of_another_log_is_not_finished_in_this_one() {
    let mut tracker = tracker_with(&[5, 6, 7, 8]);
    (6..=8).for_each(|offset| assert!(tracker.finish(1, offset)));
    let finished = |arrival: &Arrival| {
        let ahead = tracker.ahead_in_log_of(5, arrival);
        let offsets = 5..=8;
        let of = |ahead: FinishedAhead| offsets.filter(|o| ahead.contains(*o)).collect::<Vec<_>>();
        ahead.map(of).unwrap_or_default()
    };
    assert_eq!(finished(&record(7)), [6, 7, 8]);
    // The log was cut off, and goes on with other records.
    let other = |offset| Arrival {
        timestamp: 9,
        ..record(offset)
    };
    assert_eq!(finished(&other(7)), [6]);
    assert_eq!(finished(&other(6)), [] as [i64; 0]);
}

#[test]
fn a_gap_in_the_offsets_is_not_waited_for() {
    let mut tracker = tracker_with(&[5, 9]);
    tracker.finish(1, 5);
    assert_eq!(take(&mut tracker), Some(9));
    tracker.finish(1, 9);
    assert_eq!(take(&mut tracker), Some(10));
}

#[test]
fn another_epochs_result_changes_nothing() {
    let mut tracker = tracker_with(&[5]);
    assert!(!tracker.finish(2, 5));
    assert_eq!((tracker.committable(), tracker.unfinished()), (Some(5), 1));
}

#[test]
fn a_record_is_received_and_finished_once() {
    let mut tracker = tracker_with(&[5, 6]);
    assert_eq!(tracker.receive(record(6)), Arrived::Known);
    let of_another_log = Arrival {
        timestamp: 1,
        ..record(6)
    };
    assert_eq!(tracker.receive(of_another_log), Arrived::WentBack);
    assert_eq!(tracker.receive(record(4)), Arrived::WentBack);
    assert!(tracker.finish(1, 6));
    assert!(!tracker.finish(1, 6));
    assert!(!tracker.finish(1, 99));
    assert_eq!((tracker.unfinished(), tracker.unfinished_bytes()), (1, 10));
}

#[test]
fn a_record_that_comes_twice_is_known_also_when_it_is_finished() {
    let offsets: Vec<i64> = (0..5_000).collect();
    let mut tracker = tracker_with(&offsets);
    for offset in 1..5_000 {
        tracker.finish(1, offset);
    }
    // The oldest one is not finished: all others are kept, and known.
    assert_eq!(tracker.receive(record(1)), Arrived::Known);
    tracker.finish(1, 0);
    assert_eq!((tracker.kept(), tracker.committable()), (0, Some(5_000)));
    assert_eq!(tracker.receive(record(4_999)), Arrived::Known);
    assert_eq!(tracker.receive(record(1)), Arrived::WentBack);
    let without_time = Arrival {
        timestamp: -1,
        ..record(4_999)
    };
    assert_eq!(tracker.receive(without_time), Arrived::WentBack);
    assert_eq!(tracker.receive(record(5_000)), Arrived::New);
}

#[test]
fn what_was_not_committed_is_handed_out_again() {
    let mut tracker = tracker_with(&[5]);
    tracker.finish(1, 5);
    assert!(tracker.commit(true).is_some());
    assert_eq!(take(&mut tracker), Some(6));
    assert_eq!(tracker.commit(true), None);
}

#[test]
fn what_is_finished_behind_an_offset_that_stands_still_is_committed() {
    let mut tracker = tracker_with(&[5, 6, 7]);
    tracker.finish(1, 6);
    assert_eq!(take(&mut tracker), Some(5));
    assert_eq!(tracker.commit(true), None);
    tracker.finish(1, 7);
    assert_eq!(take(&mut tracker), Some(5));
}

/// What the next owner gets to know of a partition.
fn handed_on(commit: &Commit) -> PartitionTracker {
    let text = commit.ahead.as_ref().map(super::FinishedAhead::encode);
    let ahead = text.and_then(|text| super::FinishedAhead::decode(commit.offset, &text));
    PartitionTracker::new(2, ahead)
}

#[test]
fn the_next_owner_processes_only_what_was_not_finished() {
    let mut tracker = tracker_with(&[5, 6, 7, 9]);
    tracker.finish(1, 6);
    tracker.finish(1, 9);
    let commit = tracker.commit(true).unwrap();
    assert_eq!(commit.offset, 5);

    let mut next = handed_on(&commit);
    let arrived = [5, 6, 7, 9, 10].map(|offset| next.receive(record(offset)));
    let (new, finished) = (Arrived::New, Arrived::Finished);
    assert_eq!(arrived, [new, finished, new, finished, new]);
    assert_eq!(next.unfinished(), 3);
    next.finish(2, 5);
    assert_eq!(take(&mut next), Some(7));
    next.finish(2, 7);
    assert_eq!(take(&mut next), Some(10));
}

#[test]
fn what_was_finished_is_told_on_by_owners_who_have_not_come_so_far() {
    let mut tracker = tracker_with(&[5, 6, 7, 9]);
    tracker.finish(1, 7);
    tracker.finish(1, 9);
    let commit = tracker.commit(true).unwrap();
    let (new, finished) = (Arrived::New, Arrived::Finished);

    // All that has come is finished, and more had been: the text speaks of the last record that has come.
    let mut second = handed_on(&commit);
    assert_eq!(second.receive(record(5)), new);
    second.finish(2, 5);
    let commit = second.commit(true).unwrap();
    assert_eq!(commit.offset, 5);

    let mut third = handed_on(&commit);
    assert_eq!([5, 6].map(|at| third.receive(record(at))), [finished, new]);
    let commit = third.commit(true).unwrap();
    assert_eq!(commit.offset, 6);

    let mut last = handed_on(&commit);
    let arrived = [6, 7, 9, 10].map(|offset| last.receive(record(offset)));
    assert_eq!(arrived, [new, finished, finished, new]);
    last.finish(2, 6);
    assert_eq!(take(&mut last), Some(10));
}

#[test]
fn what_was_finished_in_another_log_says_nothing_of_this_one() {
    let mut tracker = tracker_with(&[5, 6]);
    tracker.finish(1, 6);
    let commit = tracker.commit(true).unwrap();
    for first in [
        // The topic was made anew: another record has that offset.
        Arrival {
            timestamp: 1,
            ..record(5)
        },
        Arrival {
            timestamp: -1,
            ..record(5)
        },
        record(0),
        record(6),
    ] {
        let mut next = handed_on(&commit);
        assert_eq!(next.receive(first), Arrived::New, "{first:?}");
        if first.offset < 6 {
            assert_eq!(next.receive(record(6)), Arrived::New, "{first:?}");
        }
    }
}

proptest! {
    /// Against a model that is a set: with records received at increasing offsets and finished in any order, also
    /// twice and by other epochs, no offset below the committable one is unfinished, and it never goes back.
    #[test]
    fn no_unfinished_record_is_ever_below_the_committable_offset(
        gaps in prop::collection::vec(1i64..5, 1..60),
        actions in prop::collection::vec((0usize..80, 0u64..4), 0..200),
    ) {
        let mut tracker = PartitionTracker::new(1, None);
        let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
        let mut unfinished = BTreeSet::new();
        let mut received = 0;
        let mut last = i64::MIN;
        for (pick, kind) in actions {
            if kind == 0 && received < offsets.len() {
                prop_assert_eq!(tracker.receive(record(offsets[received])), Arrived::New);
                unfinished.insert(offsets[received]);
                received += 1;
            } else if let Some(offset) = offsets.get(pick % offsets.len()) {
                let epoch = if kind == 3 { 2 } else { 1 };
                let expected = epoch == 1 && unfinished.remove(offset);
                prop_assert_eq!(tracker.finish(epoch, *offset), expected);
            }
            prop_assert_eq!(tracker.unfinished(), unfinished.len());
            if let Some(committable) = tracker.committable() {
                prop_assert!(unfinished.iter().all(|offset| *offset >= committable));
                prop_assert!(committable >= last);
                last = committable;
            }
        }
        if received > 0 {
            for offset in std::mem::take(&mut unfinished) {
                prop_assert!(tracker.finish(1, offset));
            }
            prop_assert_eq!(tracker.committable(), Some(offsets[received - 1] + 1));
        }
    }
}
