//! A server in the test's own process, with a tool that the test holds in its hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_core::{ErrorCode, Failure};
use mcp_runtime::Vars;
use mcp_server::{App, ServerConfig, Tool, ToolContext, Tools};
use mcp_testkit::eventually;
use metrics_exporter_prometheus::PrometheusBuilder;
use rmcp::model::ToolAnnotations;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::server::{Answer, PATIENCE, answer};

/// Counts its runs, and ends each only when the test lets it.
#[derive(Clone)]
pub(crate) struct Counter {
    begun: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Arguments {
    /// The code to fail with.
    fail: Option<String>,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Runs {
    runs: usize,
}

impl Counter {
    /// Its runs end at once.
    pub(crate) fn open() -> Self {
        let counter = Self::closed();
        counter.open_for(Semaphore::MAX_PERMITS);
        counter
    }

    /// Its runs wait.
    pub(crate) fn closed() -> Self {
        Self {
            begun: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    /// Lets so many runs come to their end.
    pub(crate) fn open_for(&self, runs: usize) {
        self.gate.add_permits(runs);
    }

    /// How many have begun.
    pub(crate) fn runs(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Waits until so many have begun.
    pub(crate) async fn until_begun(&self, runs: usize) {
        eventually(PATIENCE, async || match self.runs() {
            begun if begun >= runs => Ok(()),
            begun => Err(format!("{begun} runs have begun")),
        })
        .await;
    }
}

impl Tool for Counter {
    type Arguments = Arguments;
    type Output = Runs;

    fn name(&self) -> &'static str {
        "count"
    }

    fn description(&self) -> &'static str {
        "Counts."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::new()
    }

    async fn call(&self, arguments: Arguments, _: ToolContext) -> Result<Runs, Failure> {
        let runs = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.gate.acquire().await.unwrap().forget();
        match arguments.fail {
            None => Ok(Runs { runs }),
            Some(code) => Err(Failure::new(ErrorCode::parse(&code).unwrap(), "as told")),
        }
    }
}

/// A server with that tool. It ends when this is dropped.
pub(crate) struct CountingServer {
    pub(crate) url: String,
    _stop: tokio_util::sync::DropGuard,
}

impl CountingServer {
    /// A server with those variables.
    pub(crate) async fn start(tool: &Counter, variables: &[(&str, &str)]) -> Self {
        let vars = Vars::default().with("MCP_AUDIT_LOG", "none");
        let vars = variables
            .iter()
            .fold(vars, |vars, (name, value)| vars.with(name, *value));
        let config = ServerConfig::from_vars(&vars).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/message", listener.local_addr().unwrap());
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let app = App::with_tools(&config, Tools::default().with(tool.clone()), metrics);
        let stop = CancellationToken::new();
        tokio::spawn(mcp_server::run(listener, app, stop.clone()));
        Self {
            url,
            _stop: stop.drop_guard(),
        }
    }

    /// A call with that idempotency key in the header, or with none.
    pub(crate) fn request(&self, key: Option<&str>, arguments: Value) -> reqwest::RequestBuilder {
        let params = json!({"name": "count", "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = reqwest::Client::new()
            .post(&self.url)
            .header("content-type", "application/json")
            .timeout(PATIENCE)
            .body(body.to_string());
        match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }

    /// The answer to such a call.
    pub(crate) async fn call(&self, key: Option<&str>, arguments: Value) -> Answer {
        answer(self.request(key, arguments)).await
    }

    /// The result of such a call that succeeds: how many runs there had been.
    pub(crate) async fn count(&self, key: &str) -> u64 {
        let answer = self.call(Some(key), json!({})).await;
        runs_of(&answer)
    }

    /// A call that goes on beside the test.
    pub(crate) fn calling(&self, key: &str) -> tokio::task::JoinHandle<Answer> {
        tokio::spawn(answer(self.request(Some(key), json!({}))))
    }
}

/// The result of a call that succeeded.
pub(crate) fn runs_of(answer: &Answer) -> u64 {
    let result = &answer.body["result"];
    result["structuredContent"]["runs"]
        .as_u64()
        .unwrap_or_else(|| panic!("{answer:?}"))
}

/// The JSON-RPC error code of a call that was refused.
pub(crate) fn code_of(answer: &Answer) -> i64 {
    answer.body["error"]["code"]
        .as_i64()
        .unwrap_or_else(|| panic!("{answer:?}"))
}
