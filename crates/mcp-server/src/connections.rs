//! Connections, with the bounds in time that `axum::serve` does not have.

mod patient;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::gate::PeerAddress;
use crate::metric_definitions as metric;
use crate::site::Site;
use crate::tls::Tls;
use patient::Patient;

/// How long a connection may take to send the headers of its next request. It bounds idle connections too, so it is
/// longer than clients keep theirs: the one that closes first must be the client, or it sends into a closed connection.
const HEADERS: Duration = Duration::from_secs(75);
/// Most bytes of a request's headers, and of what is read or written at once: anybody can send so much without a key.
const BUFFER_MAX: usize = 32 * 1024;
/// How long a client may read nothing of what is sent to it.
const WRITES: Duration = Duration::from_secs(30);
/// Before the next try where a connection can't be accepted, most likely because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection over the bound is told before it is closed.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Serves `site` until `stop`, then closes the listener. What is returned waits for the requests under way.
///
/// # Errors
/// When the listener itself is no good.
pub(crate) async fn accept(
    listener: TcpListener,
    site: Arc<Site>,
    tls: Option<Tls>,
    connections_max: usize,
    stop: CancellationToken,
) -> std::io::Result<GracefulShutdown> {
    listener.local_addr()?;
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(BUFFER_MAX);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return Ok(connections),
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if connections.count() >= connections_max {
            counter!(metric::REFUSED, "reason" => "too-many-connections").increment(1);
            if tls.is_none() {
                // A new socket takes this much at once; who doesn't get it sees a closed connection.
                let _ = stream.try_write(FULL);
            }
            continue;
        }
        // An answer is one write: waiting to fill a packet only delays it. Where this fails, it is merely slower.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            http: http.clone(),
            site: Arc::clone(&site),
            peer: PeerAddress(peer),
            watcher: connections.watcher(),
            _counted: Counted::enter(),
        };
        match tls.clone() {
            None => tokio::spawn(connection.serve(stream)),
            Some(tls) => tokio::spawn(async move {
                match tls.accept(stream).await {
                    Ok(stream) => connection.serve(stream).await,
                    Err(error) => tracing::debug!(error, "a TLS handshake failed"),
                }
            }),
        };
    }
}

/// A connection that was accepted.
struct Connection {
    http: http1::Builder,
    site: Arc<Site>,
    peer: PeerAddress,
    watcher: Watcher,
    _counted: Counted,
}

/// Counts a connection while it is open.
struct Counted;

impl Counted {
    fn enter() -> Self {
        gauge!(metric::CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(metric::CONNECTIONS).decrement(1.0);
    }
}

impl Connection {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self {
            http,
            site,
            peer,
            watcher,
            _counted,
        } = self;
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            let site = Arc::clone(&site);
            async move { Ok::<_, Infallible>(site.answer(request.map(Body::new)).await) }
        });
        let stream = Patient::new(stream, WRITES);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
