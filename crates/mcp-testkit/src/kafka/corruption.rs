//! A disk that has lost bits: batches of a log, damaged while the broker is down.

use std::{fs, ops::Range, path::Path};

use super::Kafka;

/// What stands before the records of a batch of format 2.
const HEADER: usize = 61;
/// Base offset and length: what the length does not count.
const PREFIX: usize = 12;
const LAST_OFFSET_DELTA: usize = 23;

/// What is damaged in a batch. The checksum is wrong after either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The last byte of this text, which a record of the batch holds. The batch can still be taken apart.
    Text(&'static str),
    /// The length of its first record: what follows can't be told apart any more.
    Structure,
}

impl Kafka {
    /// Damages the batch that holds `offset`, in the oldest segment of the partition. Returns its first and last offset.
    ///
    /// # Panics
    ///
    /// When the broker runs, and when there is no such batch.
    pub fn corrupt(&self, topic: &str, partition: i32, offset: i64, damage: Damage) -> (i64, i64) {
        assert!(self.process.is_none(), "stop the broker first");
        let folder = self.data.path().join(format!("log/{topic}-{partition}"));
        corrupt(&folder.join("00000000000000000000.log"), offset, damage)
    }
}

fn corrupt(segment: &Path, offset: i64, damage: Damage) -> (i64, i64) {
    let mut log = fs::read(segment).unwrap_or_else(|error| panic!("{segment:?}: {error}"));
    let (batch, first, last) = batches(&log)
        .find(|(_, first, last)| (*first..=*last).contains(&offset))
        .unwrap_or_else(|| panic!("no batch of {segment:?} holds {offset}"));
    let records = &mut log[batch.start + HEADER..batch.end];
    match damage {
        Damage::Text(text) => {
            let found = records
                .windows(text.len())
                .position(|window| window == text.as_bytes())
                .unwrap_or_else(|| panic!("no record of the batch holds {text:?}"));
            records[found + text.len() - 1] ^= 1;
        }
        // A varint that says more than the batch holds.
        Damage::Structure => records[..2].copy_from_slice(&[0xfe, 0x7f]),
    }
    fs::write(segment, log).expect("the segment is writable");
    (first, last)
}

/// Where each batch lies, and its first and last offset.
fn batches(log: &[u8]) -> impl Iterator<Item = (Range<usize>, i64, i64)> {
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four bytes"));
    let mut at = 0;
    std::iter::from_fn(move || {
        log.get(at + HEADER)?;
        let first = i64::from_be_bytes(log[at..at + 8].try_into().expect("eight bytes"));
        let last = first + i64::from(number(at + LAST_OFFSET_DELTA));
        let end = at + PREFIX + number(at + 8) as usize;
        let batch = at..end;
        at = end;
        Some((batch, first, last))
    })
}
