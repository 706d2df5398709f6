//! Who a server is and which tools it has: `server/discover` of 2026-07-28, else the `initialize` handshake.

use std::time::Duration;

use mcp_core::tool::{ServerInfo, ToolInfo};
use mcp_core::{ErrorCode, Failure, text::bounded};
use serde_json::{Map, Value};

use crate::client::{Inner, McpClient, too_late};
use crate::exchange::{Answer, Form, Miss, Wire};
use crate::json_rpc::{LEGACY, MODERN, Params, Request, SESSION_HEADER};
use crate::negotiation::{AfterModern, after_modern};
use crate::redaction::Redaction;
use crate::session::Session;
use crate::tool_list::ToolList;

/// Where 2026-07-28 puts the server's name and version.
const SERVER_INFO_META_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Handshake {
    /// The protocol version that was agreed on.
    pub protocol_version: String,
    /// The server's name and version; `unknown` where it does not say.
    pub server_info: ServerInfo,
    /// Its capabilities, as it declared them.
    pub capabilities: Map<String, Value>,
    /// All its tools, from every page.
    pub tools: Vec<ToolInfo>,
}

impl McpClient {
    /// Asks the server who it is and which tools it has, in whichever era it speaks. A session made for that is ended.
    ///
    /// # Errors
    /// A failure that speaks of this server as a third party: `handshake-failed`, `handshake-timeout`,
    /// `handshake-too-large`, or a transient code that blames no server of the caller's.
    pub async fn initialize(&self, limit: Duration) -> Result<Handshake, Failure> {
        let asked = tokio::time::timeout(limit, self.inner.introduce()).await;
        self.inner
            .third_party(asked.unwrap_or_else(|_| Err(too_late(limit))))
    }
}

impl Inner {
    async fn introduce(&self) -> Result<Handshake, Failure> {
        let Some(mut handshake) = self.discover().await? else {
            return self.introduce_legacy().await;
        };
        self.era.saw_modern();
        if handshake.capabilities.contains_key("tools") {
            let list = self
                .wire
                .list_tools(Form::Modern(&[]), &self.redaction)
                .await;
            let list = list.map_err(Miss::into_failure)?;
            self.remember_tools(&list);
            handshake.tools = list.tools;
        }
        Ok(handshake)
    }

    /// `None` from a server that does not speak 2026-07-28. The request has no effects, so whatever does not rule the
    /// older versions out leaves them to be tried.
    async fn discover(&self) -> Result<Option<Handshake>, Failure> {
        let request = Request::new("server/discover", Params::None {});
        for repeated in [false, true] {
            match self
                .wire
                .ask(&request, Form::Modern(&[]), &self.redaction)
                .await
            {
                Ok(answer) => return Ok(read_discovery(answer)),
                Err(Miss::Failed(failure)) if failure.code == ErrorCode::InvalidAnswer => {
                    return Ok(None);
                }
                Err(Miss::Failed(failure)) => return Err(failure),
                Err(Miss::Refused(refusal)) => {
                    match (after_modern(&refusal, false), refusal.code()) {
                        (AfterModern::Repeat, _) if !repeated => {}
                        (
                            _,
                            ErrorCode::Unauthorized
                            | ErrorCode::Forbidden
                            | ErrorCode::RateLimited
                            | ErrorCode::TryAgain
                            | ErrorCode::ServerUnavailable,
                        ) => return Err(refusal.into_failure()),
                        (AfterModern::Final, ErrorCode::UnsupportedVersion) => {
                            return Err(refusal.into_failure());
                        }
                        _ if (300..400).contains(&refusal.status) => {
                            return Err(refusal.into_failure());
                        }
                        _ => return Ok(None),
                    }
                }
            }
        }
        Ok(None)
    }

    async fn introduce_legacy(&self) -> Result<Handshake, Failure> {
        let made = self.wire.shake_hands(&self.redaction).await;
        let (session, mut handshake) = made.map_err(Miss::into_failure)?;
        let listed = match handshake.capabilities.contains_key("tools") {
            true => {
                self.wire
                    .list_tools(Form::Legacy(Some(&session)), &self.redaction)
                    .await
            }
            false => Ok(ToolList::default()),
        };
        self.wire.end_session(&session).await;
        self.era.saw_legacy();
        handshake.tools = listed.map_err(Miss::into_failure)?.tools;
        Ok(handshake)
    }

    /// The outcome of talking to a server that is not the caller's own: codes that would count against that one are
    /// replaced.
    pub(crate) fn third_party(
        &self,
        outcome: Result<Handshake, Failure>,
    ) -> Result<Handshake, Failure> {
        outcome.map_err(|failure| {
            let mut failure = self.redaction.failure(failure);
            failure.code = third_party_code(failure.code);
            failure
        })
    }
}

fn third_party_code(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::CallTimeout => ErrorCode::HandshakeTimeout,
        ErrorCode::AnswerTooLarge => ErrorCode::HandshakeTooLarge,
        ErrorCode::ServerUnreachable
        | ErrorCode::ConnectionLost
        | ErrorCode::RateLimited
        | ErrorCode::TryAgain
        | ErrorCode::ServerError
        | ErrorCode::ServerUnavailable => ErrorCode::ToolUnavailable,
        ErrorCode::Unauthorized
        | ErrorCode::Forbidden
        | ErrorCode::EndpointNotFound
        | ErrorCode::RequestRejected
        | ErrorCode::InvalidArguments
        | ErrorCode::InvalidAnswer
        | ErrorCode::UnsupportedVersion => ErrorCode::HandshakeFailed,
        other => other,
    }
}

impl Wire {
    /// `initialize` and `notifications/initialized`. The tools are not listed yet.
    pub(crate) async fn shake_hands(
        &self,
        redaction: &Redaction,
    ) -> Result<(Session, Handshake), Miss> {
        let answer = self
            .ask(&Request::initialize(), Form::Legacy(None), redaction)
            .await?;
        let id = answer.headers.get(SESSION_HEADER).cloned().map(|mut id| {
            id.set_sensitive(true);
            id
        });
        let (version, handshake) = read_initialize(answer.result)?;
        let session = Session { version, id };
        self.notify("notifications/initialized", &session).await?;
        Ok((session, handshake))
    }
}

/// The version and what the server says of itself, from its answer to `initialize`.
pub(crate) fn read_initialize(
    result: Map<String, Value>,
) -> Result<(&'static str, Handshake), Failure> {
    let Some(theirs) = result.get("protocolVersion").and_then(Value::as_str) else {
        let message = "the answer to `initialize` has no `protocolVersion`";
        return Err(Failure::new(ErrorCode::InvalidAnswer, message));
    };
    let Some(version) = LEGACY.into_iter().find(|ours| *ours == theirs) else {
        let message = format!(
            "the server answered `initialize` with version {:?}; this client speaks {MODERN} without a handshake, and {} with one",
            bounded(theirs, 40),
            LEGACY.join(", ")
        );
        return Err(Failure::new(ErrorCode::UnsupportedVersion, message));
    };
    Ok((version, read_introduction(result, version)))
}

/// `None` unless the answer is a discovery that offers 2026-07-28: servers that answer anything to everything exist.
fn read_discovery(answer: Answer) -> Option<Handshake> {
    let versions = answer.result.get("supportedVersions")?.as_array()?;
    versions
        .iter()
        .any(|version| version == MODERN)
        .then(|| read_introduction(answer.result, MODERN))
}

fn read_introduction(mut result: Map<String, Value>, version: &str) -> Handshake {
    let info = match result.remove("serverInfo") {
        Some(info) => Some(info),
        None => result
            .get("_meta")
            .and_then(|meta| meta.get(SERVER_INFO_META_KEY))
            .cloned(),
    };
    let said = |member| {
        let text = info.as_ref()?.get(member)?.as_str()?;
        Some(bounded(text, 200))
    };
    Handshake {
        protocol_version: version.into(),
        server_info: ServerInfo {
            name: said("name").unwrap_or_else(|| "unknown".into()),
            version: said("version").unwrap_or_else(|| "unknown".into()),
        },
        capabilities: match result.remove("capabilities") {
            Some(Value::Object(capabilities)) => capabilities,
            _ => Map::new(),
        },
        tools: Vec::new(),
    }
}
