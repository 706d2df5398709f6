//! The MCP handshake on a program's standard input and output, in whichever era the program speaks.
//!
//! `server/discover` (2026-07-28) goes first. A program of that era answers it; an older one answers with an error, and
//! then gets `initialize`. Some older ones do not answer anything before `initialize`: after [`PROBE`] they get it too,
//! and whichever answer is good counts. Some end at once: those are started again by the caller with
//! [`Opening::Legacy`]. Then all pages of `tools/list` are read.
//!
//! Messages are handled as plain JSON, so that what the program declares is passed on as it stands.

use std::time::Duration;

use mcp_core::ErrorCode;
use mcp_core::text::{bounded, shape_error};
use mcp_core::tool::{ServerInfo, ToolInfo};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::lines::{Lines, ReadError};
use crate::masking::Mask;
use crate::policy::Limits;

/// The era without `initialize`.
const MODERN: &str = "2026-07-28";
/// The versions with it, the preferred one first.
const LEGACY: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// How long `server/discover` may stay without an answer before `initialize` is tried too.
const PROBE: Duration = Duration::from_secs(3);
/// JSON-RPC: the version is not supported (MCP 2026-07-28).
const UNSUPPORTED_VERSION: i64 = -32022;
/// The `_meta` key under which a modern server says what it is.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// What a program said about itself.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) protocol_version: String,
    pub(crate) server_info: ServerInfo,
    pub(crate) capabilities: Map<String, Value>,
    pub(crate) tools: Vec<ToolInfo>,
}

/// Which request goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// `server/discover`.
    Discover,
    /// `initialize`.
    Legacy,
}

/// How a handshake fails.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The program's output ended.
    Ended,
    /// The program did something that the code names; the text ends a sentence that begins with its name. What it quotes
    /// of the program is masked.
    Broken(ErrorCode, String),
}

impl From<ReadError> for HandshakeError {
    fn from(error: ReadError) -> Self {
        let code = match &error {
            ReadError::MessageTooLong(_) | ReadError::OutputTooLong(_) => {
                ErrorCode::HandshakeTooLarge
            }
            ReadError::NoJsonRpc => ErrorCode::HandshakeFailed,
            ReadError::Io(_) => ErrorCode::LaunchFailed,
        };
        Self::Broken(code, error.to_string())
    }
}

fn broken(what: impl Into<String>) -> HandshakeError {
    HandshakeError::Broken(ErrorCode::HandshakeFailed, what.into())
}

type Object = Map<String, Value>;
/// A response's `result`, or its `error`.
type Answer = Result<Object, Object>;

/// One conversation. Requests are numbered from 1.
pub(crate) struct Handshake<'a, R, W> {
    lines: &'a mut Lines<R>,
    input: &'a mut W,
    limits: &'a Limits,
    /// For what errors quote.
    mask: &'a Mask,
    last_id: i64,
    /// Whether requests carry the `_meta` of the modern era.
    modern: bool,
    /// W3C trace headers that each request carries in its `_meta`.
    trace: &'a [(String, String)],
}

impl<'a, R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Handshake<'a, R, W> {
    pub(crate) fn new(
        lines: &'a mut Lines<R>,
        input: &'a mut W,
        limits: &'a Limits,
        mask: &'a Mask,
    ) -> Self {
        Self {
            lines,
            input,
            limits,
            mask,
            last_id: 0,
            modern: false,
            trace: &[],
        }
    }

    /// The same, within a trace.
    pub(crate) fn within(mut self, trace: &'a [(String, String)]) -> Self {
        self.trace = trace;
        self
    }

    /// Goes through it all. Takes as long as the program lets it: the caller sets the deadline.
    pub(crate) async fn run(mut self, opening: Opening) -> Result<Introduction, HandshakeError> {
        let mut introduction = match opening {
            Opening::Legacy => self.initialize().await?,
            Opening::Discover => self.discover().await?,
        };
        if introduction.capabilities.contains_key("tools") {
            introduction.tools = self.list_tools().await?;
        }
        Ok(introduction)
    }

    async fn discover(&mut self) -> Result<Introduction, HandshakeError> {
        self.modern = true;
        let discover = self.send("server/discover", Object::new()).await?;
        let Ok(answer) = timeout(PROBE, self.answer(&[discover])).await else {
            self.modern = false;
            let initialize = self.send_initialize().await?;
            let (id, answer) = self.answer(&[discover, initialize]).await?;
            return match (id == initialize, answer) {
                (true, answer) => self.initialized(answer).await,
                (false, Ok(result)) => self.discovered(result).await,
                (false, Err(_)) => {
                    let (_, answer) = self.answer(&[initialize]).await?;
                    self.initialized(answer).await
                }
            };
        };
        match answer?.1 {
            Ok(result) => self.discovered(result).await,
            Err(error) if error["code"].as_i64() == Some(UNSUPPORTED_VERSION) => {
                let supported = error["data"]["supported"].clone();
                self.fall_back(&supported).await
            }
            Err(_) => self.initialize().await,
        }
    }

    async fn discovered(&mut self, result: Object) -> Result<Introduction, HandshakeError> {
        let supported = result.get("supportedVersions").unwrap_or(&Value::Null);
        if !names(supported).any(|version| version == MODERN) {
            let supported = supported.clone();
            return self.fall_back(&supported).await;
        }
        self.modern = true;
        let info = result
            .get("_meta")
            .and_then(|meta| meta.get(SERVER_INFO))
            .or_else(|| result.get("serverInfo"));
        Ok(Introduction {
            protocol_version: MODERN.into(),
            server_info: server_info(info),
            capabilities: capabilities(&result, "server/discover")?,
            tools: Vec::new(),
        })
    }

    /// Goes on with `initialize` if the program names a version that has it.
    async fn fall_back(&mut self, supported: &Value) -> Result<Introduction, HandshakeError> {
        if names(supported).any(|version| LEGACY.contains(&version)) {
            return self.initialize().await;
        }
        let theirs = names(supported).take(10);
        let theirs: Vec<_> = theirs.map(|version| self.version(version)).collect();
        Err(HandshakeError::Broken(
            ErrorCode::UnsupportedVersion,
            format!(
                "speaks {theirs:?}, and not {MODERN} or {}",
                LEGACY.join(", ")
            ),
        ))
    }

    async fn initialize(&mut self) -> Result<Introduction, HandshakeError> {
        self.modern = false;
        let id = self.send_initialize().await?;
        let (_, answer) = self.answer(&[id]).await?;
        self.initialized(answer).await
    }

    async fn send_initialize(&mut self) -> Result<i64, HandshakeError> {
        let params =
            json!({"protocolVersion": LEGACY[0], "capabilities": {}, "clientInfo": client_info()});
        self.send("initialize", object(params)).await
    }

    async fn initialized(&mut self, answer: Answer) -> Result<Introduction, HandshakeError> {
        let result = answer.map_err(|error| self.refused("initialize", &error))?;
        let version = result
            .get("protocolVersion")
            .and_then(Value::as_str)
            .ok_or_else(|| broken("answered `initialize` without a `protocolVersion`"))?;
        if !LEGACY.contains(&version) {
            return Err(HandshakeError::Broken(
                ErrorCode::UnsupportedVersion,
                format!(
                    "answered `initialize` with version {:?}, and not {}",
                    self.version(version),
                    LEGACY.join(", ")
                ),
            ));
        }
        let introduction = Introduction {
            protocol_version: version.to_owned(),
            server_info: server_info(result.get("serverInfo")),
            capabilities: capabilities(&result, "initialize")?,
            tools: Vec::new(),
        };
        self.write(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        Ok(introduction)
    }

    async fn list_tools(&mut self) -> Result<Vec<ToolInfo>, HandshakeError> {
        let too_large =
            |what: String| Err(HandshakeError::Broken(ErrorCode::HandshakeTooLarge, what));
        let mut tools = Vec::new();
        let mut params = Object::new();
        for _ in 0..self.limits.pages {
            let id = self.send("tools/list", params.clone()).await?;
            let (_, answer) = self.answer(&[id]).await?;
            let mut result = answer.map_err(|error| self.refused("tools/list", &error))?;
            let Some(Value::Array(page)) = result.remove("tools") else {
                return Err(broken("answered `tools/list` without a list of `tools`"));
            };
            if tools.len() + page.len() > self.limits.tools {
                return too_large(format!("has more than {} tools", self.limits.tools));
            }
            for tool in page {
                let tool = serde_json::from_value(tool).map_err(|error| {
                    // Without the value it found: that may be a secret.
                    broken(format!("tool {}: {}", tools.len() + 1, shape_error(&error)))
                })?;
                tools.push(tool);
            }
            match result.remove("nextCursor") {
                Some(Value::String(cursor)) => {
                    params.insert("cursor".into(), Value::String(cursor));
                }
                _ => return Ok(tools),
            }
        }
        too_large(format!(
            "lists its tools on more than {} pages",
            self.limits.pages
        ))
    }

    async fn send(&mut self, method: &str, mut params: Object) -> Result<i64, HandshakeError> {
        self.last_id += 1;
        let mut meta = Object::new();
        if self.modern {
            meta = object(json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": client_info(),
                "io.modelcontextprotocol/clientCapabilities": {},
            }));
        }
        for (name, value) in self.trace {
            meta.insert(name.clone(), value.as_str().into());
        }
        if !meta.is_empty() {
            params.insert("_meta".into(), meta.into());
        }
        let mut request = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method});
        if !params.is_empty() {
            request["params"] = params.into();
        }
        self.write(request).await?;
        Ok(self.last_id)
    }

    async fn write(&mut self, message: Value) -> Result<(), HandshakeError> {
        let line = format!("{message}\n");
        let written = async {
            self.input.write_all(line.as_bytes()).await?;
            self.input.flush().await
        };
        // A closed pipe means that the program has ended: how it did says more.
        written.await.map_err(|_| HandshakeError::Ended)
    }

    /// The answer to one of `ids`. What the program asks meanwhile gets an answer, so that it does not wait for one.
    async fn answer(&mut self, ids: &[i64]) -> Result<(i64, Answer), HandshakeError> {
        loop {
            let Some(mut message) = self.lines.next().await? else {
                return Err(HandshakeError::Ended);
            };
            if let Some(method) = message.get("method") {
                let id = message.get("id").cloned();
                let is_ping = method == "ping";
                if let Some(id) = id {
                    self.reply(id, is_ping).await?;
                }
                continue;
            }
            let Some(id) = message.get("id").and_then(Value::as_i64) else {
                continue;
            };
            if !ids.contains(&id) {
                continue;
            }
            return match (message.remove("result"), message.remove("error")) {
                (Some(Value::Object(result)), None) => Ok((id, Ok(result))),
                (None, Some(Value::Object(error))) => Ok((id, Err(error))),
                _ => Err(broken(
                    "sent a response without a `result` or `error` object",
                )),
            };
        }
    }

    async fn reply(&mut self, id: Value, is_ping: bool) -> Result<(), HandshakeError> {
        self.write(if is_ping {
            json!({"jsonrpc": "2.0", "id": id, "result": {}})
        } else {
            let error = json!({"code": -32601, "message": "this client answers no requests"});
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        })
        .await
    }

    fn refused(&self, method: &str, error: &Object) -> HandshakeError {
        let code = error
            .get("code")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let message = error
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        broken(format!(
            "answered `{method}` with error {code}: {}",
            self.mask.shown(message.as_bytes(), 300)
        ))
    }

    /// A version that the program named, to be quoted.
    fn version(&self, version: &str) -> String {
        self.mask.shown(version.as_bytes(), 40)
    }
}

fn client_info() -> Value {
    json!({"name": "mcp-hybrid", "version": env!("CARGO_PKG_VERSION")})
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// A server that does not say what it is is called `unknown`: that alone makes it no worse.
fn server_info(info: Option<&Value>) -> ServerInfo {
    let field = |name| {
        let value = info.and_then(|info| info.get(name)).and_then(Value::as_str);
        bounded(value.unwrap_or("unknown"), 200)
    };
    ServerInfo {
        name: field("name"),
        version: field("version"),
    }
}

fn capabilities(result: &Object, method: &str) -> Result<Object, HandshakeError> {
    match result.get("capabilities") {
        Some(Value::Object(capabilities)) => Ok(capabilities.clone()),
        _ => Err(broken(format!(
            "answered `{method}` without `capabilities`"
        ))),
    }
}
