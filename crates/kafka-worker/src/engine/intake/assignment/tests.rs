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
