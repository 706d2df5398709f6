//! The worker's variables, for `--help` and `docs/configuration.md`. Defaults and bounds stand where they are read.

use mcp_runtime::variables::{Documentation, Variable, document, names};

use crate::config::WorkerConfig;

const VARIABLES: &[Variable] = &[
    Variable::new("KAFKA_BROKERS", "the brokers to begin with"),
    Variable::new("KAFKA_TOPIC", "topics to consume"),
    Variable::new("MCP_CONSUMER_GROUP", "consumer group").allowed("a group's name"),
    Variable::new(
        "MCP_SERVER_URL",
        "MCP server; a URL without a path means `/message`, one with a path that path",
    )
    .allowed("an http or https URL"),
    Variable::new("MCP_API_KEY", "sent as `Authorization: Bearer`").secret(),
    Variable::new("KAFKA_DLQ_TOPIC", "dead letters")
        .default("{topic}-dlq")
        .allowed("a topic that `KAFKA_TOPIC` does not name"),
    Variable::new(
        "KAFKA_RESULT_TOPIC",
        "one record for each finished job, acknowledged before its offset counts as done",
    )
    .allowed("a topic that neither `KAFKA_TOPIC` nor `KAFKA_DLQ_TOPIC` names"),
    Variable::new(
        "KAFKA_PROPERTY_*",
        "any librdkafka property: `KAFKA_PROPERTY_SASL_USERNAME` is `sasl.username`; with `_FILE` behind it, the file that holds the value",
    )
    .allowed("what librdkafka takes, but for properties that the worker sets itself"),
    Variable::new("WORKER_CONCURRENCY", "jobs in flight"),
    Variable::new(
        "WORKER_ORDERING",
        "what runs one after the other: jobs of a `key`, of a `partition`, or none (`unordered`)",
    ),
    Variable::new("WORKER_MAX_ATTEMPTS", "attempts of a job"),
    Variable::new(
        "WORKER_RETRY_BASE_MS",
        "first backoff. Full jitter: a wait is random between 0 and its ceiling, which doubles from this one",
    ),
    Variable::new("WORKER_RETRY_MAX_MS", "longest backoff; not below the first"),
    Variable::new("WORKER_JOB_TIMEOUT_MS", "one call"),
    Variable::new(
        "WORKER_JOB_DEADLINE_MS",
        "all attempts of a job, without the time in which the server was down",
    ),
    Variable::new(
        "WORKER_DRAIN_MS",
        "on SIGTERM, and when a partition is taken away, jobs in flight may finish for so long",
    ),
    Variable::new(
        "WORKER_DLQ_PER_MINUTE",
        "the dead-letter budget of a worker: so many at once, and as many more each minute. Used up, intake pauses and dead letters wait their turn. 0 is no limit",
    ),
    Variable::new(
        "WORKER_WAITING_MAX",
        "jobs that may wait here for a retry, for their time, or behind another job of their key or partition",
    ),
    Variable::new(
        "WORKER_STALL_MS",
        "a partition with lag in which nothing moves for so long makes the worker unhealthy. More than `WORKER_JOB_TIMEOUT_MS`; by default five minutes, or a minute more than that",
    ),
    Variable::new(
        "WORKER_TOOL_ERROR",
        "what to do about a tool error that does not say whether to retry",
    ),
    Variable::new("ADMIN_PORT", "port of `/health`, `/ready` and `/metrics`; 0 is any free one"),
    Variable::new("ADMIN_BIND", "their address"),
];

/// The server's, which may run in the same environment.
const OTHERS: [&str; 2] = ["MCP_API_KEYS_FILE", "MCP_AUTH"];

/// All that is known of them.
pub fn variables() -> Documentation {
    document(VARIABLES, &[("KAFKA_BROKERS", "localhost:9092")], |vars| {
        // What is read counts, not what comes of it.
        let _ = WorkerConfig::from_vars(vars);
    })
}

/// The names that a misspelt one may be meant for.
pub(crate) fn known() -> Vec<String> {
    names(VARIABLES).chain(OTHERS.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_names_what_the_configuration_reads() {
        assert_eq!(super::variables().faults, [""; 0]);
    }
}
