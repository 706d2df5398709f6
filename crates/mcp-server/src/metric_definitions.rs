//! Every metric of the server: name, unit, labels, help. Names follow the OpenTelemetry conventions where one exists; a
//! Prometheus name has `_` for `.` and the unit at its end.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Time of an HTTP request, in seconds; labels `http_route`, `http_request_method`, `http_response_status_code`.
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
/// Calls of `publish_server`; label `outcome`: `published`, `unchanged`, `invalid`, or why the store did not take it.
pub const PUBLICATIONS: &str = "mcp_server_publications_total";
/// Time of a request to Gemini, in seconds; labels `gen_ai_operation_name`, `gen_ai_provider_name`, `gen_ai_request_model`,
/// `error_type` (empty on success; the HTTP status where that is the trouble).
pub const GEMINI_DURATION: &str = "gen_ai_client_operation_duration_seconds";
/// Tokens of requests to Gemini that were answered; label `gen_ai_token_type`: `input`, `output` (thoughts among them).
pub const GEMINI_TOKENS: &str = "mcp_server_gemini_tokens_total";
/// Requests that Gemini answered with 429; label `quota`: `minute`, `day`, `none` (a limit of 0), `unnamed`.
pub const GEMINI_LIMITED: &str = "mcp_server_gemini_limited_total";
/// Calls that have one of the places of `GEMINI_CONCURRENCY`.
pub const GEMINI_ACTIVE: &str = "mcp_server_gemini_in_flight";
/// SVGs of the model that were not acceptable; label `outcome`: `repaired`, `refused`.
pub const SVG_REJECTED: &str = "mcp_server_svg_rejected_total";
/// Bytes of artifacts that were put into the store, the same content counted each time.
pub const ARTIFACT_BYTES: &str = "mcp_server_artifact_bytes_total";
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
/// Audit lines that were lost, because they could not be written as fast as they came.
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
    describe_counter!(PUBLICATIONS, "Servers published, or not");
    describe_histogram!(
        GEMINI_DURATION,
        Unit::Seconds,
        "Time of a request to Gemini"
    );
    describe_counter!(GEMINI_TOKENS, "Tokens of answered requests to Gemini");
    describe_counter!(GEMINI_LIMITED, "Requests that Gemini answered with 429");
    describe_gauge!(GEMINI_ACTIVE, "Calls that ask Gemini, under way");
    describe_counter!(SVG_REJECTED, "SVGs of the model that were not acceptable");
    describe_counter!(ARTIFACT_BYTES, Unit::Bytes, "Artifacts put into the store");
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
