//! Gemini's `generateContent` in the test's own process, whose answers the test decides.

mod call;
mod reply;
mod request;

use std::{
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Method, Uri},
    response::Response,
    routing::any,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::stub_server::connection;
use crate::{Connection, Outcome, eventually};

pub use call::{GeminiCall, SeenGeminiCall};
pub use reply::GeminiReply;

type Plan =
    Box<dyn Fn(GeminiCall) -> Pin<Box<dyn Future<Output = GeminiReply> + Send>> + Send + Sync>;

/// Plays `POST /v1beta/models/{model}:generateContent`. What the real one refuses is refused here in the same words: another
/// method, path or model, a missing or wrong `x-goog-api-key`, fields that it does not know. Whatever passes is answered by
/// the test's plan.
///
/// ```
/// # async fn example() {
/// use mcp_testkit::{FakeGemini, GeminiReply};
///
/// // Overloaded once, then a picture.
/// let gemini = FakeGemini::start(async |call| match call.number {
///     1 => GeminiReply::overloaded(),
///     _ => GeminiReply::svg("<svg xmlns='http://www.w3.org/2000/svg'/>", "Nothing", "An empty picture."),
/// })
/// .await;
/// # }
/// ```
pub struct FakeGemini {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

struct Shared {
    plan: Plan,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    calls: Vec<SeenGeminiCall>,
    refused: Vec<String>,
}

impl FakeGemini {
    /// The only key that it takes.
    pub const KEY: &str = "AIzaSyFAKE-key_of-the-tests";

    /// Starts one on a free loopback port. `plan` answers each request that is well-formed; they run side by side.
    pub async fn start<F>(plan: impl Fn(GeminiCall) -> F + Send + Sync + 'static) -> FakeGemini
    where
        F: Future<Output = GeminiReply> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            plan: Box::new(move |call| Box::pin(plan(call))),
            log: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let app = Router::new()
            .fallback(any(answer))
            .with_state(shared.clone())
            .into_make_service_with_connect_info::<Connection>();
        let listener = connection::Listener::new(listener, stop.clone());
        let serving =
            axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(async move { serving.await.expect("the fake Gemini serves") });
        FakeGemini {
            address,
            shared,
            stop,
        }
    }

    /// One that always gives the same answer.
    pub async fn always(reply: GeminiReply) -> FakeGemini {
        FakeGemini::start(move |_| std::future::ready(reply.clone())).await
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far that was taken, in the order of arrival.
    pub fn calls(&self) -> Vec<SeenGeminiCall> {
        self.shared.lock().calls.clone()
    }

    /// Why others were not.
    pub fn refused(&self) -> Vec<String> {
        self.shared.lock().refused.clone()
    }

    /// Waits until `count` requests have ended, and returns all that arrived.
    pub async fn wait_ended(&self, count: usize, within: Duration) -> Vec<SeenGeminiCall> {
        self.wait(count, within, |call| call.ended.is_some()).await
    }

    /// Waits until `count` requests have arrived, and returns them.
    pub async fn wait_calls(&self, count: usize, within: Duration) -> Vec<SeenGeminiCall> {
        self.wait(count, within, |_| true).await
    }

    async fn wait(
        &self,
        count: usize,
        within: Duration,
        counts: impl Fn(&SeenGeminiCall) -> bool,
    ) -> Vec<SeenGeminiCall> {
        eventually(within, async || {
            let calls = self.calls();
            match calls.iter().filter(|call| counts(call)).count() {
                found if found >= count => Ok(calls),
                found => Err(format!("{found} instead of {count} requests")),
            }
        })
        .await
    }
}

impl Drop for FakeGemini {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes the end of a request, also when its caller went away and the handler is dropped.
struct End<'a> {
    shared: &'a Shared,
    number: usize,
    outcome: Outcome,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.shared.lock().calls[self.number - 1].ended = Some(self.outcome);
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
    let (model, body) = match request::check(&method, &uri, &headers, &body) {
        Ok(taken) => taken,
        Err(refused) => {
            let request::Refusal { why, response } = *refused;
            shared.lock().refused.push(why);
            return response;
        }
    };
    let (call, mut end) = {
        let mut log = shared.lock();
        let number = log.calls.len() + 1;
        let call = GeminiCall {
            number,
            model,
            headers,
            body,
        };
        log.calls.push(SeenGeminiCall {
            call: call.clone(),
            ended: None,
        });
        let end = End {
            shared: &shared,
            number,
            outcome: Outcome::Abandoned,
        };
        (call, end)
    };
    let model = call.model.clone();
    let reply = (shared.plan)(call).await;
    reply.send(&model, &connection, &mut end.outcome).await
}
