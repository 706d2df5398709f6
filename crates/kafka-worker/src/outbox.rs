//! Writes dead letters and results, and returns only once the broker has acknowledged them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_core::{JobResult, RetryPolicy};
use mcp_runtime::{Condition, trace_context};
use metrics::counter;
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use tokio::runtime::Handle;

use crate::dead_letter::{self, Extent, Verdict};
use crate::kafka::{self, Callbacks, Connection, Listener};
use crate::metric_definitions as metric;
use crate::signals::{Fatal, Hold, Holds};
use crate::spans;

/// Between attempts to write; a topic may be made, or a permission given, at any time.
const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: u32::MAX,
    base: Duration::from_millis(500),
    max: Duration::from_secs(10),
};

/// From a refusal that only a new process can find mended to the end of this one.
const GIVE_UP: Duration = Duration::from_secs(30);

/// The producers and where they write.
pub struct Outbox {
    dead_letters: FutureProducer<Callbacks>,
    dead_letter_topics: BTreeMap<String, String>,
    results: Option<(FutureProducer<Callbacks>, String)>,
    troubles: Arc<Troubles>,
    fatal: Fatal,
}

/// Why topics can't be written, by topic. Intake is held while there is a reason.
struct Troubles {
    reasons: Mutex<BTreeMap<String, String>>,
    /// Writers that try again and again, by topic.
    waiting: Mutex<BTreeMap<String, usize>>,
    condition: Condition,
    holds: Holds,
}

impl Outbox {
    /// Makes the producers, within a runtime; they connect at once.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(
        connection: &Connection,
        client_id: &str,
        dead_letter_topics: BTreeMap<String, String>,
        result_topic: Option<String>,
        condition: Condition,
        holds: Holds,
        fatal: Fatal,
    ) -> anyhow::Result<Self> {
        // One record a batch: a broker that finds a batch too large refuses all of it, and then it would not be known
        // which record is the large one.
        condition.holds();
        let troubles = Arc::new(Troubles {
            reasons: Mutex::default(),
            waiting: Mutex::default(),
            condition,
            holds,
        });
        let errors = ProducerErrors {
            troubles: troubles.clone(),
            fatal: fatal.clone(),
            runtime: Handle::current(),
        };
        let errors = Callbacks(Arc::new(errors));
        let alone = [("batch.num.messages", "1")];
        let dead_letters = producer(connection, client_id, &alone, errors.clone())?;
        let results = match result_topic {
            Some(topic) => Some((
                producer(connection, client_id, &[("linger.ms", "5")], errors)?,
                topic,
            )),
            None => None,
        };
        Ok(Self {
            dead_letters,
            dead_letter_topics,
            results,
            troubles,
            fatal,
        })
    }

    /// Whether results are written.
    pub fn has_results(&self) -> bool {
        self.results.is_some()
    }

    /// Writes the dead letter of `record`; returns once it is acknowledged, however long that takes. While the topic
    /// can't be written, intake is held and the worker is not ready. Cancel it by dropping the future.
    ///
    /// The dead letter of a record that brought no trace context carries that of its own `send` span.
    pub async fn dead_letter(&self, record: &OwnedMessage, mut verdict: Verdict) {
        let Some(topic) = self.dead_letter_topics.get(record.topic()) else {
            // Records come from the topics of the configuration, and each has an entry.
            self.fatal
                .raise(format!("no dead-letter topic for {}", record.topic()));
            return std::future::pending().await;
        };
        let job_id = verdict.job_id.as_deref();
        let span = spans::send(topic, record.key(), job_id, &verdict.worker);
        let processed = verdict.traceparent.take();
        let processed = |name: &str| match name {
            trace_context::TRACEPARENT => processed.as_deref(),
            _ => None,
        };
        trace_context::set_parent(&span, processed);
        verdict.traceparent = trace_context::outgoing(&span, processed)
            .into_iter()
            .find_map(|(name, value)| (name == trace_context::TRACEPARENT).then_some(value));
        let mut extent = Extent::Whole;
        let mut failed = 0;
        let mut waiter = None;
        loop {
            let mut letter = FutureRecord::<[u8], [u8]>::to(topic)
                .headers(dead_letter::headers(record, &verdict, extent));
            if let (Some(key), true) = (record.key(), extent != Extent::HeadersOnly) {
                letter = letter.key(key);
            }
            letter = match (record.payload(), extent) {
                (Some(value), Extent::Whole) => letter.payload(value),
                // Omitted is an empty value; null stays for records whose value was null.
                (Some(_), _) => letter.payload(&[]),
                (None, _) => letter,
            };
            match self
                .dead_letters
                .send(letter, Timeout::After(Duration::from_secs(5)))
                .await
            {
                Ok(delivery) => {
                    spans::sent(&span, delivery.partition, delivery.offset);
                    return self.written(topic);
                }
                Err((error, _)) => {
                    let too_large = error.rdkafka_error_code().is_some_and(kafka::is_too_large);
                    if let (true, Some(smaller)) = (too_large, extent.smaller()) {
                        tracing::warn!(
                            topic,
                            ?smaller,
                            "the dead letter is larger than its topic takes, leaving out what is too much"
                        );
                        extent = smaller;
                        continue;
                    }
                    failed += 1;
                    waiter.get_or_insert_with(|| Waiter::new(self.troubles.clone(), topic));
                    self.not_written(&self.dead_letters, topic, &error, failed)
                        .await;
                }
            }
        }
    }

    /// Writes the result of the job that `record` carried, if a result topic is configured; returns once it is
    /// acknowledged. What the topic does not take whole is written with sizes and references in the place of contents.
    pub async fn result(&self, record: &OwnedMessage, result: JobResult) {
        let Some((batching, topic)) = &self.results else {
            return;
        };
        let own_key = result.job_id.clone().unwrap_or_default().into_bytes();
        let mut key = record.key().map_or_else(|| own_key.clone(), <[u8]>::to_vec);
        let mut value = encoded(&result);
        // In a batch a small one can be refused for a large one beside it, so it is tried alone before it is cut.
        let mut producer = batching;
        let (mut alone, mut cut, mut failed) = (false, false, 0);
        let mut waiter = None;
        loop {
            let headers = OwnedHeaders::new().insert(Header {
                key: "content-type",
                value: Some("application/json"),
            });
            let answer = FutureRecord::to(topic)
                .key(&key)
                .payload(&value)
                .headers(headers);
            let sent = producer.send(answer, Timeout::After(Duration::from_secs(5)));
            let Err((error, _)) = sent.await else {
                return self.written(topic);
            };
            let too_large = error.rdkafka_error_code().is_some_and(kafka::is_too_large);
            if too_large && !alone {
                producer = &self.dead_letters;
                alone = true;
            } else if too_large && !cut {
                let bytes = value.len();
                tracing::warn!(
                    topic,
                    bytes,
                    "the result is larger than its topic takes, leaving out its contents; artifacts are referred to"
                );
                value = encoded(&result.without_contents());
                key.clone_from(&own_key);
                cut = true;
            } else {
                failed += 1;
                waiter.get_or_insert_with(|| Waiter::new(self.troubles.clone(), topic));
                self.not_written(producer, topic, &error, failed).await;
            }
        }
    }

    fn written(&self, topic: &str) {
        counter!(metric::SENT, "topic" => topic.to_owned()).increment(1);
        self.troubles.tell(topic, None);
    }

    async fn not_written(
        &self,
        producer: &FutureProducer<Callbacks>,
        topic: &str,
        error: &KafkaError,
        failed: u32,
    ) {
        if let Some((code, reason)) = producer.client().fatal_error() {
            // librdkafka refuses everything from now on; only a new producer, so a new process, helps.
            self.fatal.raise(format!(
                "the producer is fenced or broken ({code:?}): {reason}"
            ));
            return std::future::pending().await;
        }
        let what = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                "it does not exist: create it".to_owned()
            }
            Some(code) if kafka::is_refusal(code) => {
                "the broker refuses this client: check its ACL".to_owned()
            }
            _ => error.to_string(),
        };
        let reason = format!("topic {topic} can't be written: {what}");
        if self.troubles.tell(topic, Some(&reason)) {
            tracing::error!(topic, %error, "intake is held: {reason}");
        }
        tokio::time::sleep(RETRY.delay(failed, None)).await;
    }
}

/// A writer that tries again and again. When the last one of its topic goes away without having written, because its
/// partition was lost, nobody would find out that the topic can be written again: then intake brings the next one.
struct Waiter {
    troubles: Arc<Troubles>,
    topic: String,
}

impl Waiter {
    fn new(troubles: Arc<Troubles>, topic: &str) -> Self {
        *lock(&troubles.waiting).entry(topic.to_owned()).or_default() += 1;
        Self {
            troubles,
            topic: topic.to_owned(),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = lock(&self.troubles.waiting);
        let left = waiting.get_mut(&self.topic).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            waiting.remove(&self.topic);
            drop(waiting);
            self.troubles.tell(&self.topic, None);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Troubles {
    /// Notes why the topic can't be written, or that it can. Returns whether that is new.
    fn tell(&self, topic: &str, trouble: Option<&str>) -> bool {
        let mut reasons = lock(&self.reasons);
        let news = match trouble {
            Some(reason) => {
                let before = reasons.insert(topic.to_owned(), reason.to_owned());
                before.as_deref() != Some(reason)
            }
            None => reasons.remove(topic).is_some(),
        };
        if news {
            self.holds.set(Hold::Outbox, !reasons.is_empty());
            match reasons.values().next() {
                Some(reason) => _ = self.condition.fails(reason),
                None => self.condition.holds(),
            }
        }
        news
    }
}

fn encoded(result: &JobResult) -> Vec<u8> {
    match serde_json::to_vec(result) {
        Ok(value) => value,
        Err(error) => unreachable!("strings and JSON values always serialise: {error}"),
    }
}

fn producer(
    connection: &Connection,
    client_id: &str,
    more: &[(&str, &str)],
    errors: Callbacks,
) -> anyhow::Result<FutureProducer<Callbacks>> {
    let mut defaults = vec![
        ("enable.idempotence", "true"),
        ("acks", "all"),
        // `send`'s own timeout is for its queue only; this one bounds the delivery. The default is five minutes.
        ("message.timeout.ms", "15000"),
        // What is too large is for the broker to say: the local default of 1 MB may be below the topic's limit.
        ("message.max.bytes", "1000000000"),
        // A topic that does not exist is told as that before the message's time is over, and found soon once it does.
        ("topic.metadata.propagation.max.ms", "5000"),
        ("topic.metadata.refresh.interval.ms", "10000"),
    ];
    defaults.extend_from_slice(more);
    let config = connection.client_config(client_id, &defaults);
    config
        .create_with_context(errors)
        .map_err(|error| kafka::creation_error(&error))
}

/// Broker errors are told by each failed write, but for one: without it nothing would be known until the first write.
struct ProducerErrors {
    troubles: Arc<Troubles>,
    fatal: Fatal,
    runtime: Handle,
}

impl Listener for ProducerErrors {
    fn error(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        if code != Some(RDKafkaErrorCode::ClusterAuthorizationFailed) {
            tracing::debug!(?code, reason, "producer");
            return;
        }
        let reason = format!(
            "the broker lets this client write to no topic, check its ACL: it needs WRITE on the dead-letter topic, and \
             before Kafka 3.0 IDEMPOTENT_WRITE on the cluster: {reason}"
        );
        if self.troubles.tell("", Some(&reason)) {
            tracing::error!("intake is held: {reason}");
            // librdkafka gives such a producer up for good, so it takes a new process to see that the permission is
            // there. Not at once: what else is missing is told meanwhile.
            let fatal = self.fatal.clone();
            self.runtime.spawn(async move {
                tokio::time::sleep(GIVE_UP).await;
                fatal.raise(reason);
            });
        }
    }
}
