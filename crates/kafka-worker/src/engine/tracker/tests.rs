use std::collections::BTreeSet;

use proptest::prelude::*;

use super::PartitionTracker;

fn tracker_with(offsets: &[i64]) -> PartitionTracker {
    let mut tracker = PartitionTracker::new(1);
    for offset in offsets {
        assert!(tracker.receive(*offset, 10));
    }
    tracker
}

#[test]
fn nothing_is_committed_before_the_oldest_record_is_finished() {
    let mut tracker = tracker_with(&[5, 6, 7]);
    tracker.finish(1, 7);
    tracker.finish(1, 6);
    assert_eq!(tracker.take_commit(), None);
    tracker.finish(1, 5);
    assert_eq!(tracker.take_commit(), Some(8));
    assert_eq!(tracker.take_commit(), None);
}

#[test]
fn a_gap_in_the_offsets_is_not_waited_for() {
    let mut tracker = tracker_with(&[5, 9]);
    tracker.finish(1, 5);
    assert_eq!(tracker.take_commit(), Some(9));
    tracker.finish(1, 9);
    assert_eq!(tracker.take_commit(), Some(10));
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
    assert!(!tracker.receive(6, 10));
    assert!(!tracker.receive(4, 10));
    assert!(tracker.finish(1, 6));
    assert!(!tracker.finish(1, 6));
    assert!(!tracker.finish(1, 99));
    assert_eq!((tracker.unfinished(), tracker.unfinished_bytes()), (1, 10));
}

#[test]
fn a_commit_that_failed_is_handed_out_again() {
    let mut tracker = tracker_with(&[5]);
    tracker.finish(1, 5);
    assert_eq!(tracker.take_commit(), Some(6));
    tracker.untake_commit();
    assert_eq!(tracker.take_commit(), Some(6));
}

proptest! {
    /// Against a model that is a set: with records received at increasing offsets and finished in any order, also
    /// twice and by other epochs, no offset below the committable one is unfinished, and it never goes back.
    #[test]
    fn no_unfinished_record_is_ever_below_the_committable_offset(
        gaps in prop::collection::vec(1i64..5, 1..60),
        actions in prop::collection::vec((0usize..80, 0u64..4), 0..200),
    ) {
        let mut tracker = PartitionTracker::new(1);
        let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
        let mut unfinished = BTreeSet::new();
        let mut received = 0;
        let mut last = i64::MIN;
        for (pick, kind) in actions {
            if kind == 0 && received < offsets.len() {
                prop_assert!(tracker.receive(offsets[received], 1));
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
