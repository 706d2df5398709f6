//! A real Apache Kafka as child processes: single brokers, and clusters.

mod acl;
mod client;
mod cluster;
mod corruption;
mod launch;
mod records;
mod secure;

use std::{sync::OnceLock, time::Duration};

use rdkafka::producer::FutureProducer;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{Process, free_port};

pub use acl::{Operation, Resource};
pub use client::{Feed, GroupWatch, KafkaClient, Line, OffsetWatch, Tail, Transactions};
pub use cluster::KafkaCluster;
pub use corruption::Damage;
pub use records::{NewRecord, Record};
pub use secure::SaslSsl;

/// How often another process may take a port between its choice and its use.
const TRIES: usize = 5;
/// For everything a healthy broker does in well under a second, on a machine that is busy with compiling.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running broker. It is killed when this is dropped, and when the test process ends.
pub struct Kafka {
    ports: Ports,
    data: TempDir,
    process: Option<Process>,
    sasl_ssl: Option<SaslSsl>,
    producer: OnceLock<FutureProducer>,
}

/// What a broker is started with.
#[derive(Default)]
pub struct KafkaBuilder {
    properties: Vec<(String, String)>,
    sasl_ssl: bool,
}

#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    controller: u16,
    sasl_ssl: u16,
}

impl KafkaBuilder {
    /// A line of `server.properties`; it wins over the kit's own.
    pub fn property(mut self, name: &str, value: impl ToString) -> Self {
        self.properties.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a SASL_SSL listener, see [`Kafka::sasl_ssl`]. The plain one stays.
    pub fn sasl_ssl(mut self) -> Self {
        self.sasl_ssl = true;
        self
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it printed.
    pub async fn start(self) -> Kafka {
        for _ in 1..TRIES {
            match self.attempt().await {
                Ok(kafka) => return kafka,
                Err(launch::Failure::PortTaken) => {}
                Err(launch::Failure::Other(reason)) => panic!("{reason}"),
            }
        }
        panic!("the ports of Kafka were taken {TRIES} times")
    }

    async fn attempt(&self) -> Result<Kafka, launch::Failure> {
        let ports = Ports {
            plain: free_port(),
            controller: free_port(),
            sasl_ssl: free_port(),
        };
        self.attempt_on(ports).await
    }

    async fn attempt_on(&self, ports: Ports) -> Result<Kafka, launch::Failure> {
        let data = TempDir::with_prefix("mcp-testkit-kafka-").expect("a temporary folder");
        let sasl_ssl = self
            .sasl_ssl
            .then(|| SaslSsl::create(data.path(), ports.sasl_ssl));
        launch::format(data.path(), ports, sasl_ssl.as_ref(), &self.properties);
        let process = launch::start(data.path()).await?;
        Ok(Kafka {
            ports,
            data,
            process: Some(process),
            sasl_ssl,
            producer: OnceLock::new(),
        })
    }
}

impl Kafka {
    /// A broker with properties of one's own.
    pub fn builder() -> KafkaBuilder {
        KafkaBuilder::default()
    }

    /// A broker for this test alone, which may stop it. It takes about three seconds and 200 MB.
    pub async fn start() -> Kafka {
        Kafka::builder().start().await
    }

    /// The one broker of this test process, started at first use. Make topics with [`Kafka::new_topic`], and groups with
    /// names of your own.
    pub async fn shared() -> &'static Kafka {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_init(Kafka::start).await
    }

    /// `host:port` of the plain listener.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// The SASL_SSL listener.
    ///
    /// # Panics
    ///
    /// When the broker was built without one.
    pub fn sasl_ssl(&self) -> &SaslSsl {
        self.sasl_ssl
            .as_ref()
            .expect("Kafka::builder().sasl_ssl() adds the listener")
    }

    /// Stops it as an operator would. The data stay.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
            process.wait_exit(PATIENCE).await;
        }
    }

    /// SIGKILL, and waits until it is gone. The data stay.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGSTOP: connections stay open, and nothing answers, until [`Kafka::resume`].
    pub fn freeze(&self) {
        self.running().freeze();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.running().resume();
    }

    /// Starts it after [`Kafka::stop`] or [`Kafka::kill`], on the same ports with the same data.
    pub async fn start_again(&mut self) {
        self.kill();
        for _ in 1..TRIES {
            match launch::start(self.data.path()).await {
                Ok(process) => return self.process = Some(process),
                // Whoever holds a port may be on its way out.
                Err(launch::Failure::PortTaken) => {}
                Err(launch::Failure::Other(reason)) => panic!("{reason}"),
            }
        }
        panic!("the ports of Kafka were taken while it was down");
    }

    /// What it printed since its last start.
    pub fn output(&self) -> Vec<String> {
        self.running().output()
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the broker runs")
    }
}
