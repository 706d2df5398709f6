//! Redis, on a way that falls silent: nothing is refused or closed, and nothing comes through any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_testkit::{Redis, eventually};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::replica::{Replica, SseClient, call};
use crate::server::{PATIENCE, answer};

/// A way to Redis. Its connections of before [`Proxy::fall_silent`] stay open and swallow what they are given.
struct Proxy {
    url: String,
    age: Arc<AtomicU64>,
}

impl Proxy {
    async fn to(redis: &Redis) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let age = Arc::new(AtomicU64::new(0));
        let (target, now) = (redis.url(), Arc::clone(&age));
        let target = target
            .trim_start_matches("redis://")
            .trim_end_matches('/')
            .to_owned();
        tokio::spawn(async move {
            loop {
                let (theirs, _) = listener.accept().await.unwrap();
                let ours = TcpStream::connect(&target).await.unwrap();
                let ((from, to), (back, forth)) = (theirs.into_split(), ours.into_split());
                let born = now.load(Ordering::SeqCst);
                tokio::spawn(pump(from, forth, born, Arc::clone(&now)));
                tokio::spawn(pump(back, to, born, Arc::clone(&now)));
            }
        });
        Self { url, age }
    }

    fn fall_silent(&self) {
        self.age.fetch_add(1, Ordering::SeqCst);
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    born: u64,
    now: Arc<AtomicU64>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let is_open = now.load(Ordering::SeqCst) == born;
        if is_open && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_replica_whose_way_to_redis_falls_silent_takes_a_new_one() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(&redis).await;
    let holder = Replica::start(&[("REDIS_URL", &*proxy.url)]).await;
    let other = Replica::start(&[("REDIS_URL", &*redis.url())]).await;
    let mut client = SseClient::open(&holder).await;
    client.initialize(&other).await;
    proxy.fall_silent();
    // What is posted elsewhere arrives here: the subscription is a new one.
    eventually(PATIENCE, async || {
        let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"});
        match client.post(&other, &ping).await.status {
            202 => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await;
    // And what goes from here has a new connection.
    eventually(PATIENCE, async || {
        let request = holder.request("/mcp", &call("greet", json!({"name": "Ann"})));
        let keyed = answer(request.header("idempotency-key", "k")).await;
        let is_answered = keyed.body["result"].is_object();
        is_answered.then_some(()).ok_or(format!("{keyed:?}"))
    })
    .await;
}
