//! One or more brokers that form a cluster, reached by some of their clients through proxies.

use futures::future::join_all;

use super::{Kafka, KafkaBuilder, KafkaClient, Ports, TRIES, launch};
use crate::free_port;

/// Brokers that form one cluster, each of them also a controller. They are killed when this is dropped, and when the
/// test process ends.
///
/// Each broker listens twice: on [`KafkaCluster::bootstrap`], for the test's own clients, and on a port that clients
/// learn as the port of a proxy, see [`KafkaCluster::behind_proxy`].
pub struct KafkaCluster {
    nodes: Vec<Kafka>,
    behind: Vec<u16>,
}

impl KafkaCluster {
    /// Starts as many brokers as there are `proxies`. A broker tells clients of its second listener that it is reached
    /// at `127.0.0.1:{proxy}`. `properties` are lines of every broker's `server.properties`.
    ///
    /// With three brokers and more, everything internal has three replicas, two of which must be in sync.
    ///
    /// # Panics
    ///
    /// When they do not start, with what they printed.
    pub async fn start(proxies: &[u16], properties: &[(&str, &str)]) -> KafkaCluster {
        for _ in 1..TRIES {
            match KafkaCluster::attempt(proxies, properties).await {
                Ok(cluster) => return cluster,
                Err(launch::Failure::PortTaken) => {}
                Err(launch::Failure::Other(reason)) => panic!("{reason}"),
            }
        }
        panic!("the ports of Kafka were taken {TRIES} times")
    }

    async fn attempt(
        proxies: &[u16],
        properties: &[(&str, &str)],
    ) -> Result<KafkaCluster, launch::Failure> {
        let ports: Vec<(Ports, u16)> = proxies
            .iter()
            .map(|_| {
                let ports = Ports {
                    plain: free_port(),
                    controller: free_port(),
                    sasl_ssl: 0,
                };
                (ports, free_port())
            })
            .collect();
        let voters: Vec<String> = (1..)
            .zip(&ports)
            .map(|(id, (ports, _))| format!("{id}@127.0.0.1:{}", ports.controller))
            .collect();
        let mut builders = Vec::new();
        for (index, ((ports, behind), proxy)) in ports.iter().zip(proxies).enumerate() {
            let mut lines = vec![
                ("node.id".to_owned(), (index + 1).to_string()),
                ("controller.quorum.voters".to_owned(), voters.join(",")),
                (
                    "listener.security.protocol.map".to_owned(),
                    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT".to_owned(),
                ),
                (
                    "listeners".to_owned(),
                    format!(
                        "PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{},PROXIED://127.0.0.1:{behind}",
                        ports.plain, ports.controller
                    ),
                ),
                (
                    "advertised.listeners".to_owned(),
                    format!(
                        "PLAINTEXT://127.0.0.1:{},PROXIED://127.0.0.1:{proxy}",
                        ports.plain
                    ),
                ),
            ];
            if proxies.len() >= 3 {
                lines.extend(REPLICATED.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            lines.extend(properties.iter().map(own));
            let builder = KafkaBuilder {
                properties: lines,
                ..KafkaBuilder::default()
            };
            builders.push((builder, *ports));
        }
        // A quorum is needed before any of them is ready, so they start together.
        let starting = builders
            .iter()
            .map(|(builder, ports)| builder.attempt_on(*ports));
        let nodes: Result<Vec<Kafka>, _> = join_all(starting).await.into_iter().collect();
        Ok(KafkaCluster {
            nodes: nodes?,
            behind: ports.iter().map(|(_, behind)| *behind).collect(),
        })
    }

    /// `host:port` of every broker, for the test's own clients.
    pub fn bootstrap(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(Kafka::bootstrap).collect();
        nodes.join(",")
    }

    /// The ports that the proxies are to forward to, broker by broker.
    pub fn behind_proxy(&self) -> &[u16] {
        &self.behind
    }

    /// A client of the cluster, which goes past the proxies.
    pub fn client(&self) -> KafkaClient {
        KafkaClient::new(self.bootstrap())
    }

    /// How many brokers there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// SIGKILL for one broker. Its data stay.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a broker that was killed, with the same data.
    pub async fn start_again(&mut self, node: usize) {
        self.nodes[node].start_again().await;
    }
}

/// What survives the loss of one broker of three.
const REPLICATED: [(&str, &str); 5] = [
    ("offsets.topic.replication.factor", "3"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("share.coordinator.state.topic.replication.factor", "3"),
    ("min.insync.replicas", "2"),
];
