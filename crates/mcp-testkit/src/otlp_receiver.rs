//! An OpenTelemetry collector in the test's own process: OTLP over HTTP, protobuf, traces only.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1 as wire,
};
use prost::Message;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::eventually;

/// A running collector; it stops when this is dropped.
pub struct OtlpReceiver {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    serving: JoinHandle<()>,
}

/// A span as it was exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// `service.name` of its resource.
    pub service: String,
    /// Its name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The same of its parent; empty without one.
    pub parent_id: String,
    /// Whether its status is an error.
    pub is_error: bool,
    /// Its attributes: strings, numbers and booleans.
    pub attributes: BTreeMap<String, Value>,
}

impl Span {
    /// An attribute as text; empty without one.
    pub fn text(&self, name: &str) -> &str {
        self.attributes
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The `traceparent` that makes the receiver a child of this span.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

impl OtlpReceiver {
    /// Starts it on a free loopback port.
    pub async fn start() -> OtlpReceiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let spans = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(spans.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("the receiver serves");
        });
        OtlpReceiver {
            address,
            spans,
            serving,
        }
    }

    /// What makes a program export to it: environment variables. Each span is sent within a tenth of a second.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("http://{}", self.address),
            ),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ]
    }

    /// All spans so far, in the order of arrival.
    pub fn spans(&self) -> Vec<Span> {
        self.spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until there is a span for which `fits` holds, and returns the first one.
    pub async fn wait_span(
        &self,
        what: &str,
        within: Duration,
        fits: impl Fn(&Span) -> bool,
    ) -> Span {
        eventually(within, async || {
            let spans = self.spans();
            spans
                .iter()
                .find(|span| fits(span))
                .cloned()
                .ok_or_else(|| {
                    let names: Vec<_> = spans
                        .iter()
                        .map(|span| format!("{} {} {}", span.service, span.kind, span.name))
                        .collect();
                    format!("no span {what}, only {names:#?}")
                })
        })
        .await
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for of_resource in request.resource_spans {
        let service = service(of_resource.resource.as_ref());
        let exported = of_resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        spans.extend(exported.map(|span| read(&service, span)));
    }
    StatusCode::OK
}

fn service(resource: Option<&Resource>) -> String {
    let attributes = resource.map_or_else(BTreeMap::new, |resource| read_all(&resource.attributes));
    let name = attributes.get("service.name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

fn read(service: &str, span: wire::Span) -> Span {
    use wire::span::SpanKind;
    Span {
        service: service.to_owned(),
        kind: match span.kind() {
            SpanKind::Unspecified => "unspecified",
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
        },
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        is_error: span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == wire::status::StatusCode::Error),
        attributes: read_all(&span.attributes),
        name: span.name,
    }
}

fn read_all(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    attributes
        .iter()
        .map(|attribute| (attribute.key.clone(), value(attribute.value.as_ref())))
        .collect()
}

fn value(value: Option<&AnyValue>) -> Value {
    use any_value::Value as Any;
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(flag)) => json!(flag),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        other => json!(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
