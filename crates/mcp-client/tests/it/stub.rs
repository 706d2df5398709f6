//! An HTTP server whose every answer is a function of the request, on a port of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_client::{CallToolResult, McpClient, McpClientBuilder, ServerUrl, ToolCall};
use mcp_core::Failure;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Request line and headers, with the line ends.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The JSON-RPC method, or the HTTP method of a request without one.
    pub(crate) fn method(&self) -> String {
        match &self.json()["method"] {
            Value::String(method) => method.clone(),
            _ => self.head.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.header("mcp-protocol-version") == Some("2026-07-28")
    }
}

/// What to do about a request.
pub(crate) enum Reply {
    /// Status, headers and body.
    Http(u16, Vec<(&'static str, String)>, String),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// The connection is reset.
    Reset,
    /// Nothing, ever.
    Hang,
    /// An event stream that stays open and is fed by the test.
    Feed(tokio::sync::mpsc::UnboundedReceiver<String>),
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        let kind = ("content-type", "application/json".to_owned());
        Self::Http(status, vec![kind], body.to_string())
    }

    /// The successful response to `seen`.
    pub(crate) fn result(seen: &Seen, result: Value) -> Self {
        Self::json(
            200,
            json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}),
        )
    }

    pub(crate) fn error(status: u16, seen: &Seen, code: i64, message: &str) -> Self {
        let error = json!({"code": code, "message": message});
        Self::json(
            status,
            json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}),
        )
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Http(
            status,
            vec![("content-type", "text/plain".to_owned())],
            body.to_owned(),
        )
    }

    pub(crate) fn events(body: &str) -> Self {
        let kind = ("content-type", "text/event-stream".to_owned());
        Self::Http(200, vec![kind], body.to_owned())
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Http(_, headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

type Answer = dyn Fn(&Seen) -> Reply + Send + Sync;

/// The running server.
pub(crate) struct Stub {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    hung_up: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let log = Arc::clone(&seen);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let hung_up = Arc::new(AtomicUsize::new(0));
        let gone = Arc::clone(&hung_up);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(
                    socket,
                    Arc::clone(&answer),
                    Arc::clone(&log),
                    Arc::clone(&gone),
                ));
            }
        });
        Self {
            port,
            seen,
            connections,
            hung_up,
            task,
        }
    }

    /// A client of this server, at `/mcp`.
    pub(crate) fn client(&self) -> McpClient {
        self.build(|builder| builder)
    }

    pub(crate) fn build(
        &self,
        set: impl FnOnce(McpClientBuilder) -> McpClientBuilder,
    ) -> McpClient {
        let url = ServerUrl::parse(&format!("http://127.0.0.1:{}/mcp", self.port)).unwrap();
        set(McpClient::builder(url)).build().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many clients went away from an answer that never came.
    pub(crate) fn hung_up(&self) -> usize {
        self.hung_up.load(Ordering::SeqCst)
    }

    pub(crate) fn methods(&self) -> Vec<String> {
        self.seen().iter().map(Seen::method).collect()
    }

    /// The methods, each with `+` if it came in the form of 2026-07-28 and `-` if not.
    pub(crate) fn eras(&self) -> Vec<String> {
        let mark = |seen: &Seen| if seen.is_modern() { '+' } else { '-' };
        self.seen()
            .iter()
            .map(|seen| format!("{}{}", mark(seen), seen.method()))
            .collect()
    }
}

async fn serve(
    socket: TcpStream,
    answer: Arc<Answer>,
    log: Arc<Mutex<Vec<Seen>>>,
    hung_up: Arc<AtomicUsize>,
) {
    let mut socket = BufReader::new(socket);
    while let Some(seen) = read(&mut socket).await {
        log.lock().unwrap().push(seen.clone());
        match answer(&seen) {
            Reply::Http(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                let whole = format!("{head}\r\n{body}");
                if socket.write_all(whole.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Raw(bytes) => {
                let _ = socket.write_all(&bytes).await;
                return;
            }
            Reply::Reset => {
                socket.into_inner().set_zero_linger().unwrap();
                return;
            }
            Reply::Hang => {
                // Until the client goes away.
                let _ = socket.read(&mut [0]).await;
                hung_up.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Reply::Feed(mut feed) => {
                let head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let _ = socket.write_all(head.as_bytes()).await;
                while let Some(text) = feed.recv().await {
                    if socket.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                return;
            }
        }
    }
}

async fn read(socket: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let mut seen = Seen {
        head,
        body: String::new(),
    };
    let length = seen
        .header("content-length")
        .unwrap_or("0")
        .parse()
        .unwrap();
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    seen.body = String::from_utf8(body).unwrap();
    Some(seen)
}

/// A tool result with one text.
pub(crate) fn said(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// An event that holds the response to `seen`.
pub(crate) fn event(seen: &Seen, result: Value) -> String {
    let response = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
    format!("event: message\ndata: {response}\n\n")
}

/// Calls the tool `echo` without arguments.
pub(crate) async fn call(client: &McpClient) -> Result<CallToolResult, Failure> {
    call_within(client, Duration::from_secs(20)).await
}

pub(crate) async fn call_within(
    client: &McpClient,
    timeout: Duration,
) -> Result<CallToolResult, Failure> {
    let call = ToolCall {
        tool: "echo",
        arguments: &Map::new(),
        idempotency_key: None,
        trace: &[],
        timeout,
    };
    client.call_tool(call).await
}

/// The failure of a call to a server that always answers so.
pub(crate) async fn failure_of(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Failure {
    let stub = Stub::start(answer).await;
    call(&stub.client()).await.unwrap_err()
}
