//! A server of one's own, and requests to it.

use std::time::Duration;

use mcp_testkit::{Process, ProcessBuilder};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server process.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
    /// Kept until the end: `policy.toml` lies in it.
    pub(crate) folder: tempfile::TempDir,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The tool of that name, of an answer to `tools/list`.
    pub(crate) fn tool(&self, name: &str) -> &Value {
        let tools = self.body["result"]["tools"].as_array();
        let tool = tools.and_then(|tools| tools.iter().find(|tool| tool["name"] == name));
        tool.unwrap_or_else(|| panic!("no tool {name}: {self:?}"))
    }
}

impl Server {
    /// The binary, not started.
    pub(crate) fn builder() -> ProcessBuilder {
        Process::builder(env!("CARGO_BIN_EXE_mcp-server"))
    }

    /// A server whose policy denies everything.
    pub(crate) async fn start() -> Self {
        Self::with_policy("").await
    }

    /// A server with that launch policy.
    pub(crate) async fn with_policy(policy: &str) -> Self {
        Self::with(policy, &[]).await
    }

    /// A server with a database of its own, and these variables.
    pub(crate) async fn with_database(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let builder = Self::builder().env("STATE_DIRECTORY", folder.path().display());
        Self::in_folder(folder, builder, "", variables).await
    }

    /// A server with that launch policy and more variables. It has no place for a database unless they name one.
    pub(crate) async fn with(policy: &str, variables: &[(&str, &str)]) -> Self {
        Self::by(Self::builder(), policy, variables).await
    }

    /// The same, started by `builder`.
    pub(crate) async fn by(
        builder: ProcessBuilder,
        policy: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), builder, policy, variables).await
    }

    async fn in_folder(
        folder: tempfile::TempDir,
        builder: ProcessBuilder,
        policy: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let file = folder.path().join("policy.toml");
        std::fs::write(&file, policy).unwrap();
        let mut process = builder
            .env("PORT", 0)
            .env("MCP_LAUNCH_POLICY", file.display())
            .envs(variables.iter().copied())
            .start();
        let line = process.wait_for_line("address=", PATIENCE).await;
        let address = line.split("address=").nth(1).unwrap();
        let address = address.split_whitespace().next().unwrap();
        Self {
            process,
            url: format!("http://{address}"),
            folder,
        }
    }

    /// POSTs `body` to `path` with `headers` and nothing else but a JSON content type, unless they have one.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut map = HeaderMap::new();
        map.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        let request = reqwest::Client::new()
            .post(format!("{}{path}", self.url))
            .headers(map)
            .body(body);
        answer(request.timeout(PATIENCE)).await
    }

    /// GETs `path` with `headers`.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        answer(request.timeout(PATIENCE)).await
    }

    /// POSTs a request of the eras with `initialize` to `/mcp`, as such clients do.
    pub(crate) async fn legacy(&self, version: &str, method: &str, params: Value) -> Answer {
        let headers = [
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", version),
        ];
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post("/mcp", &headers, body.to_string()).await
    }

    /// POSTs a request of 2026-07-28 to `/mcp`.
    pub(crate) async fn modern(&self, method: &str, mut params: Value) -> Answer {
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let mut headers = vec![
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
        ];
        if !name.is_empty() {
            headers.push(("mcp-name", &name));
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post("/mcp", &headers, body.to_string()).await
    }

    /// Calls `server_initialize` as the worker does, and returns the result of the call.
    pub(crate) async fn initialize(&self, arguments: Value) -> Value {
        let answer = self.post("/message", &[], call(arguments)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["result"].clone()
    }
}

/// A `tools/call` of `server_initialize`.
pub(crate) fn call(arguments: Value) -> String {
    let params = json!({"name": "server_initialize", "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

/// Sends a request; a body that is no JSON is given as a string.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status,
        headers,
        body,
    }
}

/// The error of a failed call, for programs.
pub(crate) fn error_of(result: &Value) -> &Value {
    assert_eq!(result["isError"], true, "{result}");
    &result["_meta"]["io.mcp-hybrid/error"]
}

/// The sentence of a failed call.
pub(crate) fn sentence(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}
