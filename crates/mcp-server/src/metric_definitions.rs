//! Every metric of the server: name, unit, labels, help. Names follow the OpenTelemetry conventions where one exists; a
//! Prometheus name has `_` for `.` and the unit at its end.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Time of an HTTP request, in seconds; labels `http_route`, `http_request_method` (`_OTHER` for those without a name),
/// `http_response_status_code`.
pub const HTTP_DURATION: &str = "http_server_request_duration_seconds";
/// HTTP requests under way.
pub const HTTP_ACTIVE: &str = "http_server_active_requests";
/// Time of a tool call, in seconds; labels `tool`, `error_type` (empty on success).
pub const TOOL_DURATION: &str = "mcp_server_tool_duration_seconds";
/// Tool calls that failed; labels `tool`, `code`.
pub const TOOL_ERRORS: &str = "mcp_server_tool_errors_total";

/// Event streams open: calls that have spoken before their answer, subscriptions, and clients of 2024-11-05.
pub const STREAMS: &str = "mcp_server_open_streams";
/// Calls of `server_initialize` that start a program, under way.
pub const LAUNCHES: &str = "mcp_server_launches_in_flight";
/// Requests that were refused; label `reason`.
pub const REFUSED: &str = "mcp_server_refused_total";
/// Calls with an idempotency key; label `outcome`: `stored`, `replayed`, `failed` (not stored), `unreadable`.
pub const IDEMPOTENT_CALLS: &str = "mcp_server_idempotent_calls_total";
/// Results in memory.
pub const IDEMPOTENCY_ENTRIES: &str = "mcp_server_idempotency_entries";
/// Their size, in bytes.
pub const IDEMPOTENCY_BYTES: &str = "mcp_server_idempotency_bytes";
/// Results that were dropped from memory before their time, for want of room.
pub const IDEMPOTENCY_EVICTED: &str = "mcp_server_idempotency_evicted_total";
/// 1 while Redis answers, 0 while it does not.
pub const REDIS_UP: &str = "mcp_server_redis_up";
/// Audit lines that were lost, because they could not be written, or not as fast as they came.
pub const AUDIT_LOST: &str = "mcp_server_audit_lost_total";
/// Changes of files that were taken up, or not; labels `what`, `outcome`.
pub const RELOADS: &str = "mcp_server_reloads_total";

/// Tells the recorder units and help texts.
pub fn describe() {
    describe_histogram!(HTTP_DURATION, Unit::Seconds, "Time of an HTTP request");
    describe_gauge!(HTTP_ACTIVE, "HTTP requests under way");
    describe_histogram!(TOOL_DURATION, Unit::Seconds, "Time of a tool call");
    describe_gauge!(STREAMS, "Event streams open");
    describe_gauge!(LAUNCHES, "Calls that start a program, under way");
    describe_counter!(TOOL_ERRORS, "Tool calls that failed");
    describe_counter!(REFUSED, "Requests that were refused");
    describe_counter!(IDEMPOTENT_CALLS, "Calls with an idempotency key");
    describe_gauge!(IDEMPOTENCY_ENTRIES, "Results kept for repeated calls");
    describe_gauge!(IDEMPOTENCY_BYTES, Unit::Bytes, "Size of these results");
    describe_counter!(IDEMPOTENCY_EVICTED, "Results dropped for want of room");
    describe_gauge!(REDIS_UP, "Whether Redis answers");
    describe_counter!(AUDIT_LOST, "Audit lines that were lost");
    describe_counter!(RELOADS, "Changed files, taken up or refused");
}
