//! Every metric of the stores. Names follow the OpenTelemetry conventions where one exists.

mcp_runtime::metric_definitions! {
    /// Time of one call of a store, waiting for a connection and for other writers included. `error_type` is empty on success.
    OPERATION_DURATION: Histogram = "db_client_operation_duration_seconds" [db_system_name, db_operation_name, error_type] when "the database is first asked";
    /// 1 while the database answers, 0 while it does not.
    UP: Gauge = "mcp_store_up" [] when "the database is first asked";
}
