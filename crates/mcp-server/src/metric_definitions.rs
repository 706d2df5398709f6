//! Every metric of the server. Names follow the OpenTelemetry conventions where one exists; a Prometheus name has `_` for
//! `.` and the unit at its end.

use mcp_runtime::metric::Metric;

/// All metrics of the process: this crate's, and those of the crates that it is made of.
pub fn exposed() -> Vec<Metric> {
    [ALL, mcp_store::metric_definitions::ALL].concat()
}

mcp_runtime::metric_definitions! {
    /// Time of an HTTP request, until its answer or the beginning of its event stream.
    HTTP_DURATION: Histogram = "http_server_request_duration_seconds" [http_route, http_request_method, http_response_status_code];
    /// HTTP requests under way.
    HTTP_ACTIVE: Gauge = "http_server_active_requests" [];
    /// Time of a tool call. `error_type` is the error's code, empty on success.
    TOOL_DURATION: Histogram = "mcp_server_tool_duration_seconds" [tool, error_type] when "a tool is called";
    /// Tool calls that failed.
    TOOL_ERRORS: Counter = "mcp_server_tool_errors_total" [tool, code] when "the first one fails";
    /// Open connections.
    CONNECTIONS: Gauge = "mcp_server_connections" [];
    /// Event streams open: calls that have spoken before their answer, subscriptions, and clients of 2024-11-05.
    STREAMS: Gauge = "mcp_server_open_streams" [];
    /// Calls of `server_initialize` that start a program, under way.
    LAUNCHES: Gauge = "mcp_server_launches_in_flight" [];
    /// 1 for a layer of the sandbox that the kernel or the container does not give, 0 for each other one.
    LAYER_MISSING: Gauge = "mcp_server_sandbox_layer_missing" [layer];
    /// Requests that were refused; `reason` as in the audit log, or `too-many-connections`.
    REFUSED: Counter = "mcp_server_refused_total" [reason];
    /// Calls with an idempotency key; `outcome` is `stored`, `replayed`, `failed` (not stored) or `unreadable`.
    IDEMPOTENT_CALLS: Counter = "mcp_server_idempotent_calls_total" [outcome] when "a call has an idempotency key";
    /// Results kept in memory for repeated calls.
    IDEMPOTENCY_ENTRIES: Gauge = "mcp_server_idempotency_entries" [];
    /// Their size.
    IDEMPOTENCY_BYTES: Gauge = "mcp_server_idempotency_bytes" [];
    /// Results that were dropped from memory before their time, for want of room.
    IDEMPOTENCY_EVICTED: Counter = "mcp_server_idempotency_evicted_total" [];
    /// 1 while Redis answers, 0 while it does not, or has not yet.
    REDIS_UP: Gauge = "mcp_server_redis_up" [] when "`REDIS_URL` is set";
    /// Audit lines that were lost, because they could not be written, or not as fast as they came.
    AUDIT_LOST: Counter = "mcp_server_audit_lost_total" [];
    /// Changes of files that were taken up (`outcome` is `ok`) or not (`refused`); `what` is the files' variable, or `TLS`.
    RELOADS: Counter = "mcp_server_reloads_total" [what, outcome] when "a file of keys or certificates has changed";
    /// 1 while such files hold what is not taken, and what was before is in force; `what` as above.
    RELOAD_REFUSED: Gauge = "mcp_server_reload_refused" [what] when "keys or TLS are configured";
    /// Calls of `publish_server`; `outcome` is `published`, `unchanged`, `invalid`, or why the store did not take it.
    PUBLICATIONS: Counter = "mcp_server_publications_total" [outcome] when "a server is published";
    /// Time of a request to Gemini. `error_type` is empty on success, and the HTTP status where that is the trouble.
    GEMINI_DURATION: Histogram = "gen_ai_client_operation_duration_seconds" [gen_ai_operation_name, gen_ai_provider_name, gen_ai_request_model, error_type] when "Gemini is asked";
    /// Tokens of requests to Gemini that were answered; `gen_ai_token_type` is `input` or `output` (thoughts among them).
    GEMINI_TOKENS: Counter = "mcp_server_gemini_tokens_total" [gen_ai_token_type] when "Gemini has answered";
    /// Requests that Gemini answered with 429; `quota` is `minute`, `day`, `none` (a limit of 0) or `unnamed`.
    GEMINI_LIMITED: Counter = "mcp_server_gemini_limited_total" [quota] when "Gemini answers 429";
    /// Calls that have one of the places of `GEMINI_CONCURRENCY`.
    GEMINI_ACTIVE: Gauge = "mcp_server_gemini_in_flight" [] when "Gemini is asked";
    /// SVGs of the model that were not acceptable; `outcome` is `repaired` or `refused`.
    SVG_REJECTED: Counter = "mcp_server_svg_rejected_total" [outcome] when "the model's SVG is not acceptable";
    /// Bytes of artifacts that were put into the store, the same content counted each time.
    ARTIFACT_BYTES: Counter = "mcp_server_artifact_bytes_total" [] when "an SVG is stored";
}
