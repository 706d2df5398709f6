//! Every metric of the stores: name, unit, labels, help. Names follow the OpenTelemetry conventions where one exists.

use metrics::{Unit, describe_gauge, describe_histogram};

/// Time of one call of a store, in seconds, waiting for a connection and for other writers included; labels
/// `db_system_name`, `db_operation_name`, `error_type` (empty on success).
pub const OPERATION_DURATION: &str = "db_client_operation_duration_seconds";
/// 1 while the database answers, 0 while it does not; nothing before it is first asked.
pub const UP: &str = "mcp_store_up";

/// Tells the recorder units and help texts.
pub fn describe() {
    describe_histogram!(
        OPERATION_DURATION,
        Unit::Seconds,
        "Time of a database operation"
    );
    describe_gauge!(UP, "Whether the database answers");
}
