//! What a request may reach: MCP, observed, and the routes for operators.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use mcp_runtime::admin;
use mcp_runtime::trace_context::{self, Sample};
use metrics::{Gauge, Histogram, gauge, histogram};
use tokio::time::Instant;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use crate::metric_definitions as metric;
use crate::transport::{Route, Routes};

/// A method that the conventions do not name.
const OTHER: &str = "_OTHER";

/// Everything that is served.
pub(crate) struct Site {
    mcp: Routes,
    admin: Router,
    active: Gauge,
    /// The durations of requests that went well, by route: looking a metric up by its labels takes longer than recording it.
    well: [Histogram; Route::ALL.len()],
}

impl Site {
    pub(crate) fn new(mcp: Routes, admin: Router) -> Self {
        Self {
            mcp,
            admin,
            active: gauge!(metric::HTTP_ACTIVE),
            well: Route::ALL.map(|route| {
                let method = method_name(&route.method());
                duration(route.path(), method, StatusCode::OK)
            }),
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path();
        if admin::serves(path) {
            let answered: Result<_, Infallible> = self.admin.clone().oneshot(request).await;
            return answered.unwrap_or_else(|never| match never {});
        }
        let route = Route::of(path);
        let began = Instant::now();
        let method = method_name(request.method());
        let active = Active::enter(&self.active);
        let response = self.traced(route, request).await;
        drop(active);
        let status = response.status();
        match route {
            Some(route) if status == StatusCode::OK && method == route.method().as_str() => {
                self.well[route as usize].record(began.elapsed());
            }
            _ => {
                let path = route.map_or("", Route::path);
                duration(path, method, status).record(began.elapsed());
            }
        }
        response
    }

    /// Answers it in a span of its own, if its trace is one that is exported.
    async fn traced(&self, route: Option<Route>, request: Request) -> Response {
        let header = |name: &str| request.headers().get(name)?.to_str().ok();
        match trace_context::sample(header) {
            Sample::Off => return self.mcp.answer(route, request).await,
            Sample::Drop(trace) => return trace.around(self.mcp.answer(route, request)).await,
            Sample::Record => {}
        }
        let (method, path) = (method_name(request.method()), route.map_or("", Route::path));
        let span = tracing::info_span!(
            target: trace_context::TARGET,
            "request",
            otel.name = span_name(method, path),
            otel.kind = "server",
            http.request.method = method,
            http.route = path,
            http.response.status_code = tracing::field::Empty,
        );
        trace_context::set_parent(&span, header);
        // Boxed: most requests are not recorded, and all would carry its size.
        let answer = Box::pin(self.mcp.answer(route, request));
        let response = answer.instrument(span.clone()).await;
        let status = response.status().as_u16();
        span.record("http.response.status_code", i64::from(status));
        response
    }
}

fn duration(route: &'static str, method: &'static str, status: StatusCode) -> Histogram {
    histogram!(
        metric::HTTP_DURATION,
        "http_route" => route, "http_request_method" => method, "http_response_status_code" => status.as_str().to_owned()
    )
}

/// The method as metrics and traces have it (OpenTelemetry semantic conventions, `http.request.method`): a caller makes up
/// as many others as it likes.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => OTHER,
    }
}

fn span_name(method: &str, path: &str) -> String {
    let method = if method == OTHER { "HTTP" } else { method };
    format!("{method} {path}")
}

/// Counts a request under way, also one whose caller goes away.
struct Active<'a>(&'a Gauge);

impl<'a> Active<'a> {
    fn enter(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_anybody_may_make_up_share_a_name() {
        for made_up in ["X0", "get", "PROPFIND"] {
            let method = Method::from_bytes(made_up.as_bytes()).unwrap();
            assert_eq!(method_name(&method), OTHER);
        }
        assert_eq!(method_name(&Method::POST), "POST");
    }
}
