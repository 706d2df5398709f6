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

/// Longest value that is passed on, in bytes: what W3C asks for of `tracestate`. It may come from anybody, and goes into
/// headers, records and environments.
const VALUE_MAX: usize = 512;

fn is_passed_on(value: &str) -> bool {
    value.len() <= VALUE_MAX && !value.contains(char::is_control)
}

/// The trace's id of a `traceparent`: 32 hexadecimal digits.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let id = traceparent.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

/// The trace's id in headers such as [`outgoing`] gives.
pub fn trace_id_of(headers: &[(String, String)]) -> Option<&str> {
    let (_, traceparent) = headers.iter().find(|(name, _)| name == TRACEPARENT)?;
    trace_id(traceparent)
}

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

/// Whether a message gets a span: by the context that `get` finds in it, by the `ambient` span of the request that brought
/// it, or where it came with no request, by the sampler.
pub fn is_recorded<'a>(ambient: &Span, get: impl Fn(&str) -> Option<&'a str>) -> bool {
    let Some(sampler) = SAMPLER.get() else {
        return false;
    };
    if let Some(parent) = extract(get) {
        let trace_id = parent.span().span_context().trace_id();
        return is_chosen(sampler, Some(&parent), trace_id);
    }
    let is_in_a_request = Context::map_current(|context| context.has_active_span());
    match is_in_a_request {
        true => !ambient.is_disabled(),
        false => matches!(sample(|_| None), Sample::Record),
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

/// Makes `span`, which stands for a message, a child of the context that `get` finds in the message, and links it to
/// the `ambient` span of the request that brought it. If both are of one trace, the ambient span is the parent: it is a
/// descendant of the message's context, and nearer.
pub fn set_message_parent<'a>(span: &Span, ambient: &Span, get: impl Fn(&str) -> Option<&'a str>) {
    if span.is_disabled() {
        return;
    }
    let Some(context) = extract(get) else {
        return;
    };
    let ambient = ambient.context().span().span_context().clone();
    if ambient.trace_id() == context.span().span_context().trace_id() {
        return;
    }
    // As above.
    let _ = span.set_parent(context);
    if ambient.is_valid() {
        span.add_link(ambient);
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
            .filter_map(|name| Some((name, incoming(name).filter(|value| is_passed_on(value))?)))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    }
    // A request that is not sampled has begun one already.
    let begun = Context::map_current(|context| {
        let span = context.span();
        let begun = span.span_context();
        begun
            .is_valid()
            .then(|| (begun.trace_id(), begun.span_id()))
    });
    let (trace_id, span_id) = begun.unwrap_or_else(|| {
        let ids = RandomIdGenerator::default();
        (ids.new_trace_id(), ids.new_span_id())
    });
    // Written by hand: every call needs it, and formatting takes several times as long.
    let mut root = String::with_capacity(55);
    root.push_str("00-");
    push_hex(&mut root, &trace_id.to_bytes());
    root.push('-');
    push_hex(&mut root, &span_id.to_bytes());
    root.push_str("-00");
    vec![(TRACEPARENT.to_owned(), root)]
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
}

/// The W3C headers that make the receiver a child of `span`; empty where no OpenTelemetry layer is installed.
pub fn inject(span: &Span) -> Vec<(String, String)> {
    struct Pairs(Vec<(String, String)>);
    impl Injector for Pairs {
        fn set(&mut self, key: &str, value: String) {
            if !value.is_empty() && is_passed_on(&value) {
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
