//! A broker inside the process, for trying out: librdkafka's mock cluster.
//!
//! Nothing survives the process, a partition keeps its last 5 MiB only, there are no admin calls and no real
//! transactions, and a group that is joined again after its last member left may wait for 20 s.

use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The broker; it ends when this is dropped.
pub struct EmbeddedBroker(MockCluster<'static, DefaultProducerContext>);

impl EmbeddedBroker {
    /// Starts it on a free loopback port.
    ///
    /// # Errors
    /// When librdkafka can't start it.
    pub fn start() -> KafkaResult<Self> {
        Ok(Self(MockCluster::new(1)?))
    }

    /// `host:port`; other processes can connect too.
    pub fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// When it exists already.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> KafkaResult<()> {
        self.0.create_topic(topic, partitions, 1)
    }

    /// What clients of it need: short fetch waits (the mock answers late otherwise) and KIP-848 (joins at once).
    pub const PROPERTIES: &'static [(&'static str, &'static str)] =
        &[("fetch.wait.max.ms", "10"), ("group.protocol", "consumer")];
}
