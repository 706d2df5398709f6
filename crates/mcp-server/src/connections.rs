//! Connections, with the bounds in time that `axum::serve` does not have.

mod patient;
mod wire;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::body::Frame;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::gate::PeerAddress;
use crate::metric_definitions as metric;
use crate::site::Site;
use crate::tls::Tls;
use patient::Patient;
pub(crate) use wire::Wire;

/// How long a connection may take to send the headers of its next request. It bounds idle connections too, so it is
/// longer than clients keep theirs: the one that closes first must be the client, or it sends into a closed connection.
const HEADERS: Duration = Duration::from_secs(75);
/// How long a client may be behind with reading what is sent to it.
const WRITES: Duration = Duration::from_secs(30);
/// Most bytes of a request's headers, and of a body that are read at once.
const BUFFER_MAX: usize = 32 * 1024;
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
    age_max: Duration,
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
            expires: Instant::now() + jittered(age_max, peer),
            watcher: connections.watcher(),
            _counted: Counted::enter(),
        };
        let wire = Wire::new(stream);
        let hung_up = wire.hung_up();
        match tls.clone() {
            None => tokio::spawn(connection.serve(wire, hung_up)),
            Some(tls) => tokio::spawn(async move {
                match tls.accept(wire).await {
                    Ok(stream) => connection.serve(stream, hung_up).await,
                    Err(error) => tracing::debug!(error, "a TLS handshake failed"),
                }
            }),
        };
    }
}

/// `age` and up to a quarter more, so that connections that were made together, as at a start, do not end together.
fn jittered(age: Duration, peer: SocketAddr) -> Duration {
    age + age / 4 * u32::from(peer.port() % 64) / 64
}

/// A connection that was accepted.
struct Connection {
    http: http1::Builder,
    site: Arc<Site>,
    peer: PeerAddress,
    /// The first answer after this is the last one.
    expires: Instant,
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
    /// Serves it until it ends, or until its client hangs up while a request is under way.
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        hung_up: impl Future<Output = ()> + Send,
    ) {
        let Self {
            http,
            site,
            peer,
            expires,
            watcher,
            _counted,
        } = self;
        let busy = Busy::default();
        let requests = busy.clone();
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            let site = Arc::clone(&site);
            let under_way = requests.begin();
            async move {
                let mut response = site.answer(request.map(Body::new)).await;
                if Instant::now() >= expires {
                    // Not by closing it while it is idle: a request may be on its way.
                    let headers = response.headers_mut();
                    headers.insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(under_way.through(response))
            }
        });
        let stream = Patient::new(stream, WRITES);
        let served = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
        let mut hung_up = pin!(hung_up);
        // Asked after each step of the connection, and only then can a request have begun.
        let left = poll_fn(|context| match busy.is() {
            true => hung_up.as_mut().poll(context),
            false => Poll::Pending,
        });
        tokio::select! {
            biased;
            served = served => if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            },
            () = left => tracing::debug!("a client hung up before it had its answer"),
        }
    }
}

/// Whether a request is under way on a connection, of which there is one at a time.
#[derive(Clone, Default)]
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn begin(&self) -> UnderWay {
        self.0.store(true, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request that has no answer yet.
struct UnderWay(Busy);

impl UnderWay {
    /// Until the response has been made: an event stream is being made for as long as it lasts.
    fn through(self, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        response.map(|body| {
            Body::new(Unfinished {
                body,
                _request: self,
            })
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// The body of a response that is made while it is sent.
struct Unfinished {
    body: Body,
    _request: UnderWay,
}

impl HttpBody for Unfinished {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
