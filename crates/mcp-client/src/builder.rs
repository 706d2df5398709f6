//! How a client is made.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use indexmap::IndexMap;
use mcp_core::{Clock, Secret};

use crate::client::McpClient;
use crate::exchange::{Propagation, Wire};
use crate::redaction::Redaction;
use crate::server_url::ServerUrl;

/// Idle connections are closed after this, before most servers do.
const IDLE: Duration = Duration::from_secs(30);
/// Headers that this client sets itself, or that would change how a request is framed.
const RESERVED: [&str; 14] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a client could not be made. Never holds a header's value.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The API key has characters that no header can carry.
    #[error(
        "the API key cannot stand in an HTTP header: only visible ASCII characters may be in it"
    )]
    ApiKey,
    /// A header's name is none.
    #[error("{0:?} is no HTTP header name")]
    HeaderName(String),
    /// A header's value has characters that no header can carry.
    #[error("the value of the header {0:?} cannot stand in an HTTP header")]
    HeaderValue(String),
    /// A header that the client sets itself.
    #[error("the header {0:?} is set by the client itself")]
    Reserved(String),
    /// The HTTP library refused, for instance because the system's TLS certificates cannot be read.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[source] reqwest::Error),
}

/// Settings of an [`McpClient`], all optional.
#[derive(Clone, Debug)]
pub struct McpClientBuilder {
    server: ServerUrl,
    api_key: Option<Secret>,
    headers: IndexMap<String, Secret>,
    concurrency: usize,
    connect_timeout: Duration,
    answer_max_bytes: usize,
    tool_error_default_retry: bool,
    clock: Clock,
    propagation: Propagation,
}

impl McpClientBuilder {
    pub(crate) fn new(server: ServerUrl) -> Self {
        Self {
            server,
            api_key: None,
            headers: IndexMap::new(),
            concurrency: 64,
            connect_timeout: Duration::from_secs(5),
            answer_max_bytes: 16 * 1024 * 1024,
            tool_error_default_retry: false,
            clock: Clock::System,
            propagation: |_| Vec::new(),
        }
    }

    /// The key sent as `Authorization: Bearer`. Default: none.
    pub fn api_key(mut self, key: Option<Secret>) -> Self {
        self.api_key = key;
        self
    }

    /// More headers for every request. Default: none.
    pub fn headers(mut self, headers: IndexMap<String, Secret>) -> Self {
        self.headers = headers;
        self
    }

    /// How many calls run at once: so many idle connections are kept. Default: 64.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// How long name resolution, TCP and TLS may take together. Default: 5 s. Below the time that a call may take:
    /// only then a server that does not answer connection attempts is told from one that works slowly.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The largest answer taken, in bytes. Default: 16 MiB.
    pub fn answer_max_bytes(mut self, bytes: usize) -> Self {
        self.answer_max_bytes = bytes;
        self
    }

    /// Whether a tool error that does not say if it may be retried may be. Default: no.
    pub fn tool_error_default_retry(mut self, retry: bool) -> Self {
        self.tool_error_default_retry = retry;
        self
    }

    /// Where the time of day comes from, which `Retry-After` dates are compared with. Default: the machine.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The trace headers by which a server becomes a child of the span of its HTTP request. They replace those of the
    /// call. Default: none, so that a call's own are sent.
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    /// The client. It connects to nothing yet.
    ///
    /// # Errors
    /// A header or the key that no request could carry, or an HTTP library that cannot be set up.
    pub fn build(self) -> Result<McpClient, BuildError> {
        let redaction = Redaction::new(
            self.api_key.iter().chain(self.headers.values()),
            self.server.as_url(),
        );
        let authorization = match &self.api_key {
            Some(key) => {
                Some(sensitive(&format!("Bearer {}", key.expose())).ok_or(BuildError::ApiKey)?)
            }
            None => None,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let header = HeaderName::try_from(name.as_str())
                .map_err(|_| BuildError::HeaderName(name.clone()))?;
            if RESERVED.contains(&header.as_str()) || header.as_str().starts_with("mcp-") {
                return Err(BuildError::Reserved(name.clone()));
            }
            let value =
                sensitive(value.expose()).ok_or_else(|| BuildError::HeaderValue(name.clone()))?;
            headers.insert(header, value);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("mcp-hybrid/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.concurrency)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(BuildError::Http)?;
        let wire = Wire {
            http,
            server: self.server,
            authorization,
            headers,
            answer_max: self.answer_max_bytes,
            clock: self.clock,
            propagation: self.propagation,
            ids: AtomicU64::new(0),
        };
        Ok(McpClient::new(
            wire,
            redaction,
            self.tool_error_default_retry,
        ))
    }
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
