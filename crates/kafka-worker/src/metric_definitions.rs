//! Every metric of the worker: name, unit, labels, help. Names follow the OpenTelemetry messaging conventions where one
//! exists; a Prometheus name has `_` for `.` and the unit at its end.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Time from the start of an attempt to its outcome, in seconds; labels `job_type`, `error_type` (empty on success).
pub const PROCESS_DURATION: &str = "messaging_process_duration_seconds";
/// Records received; label `topic`.
pub const CONSUMED: &str = "messaging_client_consumed_messages_total";
/// Records produced and acknowledged (dead letters, results); label `topic`.
pub const SENT: &str = "messaging_client_sent_messages_total";
/// Finished jobs; labels `job_type`, `status` (`succeeded`, `dead-lettered`).
pub const JOBS: &str = "worker_jobs_total";
/// Dead letters written; labels `code`, `class`.
pub const DEAD_LETTERS: &str = "worker_dead_letters_total";
/// Attempts that failed; labels `code`, `class`.
pub const ATTEMPTS_FAILED: &str = "worker_attempts_failed_total";
/// Jobs being worked on.
pub const IN_FLIGHT: &str = "worker_jobs_in_flight";
/// Jobs that wait for their next attempt.
pub const RETRIES_PARKED: &str = "worker_retries_parked";
/// Jobs that wait for a retry, for their time, or behind another job of their key or partition.
pub const WAITING: &str = "worker_jobs_waiting";
/// Records received and not finished.
pub const UNFINISHED: &str = "worker_records_unfinished";
/// Their size in bytes.
pub const UNFINISHED_BYTES: &str = "worker_records_unfinished_bytes";
/// Assigned partitions.
pub const PARTITIONS_ASSIGNED: &str = "worker_partitions_assigned";
/// Paused partitions.
pub const PARTITIONS_PAUSED: &str = "worker_partitions_paused";
/// Partitions that stand before a batch that can't be read.
pub const PARTITIONS_CORRUPT: &str = "worker_partitions_corrupt";
/// 1 while intake is held; label `reason` (`server`, `outbox`, `budget`).
pub const INTAKE_HELD: &str = "worker_intake_held";
/// Dead letters that may be written at once; absent without a budget.
pub const BUDGET_REMAINING: &str = "worker_dead_letter_budget_remaining";
/// 1 while the circuit breaker over the MCP server is open.
pub const BREAKER_OPEN: &str = "worker_breaker_open";
/// Records behind the end of the partition; labels `topic`, `partition`.
pub const LAG: &str = "worker_partition_lag";
/// 1 while the partition has lag and nothing moves; labels `topic`, `partition`.
pub const STALLED: &str = "worker_partition_stalled";
/// Commits that carried an offset which had moved.
pub const COMMITS: &str = "worker_commits_total";
/// Rebalances; label `kind` (`assigned`, `revoked`, `lost`).
pub const REBALANCES: &str = "worker_rebalances_total";

/// Tells the recorder units and help texts.
pub fn describe() {
    let seconds = Unit::Seconds;
    describe_histogram!(
        PROCESS_DURATION,
        seconds,
        "Time from the start of an attempt to its outcome"
    );
    describe_counter!(CONSUMED, "Records received");
    describe_counter!(SENT, "Records produced and acknowledged");
    describe_counter!(JOBS, "Finished jobs");
    describe_counter!(DEAD_LETTERS, "Dead letters written");
    describe_counter!(ATTEMPTS_FAILED, "Attempts that failed");
    describe_gauge!(IN_FLIGHT, "Jobs being worked on");
    describe_gauge!(RETRIES_PARKED, "Jobs that wait for their next attempt");
    describe_gauge!(
        WAITING,
        "Jobs that wait for a retry, for their time, or behind another job"
    );
    describe_gauge!(UNFINISHED, "Records received and not finished");
    describe_gauge!(
        UNFINISHED_BYTES,
        Unit::Bytes,
        "Size of the records received and not finished"
    );
    describe_gauge!(PARTITIONS_ASSIGNED, "Assigned partitions");
    describe_gauge!(PARTITIONS_PAUSED, "Paused partitions");
    describe_gauge!(
        PARTITIONS_CORRUPT,
        "Partitions that stand before a batch that can't be read"
    );
    describe_gauge!(
        INTAKE_HELD,
        "1 while intake is held, by the reason that holds it"
    );
    describe_gauge!(BUDGET_REMAINING, "Dead letters that may be written at once");
    describe_gauge!(STALLED, "1 while the partition has lag and nothing moves");
    describe_gauge!(
        BREAKER_OPEN,
        "1 while the circuit breaker over the MCP server is open"
    );
    describe_gauge!(LAG, "Records behind the end of the partition");
    describe_counter!(COMMITS, "Offset commits");
    describe_counter!(REBALANCES, "Rebalances");
}
