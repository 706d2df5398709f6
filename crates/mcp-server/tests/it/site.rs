//! Where a client finds the server: one replica, or two behind a proxy that gives each request to the other one in turn,
//! which is the worst that a load balancer does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::response::{IntoResponse as _, Response};
use mcp_testkit::Redis;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::replica::Replica;

/// Largest request that the proxy passes on, in bytes.
const BODY_MAX: usize = 1 << 20;

pub(crate) struct Site {
    address: String,
    _replicas: Vec<Replica>,
    /// Ended with this.
    _proxy: JoinSet<()>,
}

/// Whose turn it is.
struct Turns {
    replicas: Vec<String>,
    requests: AtomicUsize,
    client: reqwest::Client,
}

impl Site {
    /// One replica that shares nothing.
    pub(crate) async fn of_one() -> Self {
        let replica = Replica::start(&[]).await;
        Self {
            address: replica.address.clone(),
            _replicas: vec![replica],
            _proxy: JoinSet::new(),
        }
    }

    /// Two that share this Redis.
    pub(crate) async fn of_two(redis: &Redis) -> Self {
        let variables = [("REDIS_URL", &*redis.url())];
        let replicas = vec![
            Replica::start(&variables).await,
            Replica::start(&variables).await,
        ];
        let turns = Arc::new(Turns {
            replicas: replicas
                .iter()
                .map(|replica| replica.address.clone())
                .collect(),
            requests: AtomicUsize::new(0),
            client: reqwest::Client::new(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(pass_on).with_state(turns);
        let mut proxy = JoinSet::new();
        proxy.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            _replicas: replicas,
            _proxy: proxy,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn pass_on(State(turns): State<Arc<Turns>>, request: Request) -> Response {
    let turn = turns.requests.fetch_add(1, Ordering::Relaxed);
    let replica = &turns.replicas[turn % turns.replicas.len()];
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(HOST);
    let body = to_bytes(body, BODY_MAX).await.unwrap();
    let answer = turns
        .client
        .request(parts.method, format!("http://{replica}{}", parts.uri))
        .headers(parts.headers)
        .body(body)
        .send()
        .await;
    match answer {
        Ok(answer) => {
            let (status, mut headers) = (answer.status(), answer.headers().clone());
            for hop_by_hop in [CONNECTION, TRANSFER_ENCODING] {
                headers.remove(hop_by_hop);
            }
            (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
