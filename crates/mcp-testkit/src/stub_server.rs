//! An MCP server in the test's own process, whose answers the test decides.

mod call;
pub(crate) mod connection;
mod reply;
mod token_endpoint;

use std::{
    collections::HashMap,
    fmt::Display,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::eventually;

pub use call::{Call, Outcome, SeenCall};
pub use connection::Connection;
pub use reply::Reply;
pub use token_endpoint::TokenEndpoint;

type Plan = Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// A stub MCP server: any `POST` with a JSON-RPC request `tools/call` is answered by the test's plan. `server/discover` and
/// `initialize` get a plain answer, a notification 202, `GET /ready` what [`StubServer::set_readiness`] says, `tools/list`
/// what [`StubServer::set_listing`] does.
///
/// ```
/// # async fn example() {
/// use mcp_testkit::{Reply, StubServer};
///
/// // Fails twice, then succeeds.
/// let server = StubServer::start(async |call| match call.attempt {
///     1 | 2 => Reply::status(503),
///     _ => Reply::text("done"),
/// })
/// .await;
/// # }
/// ```
pub struct StubServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<Running>,
}

struct Shared {
    plan: Plan,
    /// The status of `GET /ready`.
    readiness: AtomicU16,
    /// The status of `tools/list`.
    listing: AtomicU16,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    calls: Vec<SeenCall>,
    attempts: HashMap<String, usize>,
    /// Counts starts and ends, so that their order can be told.
    clock: usize,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl StubServer {
    /// Starts a server on a free loopback port. `plan` gives the answer to each tool call; calls run side by side.
    pub async fn start<F>(plan: impl Fn(Call) -> F + Send + Sync + 'static) -> StubServer
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let mut server = StubServer {
            address: listener.local_addr().expect("a bound socket"),
            shared: Arc::new(Shared {
                plan: Box::new(move |call| Box::pin(plan(call))),
                readiness: AtomicU16::new(404),
                listing: AtomicU16::new(200),
                log: Mutex::default(),
            }),
            running: None,
        };
        server.serve(listener);
        server
    }

    /// A server that is not up yet: its port is known, and refuses connections until [`StubServer::start_again`].
    pub async fn down<F>(plan: impl Fn(Call) -> F + Send + Sync + 'static) -> StubServer
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let mut server = StubServer::start(plan).await;
        server.stop().await;
        server
    }

    /// Its base URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it as a crash would: every connection is reset, whatever was in flight gets no answer.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            let _ = running.task.await;
        }
    }

    /// Starts it again on the same port; its record of calls goes on.
    pub async fn start_again(&mut self) {
        self.stop().await;
        let listener = eventually(Duration::from_secs(10), async || {
            TcpListener::bind(self.address).await
        })
        .await;
        self.serve(listener);
    }

    /// What `GET /ready` answers from now on; 404 at first.
    pub fn set_readiness(&self, status: u16) {
        self.shared.readiness.store(status, Ordering::SeqCst);
    }

    /// The status that `tools/list` is answered with from now on; at first it is 200, with an empty list.
    pub fn set_listing(&self, status: u16) {
        self.shared.listing.store(status, Ordering::SeqCst);
    }

    /// Every tool call so far, in the order of arrival.
    pub fn calls(&self) -> Vec<SeenCall> {
        self.shared.lock().calls.clone()
    }

    /// Waits until at least `count` tool calls have arrived, and returns all of them.
    pub async fn wait_calls(&self, count: usize, within: Duration) -> Vec<SeenCall> {
        self.wait(count, within, "arrived", |_| true).await
    }

    /// Waits until at least `count` tool calls have ended, and returns all that arrived.
    pub async fn wait_ended(&self, count: usize, within: Duration) -> Vec<SeenCall> {
        self.wait(count, within, "ended", |call| call.ended.is_some())
            .await
    }

    async fn wait(
        &self,
        count: usize,
        within: Duration,
        what: impl Display,
        counts: impl Fn(&SeenCall) -> bool,
    ) -> Vec<SeenCall> {
        eventually(within, async || {
            let calls = self.calls();
            let found = calls.iter().filter(|call| counts(call)).count();
            if found >= count {
                Ok(calls)
            } else {
                Err(format!("{found} instead of {count} calls have {what}"))
            }
        })
        .await
    }

    fn serve(&mut self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let app = Router::new()
            .fallback(any(answer))
            .with_state(self.shared.clone())
            .into_make_service_with_connect_info::<Connection>();
        let serving = axum::serve(connection::Listener::new(listener, stop.clone()), app)
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            serving.await.expect("the stub server serves");
        });
        self.running = Some(Running { stop, task });
    }
}

impl Drop for StubServer {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, headers: HeaderMap, path: &str, body: Value) -> Call {
        let mut log = self.lock();
        let mut call = Call::new(log.calls.len() + 1, headers, path, body);
        let attempt = log.attempts.entry(call.identity()).or_default();
        *attempt += 1;
        call.attempt = *attempt;
        log.clock += 1;
        let started = log.clock;
        log.calls.push(SeenCall {
            call: call.clone(),
            started,
            ended: None,
        });
        call
    }
}

/// Notes the end of a call, also when its caller went away and the handler is dropped.
struct End<'a> {
    shared: &'a Shared,
    number: usize,
    outcome: Outcome,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut log = self.shared.lock();
        log.clock += 1;
        let ended = log.clock;
        log.calls[self.number - 1].ended = Some((ended, self.outcome));
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if (method, uri.path()) == (Method::GET, "/ready") {
        let status = shared.readiness.load(Ordering::SeqCst);
        return StatusCode::from_u16(status)
            .expect("a status")
            .into_response();
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "not JSON").into_response();
    };
    let Some(id) = body.get("id").cloned() else {
        return StatusCode::ACCEPTED.into_response();
    };
    let info = json!({"name": "stub", "version": "1"});
    match body["method"].as_str().unwrap_or_default() {
        "tools/call" => {
            let call = shared.begin(headers, uri.path(), body);
            let mut end = End {
                shared: &shared,
                number: call.number,
                outcome: Outcome::Abandoned,
            };
            let reply = (shared.plan)(call).await;
            reply.send(id, &connection, &mut end.outcome).await
        }
        "tools/list" => match shared.listing.load(Ordering::SeqCst) {
            200 => {
                let result = json!({"resultType": "complete", "tools": [], "ttlMs": 0, "cacheScope": "private"});
                Reply::Result(result).response(id)
            }
            status => StatusCode::from_u16(status)
                .expect("a status")
                .into_response(),
        },
        "server/discover" => {
            let result = json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "serverInfo": info,
                "ttlMs": 0,
                "cacheScope": "private",
            });
            Reply::Result(result).response(id)
        }
        "initialize" => {
            let version = body["params"]["protocolVersion"].clone();
            let result = json!({
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": info,
            });
            Reply::Result(result).response(id)
        }
        _ => Reply::rpc_error(-32601, "the stub has no such method").response(id),
    }
}
