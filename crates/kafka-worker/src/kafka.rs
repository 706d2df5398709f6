//! Client configuration and what broker errors mean: one place for every client that the worker makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::Secret;
use mcp_core::text::bounded;
use mcp_runtime::vars::{ConfigError, Vars, invalid};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;
use rdkafka::{ClientContext, Statistics};

/// The prefix of variables that set librdkafka properties: `KAFKA_PROPERTY_SASL_USERNAME` is `sasl.username`.
pub const PROPERTY_PREFIX: &str = "KAFKA_PROPERTY_";

/// Properties that the engine's promises rest on, with what to use instead.
const OWN: &[(&str, &str)] = &[
    ("bootstrap.servers", "set KAFKA_BROKERS"),
    ("metadata.broker.list", "set KAFKA_BROKERS"),
    ("group.id", "set MCP_CONSUMER_GROUP"),
    (
        "enable.auto.commit",
        "offsets are committed only behind finished jobs",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed only behind finished jobs",
    ),
    (
        "enable.idempotence",
        "dead letters are always written idempotently",
    ),
    (
        "acks",
        "dead letters are always acknowledged by all in-sync replicas",
    ),
];

/// Properties whose own names end in `.file`, so that their variables are no `…_FILE` of another one.
const FILE_PROPERTIES: &[&str] = &[
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
];

/// How to reach the brokers: what every client shares.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// librdkafka properties that the operator set.
    pub properties: BTreeMap<String, Secret>,
}

impl Connection {
    /// Only the brokers, no properties.
    pub fn plain(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            properties: BTreeMap::new(),
        }
    }

    /// Reads `KAFKA_BROKERS` and `KAFKA_PROPERTY_*`.
    ///
    /// # Errors
    /// A missing or malformed broker list, a property that is not the operator's to set, an unreadable secret file.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let allowed = "a comma-separated list of host:port";
        let brokers = vars.required("KAFKA_BROKERS", allowed)?;
        let well_formed = |broker: &str| {
            let address = broker
                .trim()
                .rsplit_once("://")
                .map_or(broker.trim(), |(_, rest)| rest);
            address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
        };
        if !brokers.split(',').all(well_formed) {
            return Err(invalid("KAFKA_BROKERS", brokers, allowed));
        }
        let mut properties = BTreeMap::new();
        for (rest, value) in vars.with_prefix(PROPERTY_PREFIX) {
            let name = rest.to_ascii_lowercase().replace('_', ".");
            let from_file = name
                .strip_suffix(".file")
                .filter(|_| !FILE_PROPERTIES.contains(&name.as_str()));
            let variable = format!("{PROPERTY_PREFIX}{rest}");
            if value.is_empty() {
                continue;
            }
            let (name, value) = match from_file {
                Some(property) => {
                    let secret = vars.secret(variable.trim_end_matches("_FILE"))?;
                    (
                        property.to_owned(),
                        secret.unwrap_or_else(|| Secret::new("")),
                    )
                }
                None => (name, Secret::new(value)),
            };
            if let Some((_, instead)) = OWN.iter().find(|(own, _)| *own == name) {
                return Err(ConfigError::InvalidSecret {
                    name: variable,
                    allowed: format!("`{name}` can't be changed: {instead}"),
                });
            }
            properties.insert(name, value);
        }
        Ok(Self {
            brokers: brokers.to_owned(),
            properties,
        })
    }

    /// A client configuration with `defaults` below what the operator set.
    pub fn client_config(&self, client_id: &str, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", client_id);
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value.expose());
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }
}

/// A client that could not be made, as an error that names the variable at fault.
pub fn creation_error(error: &KafkaError) -> anyhow::Error {
    match error {
        KafkaError::ClientConfig(reason, description, property, value) => {
            let variable = format!(
                "{PROPERTY_PREFIX}{}",
                property.to_ascii_uppercase().replace('.', "_")
            );
            // Some descriptions end with a line feed.
            let description = bounded(description.trim(), 500);
            // A property that does not exist may be a misspelt password.
            if is_secret(property) || *reason == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN {
                return anyhow::anyhow!("{variable}: {description}");
            }
            anyhow::anyhow!(
                "{variable}={value:?}: {description}; allowed is what librdkafka's CONFIGURATION.md says"
            )
        }
        KafkaError::ClientCreation(description) => {
            let description = bounded(description.trim(), 500);
            anyhow::anyhow!(
                "the Kafka client can't be made with these {PROPERTY_PREFIX}* variables: {description}"
            )
        }
        other => anyhow::anyhow!("the Kafka client can't be made: {other}"),
    }
}

/// Whether the property's value must not be shown.
fn is_secret(property: &str) -> bool {
    [
        "password",
        "secret",
        ".pem",
        "assertion",
        "oauthbearer.config",
    ]
    .iter()
    .any(|part| property.contains(part))
}

/// Whether the broker refuses who we are or what we want to do.
pub fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

/// The error's name in spans.
pub fn error_type(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => format!("{code:?}"),
        None => "_OTHER".to_owned(),
    }
}

/// Whether the record is larger than the topic takes. `InvalidMessageSize` is what old brokers say.
pub fn is_too_large(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::MessageBatchTooLarge
    )
}

/// What a client's callbacks tell: broker errors and statistics.
pub trait Listener: Send + Sync + 'static {
    /// The client has trouble with a broker or with all of them.
    fn error(&self, code: Option<RDKafkaErrorCode>, reason: &str);
    /// The numbers of `statistics.interval.ms`.
    fn statistics(&self, _statistics: &Statistics) {}
}

/// For clients whose errors show in what they are asked for.
pub struct Quiet;

impl Listener for Quiet {
    fn error(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        tracing::debug!(?code, reason, "broker");
    }
}

/// librdkafka's log lines as tracing events, errors and statistics to a [`Listener`].
#[derive(Clone)]
pub struct Callbacks(pub Arc<dyn Listener>);

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error.rdkafka_error_code(), reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.statistics(&statistics);
    }
}

impl ConsumerContext for Callbacks {}

/// One of librdkafka's own log lines.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // One set of properties serves consumers and producers; each warns of what is meant for the other.
    if facility == "CONFWARN" {
        tracing::debug!(target: "librdkafka", facility, "{message}");
        return;
    }
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Debug => tracing::trace!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(pairs: &[(&str, &str)]) -> Result<Connection, ConfigError> {
        Connection::from_vars(&pairs.iter().copied().collect())
    }

    #[test]
    fn a_variable_names_its_property() {
        let read = connection(&[
            ("KAFKA_BROKERS", "a:1,b:2"),
            ("KAFKA_PROPERTY_SASL_USERNAME", "alice"),
        ])
        .unwrap();
        assert_eq!(read.properties["sasl.username"].expose(), "alice");
        assert!(!format!("{read:?}").contains("alice"));
    }

    #[test]
    fn a_broker_list_that_is_none_stops_the_start() {
        for brokers in ["", "kafka", "kafka:", ":1", "kafka:99999", "a:1,,b:2"] {
            assert!(
                connection(&[("KAFKA_BROKERS", brokers)]).is_err(),
                "{brokers}"
            );
        }
    }

    #[test]
    fn what_the_promises_rest_on_is_not_the_operators_to_set() {
        let error = connection(&[
            ("KAFKA_BROKERS", "a:1"),
            ("KAFKA_PROPERTY_ENABLE_AUTO_COMMIT", "true"),
        ])
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "KAFKA_PROPERTY_ENABLE_AUTO_COMMIT: `enable.auto.commit` can't be changed: offsets are committed only behind finished jobs"
        );
    }
}
