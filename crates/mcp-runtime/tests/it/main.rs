//! The telemetry of a process: one test, since a process has one.

use mcp_runtime::{Telemetry, Vars, trace_context};

#[tokio::test]
async fn trace_context_is_passed_on_whatever_is_logged() {
    let vars = Vars::default().with("RUST_LOG", "off");
    let telemetry = Telemetry::init("test", &vars).unwrap();
    let span = tracing::info_span!("process");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    trace_context::set_parent(&span, |name| (name == "traceparent").then_some(&*parent));

    let headers = trace_context::inject(&span);

    let [(name, value)] = &headers[..] else {
        panic!("one header: {headers:?}")
    };
    assert_eq!(name, "traceparent");
    assert!(value.contains(trace) && *value != parent, "{value}");
    telemetry.shutdown();
}
