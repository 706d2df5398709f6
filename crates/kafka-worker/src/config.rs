//! The worker's configuration, read from variables and checked before anything starts.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_client::ServerUrl;
use mcp_core::{RetryPolicy, Secret};
use mcp_runtime::vars::{ConfigError, Vars, invalid};

use crate::engine::job::Ordering;
use crate::kafka::Connection;
use crate::variables;

/// Everything the worker can be told.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `KAFKA_BROKERS`, `KAFKA_PROPERTY_*`.
    pub connection: Connection,
    /// `KAFKA_TOPIC` (`mcp-jobs`), a comma-separated list.
    pub topics: Vec<String>,
    /// `MCP_CONSUMER_GROUP` (`mcp-workers`).
    pub group: String,
    /// `MCP_SERVER_URL` (`http://mcp-server:8080`).
    pub server_url: ServerUrl,
    /// `MCP_API_KEY` or `MCP_API_KEY_FILE`.
    pub api_key: Option<Secret>,
    /// `KAFKA_DLQ_TOPIC` (`{topic}-dlq`), by topic.
    pub dead_letter_topics: BTreeMap<String, String>,
    /// `KAFKA_RESULT_TOPIC`.
    pub result_topic: Option<String>,
    /// `WORKER_CONCURRENCY` (64).
    pub concurrency: usize,
    /// `WORKER_ORDERING` (`key`).
    pub ordering: Ordering,
    /// `WORKER_MAX_ATTEMPTS` (8), `WORKER_RETRY_BASE_MS` (200), `WORKER_RETRY_MAX_MS` (30000).
    pub retry: RetryPolicy,
    /// `WORKER_JOB_TIMEOUT_MS` (60000): one call.
    pub call_timeout: Duration,
    /// `WORKER_JOB_DEADLINE_MS` (900000): all attempts of a job.
    pub deadline: Duration,
    /// `WORKER_DRAIN_MS` (25000).
    pub drain: Duration,
    /// `WORKER_DLQ_PER_MINUTE` (1000): dead letters before intake pauses; 0 is no limit.
    pub dead_letters_per_minute: u32,
    /// `WORKER_WAITING_MAX` (16384): jobs that may wait here for a retry, for their time, or behind another job.
    pub waiting_max: usize,
    /// `WORKER_STALL_MS` (300000, or a minute above `WORKER_JOB_TIMEOUT_MS` if that is more): how long a partition with
    /// lag may stand still before the worker counts as unhealthy.
    pub stall: Duration,
    /// `WORKER_TOOL_ERROR` (`dead-letter` or `retry`): a tool error that does not say whether to retry.
    pub retry_tool_errors: bool,
    /// `ADMIN_PORT` (9090).
    pub admin_port: u16,
    /// `ADMIN_BIND` (`0.0.0.0`).
    pub admin_bind: std::net::IpAddr,
    /// The name in `mcp.worker` and at the broker: `KAFKA_PROPERTY_CLIENT_ID`, or host name and process id.
    pub client_id: String,
}

impl WorkerConfig {
    /// Reads and checks the variables.
    ///
    /// # Errors
    /// The first variable that does not fit.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let known = variables::known();
        for prefix in ["WORKER_", "KAFKA_", "MCP_", "ADMIN_"] {
            vars.refuse_misspelt(prefix, &known)?;
        }
        let connection = Connection::from_vars(vars)?;
        let topics = topics(vars)?;
        let dead_letter_topics = dead_letter_topics(vars, &topics)?;
        let result_topic = vars.get("KAFKA_RESULT_TOPIC").map(str::to_owned);
        if let Some(topic) = &result_topic {
            check_topic("KAFKA_RESULT_TOPIC", topic)?;
            if topics.contains(topic) || dead_letter_topics.values().any(|dead| dead == topic) {
                return Err(invalid(
                    "KAFKA_RESULT_TOPIC",
                    topic,
                    "a topic that neither KAFKA_TOPIC nor KAFKA_DLQ_TOPIC names",
                ));
            }
        }
        let url = vars.text("MCP_SERVER_URL", "http://mcp-server:8080");
        let server_url = ServerUrl::parse(url).map_err(|allowed| ConfigError::InvalidSecret {
            // A URL may hold credentials, so it is not shown.
            name: "MCP_SERVER_URL".into(),
            allowed,
        })?;
        let base = vars.millis("WORKER_RETRY_BASE_MS", 200, 1, 3_600_000)?;
        let base_ms = u64::try_from(base.as_millis()).unwrap_or(u64::MAX);
        let retry = RetryPolicy {
            max_attempts: vars.number("WORKER_MAX_ATTEMPTS", 8, 1, 1_000)?,
            base,
            max: vars.millis("WORKER_RETRY_MAX_MS", base_ms.max(30_000), 1, 3_600_000)?,
        };
        if retry.max < retry.base {
            let value = retry.max.as_millis().to_string();
            return Err(invalid(
                "WORKER_RETRY_MAX_MS",
                &value,
                "WORKER_RETRY_BASE_MS or more",
            ));
        }
        let call_timeout = vars.millis("WORKER_JOB_TIMEOUT_MS", 60_000, 1, 86_400_000)?;
        let deadline = vars.millis("WORKER_JOB_DEADLINE_MS", 900_000, 1, 604_800_000)?;
        let stall_default = (call_timeout + Duration::from_secs(60)).max(Duration::from_secs(300));
        let stall_default = u64::try_from(stall_default.as_millis()).unwrap_or(u64::MAX);
        let stall = vars.millis("WORKER_STALL_MS", stall_default, 1, 172_800_000)?;
        if stall <= call_timeout {
            return Err(invalid(
                "WORKER_STALL_MS",
                &stall.as_millis().to_string(),
                "more than WORKER_JOB_TIMEOUT_MS: one call may take that long",
            ));
        }
        let client_id = connection
            .properties
            .get("client.id")
            .map_or_else(default_client_id, |id| id.expose().to_owned());
        Ok(Self {
            group: vars.text("MCP_CONSUMER_GROUP", "mcp-workers").to_owned(),
            api_key: vars.secret("MCP_API_KEY")?,
            concurrency: vars.number("WORKER_CONCURRENCY", 64, 1, 10_000)?,
            ordering: vars.choice(
                "WORKER_ORDERING",
                Ordering::Key,
                &[
                    ("key", Ordering::Key),
                    ("partition", Ordering::Partition),
                    ("unordered", Ordering::Unordered),
                ],
            )?,
            call_timeout,
            deadline,
            drain: vars.millis("WORKER_DRAIN_MS", 25_000, 0, 3_600_000)?,
            dead_letters_per_minute: vars.number("WORKER_DLQ_PER_MINUTE", 1_000, 0, 1_000_000)?,
            waiting_max: vars.number("WORKER_WAITING_MAX", 16_384, 1, 1_000_000)?,
            stall,
            retry_tool_errors: vars.choice(
                "WORKER_TOOL_ERROR",
                false,
                &[("dead-letter", false), ("retry", true)],
            )?,
            admin_port: vars.number("ADMIN_PORT", 9090, 0, u16::MAX)?,
            admin_bind: vars.parse(
                "ADMIN_BIND",
                std::net::Ipv4Addr::UNSPECIFIED.into(),
                "an IP address",
            )?,
            connection,
            topics,
            server_url,
            dead_letter_topics,
            result_topic,
            retry,
            client_id,
        })
    }
}

fn topics(vars: &Vars) -> Result<Vec<String>, ConfigError> {
    let mut topics = vars.list_or("KAFKA_TOPIC", &["mcp-jobs"])?;
    for topic in &topics {
        check_topic("KAFKA_TOPIC", topic)?;
    }
    topics.sort();
    topics.dedup();
    Ok(topics)
}

fn dead_letter_topics(
    vars: &Vars,
    topics: &[String],
) -> Result<BTreeMap<String, String>, ConfigError> {
    let name = "KAFKA_DLQ_TOPIC";
    let one_for_all = vars.get(name);
    let mut by_topic = BTreeMap::new();
    for topic in topics {
        let dead = one_for_all.map_or_else(|| format!("{topic}-dlq"), str::to_owned);
        check_topic(name, &dead)?;
        if topics.contains(&dead) {
            // A worker that reads its own dead letters would never come to an end.
            return Err(invalid(
                name,
                &dead,
                "a topic that KAFKA_TOPIC does not name",
            ));
        }
        by_topic.insert(topic.clone(), dead);
    }
    Ok(by_topic)
}

/// Kafka's own rule for topic names.
fn check_topic(variable: &str, topic: &str) -> Result<(), ConfigError> {
    let legal = (1..=249).contains(&topic.len())
        && topic != "."
        && topic != ".."
        && topic
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if legal {
        return Ok(());
    }
    Err(invalid(
        variable,
        topic,
        "a topic name of 1 to 249 letters, digits, `.`, `_` and `-`",
    ))
}

fn default_client_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "kafka-worker",
        host => host,
    };
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<WorkerConfig, ConfigError> {
        let brokers = [("KAFKA_BROKERS", "kafka:9092")];
        WorkerConfig::from_vars(&brokers.iter().chain(pairs).copied().collect())
    }

    fn refusal(name: &str, value: &str) -> String {
        config(&[(name, value)]).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = config(&[]).unwrap();
        assert_eq!(config.topics, ["mcp-jobs"]);
        assert_eq!(config.group, "mcp-workers");
        assert_eq!(
            config.server_url.to_string(),
            "http://mcp-server:8080/message"
        );
        assert_eq!(config.dead_letter_topics["mcp-jobs"], "mcp-jobs-dlq");
        assert_eq!((config.result_topic, config.api_key), (None, None));
        assert_eq!((config.concurrency, config.ordering), (64, Ordering::Key));
        assert_eq!(config.retry, RetryPolicy::default());
        let times = [config.call_timeout, config.deadline, config.drain].map(|t| t.as_millis());
        assert_eq!(times, [60_000, 900_000, 25_000]);
        assert_eq!(config.admin_port, 9090);
    }

    #[test]
    fn brokers_are_required() {
        let error = WorkerConfig::from_vars(&Vars::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "KAFKA_BROKERS is not set: a comma-separated list of host:port"
        );
    }

    #[test]
    fn every_bad_value_is_refused_with_name_and_what_is_allowed() {
        for (name, value) in [
            ("KAFKA_TOPIC", "a b"),
            ("KAFKA_DLQ_TOPIC", "mcp-jobs"),
            ("KAFKA_RESULT_TOPIC", "mcp-jobs"),
            ("MCP_SERVER_URL", "ftp://h"),
            ("WORKER_CONCURRENCY", "0"),
            ("WORKER_ORDERING", "keys"),
            ("WORKER_MAX_ATTEMPTS", "-1"),
            ("WORKER_RETRY_MAX_MS", "100"),
            ("WORKER_JOB_TIMEOUT_MS", "1s"),
            ("WORKER_TOOL_ERROR", "maybe"),
            ("WORKER_CONCURENCY", "1"),
            ("ADMIN_PORT", "70000"),
            ("ADMIN_BIND", "here"),
        ] {
            let error = refusal(name, value);
            assert!(error.contains(name), "{error}");
            assert!(
                error.contains("allowed is")
                    || name == "MCP_SERVER_URL"
                    || error.contains("did you mean"),
                "{error}"
            );
        }
    }

    #[test]
    fn several_topics_have_a_dead_letter_topic_each_or_one_for_all() {
        let each = config(&[("KAFKA_TOPIC", "b, a")]).unwrap();
        assert_eq!(each.topics, ["a", "b"]);
        assert_eq!(each.dead_letter_topics["b"], "b-dlq");
        let one = config(&[("KAFKA_TOPIC", "b,a"), ("KAFKA_DLQ_TOPIC", "d")]).unwrap();
        assert_eq!(one.dead_letter_topics["a"], "d");
    }
}
