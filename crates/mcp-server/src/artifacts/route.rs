//! `GET /artifacts/{sha256}.svg`, behind the same keys as everything else.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use mcp_store::ArtifactId;

use super::{Artifacts, SVG};

/// The pattern of the route's paths.
pub(crate) const ROUTE: &str = "/artifacts/{name}";

/// The name in such a path.
pub(crate) fn name_of(path: &str) -> Option<&str> {
    path.strip_prefix("/artifacts/")
}

/// A page that shows it can run nothing of it and load nothing for it, and its origin is none.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/// The name is the content's own hash, so it never changes. Only whoever asked may keep it: others need a key.
const CACHING: &str = "private, max-age=31536000, immutable";

/// Gives the SVG, as `hold` makes it a body.
pub(crate) async fn serve(
    artifacts: &Artifacts,
    request: &Parts,
    hold: impl FnOnce(Vec<u8>) -> Bytes,
) -> Response {
    let id = name_of(request.uri.path())
        .and_then(|name| name.strip_suffix(".svg"))
        .and_then(|digits| ArtifactId::parse(&format!("sha256:{digits}")));
    let Some(id) = id else {
        return not_found();
    };
    let bytes = match artifacts.svg(&id).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return not_found(),
        Err(error) => {
            tracing::warn!(%id, "an artifact can't be read: {error}");
            let away = (StatusCode::SERVICE_UNAVAILABLE, "the store is away\n");
            return ([(RETRY_AFTER, "1")], away).into_response();
        }
    };
    let tag = format!("\"{}\"", super::digits(&id));
    let own = [
        (CACHE_CONTROL, CACHING),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let known = request.headers.get(IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, own, [(ETAG, tag)]).into_response();
    }
    let shown = [(CONTENT_TYPE, SVG), (CONTENT_DISPOSITION, "inline")];
    (own, shown, [(ETAG, tag)], hold(bytes)).into_response()
}

/// Also where it has expired.
fn not_found() -> Response {
    let what = "there is no artifact of that name, or it has expired\n";
    (StatusCode::NOT_FOUND, what).into_response()
}
