//! Replicas of the example server in the test's own process, and their callers.

use std::time::Duration;

use mcp_runtime::Vars;
use mcp_server::ServerConfig;
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::everything;
use crate::server::{Answer, PATIENCE, answer};

/// A replica that runs until this is dropped, which ends it as a crash ends a process: it has a runtime of its own.
pub(crate) struct Replica {
    pub(crate) address: String,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
    runtime: Option<Runtime>,
}

impl Replica {
    /// A replica with those variables, on a port of its own.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let config = ServerConfig::from_vars(&variables.iter().copied().collect::<Vars>()).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let stop = CancellationToken::new();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = listener.into_std().unwrap();
        let stopped = stop.clone();
        let served = runtime.spawn(async move {
            let app = everything::app(&config, metrics);
            mcp_server::run(TcpListener::from_std(listener)?, app, stopped).await
        });
        Self {
            address,
            stop,
            served,
            runtime: Some(runtime),
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let served = tokio::time::timeout(PATIENCE, &mut self.served).await;
        served.expect("it stops").unwrap().unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A POST of JSON that takes whatever comes back.
    pub(crate) fn request(&self, path: &str, body: &Value) -> RequestBuilder {
        reqwest::Client::new()
            .post(self.url(path))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .timeout(PATIENCE)
            .body(body.to_string())
    }

    /// What it answers to a POST.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(path, body)).await
    }

    /// Calls a tool as clients of 2025-11-25 do, and reads the event stream of the answer.
    pub(crate) async fn stream(&self, tool: &str, arguments: Value) -> Events {
        let call = call(tool, arguments);
        let request = self.request("/mcp", &call);
        let request = request.header("mcp-protocol-version", "2025-11-25");
        Events::of(request).await
    }

    /// A subscription of 2026-07-28.
    pub(crate) fn listening(&self) -> RequestBuilder {
        let method = "subscriptions/listen";
        let params = json!({
            "notifications": {"toolsListChanged": true},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.request("/mcp", &body)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
    }

    /// A request of 2026-07-28 from a client that can do all.
    pub(crate) async fn modern(&self, method: &str, params: Value) -> Answer {
        self.modern_as(None, method, params).await
    }

    /// The same, with credentials.
    pub(crate) async fn modern_as(
        &self,
        credentials: Option<&str>,
        method: &str,
        mut params: Value,
    ) -> Answer {
        let subject = ["name", "taskId", "uri"];
        let subject = subject.iter().find_map(|key| params[key].as_str());
        let subject = subject.unwrap_or_default().to_owned();
        let more = params["_meta"].take();
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {
                "elicitation": {}, "sampling": {}, "roots": {},
                "extensions": {"io.modelcontextprotocol/tasks": {}},
            },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            params["_meta"][name] = value.clone();
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self
            .request("/mcp", &body)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if !subject.is_empty() {
            request = request.header("mcp-name", subject);
        }
        if let Some(credentials) = credentials {
            request = request.header("authorization", credentials);
        }
        answer(request).await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A `tools/call`.
pub(crate) fn call(tool: &str, arguments: Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
}

/// An event stream, read as it comes.
pub(crate) struct Events {
    response: reqwest::Response,
    text: String,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Events {
    /// The answer to a request, which must be a stream.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let kind = response.headers()["content-type"].clone();
        assert_eq!(
            (response.status().as_u16(), kind.to_str().unwrap()),
            (200, "text/event-stream")
        );
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = block.lines();
                    let mut values = lines.filter_map(|line| line.strip_prefix(name));
                    values.next().map(|value| value.trim_start().to_owned())
                };
                let event = field("data:").map(|data| Event {
                    name: field("event:").unwrap_or_default(),
                    data,
                });
                self.text = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    // A comment.
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk());
            let chunk = chunk.await.expect("an event comes").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event, which must be there.
    pub(crate) async fn must(&mut self) -> Value {
        self.next().await.expect("one more event").json()
    }
}

/// A client of 2024-11-05: its stream, and where it posts to.
pub(crate) struct SseClient {
    pub(crate) events: Events,
    pub(crate) path: String,
}

impl SseClient {
    /// Opens a stream at that replica.
    pub(crate) async fn open(replica: &Replica) -> Self {
        let request = reqwest::Client::new()
            .get(replica.url("/sse"))
            .timeout(Duration::from_secs(300));
        let mut events = Events::of(request).await;
        let first = events.next().await.unwrap();
        assert_eq!(first.name, "endpoint");
        Self {
            events,
            path: first.data,
        }
    }

    /// Posts a message to that replica; the answer comes on the stream.
    pub(crate) async fn post(&self, replica: &Replica, message: &Value) -> Answer {
        replica.post(&self.path, message).await
    }

    /// Introduces the client, as one that can be asked.
    pub(crate) async fn initialize(&mut self, replica: &Replica) -> Value {
        let params = json!({
            "protocolVersion": "2024-11-05",
            "capabilities": {"sampling": {}, "elicitation": {}},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        assert_eq!(self.post(replica, &body).await.status, 202);
        self.events.must().await["result"].take()
    }
}
