use std::sync::mpsc;

use super::*;

/// Owns these partitions of `t`, each with what was committed of it.
fn assigned(committed: &[(i32, Offset)]) -> Assignment {
    let mut partitions = TopicPartitionList::new();
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in committed {
        partitions.add_partition("t", *partition);
        offsets
            .add_partition_offset("t", *partition, *offset)
            .unwrap();
    }
    let assignment = Assignment::new(mpsc::channel().1);
    assignment.acquire(&partitions, Some(&offsets));
    assignment
}

fn receive(assignment: &Assignment, partition: i32, offset: i64) {
    let arrival = Arrival {
        offset,
        timestamp: 0,
        bytes: 1,
    };
    let receipt = assignment.receive("t", partition, arrival);
    assert!(matches!(receipt, Receipt::Next(_)));
}

fn fenced(assignment: &Assignment, offset: i64) -> Option<i32> {
    assignment.fence(offset).map(|(_, partition)| partition)
}

#[test]
fn after_a_restart_the_partition_that_stands_before_the_batch_is_fenced_and_no_other() {
    let nowhere = Offset::Invalid;
    let assignment = assigned(&[(0, nowhere), (1, Offset::Offset(3)), (2, Offset::Offset(0))]);
    receive(&assignment, 2, 0);
    receive(&assignment, 2, 1);
    assert_eq!(fenced(&assignment, 3), Some(1));
    assert_eq!(assignment.corrupt(), [("t".into(), 1, 3)]);
}

#[test]
fn what_was_received_says_more_than_what_was_committed() {
    let assignment = assigned(&[(0, Offset::Offset(0)), (1, Offset::Offset(1))]);
    for offset in 0..3 {
        receive(&assignment, 0, offset);
    }
    assert_eq!(fenced(&assignment, 3), Some(0));
    // Passed by neither of them, and then by all that are left.
    assert_eq!(fenced(&assignment, 1), Some(1));
    assert_eq!(fenced(&assignment, 9), None);
}

#[test]
fn a_partition_of_which_nothing_is_known_is_fenced_last() {
    let assignment = assigned(&[
        (0, Offset::Invalid),
        (1, Offset::Offset(2)),
        (2, Offset::Offset(8)),
    ]);
    assert_eq!(fenced(&assignment, 7), Some(1));
    assert_eq!(fenced(&assignment, 7), Some(0));
    assert_eq!(fenced(&assignment, 7), None);
}

#[test]
fn an_assignment_begins_where_it_was_committed_and_a_gap_there_is_believed_once() {
    let assignment = assigned(&[(0, Offset::Offset(100))]);
    // Where the client was in an earlier assignment.
    assert!(matches!(
        arrive(&assignment, 450, 7),
        Receipt::ReadFrom(100)
    ));
    assert!(matches!(arrive(&assignment, 102, 7), Receipt::Next(_)));
    assert!(matches!(arrive(&assignment, 450, 7), Receipt::Next(_)));
    assert_eq!(assignment.loads().unfinished.records, 2);

    let assignment = assigned(&[(0, Offset::Offset(100))]);
    assert!(matches!(arrive(&assignment, 100, 7), Receipt::Next(_)));
    assert!(matches!(arrive(&assignment, 450, 7), Receipt::Next(_)));
}

fn arrive(assignment: &Assignment, offset: i64, timestamp: i64) -> Receipt {
    let arrival = Arrival {
        offset,
        timestamp,
        bytes: 1,
    };
    assignment.receive("t", 0, arrival)
}

#[test]
fn a_record_that_comes_twice_changes_nothing() {
    let assignment = assigned(&[(0, Offset::Offset(0))]);
    for offset in 0..3 {
        assert!(matches!(arrive(&assignment, offset, 7), Receipt::Next(_)));
    }
    for offset in [2, 1, 2] {
        assert!(matches!(arrive(&assignment, offset, 7), Receipt::Known));
    }
    assert_eq!(assignment.loads().unfinished.records, 3);
    assert!(matches!(arrive(&assignment, 3, 7), Receipt::Next(_)));
}

#[test]
fn a_partition_that_brings_nothing_is_told_once_where_to_begin() {
    let assignment = assigned(&[
        (0, Offset::Offset(5)),
        (1, Offset::Offset(7)),
        (2, Offset::Invalid),
    ]);
    receive(&assignment, 1, 7);
    let now = Instant::now();
    assert!(assignment.unbegun(now).is_empty());
    let later = now + Duration::from_secs(3);
    assert_eq!(assignment.unbegun(later), [("t".into(), 0, 5)]);
    assert!(assignment.unbegun(later).is_empty());
    assignment.not_told("t", 0);
    assert_eq!(assignment.unbegun(later).len(), 1);
}

#[test]
fn nothing_unfinished_is_passed_when_the_client_goes_back() {
    let assignment = assigned(&[(0, Offset::Offset(0))]);
    for offset in 0..3 {
        assert!(matches!(arrive(&assignment, offset, 7), Receipt::Next(_)));
    }
    // Of another log, for all that is known.
    let receipt = arrive(&assignment, 2, 8);
    assert!(matches!(receipt, Receipt::ReadAgain(0)));
    assert_eq!(assignment.loads().unfinished.records, 0);
    for offset in 0..3 {
        assert!(matches!(arrive(&assignment, offset, 7), Receipt::Next(_)));
    }
    // Below all that is unfinished: a log that begins anew.
    let receipt = arrive(&assignment, 0, 9);
    assert!(matches!(
        receipt,
        Receipt::LogRestarted { unfinished: 3, .. }
    ));
}
