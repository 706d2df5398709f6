//! Connections, with the bounds in time that `axum::serve` does not have.

mod patient;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use patient::Patient;

/// How long a connection may take to send the headers of its next request. It bounds idle connections too, so it is
/// longer than clients keep theirs: the one that closes first must be the client, or it sends into a closed connection.
const HEADERS: Duration = Duration::from_secs(75);
/// How long a client may read nothing of what is sent to it.
const WRITES: Duration = Duration::from_secs(30);
/// Before the next try where a connection can't be accepted, most likely because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` until `stop`, then closes the listener. What is returned waits for the requests under way.
///
/// # Errors
/// When the listener itself is no good.
pub(crate) async fn accept(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) -> std::io::Result<GracefulShutdown> {
    listener.local_addr()?;
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return Ok(connections),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // An answer is one write: waiting to fill a packet only delays it. Where this fails, it is merely slower.
        let _ = stream.set_nodelay(true);
        let routes = routes.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            routes.clone().oneshot(request.map(Body::new))
        });
        let connection = http.serve_connection(TokioIo::new(Patient::new(stream, WRITES)), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}
