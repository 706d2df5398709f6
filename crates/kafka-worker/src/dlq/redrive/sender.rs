//! Sends letters, each with its record in the ledger, in transactions.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::plan::Job;
use crate::dlq::client::Troubles;
use crate::dlq::ledger;
use crate::dlq::letter::Letter;
use crate::dlq::target::Target;
use crate::kafka::{creation_error, is_too_large};

/// How long a transaction's end may take.
const END: Duration = Duration::from_secs(60);
/// How often a transaction's end is asked for.
const TRIES: usize = 5;

/// A letter to be sent.
pub(super) struct Parcel {
    pub(super) letter: Letter,
    pub(super) job: Job,
    pub(super) topic: String,
    /// The one that the record came from, if the topic still has it.
    pub(super) partition: Option<i32>,
}

/// Why a batch was not sent.
pub(super) enum NotSent {
    /// The topic does not take one of the records.
    Refused(RDKafkaErrorCode),
    /// Nothing more can be sent.
    Stopped(anyhow::Error),
}

/// How a transaction came to nothing.
enum Aborted {
    /// The next one may be committed: a refused batch leaves librdkafka with a gap in its sequence, which it notices in the
    /// transaction after that.
    Passing(NotSent),
    /// It would be no better again.
    Final(NotSent),
}

/// A producer that is the only one of its dead-letter topic.
pub(super) struct Sender {
    producer: ThreadedProducer<Troubles>,
    troubles: Troubles,
    dead: String,
    ledger: String,
}

impl Sender {
    /// Takes over: whoever redrives this dead-letter topic can't commit anything from now on, and what it has not
    /// committed is aborted. So what the ledger says afterwards is final.
    pub(super) fn take_over(target: &Target, dead: &str) -> anyhow::Result<Self> {
        let troubles = Troubles::default();
        let defaults = [
            ("message.timeout.ms", "30000"),
            // What is too large is for the broker to say.
            ("message.max.bytes", "1000000000"),
            ("linger.ms", "5"),
        ];
        let id = format!("{dead}-redrive");
        let mut config = target.connection.client_config("mcp-dlq", &defaults);
        config
            .set("transactional.id", &id)
            .set("enable.idempotence", "true")
            .set("acks", "all");
        let producer: ThreadedProducer<Troubles> = config
            .create_with_context(troubles.clone())
            .map_err(|error| creation_error(&error))?;
        producer.init_transactions(END).map_err(|error| {
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => anyhow::anyhow!(
                    "the broker does not allow the transactional id {id}; allow it with: kafka-acls.sh --bootstrap-server {} --add --allow-principal User:NAME --operation Write --operation Describe --transactional-id {id}",
                    target.connection.brokers
                ),
                _ => troubles.explain("the broker starts no transactions for this client", &error),
            }
        })?;
        Ok(Self {
            producer,
            troubles,
            dead: dead.to_owned(),
            ledger: ledger::topic(dead),
        })
    }

    /// Sends all of the batch, or nothing. `forget` are keys that leave the ledger.
    pub(super) fn send(
        &self,
        batch: &[Parcel],
        forget: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), NotSent> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.attempt(batch, forget, now) {
                Err(Aborted::Passing(_)) if tried < TRIES => {}
                Err(Aborted::Passing(why)) => return Err(why),
                Err(Aborted::Final(why)) => return Err(why),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn attempt(
        &self,
        batch: &[Parcel],
        forget: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), Aborted> {
        let _ = self.troubles.undelivered();
        self.producer
            .begin_transaction()
            .map_err(|error| Aborted::Final(self.stopped(&error)))?;
        let queued = self.queue(batch, forget, now);
        queued
            .and_then(|()| self.commit())
            .map_err(|error| self.give_up(&error))
    }

    fn queue(
        &self,
        batch: &[Parcel],
        forget: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), KafkaError> {
        for parcel in batch {
            let mut record =
                BaseRecord::<[u8], [u8]>::to(&parcel.topic).headers(parcel.job.record_headers());
            record.key = parcel.job.key.as_deref();
            record.payload = parcel.job.value.as_deref();
            record.partition = parcel.partition;
            self.producer.send(record).map_err(|(error, _)| error)?;
            let key = ledger::key(parcel.letter.partition, parcel.letter.offset);
            let value = ledger::value(&parcel.letter, &parcel.topic, now);
            let entry = BaseRecord::to(&self.ledger).key(&key).payload(&value);
            self.producer.send(entry).map_err(|(error, _)| error)?;
        }
        for key in forget {
            let tombstone = BaseRecord::<str, [u8]>::to(&self.ledger).key(key);
            self.producer.send(tombstone).map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), KafkaError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.producer.commit_transaction(END) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && tried < TRIES => {}
                outcome => return outcome,
            }
        }
    }

    /// Aborts the transaction, as far as that is possible, and says why it came to that.
    fn give_up(&self, error: &KafkaError) -> Aborted {
        let codes = [self.troubles.undelivered(), error.rdkafka_error_code()];
        let stopped = self.stopped(error);
        if self.producer.client().fatal_error().is_some()
            || self.producer.abort_transaction(END).is_err()
        {
            return Aborted::Final(stopped);
        }
        let refused = codes
            .into_iter()
            .flatten()
            .find(|code| is_about_the_record(*code));
        match refused {
            Some(code) => Aborted::Final(NotSent::Refused(code)),
            None if codes.contains(&Some(RDKafkaErrorCode::OutOfOrderSequenceNumber)) => {
                Aborted::Passing(stopped)
            }
            None => Aborted::Final(stopped),
        }
    }

    fn stopped(&self, error: &KafkaError) -> NotSent {
        let fatal = self.producer.client().fatal_error();
        let code = fatal
            .as_ref()
            .map(|(code, _)| *code)
            .or(error.rdkafka_error_code());
        let fenced = matches!(
            code,
            Some(
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            )
        );
        NotSent::Stopped(match (fenced, fatal) {
            (true, _) => anyhow::anyhow!(
                "another redrive of {} has begun and taken over: it sends what is left, each letter once",
                self.dead
            ),
            (false, Some((code, reason))) => {
                anyhow::anyhow!("the producer is broken ({code}): {reason}")
            }
            (false, None) => self.troubles.explain("the letters can't be sent", error),
        })
    }

    /// Removes keys from the ledger, outside of any batch.
    pub(super) fn forget(&self, keys: &[String], now: DateTime<Utc>) -> anyhow::Result<()> {
        match self.send(&[], keys, now) {
            Ok(()) => Ok(()),
            Err(NotSent::Stopped(error)) => Err(error),
            Err(NotSent::Refused(code)) => {
                Err(KafkaError::MessageProduction(code)).context("the ledger can't be written")
            }
        }
    }
}

/// Whether the record is at fault, and others may be taken.
fn is_about_the_record(code: RDKafkaErrorCode) -> bool {
    is_too_large(code)
        || matches!(
            code,
            RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::InvalidTimestamp
                | RDKafkaErrorCode::PolicyViolation
        )
}
