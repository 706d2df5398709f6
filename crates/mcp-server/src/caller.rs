//! The caller of a request, as the code that serves it sees it: what it can do, and how to speak to it meanwhile.
//!
//! The same handler code serves every era. Where the protocol has requests from server to client, [`Caller::elicit`] and
//! its siblings send one on the call's own event stream and wait. In 2026-07-28 they end the call with `input_required`
//! instead, and when the client comes back with the answers, the handler runs again from its beginning and finds them. So
//! what a handler does before it asks must be safe to repeat.

#![expect(
    deprecated,
    reason = "sampling, roots and logging are deprecated since 2026-07-28; clients of the older eras have them"
)]

pub(crate) mod outbox;
pub(crate) mod pending;
mod suspension;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use mcp_core::{ErrorCode, Failure};
use rmcp::RoleServer;
use rmcp::model::{
    CallToolResult, ClientCapabilities, CreateMessageRequest, CreateMessageRequestParams,
    CreateMessageResult, CreateTaskResult, ElicitRequest, ElicitRequestParams, ElicitResult,
    InputRequest, InputRequests, InputResponses, ListRootsRequest, ListRootsResult, LoggingLevel,
    RequestMetaObject,
};
use rmcp::service::RequestContext;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::access::gate::Principal;
use crate::replica::Replica;
use crate::tasks::InTask;
use outbox::{Outbox, event};
pub(crate) use suspension::{Suspension, declares, fits, wanted};

/// How long a client may take to answer: it may have to ask a person. The call's own bound in time may be shorter.
const ANSWER_MAX: Duration = Duration::from_secs(300);

/// Where a request of 2026-07-28 says what its client can do.
pub(crate) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The caller of one request. Cheap to clone; the default one is nobody: it hears nothing and answers nothing.
#[derive(Clone, Debug, Default)]
pub struct Caller(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    replica: Option<Arc<Replica>>,
    /// Whom the gate let in, with the place of the call.
    principal: Option<Principal>,
    /// 2026-07-28: nothing is asked while the call is under way.
    is_stateless: bool,
    capabilities: Option<Value>,
    progress_token: Option<Value>,
    log_level: Option<LoggingLevel>,
    outbox: Option<Arc<Outbox>>,
    /// Answers that the request brought.
    answers: InputResponses,
    suspended: Mutex<Suspended>,
    /// Questions that were sent and are not answered.
    unanswered: AtomicU32,
    task: Option<InTask>,
}

#[derive(Debug, Default)]
struct Suspended {
    /// Those of the answers that the handler has taken.
    taken: InputResponses,
    by: Option<Suspension>,
}

/// Whether a call may also run to its end while its caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskSupport {
    /// A task if the caller knows tasks.
    Preferred,
    /// A task, or an error for a caller that does not know them.
    Required,
}

impl Caller {
    /// The caller of this request.
    pub fn of(context: &RequestContext<RoleServer>) -> Self {
        context
            .extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_default()
    }

    /// Tells how far the call is, if the caller wants to know.
    pub async fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let Some(token) = &self.0.progress_token else {
            return;
        };
        let mut params = json!({"progressToken": token, "progress": progress});
        if let Some(total) = total {
            params["total"] = total.into();
        }
        if let Some(message) = message {
            params["message"] = message.into();
        }
        self.notify("notifications/progress", params).await;
    }

    /// Tells the caller what happens, if it wants to know that much.
    pub async fn log(&self, level: LoggingLevel, data: impl Into<Value>) {
        let wanted = match self.0.log_level {
            Some(wanted) => rank(level) >= rank(wanted),
            // Since 2026-07-28 a request says which messages it wants; before, a server without sessions can't know.
            None => !self.0.is_stateless && rank(level) >= rank(LoggingLevel::Info),
        };
        if wanted {
            let params = json!({"level": level, "data": data.into()});
            self.notify("notifications/message", params).await;
        }
    }

    /// Asks the person at the caller. `key` names the question within the call.
    ///
    /// # Errors
    /// `InputRequired`: nobody answers, or not in this request. To be passed on with `?`.
    pub async fn elicit(
        &self,
        key: &str,
        params: ElicitRequestParams,
    ) -> Result<ElicitResult, Failure> {
        let request = InputRequest::Elicitation(ElicitRequest::new(params));
        self.ask_one(key, request).await
    }

    /// Asks the caller's model.
    ///
    /// # Errors
    /// As [`Caller::elicit`].
    pub async fn sample(
        &self,
        key: &str,
        params: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, Failure> {
        let request = InputRequest::CreateMessage(CreateMessageRequest::new(params));
        self.ask_one(key, request).await
    }

    /// Asks for the caller's roots.
    ///
    /// # Errors
    /// As [`Caller::elicit`].
    pub async fn roots(&self, key: &str) -> Result<ListRootsResult, Failure> {
        let request = InputRequest::ListRoots(ListRootsRequest {
            method: Default::default(),
            extensions: Default::default(),
        });
        self.ask_one(key, request).await
    }

    /// Asks several questions at once. The answers have the shape that each question's result has.
    ///
    /// # Errors
    /// As [`Caller::elicit`].
    pub async fn ask(&self, requests: InputRequests) -> Result<InputResponses, Failure> {
        if let Some(task) = &self.0.task {
            return task.ask(requests).await;
        }
        if self.0.is_stateless {
            return self.take(requests);
        }
        let asked = requests.into_iter().map(async |(key, request)| {
            let answer = self.ask_now(&request).await?;
            Ok::<_, Failure>((key, answer))
        });
        try_join_all(asked).await.map(InputResponses::from_iter)
    }

    /// Whether the caller has said that it takes such requests; unknown in the eras where it says so only once, to
    /// whichever replica it meets first.
    pub fn can_answer(&self, request: &InputRequest) -> Option<bool> {
        let capabilities = self.0.capabilities.as_ref()?;
        Some(declares(capabilities, wanted(request).0))
    }

    /// Goes on as a task: the caller is told its id at once and looks for the result later, at any replica. Where tasks
    /// are only preferred and the caller does not know them, the work is done while it waits.
    ///
    /// # Errors
    /// `InputRequired` in place of a result that comes later, to be passed on with `?`; or what the work ends with.
    pub async fn run_as_task<F, R>(
        &self,
        support: TaskSupport,
        work: F,
    ) -> Result<CallToolResult, Failure>
    where
        F: FnOnce(Self) -> R + Send,
        R: Future<Output = Result<CallToolResult, Failure>> + Send + 'static,
    {
        let replica = self.0.replica.as_ref().filter(|_| self.knows_tasks());
        match (replica, support) {
            (Some(replica), _) => {
                let begin = |task| -> BoxFuture<'static, _> {
                    let inner = Inner {
                        is_stateless: true,
                        capabilities: self.0.capabilities.clone(),
                        task: Some(task),
                        ..Inner::default()
                    };
                    Box::pin(work(Self(Arc::new(inner))))
                };
                let principal = self.0.principal.clone();
                let created = replica.tasks.begin(principal, begin).await?;
                self.suspend(Suspension::Task(Box::new(created)));
                Err(suspended())
            }
            (None, TaskSupport::Preferred) => work(self.clone()).await,
            (None, TaskSupport::Required) => {
                let capabilities = ClientCapabilities::builder().enable_tasks().build();
                self.suspend(Suspension::Missing(Box::new(capabilities)));
                Err(suspended())
            }
        }
    }

    /// The replica that serves the request.
    pub(crate) fn replica(&self) -> Option<&Arc<Replica>> {
        self.0.replica.as_ref()
    }

    /// Whose tasks it sees: the name of its key.
    pub(crate) fn owner(&self) -> &str {
        owner(self.0.principal.as_ref())
    }

    /// The task that the call goes on as, if it does.
    pub(crate) fn task(&self) -> Option<Box<CreateTaskResult>> {
        match &self.lock().by {
            Some(Suspension::Task(task)) => Some(task.clone()),
            _ => None,
        }
    }

    /// Goes on as a task that was begun before: what the call ends with in place of a result.
    pub(crate) fn go_on_as(&self, task: Box<CreateTaskResult>) -> Failure {
        if !self.knows_tasks() {
            return unanswered("the call goes on as a task, and the caller knows no tasks");
        }
        self.suspend(Suspension::Task(task));
        suspended()
    }

    /// Whether it was asked something that it has not answered.
    pub(crate) fn owes_an_answer(&self) -> bool {
        self.0.unanswered.load(Ordering::Relaxed) > 0
    }

    fn knows_tasks(&self) -> bool {
        let extension = |capabilities: &Value| {
            let extensions = capabilities.get("extensions")?;
            extensions.get(rmcp::model::TASKS_EXTENSION_ID).cloned()
        };
        self.0.is_stateless && self.0.capabilities.as_ref().and_then(extension).is_some()
    }

    async fn ask_one<T: DeserializeOwned>(
        &self,
        key: &str,
        request: InputRequest,
    ) -> Result<T, Failure> {
        let mut answers = self
            .ask(InputRequests::from_iter([(key.to_owned(), request)]))
            .await?;
        let answer = answers.remove(key).unwrap_or_default();
        serde_json::from_value(answer)
            .map_err(|_| unanswered("the caller's answer does not fit the question"))
    }

    /// The answers that the request brought, or the end of the call with the questions that are left.
    fn take(&self, requests: InputRequests) -> Result<InputResponses, Failure> {
        let mut found = InputResponses::new();
        let mut left = InputRequests::new();
        for (key, request) in requests {
            match self.0.answers.get(&key) {
                Some(answer) if fits(&request, answer) => {
                    found.insert(key, answer.clone());
                }
                _ => {
                    left.insert(key, request);
                }
            }
        }
        self.lock().taken.extend(found.clone());
        if left.is_empty() {
            return Ok(found);
        }
        let refused = left
            .values()
            .find(|request| self.can_answer(request) != Some(true));
        let suspension = match refused {
            Some(request) => Suspension::Missing(Box::new(wanted(request).1)),
            None => Suspension::Input(left),
        };
        self.suspend(suspension);
        Err(suspended())
    }

    /// Sends the request on the call's stream and waits for its answer, which comes with another request, to any replica.
    async fn ask_now(&self, request: &InputRequest) -> Result<Value, Failure> {
        let (Some(replica), Some(outbox)) = (&self.0.replica, &self.0.outbox) else {
            return Err(unanswered(
                "the caller takes no event stream, so it can't be asked anything",
            ));
        };
        if self.can_answer(request) == Some(false) {
            let what = wanted(request).0;
            return Err(unanswered(format!("the caller does not offer {what}")));
        }
        let mut question = replica.pending.ask();
        let mut message = serde_json::to_value(request).unwrap_or_default();
        message["jsonrpc"] = "2.0".into();
        message["id"] = question.id().into();
        let gone = || unanswered("the caller went away");
        outbox.send(event(&message)).await.map_err(|_| gone())?;
        // A call that is given up meanwhile leaves it as it is, so that it can be told why.
        self.0.unanswered.fetch_add(1, Ordering::Relaxed);
        let answered = tokio::select! {
            answered = timeout(ANSWER_MAX, question.answer()) => answered,
            () = outbox.closed() => Ok(None),
        };
        self.0.unanswered.fetch_sub(1, Ordering::Relaxed);
        match answered {
            Ok(Some(Ok(answer))) => Ok(answer),
            Ok(Some(Err(error))) => {
                let message = mcp_core::text::bounded(&error.message, 500);
                Err(unanswered(format!("the caller refuses: {message}")))
            }
            Ok(None) => Err(gone()),
            Err(_) => Err(unanswered("the caller did not answer in time")),
        }
    }

    async fn notify(&self, method: &str, params: Value) {
        if let Some(outbox) = &self.0.outbox {
            let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
            // A caller that is gone needs no news; its call ends by other means.
            let _ = outbox.send(event(&message)).await;
        }
    }

    fn suspend(&self, suspension: Suspension) {
        let mut suspended = self.lock();
        match (&mut suspended.by, suspension) {
            (Some(Suspension::Input(asked)), Suspension::Input(more)) => asked.extend(more),
            (by, suspension) => *by = Some(suspension),
        }
    }

    /// How the call goes on, if its handler has left it without a result: for the log of calls.
    pub(crate) fn suspended_as(&self) -> Option<&'static str> {
        self.lock().by.as_ref().map(Suspension::name)
    }

    /// Why the call ended without a result, with the answers that it had taken by then.
    pub(crate) fn suspension(&self) -> Option<(Suspension, InputResponses)> {
        let mut suspended = self.lock();
        let by = suspended.by.take()?;
        Some((by, std::mem::take(&mut suspended.taken)))
    }

    fn lock(&self) -> MutexGuard<'_, Suspended> {
        self.0
            .suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that a request says of its caller.
pub(crate) struct NewCaller<'a> {
    pub(crate) replica: &'a Arc<Replica>,
    pub(crate) principal: Option<Principal>,
    pub(crate) is_stateless: bool,
    pub(crate) meta: &'a RequestMetaObject,
    /// What is known from before the request.
    pub(crate) capabilities: Option<Value>,
    pub(crate) outbox: Option<Arc<Outbox>>,
    pub(crate) answers: InputResponses,
}

impl From<NewCaller<'_>> for Caller {
    fn from(new: NewCaller<'_>) -> Self {
        let meta = &new.meta.0.0;
        let own = meta.get(CAPABILITIES);
        Self(Arc::new(Inner {
            replica: Some(Arc::clone(new.replica)),
            principal: new.principal,
            is_stateless: new.is_stateless,
            capabilities: own.cloned().or(new.capabilities),
            progress_token: meta.get("progressToken").cloned(),
            log_level: new.meta.log_level(),
            outbox: new.outbox,
            answers: new.answers,
            suspended: Mutex::default(),
            unanswered: AtomicU32::new(0),
            task: None,
        }))
    }
}

/// Whose the tasks of such a caller are. No key has the name of who passed no gate.
pub(crate) fn owner(principal: Option<&Principal>) -> &str {
    principal.map_or("", |principal| principal.key.name())
}

pub(crate) fn encode(message: &impl Serialize) -> Vec<u8> {
    // Most messages fit.
    let mut text = Vec::with_capacity(512);
    // Fails only for types with maps whose keys are no strings; a message has none.
    let _ = serde_json::to_writer(&mut text, message);
    text
}

fn unanswered(what: impl Into<Cow<'static, str>>) -> Failure {
    Failure::new(ErrorCode::InputRequired, what.into())
}

/// What a handler sees of a suspension; the transport answers the caller.
fn suspended() -> Failure {
    unanswered("the call goes on in another request")
}

fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
