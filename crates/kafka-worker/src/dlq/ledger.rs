//! The ledger of a dead-letter topic: which letters were redriven. It is a compacted topic of its own, whose records are
//! written in the transactions that send the letters.

use std::collections::HashMap;
use std::ops::ControlFlow;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use mcp_core::clock::rfc3339;
use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{PATIENCE, REQUEST, admin, wait};
use super::letter::{Letter, Source};
use super::note;
use super::reader::{Range, Reader, Seen};
use super::target::Target;

const POLICY: &str = "cleanup.policy";

/// The ledger's topic.
pub(super) fn topic(dead: &str) -> String {
    format!("{dead}-redriven")
}

/// The key of a letter's record: its place.
pub(super) fn key(partition: i32, offset: i64) -> String {
    format!("{partition}:{offset}")
}

/// The value of a letter's record.
pub(super) fn value(letter: &Letter, to: &str, now: DateTime<Utc>) -> String {
    // The letter's own time tells it from one at the same place of a topic that was made anew.
    let source = letter.source();
    let source = source.map(|at| json!([at.topic, at.partition, at.offset]));
    json!({"at": rfc3339(now), "topic": to, "timestamp": letter.timestamp, "jobID": letter.job_id(), "source": source})
        .to_string()
}

fn origin(letter: &Letter) -> Option<Origin> {
    Some((letter.source()?, letter.job_id().map(str::to_owned)))
}

fn place(key: &[u8]) -> Option<(i32, i64)> {
    let (partition, offset) = std::str::from_utf8(key).ok()?.split_once(':')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// A record that failed, and the job that it was: a topic that was made anew has another one at its place.
type Origin = (Source, Option<String>);

#[derive(Clone, Debug, Default)]
struct Entry {
    at: DateTime<Utc>,
    /// The letter's; none fits any letter.
    timestamp: Option<i64>,
    origin: Option<Origin>,
}

/// What the ledger says.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    letters: HashMap<(i32, i64), Entry>,
    /// What these letters were about. A worker that was killed between a letter and its commit has left two of one record.
    origins: HashMap<Origin, DateTime<Utc>>,
}

impl Ledger {
    /// Reads it; without its topic nothing was redriven.
    pub(super) fn read(reader: &Reader, dead: &str) -> anyhow::Result<Self> {
        let mut ledger = Self::default();
        let name = topic(dead);
        let Some(partitions) = reader.partitions(&name)? else {
            return Ok(ledger);
        };
        let extent = reader.extent(&name, &partitions)?;
        let _ = reader.scan(&name, &extent, &mut |record| {
            ledger.learn(&record);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(ledger)
    }

    /// As [`Ledger::read`], for those who only look: without permission on the ledger nothing counts as redriven.
    pub(super) fn glance(reader: &Reader, dead: &str) -> anyhow::Result<Self> {
        if let Seen::Refused(code) = reader.look(&topic(dead))? {
            let name = topic(dead);
            note(&format!(
                "the ledger topic {name} can't be read ({code}): letters that were redriven are not told apart"
            ));
            return Ok(Self::default());
        }
        Self::read(reader, dead)
    }

    fn learn(&mut self, record: &Letter) {
        let Some(place) = record.key.as_deref().and_then(place) else {
            return;
        };
        let Some(value) = &record.value else {
            let forgotten = self.letters.remove(&place);
            if let Some(origin) = forgotten.and_then(|entry| entry.origin) {
                self.origins.remove(&origin);
            }
            return;
        };
        // With an unreadable value the letter counts as sent: once too few can be mended, twice can't.
        let value: Value = serde_json::from_slice(value).unwrap_or_default();
        let at = value["at"].as_str().unwrap_or_default();
        let at = DateTime::parse_from_rfc3339(at).map_or_else(|_| record.time(), |at| at.to_utc());
        let source = serde_json::from_value(value["source"].clone()).ok();
        let origin = source.map(|(topic, partition, offset)| {
            let source = Source {
                topic,
                partition,
                offset,
            };
            (source, value["jobID"].as_str().map(str::to_owned))
        });
        let entry = Entry {
            at,
            timestamp: value["timestamp"].as_i64(),
            origin,
        };
        self.insert(place, entry);
    }

    fn insert(&mut self, place: (i32, i64), entry: Entry) {
        if let Some(origin) = &entry.origin {
            self.origins.insert(origin.clone(), entry.at);
        }
        self.letters.insert(place, entry);
    }

    /// Takes it down that the letter is on its way.
    pub(super) fn add(&mut self, letter: &Letter, now: DateTime<Utc>) {
        let entry = Entry {
            at: now,
            timestamp: Some(letter.timestamp),
            origin: origin(letter),
        };
        self.insert((letter.partition, letter.offset), entry);
    }

    /// When the letter was redriven, or another one of the same record, if either was.
    pub(super) fn redriven(&self, letter: &Letter) -> Option<DateTime<Utc>> {
        let entry = self.letters.get(&(letter.partition, letter.offset));
        let itself =
            entry.filter(|entry| entry.timestamp.is_none_or(|time| time == letter.timestamp));
        match itself {
            Some(entry) => Some(entry.at),
            None => self.origins.get(&origin(letter)?).copied(),
        }
    }

    /// Keys of letters that the dead-letter topic does not hold any more.
    pub(super) fn outlived(&self, extent: &[Range]) -> Vec<String> {
        let gone = |(partition, offset): &&(i32, i64)| {
            let range = extent.iter().find(|range| range.partition == *partition);
            range.is_some_and(|range| *offset < range.from)
        };
        let places = self.letters.keys().filter(gone);
        places
            .map(|(partition, offset)| key(*partition, *offset))
            .collect()
    }
}

/// Makes the ledger's topic if it does not exist, and checks that it keeps what is written there.
pub(super) fn ensure(target: &Target, reader: &Reader, dead: &str) -> anyhow::Result<()> {
    let name = topic(dead);
    if let Seen::Partitions(_) = reader.look(&name)? {
        return check(target, &name);
    }
    let admin = admin(target)?;
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(-1)).set(POLICY, "compact");
    let options = AdminOptions::new()
        .operation_timeout(Some(REQUEST))
        .request_timeout(Some(REQUEST));
    let by_hand = || {
        format!(
            "make it with: kafka-topics.sh --bootstrap-server {} --create --topic {name} --partitions 1 --config {POLICY}=compact (this client reads and writes it)",
            target.connection.brokers
        )
    };
    let results = wait(admin.create_topics([&new], &options))
        .with_context(|| {
            format!(
                "the ledger topic {name} can't be made, a broker without admin calls (such as the embedded one) takes no redrive; {}",
                by_hand()
            )
        })?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => {
                anyhow::bail!(
                    "the ledger topic {name} can't be made ({code}); {}",
                    by_hand()
                );
            }
        }
    }
    let began = Instant::now();
    while reader.partitions(&name)?.is_none() {
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "the ledger topic {name} was made and can't be seen yet; try again"
        );
        wait(tokio::time::sleep(REQUEST / 100));
    }
    Ok(())
}

/// A ledger that forgets would let letters be sent twice.
fn check(target: &Target, name: &str) -> anyhow::Result<()> {
    let wanted = [ResourceSpecifier::Topic(name)];
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let described = wait(admin(target)?.describe_configs(&wanted, &options))?;
    // Where it may not be asked, it must be trusted.
    let Some(Ok(config)) = described.into_iter().next() else {
        return Ok(());
    };
    let policy = config.get(POLICY).and_then(|entry| entry.value.clone());
    match policy {
        Some(policy) if policy != "compact" => anyhow::bail!(
            "the ledger topic {name} has {POLICY}={policy}, so it would forget what was sent; set it with: kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config {POLICY}=compact",
            target.connection.brokers
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::letter::tests::letter;

    fn ledger(records: &[(&str, Option<String>)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (key, value) in records {
            let mut record = letter(&[]);
            record.key = Some(key.as_bytes().to_vec());
            record.value = value.clone().map(String::into_bytes);
            ledger.learn(&record);
        }
        ledger
    }

    #[test]
    fn what_was_written_is_known() {
        let letter = letter(&[]);
        let now = DateTime::from_timestamp_millis(1_800_000_000_000).unwrap();
        let key = key(letter.partition, letter.offset);
        let value = Some(value(&letter, "jobs", now));
        let known = ledger(&[(&key, value.clone()), ("no place", None)]);
        assert_eq!(known.redriven(&letter), Some(now));
        assert_eq!(
            ledger(&[(&key, value), (&key, None)]).redriven(&letter),
            None
        );
        assert_eq!(
            ledger(&[("2:8", Some("{}".into()))]).redriven(&letter),
            None
        );
    }

    #[test]
    fn a_letter_at_the_same_place_of_a_topic_made_anew_is_another_one() {
        let first = letter(&[]);
        let second = Letter {
            timestamp: first.timestamp + 1,
            ..first.clone()
        };
        let known = ledger(&[("2:7", Some(value(&first, "jobs", DateTime::UNIX_EPOCH)))]);
        assert!(known.redriven(&first).is_some());
        assert!(known.redriven(&second).is_none());
    }

    #[test]
    fn a_second_letter_of_one_record_counts_as_sent_with_the_first() {
        let of = |offset: i64, source: &str, id: &str| Letter {
            offset,
            ..letter(&[
                ("__dlq.errors.topic", "jobs"),
                ("__dlq.errors.partition", "1"),
                ("__dlq.errors.offset", source),
                ("mcp.job.id", id),
            ])
        };
        let first = of(7, "5", "a");
        let written = Some(value(&first, "jobs", DateTime::UNIX_EPOCH));
        let mut added = Ledger::default();
        added.add(&first, DateTime::UNIX_EPOCH);
        for known in [ledger(&[("2:7", written.clone())]), added] {
            assert!(known.redriven(&first).is_some());
            assert!(known.redriven(&of(8, "5", "a")).is_some());
            // Another record, and one at the same place of a topic that was made anew.
            assert_eq!(known.redriven(&of(8, "6", "a")), None);
            assert_eq!(known.redriven(&of(8, "5", "b")), None);
        }
        let forgotten = ledger(&[("2:7", written), ("2:7", None)]);
        assert_eq!(forgotten.redriven(&of(8, "5", "a")), None);
    }

    #[test]
    fn an_unreadable_value_counts_as_sent() {
        assert!(
            ledger(&[("2:7", Some("oops".into()))])
                .redriven(&letter(&[]))
                .is_some()
        );
    }

    #[test]
    fn what_retention_has_taken_can_be_forgotten() {
        let known = ledger(&[
            ("2:7", Some("{}".into())),
            ("2:8", Some("{}".into())),
            ("0:1", Some("{}".into())),
        ]);
        let extent = [Range {
            partition: 2,
            from: 8,
            to: 9,
        }];
        assert_eq!(known.outlived(&extent), ["2:7"]);
    }
}
