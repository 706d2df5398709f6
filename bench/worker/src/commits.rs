//! How often a group committed, from the topic in which the broker keeps offsets. The same for every client.

use std::collections::BTreeSet;

use mcp_testkit::Record;

/// The broker's own topic.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Commits that `group` made from `from_ms` to `to_ms`. The records of one commit have one timestamp.
pub(crate) fn commits(records: &[Record], group: &str, from_ms: i64, to_ms: i64) -> usize {
    let of_group = records.iter().filter(|record| {
        let key = record.key.as_deref().unwrap_or_default();
        group_of(key) == Some(group.as_bytes())
    });
    let moments: BTreeSet<i64> = of_group
        .map(|record| record.timestamp)
        .filter(|at| (from_ms..to_ms).contains(at))
        .collect();
    moments.len()
}

/// The group in a key of the offsets topic: a version, 0 or 1 for an offset, then the group with its length.
fn group_of(key: &[u8]) -> Option<&[u8]> {
    let (version, rest) = key.split_first_chunk::<2>()?;
    if u16::from_be_bytes(*version) > 1 {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: u8, group: &str, timestamp: i64) -> Record {
        let mut key = vec![0, version, 0, group.len() as u8];
        key.extend(group.as_bytes());
        key.extend([0, 1, b't', 0, 0, 0, 3]);
        Record {
            partition: 0,
            offset: 0,
            timestamp,
            key: Some(key),
            value: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn the_records_of_one_commit_count_once() {
        let records = [
            record(1, "a", 100),
            record(1, "a", 100),
            record(1, "a", 600),
            record(1, "b", 200),
            record(2, "a", 300),
            record(1, "a", 1000),
        ];
        assert_eq!(commits(&records, "a", 0, 1000), 2);
        assert_eq!(commits(&records, "a", 200, 2000), 2);
    }

    #[test]
    fn a_key_that_is_cut_short_is_of_no_group() {
        assert_eq!(group_of(&[0, 1, 0, 9, b'a']), None);
        assert_eq!(group_of(&[0]), None);
    }
}
