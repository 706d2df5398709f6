//! Every metric of the worker. Names follow the OpenTelemetry messaging conventions where one exists; a Prometheus name
//! has `_` for `.` and the unit at its end.

use mcp_runtime::metric::Metric;

/// All metrics of the process: this crate's, and those of the crates that it is made of.
pub fn exposed() -> Vec<Metric> {
    [ALL].concat()
}

mcp_runtime::metric_definitions! {
    /// Time from the start of an attempt to its outcome. `error_type` is the error's code, empty on success.
    PROCESS_DURATION: Histogram = "messaging_process_duration_seconds" [job_type, error_type];
    /// Records received.
    CONSUMED: Counter = "messaging_client_consumed_messages_total" [topic];
    /// Records produced and acknowledged: dead letters, results.
    SENT: Counter = "messaging_client_sent_messages_total" [topic] when "the first one is acknowledged";
    /// Finished jobs; `status` is `succeeded` or `dead-lettered`. All series are there from the start.
    JOBS: Counter = "worker_jobs_total" [job_type, status];
    /// Dead letters written.
    DEAD_LETTERS: Counter = "worker_dead_letters_total" [code, class] when "the first one is written";
    /// Attempts that failed.
    ATTEMPTS_FAILED: Counter = "worker_attempts_failed_total" [code, class] when "the first one fails";
    /// Jobs being worked on.
    IN_FLIGHT: Gauge = "worker_jobs_in_flight" [];
    /// Jobs that may be worked on at once: `WORKER_CONCURRENCY`.
    CONCURRENCY: Gauge = "worker_concurrency" [];
    /// Jobs that wait for their next attempt.
    RETRIES_PARKED: Gauge = "worker_retries_parked" [];
    /// Jobs that wait for a retry, for their time, or behind another job of their key or partition.
    WAITING: Gauge = "worker_jobs_waiting" [];
    /// Records received and not finished.
    UNFINISHED: Gauge = "worker_records_unfinished" [];
    /// Their size.
    UNFINISHED_BYTES: Gauge = "worker_records_unfinished_bytes" [];
    /// Assigned partitions.
    PARTITIONS_ASSIGNED: Gauge = "worker_partitions_assigned" [];
    /// Paused partitions.
    PARTITIONS_PAUSED: Gauge = "worker_partitions_paused" [];
    /// Partitions that stand before a batch that can't be read.
    PARTITIONS_CORRUPT: Gauge = "worker_partitions_corrupt" [];
    /// 1 while intake is held for that reason: `server`, `outbox` or `budget`. All three are there from the start.
    INTAKE_HELD: Gauge = "worker_intake_held" [reason];
    /// Dead letters that may be written at once.
    BUDGET_REMAINING: Gauge = "worker_dead_letter_budget_remaining" [] when "there is a budget: `WORKER_DLQ_PER_MINUTE` is not 0";
    /// 1 while the circuit breaker over the MCP server is open.
    BREAKER_OPEN: Gauge = "worker_breaker_open" [];
    /// Records behind the end of the partition, as its owner sees it; 0 once it is another's.
    LAG: Gauge = "worker_partition_lag" [topic, partition];
    /// 1 while the partition has lag and nothing moves.
    STALLED: Gauge = "worker_partition_stalled" [topic, partition];
    /// Commits that carried an offset which had moved, or what is finished ahead of one.
    COMMITS: Counter = "worker_commits_total" [];
    /// Commits that the broker did not take, those in a rebalance left out.
    COMMITS_FAILED: Counter = "worker_commits_failed_total" [];
    /// Rebalances; `kind` is `assigned`, `revoked` or `lost`.
    REBALANCES: Counter = "worker_rebalances_total" [kind];
}
