//! The client: one request and its answer, in the era that the server speaks.

use std::collections::HashMap;
use std::fmt;
use std::mem::replace;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mcp_core::{ErrorCode, Failure};

use crate::builder::McpClientBuilder;
use crate::exchange::{Answer, Form, Miss, Wire};
use crate::json_rpc::{Params, Request};
use crate::negotiation::{AfterLegacy, AfterModern, after_legacy, after_modern};
use crate::param_headers::ParamHeader;
use crate::redaction::Redaction;
use crate::refusal::Refusal;
use crate::server_url::ServerUrl;
use crate::session::{Era, EraMemory, Session};
use crate::tool_call::{CallToolResult, ToolCall, outcome};
use crate::tool_list::ToolList;

/// A caller of one MCP server. Clones are cheap and share the connections and what is known of the server.
#[derive(Clone)]
pub struct McpClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) wire: Wire,
    pub(crate) redaction: Redaction,
    pub(crate) era: EraMemory,
    tool_error_default_retry: bool,
    /// By tool, the arguments that the server wants in headers, as far as a tool list was read.
    param_headers: Mutex<HashMap<String, Arc<[ParamHeader]>>>,
}

/// What has been tried for one request: each way out is taken once.
#[derive(Default)]
struct Tried {
    repeat: bool,
    mirror: bool,
    handshake: bool,
    new_session: bool,
    start_over: bool,
}

impl McpClient {
    /// The settings of a client for `server`.
    pub fn builder(server: ServerUrl) -> McpClientBuilder {
        McpClientBuilder::new(server)
    }

    pub(crate) fn new(wire: Wire, redaction: Redaction, tool_error_default_retry: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                wire,
                redaction,
                era: EraMemory::default(),
                tool_error_default_retry,
                param_headers: Mutex::default(),
            }),
        }
    }

    /// Calls a tool: one POST once the server's era is known, a few more the first time. Dropping the future closes
    /// the connection, which cancels the call.
    ///
    /// # Errors
    /// The one [`Failure`] that the outcome stands for, free of the key, the headers and the secrets among the
    /// arguments.
    pub async fn call_tool(&self, call: ToolCall<'_>) -> Result<CallToolResult, Failure> {
        let redaction = self.inner.redaction.with_arguments(call.arguments);
        let params = Params::Call {
            name: call.tool,
            arguments: call.arguments,
        };
        let request = Request::new("tools/call", params)
            .with_idempotency_key(call.idempotency_key)
            .with_trace(call.trace);
        let answered =
            tokio::time::timeout(call.timeout, self.inner.ask(&request, &redaction)).await;
        let answered = answered.unwrap_or_else(|_| Err(too_late(call.timeout)));
        answered
            .and_then(|answer| {
                outcome(
                    answer.result,
                    self.inner.tool_error_default_retry,
                    &redaction,
                )
            })
            .map_err(|failure| redaction.failure(failure))
    }

    /// Ends the session, if the server keeps one for this client. For the end of a process.
    pub async fn close(&self, limit: Duration) {
        if let Era::InSession(session) = self.inner.era.get() {
            self.inner.era.leave(&session, Era::Legacy);
            let _ = tokio::time::timeout(limit, self.inner.wire.end_session(&session)).await;
        }
    }
}

impl Inner {
    /// The answer to `request`, in the era that the server speaks.
    pub(crate) async fn ask(
        &self,
        request: &Request<'_>,
        redaction: &Redaction,
    ) -> Result<Answer, Failure> {
        let mut tried = Tried::default();
        let mut era = self.era.get();
        loop {
            era = match era {
                Era::Unknown | Era::Modern => {
                    let mirrored = self.mirrored(request);
                    match self
                        .wire
                        .ask(request, Form::Modern(&mirrored), redaction)
                        .await
                    {
                        Ok(answer) => {
                            self.era.saw_modern();
                            return Ok(answer);
                        }
                        Err(Miss::Failed(failure)) => return Err(failure),
                        // Boxed, as the other ways out: few calls need them, and all would carry their size.
                        Err(Miss::Refused(refusal)) => {
                            let refused =
                                self.refused_modern(refusal, era, &mirrored, request, &mut tried);
                            Box::pin(refused).await?
                        }
                    }
                }
                Era::Legacy => {
                    let session = Box::pin(self.new_session(None)).await;
                    Era::InSession(session.map_err(Miss::into_failure)?)
                }
                Era::InSession(session) => {
                    let form = Form::Legacy(Some(&session));
                    match self.wire.ask(request, form, redaction).await {
                        Ok(answer) => return Ok(answer),
                        Err(Miss::Failed(failure)) => return Err(failure),
                        Err(Miss::Refused(refusal)) => {
                            Box::pin(self.refused_legacy(refusal, session, &mut tried)).await?
                        }
                    }
                }
            };
        }
    }

    /// The era to ask in next after a refusal in `era`, or the failure that the refusal is.
    async fn refused_modern(
        &self,
        refusal: Refusal,
        era: Era,
        mirrored: &[(HeaderName, HeaderValue)],
        request: &Request<'_>,
        tried: &mut Tried,
    ) -> Result<Era, Failure> {
        match after_modern(&refusal, matches!(era, Era::Modern)) {
            AfterModern::Repeat if !replace(&mut tried.repeat, true) => Ok(era),
            AfterModern::MirrorArguments if !replace(&mut tried.mirror, true) => {
                match self.learn_tools().await {
                    Ok(()) if self.mirrored(request) != mirrored => Ok(era),
                    Err(failure) if is_passing(&failure) => Err(failure),
                    Ok(()) | Err(_) => Err(refusal.into_failure()),
                }
            }
            AfterModern::Handshake if !replace(&mut tried.handshake, true) => {
                match self.new_session(None).await.map_err(Miss::into_failure) {
                    Ok(session) => Ok(Era::InSession(session)),
                    Err(failure) if is_passing(&failure) => Err(failure),
                    Err(_) => Err(refusal.into_failure()),
                }
            }
            _ => Err(refusal.into_failure()),
        }
    }

    async fn refused_legacy(
        &self,
        refusal: Refusal,
        session: Arc<Session>,
        tried: &mut Tried,
    ) -> Result<Era, Failure> {
        match after_legacy(&refusal, session.id.is_some()) {
            AfterLegacy::NewSession if !replace(&mut tried.new_session, true) => {
                let renewed = self.new_session(Some(&session)).await;
                renewed.map(Era::InSession).map_err(Miss::into_failure)
            }
            AfterLegacy::StartOver if !tried.handshake && !replace(&mut tried.start_over, true) => {
                self.era.leave(&session, Era::Unknown);
                Ok(Era::Unknown)
            }
            _ => {
                // Refused in both eras: that says nothing about which one the server speaks.
                if tried.handshake && refusal.status >= 400 {
                    self.era.leave(&session, Era::Unknown);
                }
                Err(refusal.into_failure())
            }
        }
    }

    /// A session other than `replaces`: the one that another call has made meanwhile, or a new one.
    async fn new_session(&self, replaces: Option<&Arc<Session>>) -> Result<Arc<Session>, Miss> {
        let _alone = self.era.handshake.lock().await;
        if let Era::InSession(current) = self.era.get()
            && !replaces.is_some_and(|old| Arc::ptr_eq(old, &current))
        {
            return Ok(current);
        }
        let (session, _) = self.wire.shake_hands(&self.redaction).await?;
        tracing::info!(
            server = %self.wire.server,
            version = session.version,
            has_session = session.id.is_some(),
            "the server speaks an earlier version of MCP"
        );
        let session = Arc::new(session);
        self.era.set(Era::InSession(Arc::clone(&session)));
        Ok(session)
    }

    async fn learn_tools(&self) -> Result<(), Failure> {
        let list = self
            .wire
            .list_tools(Form::Modern(&[]), &self.redaction)
            .await;
        self.remember_tools(&list.map_err(Miss::into_failure)?);
        Ok(())
    }

    pub(crate) fn remember_tools(&self, list: &ToolList) {
        let mut known = self
            .param_headers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = list.param_headers.clone();
    }

    /// The headers that mirror arguments of this call.
    fn mirrored(&self, request: &Request<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let Params::Call { name, arguments } = &request.params else {
            return Vec::new();
        };
        let known = self
            .param_headers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let headers = known
            .get(*name)
            .into_iter()
            .flat_map(|headers| headers.iter());
        headers
            .filter_map(|header| header.header(arguments))
            .collect()
    }
}

impl fmt::Debug for McpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpClient")
            .field("server", &self.inner.wire.server)
            .finish_non_exhaustive()
    }
}

/// A failure of a side request that decides the call: it passes, and then the side request may succeed. An answer
/// that is no MCP does not count: the server just does not know the request.
fn is_passing(failure: &Failure) -> bool {
    failure.code.is_retryable() && failure.code != ErrorCode::InvalidAnswer
}

pub(crate) fn too_late(limit: Duration) -> Failure {
    let message = format!("no answer within {} ms", limit.as_millis());
    Failure::new(ErrorCode::CallTimeout, message)
}
