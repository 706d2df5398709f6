//! `/health` (alive), `/ready` (takes work), `/metrics` (Prometheus text format 0.0.4).

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::conditions::Conditions;

const HEALTH: &str = "/health";
const READY: &str = "/ready";
const METRICS: &str = "/metrics";

/// Whether the path is one of the routes.
pub fn serves(path: &str) -> bool {
    matches!(path, HEALTH | READY | METRICS)
}

/// The routes. `live` and `ready` answer 200 `{"status":"ok"}` while all their conditions hold, else 503
/// `{"status":"failing","conditions":{name: reason}}`; both with `"notices":{name: text}` where there are some.
pub fn router(live: Conditions, ready: Conditions, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route(HEALTH, get(move || async move { status(&live) }))
        .route(READY, get(move || async move { status(&ready) }))
        .route(
            METRICS,
            get(move || async move {
                (
                    [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
                    metrics.render(),
                )
            }),
        )
}

fn status(conditions: &Conditions) -> Response {
    let by_name = |pairs: Vec<(&'static str, String)>| -> serde_json::Map<_, _> {
        let pairs = pairs.into_iter();
        pairs
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect()
    };
    let (failing, notices) = (conditions.failing(), conditions.notices());
    let (code, mut body) = match failing.is_empty() {
        true => (StatusCode::OK, serde_json::json!({"status": "ok"})),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            serde_json::json!({"status": "failing", "conditions": by_name(failing)}),
        ),
    };
    if !notices.is_empty() {
        body["notices"] = by_name(notices).into();
    }
    (code, Json(body)).into_response()
}
