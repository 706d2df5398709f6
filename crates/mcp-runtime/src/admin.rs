//! `/health` (alive), `/ready` (takes work), `/metrics` (Prometheus text format 0.0.4).

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::conditions::Conditions;

/// The routes. `live` and `ready` answer 200 `{"status":"ok"}` while all their conditions hold, else 503
/// `{"status":"failing","conditions":{name: reason}}`; where there are notes, both have `"notes":{name: text}`.
pub fn router(live: Conditions, ready: Conditions, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/health", get(move || async move { status(&live) }))
        .route("/ready", get(move || async move { status(&ready) }))
        .route(
            "/metrics",
            get(move || async move {
                (
                    [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
                    metrics.render(),
                )
            }),
        )
}

fn status(conditions: &Conditions) -> Response {
    let object = |entries: Vec<(&'static str, String)>| -> serde_json::Map<_, _> {
        let entries = entries.into_iter();
        entries
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect()
    };
    let (failing, notes) = (conditions.failing(), conditions.notes());
    let (code, mut body) = if failing.is_empty() {
        (StatusCode::OK, serde_json::json!({"status": "ok"}))
    } else {
        let reasons = object(failing);
        let body = serde_json::json!({"status": "failing", "conditions": reasons});
        (StatusCode::SERVICE_UNAVAILABLE, body)
    };
    if !notes.is_empty() {
        body["notes"] = object(notes).into();
    }
    (code, Json(body)).into_response()
}
