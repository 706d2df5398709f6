//! W3C trace context (`traceparent`, `tracestate`) in and out of any kind of headers.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::{Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The names of the headers that carry the context.
pub const HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// The context that `get` finds under the W3C names, if it is a valid one.
pub fn extract<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Context> {
    let headers: HashMap<String, String> = HEADERS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), get(name)?.to_owned())))
        .collect();
    let context = TraceContextPropagator::new().extract(&headers);
    context.span().span_context().is_valid().then_some(context)
}

/// Makes `span` a child of the context that `get` finds, if there is one.
pub fn set_parent<'a>(span: &Span, get: impl Fn(&str) -> Option<&'a str>) {
    if let Some(context) = extract(get) {
        // Fails only where no OpenTelemetry layer is installed, and then there is nothing to link.
        let _ = span.set_parent(context);
    }
}

/// The W3C headers that make the receiver a child of `span`; empty where no OpenTelemetry layer is installed.
pub fn inject(span: &Span) -> Vec<(String, String)> {
    struct Pairs(Vec<(String, String)>);
    impl Injector for Pairs {
        fn set(&mut self, key: &str, value: String) {
            if !value.is_empty() {
                self.0.push((key.to_owned(), value));
            }
        }
    }
    let mut pairs = Pairs(Vec::with_capacity(2));
    TraceContextPropagator::new().inject_context(&span.context(), &mut pairs);
    pairs.0
}
