//! One call of a tool, whichever transport brought it: may it, did it run before, how long may it take, what is written
//! down about it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::HOST;
use axum::http::request::Parts;
use futures::FutureExt as _;
use mcp_core::{ErrorCode, Failure};
use mcp_runtime::trace_context;
use mcp_runtime::vars::{ConfigError, Vars, invalid};
use metrics::counter;
use rmcp::model::{CallToolResult, ContentBlock, CreateTaskResult};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::access::audit::{self, CANCELLED};
use crate::access::gate::{PeerAddress, Principal};
use crate::access::{Access, ApiKey, Scope};
use crate::caller::Caller;
use crate::idempotency::{BadKey, CallId, Idempotency, NotOnce, Once};
use crate::metric_definitions as metric;
use crate::tools::{Offered, ToolContext, Tools};

/// How long a call may take.
#[derive(Clone, Debug)]
pub(crate) struct Timeouts {
    all: Duration,
    own: BTreeMap<String, Duration>,
}

/// The variable, its default and its bounds, in milliseconds.
const TIMEOUT: &str = "MCP_TOOL_TIMEOUT_MS";
const TIMEOUT_DEFAULT: &str = "300000";
const TIMEOUT_BOUNDS: std::ops::RangeInclusive<u64> = 1..=86_400_000;
/// How much longer than a call may take one that repeats it waits for its end.
const AFTER: Duration = Duration::from_secs(5);

impl Timeouts {
    /// Reads `MCP_TOOL_TIMEOUT_MS`: milliseconds for every tool, and `tool=milliseconds` for single ones.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        // Single tools may be named without a word on the others.
        let usual = [TIMEOUT_DEFAULT.to_owned()];
        let given = vars.list_or(TIMEOUT, &[TIMEOUT_DEFAULT])?;
        let mut timeouts = Self {
            all: Duration::ZERO,
            own: BTreeMap::new(),
        };
        for entry in usual.iter().chain(&given) {
            let (tool, millis) = match entry.split_once('=') {
                Some((tool, millis)) => (Some(tool.trim()), millis),
                None => (None, entry.as_str()),
            };
            let millis = millis.trim().parse().ok();
            let Some(millis) = millis.filter(|millis| TIMEOUT_BOUNDS.contains(millis)) else {
                let (least, most) = TIMEOUT_BOUNDS.into_inner();
                let allowed = format!(
                    "milliseconds for every tool, or tool=milliseconds, comma-separated, from {least} to {most}"
                );
                return Err(invalid(TIMEOUT, entry, allowed));
            };
            let timeout = Duration::from_millis(millis);
            match tool {
                Some(tool) => {
                    timeouts.own.insert(tool.to_owned(), timeout);
                }
                None => timeouts.all = timeout,
            }
        }
        Ok(timeouts)
    }

    fn of(&self, tool: &str) -> Duration {
        self.own.get(tool).copied().unwrap_or(self.all)
    }

    /// Refuses a timeout of a tool that there is not.
    ///
    /// # Errors
    /// The first such.
    pub(crate) fn check(&self, tools: &Tools) -> Result<(), ConfigError> {
        for tool in self.own.keys() {
            if tools.get(tool).is_none() {
                let names: Vec<_> = tools.names().collect();
                let allowed = format!("tools of this server: {}", names.join(", "));
                return Err(invalid(TIMEOUT, tool, allowed));
            }
        }
        Ok(())
    }
}

/// What all calls share.
pub(crate) struct Calls {
    pub(crate) access: Access,
    pub(crate) idempotency: Idempotency,
    pub(crate) timeouts: Timeouts,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The tool says so: an error of the tool, for the model to read.
    #[error("{0}")]
    Tool(Failure),
    /// The key may not call it, or nobody knows who calls.
    #[error("the API key lacks the scope {0}")]
    Forbidden(Scope),
    /// The idempotency key is none.
    #[error("{0}")]
    BadKey(#[from] BadKey),
    /// The idempotency key stands in the way.
    #[error("{0}")]
    NotOnce(#[from] NotOnce),
}

impl CallError {
    /// Its name in the audit log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Tool(failure) => failure.code.as_str(),
            Self::Forbidden(_) => "forbidden",
            Self::BadKey(_) => "bad-idempotency-key",
            Self::NotOnce(NotOnce::OtherCall) => "idempotency-key-reused",
            Self::NotOnce(NotOnce::StoreAway) => "idempotency-store-away",
            Self::NotOnce(NotOnce::LeaseLost) => "idempotency-lease-lost",
            Self::NotOnce(NotOnce::StillUnderWay) => "still-under-way",
        }
    }
}

/// What a call ended with that is kept for its repetitions.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    /// It goes on as this task; its `resultType` tells it from a result.
    Task(Box<CreateTaskResult>),
    Result(CallToolResult),
}

/// What a call ended with that is not kept for its repetitions.
enum Unkept {
    /// No result.
    Failed(Failure),
    /// A result that says of itself that it is an error, or that is not what the caller gets: the call goes on in another
    /// request.
    Result(CallToolResult),
}

impl Calls {
    /// Calls the tool for `caller`. `parts` are those of the HTTP request, `key` is the idempotency key, `trace` the trace
    /// headers for what is called next. When this is dropped, the call is given up.
    pub(crate) async fn run(
        &self,
        offered: &Offered,
        arguments: Map<String, Value>,
        caller: Caller,
        parts: Option<&Parts>,
        key: Result<Option<String>, BadKey>,
        trace: Arc<[(String, String)]>,
    ) -> Result<CallToolResult, CallError> {
        let name = offered.tool.name();
        let api_key = self
            .api_key(parts)
            .ok_or(CallError::Forbidden(Scope::of_tool(name)))?;
        let mut written = audit::Call {
            log: self.access.audit(),
            caller: &api_key,
            peer: peer(parts),
            tool: name,
            idempotency_key: key.as_ref().ok().and_then(|key| key.as_deref()),
            replayed: false,
            trace_id: trace_context::trace_id_of(&trace),
            began: Instant::now(),
            outcome: CANCELLED,
        };
        let outcome = async {
            api_key.may_call(name).map_err(CallError::Forbidden)?;
            let key = key.clone()?;
            let limit = self.timeouts.of(name);
            let context = ToolContext {
                idempotency_key: key.clone(),
                caller: caller.clone(),
                trace: trace.clone(),
                host: host(parts),
            };
            match key {
                None => {
                    let run = guarded(offered, arguments, context, limit);
                    run.await.map_err(CallError::Tool)
                }
                // Boxed, or calls without a key would be moved with all of its size.
                Some(key) => {
                    let id = CallId::new(api_key.name(), &key, name, &arguments);
                    let call = (arguments, context);
                    let run = self.run_once(offered, id, call, limit, &mut written.replayed);
                    Box::pin(run).await
                }
            }
        }
        .await;
        written.outcome = match (&outcome, caller.suspended_as()) {
            (_, Some(how)) => how,
            (Ok(result), None) if result.is_error == Some(true) => audit::ERROR,
            (Ok(_), None) => audit::OK,
            (Err(error), None) => error.name(),
        };
        outcome
    }

    /// The call if it is the first of its key, or what that ended with.
    async fn run_once(
        &self,
        offered: &Offered,
        id: CallId,
        (arguments, context): (Map<String, Value>, ToolContext),
        limit: Duration,
        replayed: &mut bool,
    ) -> Result<CallToolResult, CallError> {
        let caller = context.caller.clone();
        let mut call = Some((arguments, context));
        loop {
            let run = async {
                let (arguments, context) = call.take().unwrap_or_default();
                let result = guarded(offered, arguments, context, limit).await;
                if let Some(task) = caller.task() {
                    return Ok(Kept::Task(task));
                }
                let result = result.map_err(Unkept::Failed)?;
                if result.is_error == Some(true) || caller.suspended_as().is_some() {
                    return Err(Unkept::Result(result));
                }
                Ok(Kept::Result(result))
            };
            match self.idempotency.once(&id, limit + AFTER, run).await? {
                Once::ReplayedWithout => {
                    *replayed = true;
                    let what = "This call has run before and succeeded; its result was too large to be kept.";
                    return Ok(CallToolResult::success(vec![ContentBlock::text(what)]));
                }
                Once::Ran(Ok(Kept::Result(result)) | Err(Unkept::Result(result))) => {
                    return Ok(result);
                }
                Once::Ran(Err(Unkept::Failed(failure))) => {
                    return Err(CallError::Tool(failure));
                }
                Once::Ran(Ok(Kept::Task(task))) => {
                    return Err(CallError::Tool(caller.go_on_as(task)));
                }
                Once::Replayed(Kept::Result(result), _) => {
                    *replayed = true;
                    return Ok(result);
                }
                Once::Replayed(Kept::Task(task), stored) => {
                    if has_failed(&caller, &task).await {
                        self.idempotency.forget(&id, &stored).await?;
                        continue;
                    }
                    *replayed = true;
                    return Err(CallError::Tool(caller.go_on_as(task)));
                }
            }
        }
    }

    /// Writes down a call that is none.
    pub(crate) fn refused(&self, parts: Option<&Parts>, tool: &str, why: &'static str) {
        let caller = self.api_key(parts);
        let audit = self.access.audit();
        audit.refused(caller.as_deref(), peer(parts), Some(tool), why);
    }

    /// Who calls: whom the gate let in. Without a gate there is no caller where keys are asked for.
    fn api_key(&self, parts: Option<&Parts>) -> Option<Arc<ApiKey>> {
        let admitted = parts.and_then(|parts| parts.extensions.get::<Principal>());
        match admitted {
            Some(admitted) => Some(admitted.key.clone()),
            None if self.access.is_open() => Some(self.access.anonymous().clone()),
            None => None,
        }
    }
}

/// Whether a task that stands for a call is to be begun anew.
async fn has_failed(caller: &Caller, task: &CreateTaskResult) -> bool {
    let Some(replica) = caller.replica() else {
        return false;
    };
    let (id, owner) = (&task.task.task_id, caller.owner());
    replica.tasks.has_failed(id, owner, &replica.relay).await
}

fn peer(parts: Option<&Parts>) -> Option<SocketAddr> {
    let PeerAddress(peer) = parts?.extensions.get::<PeerAddress>()?;
    Some(*peer)
}

fn host(parts: Option<&Parts>) -> Option<String> {
    let host = parts?.headers.get(HOST)?;
    Some(host.to_str().ok()?.to_owned())
}

/// The call with a bound in time, and an answer even if it panics: without one the request would hang for ever.
async fn guarded(
    offered: &Offered,
    arguments: Map<String, Value>,
    context: ToolContext,
    limit: Duration,
) -> Result<CallToolResult, Failure> {
    let tool = &offered.tool;
    let began = Instant::now();
    let caller = context.caller.clone();
    let call = AssertUnwindSafe(tool.call(arguments, context)).catch_unwind();
    let outcome = match tokio::time::timeout(limit, call).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            // The panic hook has logged where and why; the caller learns only that it was not its fault.
            counter!(metric::TOOL_ERRORS, "tool" => tool.name(), "code" => ErrorCode::Internal.as_str()).increment(1);
            let id = uuid::Uuid::new_v4();
            tracing::error!(tool = tool.name(), %id, "the tool panicked");
            Err(Failure::new(
                ErrorCode::Internal,
                format!("the tool failed inside; the server's log has it under {id}"),
            ))
        }
        Err(_) if caller.owes_an_answer() => Err(Failure::new(
            ErrorCode::InputRequired,
            format!(
                "the caller did not answer what the tool asked it, within the {} ms that the call may take",
                limit.as_millis()
            ),
        )),
        Err(_) => Err(Failure::new(
            ErrorCode::CallTimeout,
            format!("the tool did not end within {} ms", limit.as_millis()),
        )),
    };
    let error = outcome
        .as_ref()
        .err()
        .map_or("", |failure| failure.code.as_str());
    offered.durations(error).record(began.elapsed());
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts(value: &str) -> Result<Timeouts, String> {
        let vars = [(TIMEOUT, value)].into_iter().collect();
        Timeouts::from_vars(&vars).map_err(|error| error.to_string())
    }

    #[test]
    fn a_tool_has_its_own_time_or_that_of_all() {
        let timeouts = timeouts("5000, slow = 60000").unwrap();
        assert_eq!(timeouts.of("slow"), Duration::from_secs(60));
        assert_eq!(timeouts.of("other"), Duration::from_secs(5));
        let error = timeouts.check(&Tools::default()).unwrap_err().to_string();
        assert!(error.contains("slow"), "{error}");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for value in ["0", "x", "slow=", "slow=0", "=", "99999999999"] {
            assert!(timeouts(value).unwrap_err().starts_with(TIMEOUT), "{value}");
        }
    }
}
