//! What the clients of `dlq` share: the trouble that their callbacks tell, and errors that say it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_core::text::bounded;
use rdkafka::ClientContext;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use super::target::Target;
use crate::kafka::{self, creation_error};

/// How long a request to the broker may take.
pub(super) const REQUEST: Duration = Duration::from_secs(15);
/// How long the broker may say nothing while more is expected.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The last trouble with the brokers, and the first record that was not delivered since it was last asked for.
#[derive(Clone, Default)]
pub(super) struct Troubles(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    trouble: Option<String>,
    undelivered: Option<RDKafkaErrorCode>,
}

impl Troubles {
    fn with<T>(&self, act: impl FnOnce(&mut Told) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the first failure of a delivery.
    pub(super) fn undelivered(&self) -> Option<RDKafkaErrorCode> {
        self.with(|told| told.undelivered.take())
    }

    /// The error, with what the client's callbacks told about its cause.
    pub(super) fn explain(&self, what: &str, error: &KafkaError) -> anyhow::Error {
        let code = error.rdkafka_error_code();
        if code.is_some_and(kafka::is_refusal) {
            return anyhow::anyhow!(
                "{what}: the broker refuses this client ({error}): check its credentials and ACLs"
            );
        }
        match self.with(|told| told.trouble.clone()) {
            Some(trouble) => anyhow::anyhow!("{what}: {trouble}"),
            None => anyhow::anyhow!("{what}: {error}"),
        }
    }
}

impl ClientContext for Troubles {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        // That all are down says less than what each of them said.
        let general = code == Some(RDKafkaErrorCode::AllBrokersDown);
        self.with(|told| match &mut told.trouble {
            Some(_) if general => {}
            trouble => *trouble = Some(bounded(reason, 400)),
        });
    }
}

impl ConsumerContext for Troubles {}

impl ProducerContext for Troubles {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.with(|told| {
                told.undelivered = told.undelivered.or(error.rdkafka_error_code());
            });
        }
    }
}

/// Whether the client goes on by itself, once the broker can be reached.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
    )
}

/// A client for admin calls.
pub(super) fn admin(target: &Target) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    target
        .connection
        .client_config("mcp-dlq", &[])
        .create()
        .map_err(|error| creation_error(&error))
}

/// Waits for a future from a thread that may block.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(future)
}
