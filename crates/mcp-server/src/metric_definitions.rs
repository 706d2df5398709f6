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

/// Tells the recorder units and help texts.
pub fn describe() {
    describe_histogram!(HTTP_DURATION, Unit::Seconds, "Time of an HTTP request");
    describe_gauge!(HTTP_ACTIVE, "HTTP requests under way");
    describe_histogram!(TOOL_DURATION, Unit::Seconds, "Time of a tool call");
    describe_gauge!(STREAMS, "Event streams open");
    describe_gauge!(LAUNCHES, "Calls that start a program, under way");
    describe_counter!(TOOL_ERRORS, "Tool calls that failed");
}
