//! Producing for a long time, also while brokers come and go.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer},
};
use tokio::task::spawn_blocking;

use super::finished;

/// Longer than any broker of a test is away.
const DELIVERY_MS: &str = "120000";
/// How long one step of a transaction may take before it is tried again.
const STEP: Duration = Duration::from_secs(30);

/// Key, value and partition of a record to be produced.
pub type Line<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, i32);

/// A producer whose records arrive once, and in the order in which they were sent.
#[derive(Clone)]
pub struct Feed(FutureProducer);

impl Feed {
    pub(super) fn new(config: &ClientConfig) -> Feed {
        let producer = config
            .clone()
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", DELIVERY_MS)
            .set("linger.ms", "5")
            .create()
            .expect("a producer");
        Feed(producer)
    }

    /// Sends a record at once; the future is its partition and offset.
    ///
    /// # Errors
    ///
    /// The client's queue is full, or the broker does not take the record.
    pub fn send(
        &self,
        topic: &str,
        line: Line<'_>,
    ) -> impl Future<Output = Result<(i32, i64), String>> + Send + 'static {
        let sent = send(&self.0, topic, line);
        async move { delivered(sent?).await.map_err(|error| error.to_string()) }
    }
}

/// A producer of transactions, one after the other.
#[derive(Clone)]
pub struct Transactions {
    producer: Arc<FutureProducer>,
}

impl Transactions {
    pub(super) fn new(config: &ClientConfig, id: &str) -> Transactions {
        let producer = config
            .clone()
            .set("transactional.id", id)
            .set("transaction.timeout.ms", "20000")
            .set("message.timeout.ms", "20000")
            .create()
            .expect("a producer");
        Transactions {
            producer: Arc::new(producer),
        }
    }

    /// To be called once, before the first transaction.
    ///
    /// # Errors
    ///
    /// There is no coordinator.
    pub async fn init(&self) -> Result<(), String> {
        self.step(|producer| producer.init_transactions(STEP))
            .await
            .map_err(|error| error.to_string())
    }

    /// Produces the records in one transaction, and commits or aborts it. Returns their partitions and offsets, and
    /// whether it was committed in the end: a transaction that can't go on is aborted.
    ///
    /// # Errors
    ///
    /// It can't even be aborted.
    pub async fn run(
        &self,
        topic: &str,
        lines: &[Line<'_>],
        commit: bool,
    ) -> Result<(Vec<(i32, i64)>, bool), String> {
        let text = |error: KafkaError| error.to_string();
        self.producer.begin_transaction().map_err(text)?;
        let sent: Vec<_> = lines
            .iter()
            .map(|line| send(&self.producer, topic, *line))
            .collect();
        let (mut at, mut whole) = (Vec::new(), true);
        for sent in sent {
            match delivered(sent?).await {
                Ok(place) => at.push(place),
                Err(_) => whole = false,
            }
        }
        if commit
            && whole
            && self
                .step(|producer| producer.commit_transaction(STEP))
                .await
                .is_ok()
        {
            return Ok((at, true));
        }
        self.step(|producer| producer.abort_transaction(STEP))
            .await
            .map_err(text)?;
        Ok((at, false))
    }

    /// One blocking step, again as long as that may help.
    async fn step(
        &self,
        step: impl Fn(&FutureProducer) -> KafkaResult<()> + Send + 'static,
    ) -> KafkaResult<()> {
        let producer = self.producer.clone();
        let done = spawn_blocking(move || {
            loop {
                match step(&producer) {
                    Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
                    done => return done,
                }
            }
        });
        finished(done.await)
    }
}

fn send(
    producer: &FutureProducer,
    topic: &str,
    (key, value, partition): Line<'_>,
) -> Result<DeliveryFuture, String> {
    let mut record = FutureRecord::<[u8], [u8]>::to(topic).partition(partition);
    record.key = key;
    record.payload = value;
    producer
        .send_result(record)
        .map_err(|(error, _)| error.to_string())
}

async fn delivered(delivery: DeliveryFuture) -> Result<(i32, i64), KafkaError> {
    match delivery.await {
        Ok(Ok(place)) => Ok((place.partition, place.offset)),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue)),
    }
}
