//! W3C trace context (`traceparent`, `tracestate`) in and out of any kind of headers.

use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{FutureExt as _, SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, Sampler};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry::sampler::is_chosen;

/// The target of spans that are only for traces: they are not built where none are exported, and never shown in log
/// lines.
pub const TARGET: &str = "otel::span";

/// The header with the trace's and the parent's ids.
pub const TRACEPARENT: &str = "traceparent";

/// The names of the headers that carry the context.
pub const HEADERS: [&str; 2] = [TRACEPARENT, "tracestate"];

/// The context that `get` finds under the W3C names, if it is a valid one.
pub fn extract<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Context> {
    /// What was found, in the order of [`HEADERS`].
    struct Found<'a>([Option<&'a str>; 2]);
    impl Extractor for Found<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            let at = HEADERS.iter().position(|name| *name == key)?;
            self.0[at]
        }
        fn keys(&self) -> Vec<&str> {
            HEADERS.to_vec()
        }
    }
    let found = Found(HEADERS.map(get));
    found.0[0]?;
    let context = TraceContextPropagator::new().extract(&found);
    context.span().span_context().is_valid().then_some(context)
}

/// Whether a request gets a span, see [`sample`].
pub enum Sample {
    /// Nothing is exported.
    Off,
    /// It gets one.
    Record,
    /// It gets none, and what it calls must get none either.
    Drop(Unsampled),
}

/// A trace that is not exported.
pub struct Unsampled(Context);

impl Unsampled {
    /// Runs `future` so that no span that begins in it is exported.
    pub fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        future.with_context(self.0)
    }
}

/// By what requests are sampled; set once, where spans are exported.
static SAMPLER: OnceLock<Sampler> = OnceLock::new();

pub(crate) fn sample_by(sampler: Sampler) {
    // Telemetry is started once a process.
    let _ = SAMPLER.set(sampler);
}

/// Asks the sampler before there is a span: most requests get none, and then building one would be most of what tracing
/// costs. `get` finds the request's headers under the W3C names.
pub fn sample<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Sample {
    let Some(sampler) = SAMPLER.get() else {
        return Sample::Off;
    };
    let parent = extract(get);
    let ids = RandomIdGenerator::default();
    let trace_id = match &parent {
        Some(parent) => parent.span().span_context().trace_id(),
        None => ids.new_trace_id(),
    };
    match parent {
        parent if is_chosen(sampler, parent.as_ref(), trace_id) => Sample::Record,
        Some(parent) => Sample::Drop(Unsampled(parent)),
        None => {
            let (flags, state) = (TraceFlags::default(), TraceState::default());
            let unsampled = SpanContext::new(trace_id, ids.new_span_id(), flags, true, state);
            Sample::Drop(Unsampled(
                Context::new().with_remote_span_context(unsampled),
            ))
        }
    }
}

/// Makes `span` a child of the context that `get` finds, if there is one.
pub fn set_parent<'a>(span: &Span, get: impl Fn(&str) -> Option<&'a str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(context) = extract(get) {
        // Fails only where no OpenTelemetry layer is installed, and then there is nothing to link.
        let _ = span.set_parent(context);
    }
}

/// The W3C headers for whatever `span` stands for calls next. Without an exporter there are no spans: then the context
/// that came in is passed on as it is, and where none came a new one begins, marked as not recorded, so that one trace
/// id still runs through all logs and headers.
pub fn outgoing<'a>(
    span: &Span,
    incoming: impl Fn(&str) -> Option<&'a str>,
) -> Vec<(String, String)> {
    let own = inject(span);
    if !own.is_empty() {
        return own;
    }
    if extract(&incoming).is_some() {
        return HEADERS
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), incoming(name)?.to_owned())))
            .collect();
    }
    let ids = RandomIdGenerator::default();
    let root = format!("00-{}-{}-00", ids.new_trace_id(), ids.new_span_id());
    vec![(TRACEPARENT.to_owned(), root)]
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
    if span.is_disabled() {
        return Vec::new();
    }
    let mut pairs = Pairs(Vec::with_capacity(2));
    TraceContextPropagator::new().inject_context(&span.context(), &mut pairs);
    pairs.0
}
