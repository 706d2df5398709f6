//! The telemetry of a process: one test, since a process has one.

use mcp_runtime::{Telemetry, Vars, trace_context};

#[tokio::test]
async fn trace_context_is_passed_on_whatever_is_logged_and_exported() {
    let vars = Vars::default().with("RUST_LOG", "off");
    let telemetry = Telemetry::init("test", &vars).unwrap();
    let span = tracing::info_span!(target: trace_context::TARGET, "process");
    let outgoing = |parent: &str| {
        let headers =
            trace_context::outgoing(&span, |name| (name == "traceparent").then_some(parent));
        let [(name, value)] = &headers[..] else {
            panic!("one header: {headers:?}")
        };
        assert_eq!(name, "traceparent");
        value.clone()
    };

    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(outgoing(parent), parent);
    let (first, second) = (outgoing("rubbish"), outgoing("rubbish"));
    let state = format!("a={}", "x".repeat(600));
    let long = |name: &str| {
        Some(if name == "traceparent" {
            parent
        } else {
            &*state
        })
    };
    let headers = trace_context::outgoing(&span, long);
    assert_eq!(
        headers.len(),
        1,
        "what is too long is left out: {headers:?}"
    );

    let parts: Vec<_> = first.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{first}");
    assert_ne!(first, second);
    telemetry.shutdown();
}
