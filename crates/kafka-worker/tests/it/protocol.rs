//! The two group protocols: what happens to members must hold by both.

use mcp_testkit::{Kafka, Reply, StubServer};
use tokio::sync::OnceCell;

use crate::setting::Setting;
use crate::worker::{SOON, WorkerBuilder};

/// How the partitions of a group are shared out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// By a member: cooperative-sticky, the default.
    Classic,
    /// By the broker: KIP-848.
    Consumer,
}

impl Protocol {
    /// Topics on a broker whose groups notice soon that a member is gone.
    pub(crate) async fn setting(self, name: &str, partitions: i32) -> Setting<'static> {
        let kafka = match self {
            Self::Classic => Kafka::shared().await,
            Self::Consumer => quick_sessions().await,
        };
        Setting::new(kafka, name, partitions).await
    }

    /// A worker that speaks it.
    pub(crate) fn worker(self, setting: &Setting<'_>, server: &StubServer) -> WorkerBuilder {
        let worker = setting.worker(server);
        match self {
            Self::Classic => worker.var("KAFKA_PROPERTY_SESSION_TIMEOUT_MS", 4_000),
            Self::Consumer => worker
                .var("KAFKA_PROPERTY_GROUP_PROTOCOL", "consumer")
                // The broker's to decide in this protocol.
                .without("KAFKA_PROPERTY_SESSION_TIMEOUT_MS")
                .without("KAFKA_PROPERTY_HEARTBEAT_INTERVAL_MS"),
        }
    }
}

/// In the new protocol the broker says how long a member may be silent; its own default is 45 s.
async fn quick_sessions() -> &'static Kafka {
    static BROKER: OnceCell<Kafka> = OnceCell::const_new();
    let start = || {
        Kafka::builder()
            .property("group.consumer.session.timeout.ms", 4_000)
            .property("group.consumer.heartbeat.interval.ms", 500)
            .start()
    };
    BROKER.get_or_init(start).await
}

/// Two tests of a scenario, one a protocol.
macro_rules! by_both_protocols {
    ($scenario:ident) => {
        mod $scenario {
            use crate::protocol::Protocol;

            #[tokio::test]
            async fn classic() {
                super::$scenario(Protocol::Classic).await;
            }

            #[tokio::test]
            async fn consumer() {
                super::$scenario(Protocol::Consumer).await;
            }
        }
    };
}
pub(crate) use by_both_protocols;

#[tokio::test]
async fn where_the_broker_has_the_protocol_off_the_worker_ends_and_says_why() {
    let kafka = Kafka::builder()
        .property("group.coordinator.rebalance.protocols", "classic")
        .start()
        .await;
    let setting = Setting::new(&kafka, "too-old", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let mut worker = Protocol::Consumer.worker(&setting, &server).start().await;
    let status = worker.process.wait_exit(SOON).await;
    let log = worker.log();
    assert_eq!(status.code(), Some(1), "{log}");
    let said = "ConsumerGroupHeartbeat fatal error: Broker: API version not supported";
    assert!(log.contains(said), "{log}");
}
