//! Tasks: calls that go on after their caller has been told their id. Their state lies in a store that every replica
//! reads; what a client says to one finds its way to the replica that runs it. A task is its key's: to who has another
//! key there is no such task. It holds the place of its call until it ends, and a server that stops waits for it as for
//! a call.

mod board;
mod store;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use mcp_core::clock::rfc3339;
use mcp_core::{Clock, ErrorCode, Failure};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolResult, CreateTaskResult, DetailedTask, InputRequests, InputResponses, Task,
    TaskPayload, TaskStatus,
};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::access::gate::Principal;
use crate::caller::owner;
use crate::handler::error_result;
use crate::relay::{self, Errand, Receipt, Relay};
use board::Board;
pub(crate) use store::TaskStore;

/// How long a task and its result can be looked at, from its beginning.
const TTL: Duration = Duration::from_secs(3600);
/// How long a task may take.
const TASK_MAX: Duration = Duration::from_secs(1800);
/// How often a client should look.
const POLL: Duration = Duration::from_millis(500);
/// Tasks under way in one replica.
const RUNNING_MAX: usize = 1024;

/// The tasks of this replica, and the way to all others.
#[derive(Debug)]
pub(crate) struct Tasks {
    replica: Arc<str>,
    store: Arc<TaskStore>,
    running: Running,
}

/// A task under way: its state, and how to end its work once that has begun.
type UnderWay = (Arc<Board>, Option<AbortHandle>);

/// Those under way here, and who is told when one ends.
#[derive(Clone, Debug, Default)]
struct Running {
    tasks: Arc<Mutex<HashMap<String, UnderWay>>>,
    ended: Arc<Notify>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, UnderWay>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task, from within.
#[derive(Clone, Debug)]
pub(crate) struct InTask(Arc<Board>);

impl InTask {
    /// Asks whoever looks at the task, and waits for the answers.
    pub(crate) async fn ask(&self, requests: InputRequests) -> Result<InputResponses, Failure> {
        self.0.ask(requests).await
    }
}

/// Takes the task off the list, however its work ends.
struct Listed {
    running: Running,
    id: String,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
        self.running.ended.notify_waiters();
    }
}

impl Tasks {
    pub(crate) fn new(replica: Arc<str>, store: TaskStore) -> Self {
        Self {
            replica,
            store: Arc::new(store),
            running: Running::default(),
        }
    }

    /// Begins a task of that caller, who can look at it at once, at any replica.
    ///
    /// # Errors
    /// `ToolUnavailable`: too many run, or the store can't be written.
    pub(crate) async fn begin(
        &self,
        principal: Option<Principal>,
        work: impl FnOnce(InTask) -> BoxFuture<'static, Result<CallToolResult, Failure>> + Send,
    ) -> Result<CreateTaskResult, Failure> {
        let id = format!("{}.{}", self.replica, Uuid::new_v4().simple());
        let now = rfc3339(Clock::System.now());
        let mut task = Task::new(id.clone(), TaskStatus::Working, now.clone(), now);
        task.ttl_ms = u64::try_from(TTL.as_millis()).ok();
        task.poll_interval_ms = u64::try_from(POLL.as_millis()).ok();
        let first = DetailedTask::new(task.clone(), TaskPayload::Working);
        let owner = owner(principal.as_ref());
        let board = Arc::new(Board::new(owner, first, Arc::clone(&self.store)));
        {
            let mut running = self.running.lock();
            if running.len() >= RUNNING_MAX {
                return Err(unavailable("too many tasks run: try again later"));
            }
            running.insert(id.clone(), (Arc::clone(&board), None));
        }
        let listed = Listed {
            running: self.running.clone(),
            id: id.clone(),
        };
        board
            .publish()
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let work = work(InTask(Arc::clone(&board)));
        let running = tokio::spawn(async move {
            let _held = (listed, principal);
            let work = timeout(TASK_MAX, AssertUnwindSafe(work).catch_unwind());
            let payload = match work.await {
                Ok(Ok(result)) => payload(result),
                Ok(Err(_)) => failed(&ErrorData::internal_error("the task failed inside", None)),
                Err(_) => failed(&ErrorData::internal_error("the task took too long", None)),
            };
            board.finish(payload).await;
        });
        if let Some(entry) = self.running.lock().get_mut(&id) {
            entry.1 = Some(running.abort_handle());
        }
        Ok(CreateTaskResult::new(task))
    }

    /// The task as it is now, if it is that owner's.
    ///
    /// # Errors
    /// `-32602` for an unknown task, `-32603` when the store can't be read.
    pub(crate) async fn get(
        &self,
        id: &str,
        owner: &str,
        relay: &Relay,
    ) -> Result<DetailedTask, ErrorData> {
        let mut task = self.stored(id, owner).await?;
        let is_elsewhere = relay::owner(id) != Some(&*self.replica);
        if is_elsewhere && !task.status().is_terminal() {
            let runs_at = relay::owner(id).unwrap_or_default();
            if relay.is_there(runs_at).await == Some(false) {
                let error =
                    ErrorData::internal_error("the replica that ran the task is gone", None);
                // It may have ended in the meantime: what is stored last is true.
                task = self.stored(id, owner).await?;
                if !task.status().is_terminal() {
                    task = DetailedTask::new(task.task, failed(&error));
                }
            }
        }
        Ok(task)
    }

    /// Whether it has ended without success: what was called is to be tried again.
    pub(crate) async fn has_failed(&self, id: &str, owner: &str, relay: &Relay) -> bool {
        match self.get(id, owner, relay).await.map(|task| task.payload) {
            Ok(TaskPayload::Failed { .. } | TaskPayload::Cancelled) => true,
            Ok(TaskPayload::Completed { result }) => result.get("isError") == Some(&true.into()),
            // It was forgotten when its time was over, and its id leads nowhere any more.
            Err(error) if error.code == rmcp::model::ErrorCode::INVALID_PARAMS => true,
            // It has not ended; or the store can't say how it did, and it is not to run twice.
            Ok(_) | Err(_) => false,
        }
    }

    /// Brings answers to a task.
    ///
    /// # Errors
    /// As [`Tasks::get`]; `-32603` when its replica can't be reached.
    pub(crate) async fn update(
        &self,
        id: &str,
        owner: &str,
        answers: InputResponses,
        relay: &Relay,
    ) -> Result<(), ErrorData> {
        let task = self.stored(id, owner).await?;
        if task.status().is_terminal() || self.answer(id, answers.clone()).await {
            return Ok(());
        }
        let task = id.to_owned();
        self.arrived(relay, Errand::Update { task, answers }).await
    }

    /// Ends a task.
    ///
    /// # Errors
    /// As [`Tasks::update`].
    pub(crate) async fn cancel(
        &self,
        id: &str,
        owner: &str,
        relay: &Relay,
    ) -> Result<(), ErrorData> {
        let task = self.stored(id, owner).await?;
        if task.status().is_terminal() || self.stop(id).await {
            return Ok(());
        }
        let task = id.to_owned();
        self.arrived(relay, Errand::Cancel { task }).await
    }

    /// Hands answers to a task that runs here; false when it does not.
    pub(crate) async fn answer(&self, id: &str, answers: InputResponses) -> bool {
        let board = self
            .running
            .lock()
            .get(id)
            .map(|(board, _)| Arc::clone(board));
        match board {
            Some(board) => {
                board.answer(answers).await;
                true
            }
            None => false,
        }
    }

    /// Ends a task that runs here; false when none does.
    pub(crate) async fn stop(&self, id: &str) -> bool {
        let running = self.running.lock().get(id).cloned();
        let Some((board, abort)) = running else {
            return false;
        };
        board.finish(TaskPayload::Cancelled).await;
        if let Some(abort) = abort {
            abort.abort();
        }
        true
    }

    /// Waits until none runs here.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.running.ended.notified();
            if self.running.lock().is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Ends those that run here: the server stops, and another replica is asked about them.
    pub(crate) async fn give_up(&self) {
        let running: Vec<_> = self.running.lock().values().cloned().collect();
        let ends = running.into_iter().map(async |(board, abort)| {
            let error = ErrorData::internal_error("the server stopped: the task was ended", None);
            board.finish(failed(&error)).await;
            if let Some(abort) = abort {
                abort.abort();
            }
        });
        join_all(ends).await;
    }

    async fn stored(&self, id: &str, owner: &str) -> Result<DetailedTask, ErrorData> {
        let unreadable = |error| {
            tracing::warn!(%error, "a task can't be looked up");
            ErrorData::internal_error("the tasks can't be read now", None)
        };
        let found = self.store.get(id).await.map_err(unreadable)?;
        found
            .filter(|found| *found.owner == *owner)
            .map(|found| found.task)
            .ok_or_else(|| ErrorData::invalid_params("there is no such task", None))
    }

    async fn arrived(&self, relay: &Relay, errand: Errand) -> Result<(), ErrorData> {
        match relay.send(&self.replica, errand).await {
            // A replica that is gone has ended its tasks, which is what a look at them will say.
            Receipt::Taken | Receipt::Unknown => Ok(()),
            Receipt::Busy | Receipt::Unreachable => {
                let what = "the replica that runs the task can't be reached now";
                Err(ErrorData::internal_error(what, None))
            }
        }
    }
}

fn payload(result: Result<CallToolResult, Failure>) -> TaskPayload {
    let result = match result {
        Ok(result) => result,
        Err(failure) if failure.code == ErrorCode::Internal => {
            return failed(&ErrorData::internal_error(failure.message, None));
        }
        Err(failure) => error_result(&failure),
    };
    match serde_json::to_value(result) {
        Ok(serde_json::Value::Object(result)) => TaskPayload::Completed { result },
        _ => failed(&ErrorData::internal_error(
            "the result can't be written",
            None,
        )),
    }
}

fn failed(error: &ErrorData) -> TaskPayload {
    let error = serde_json::to_value(error).unwrap_or_default();
    let error = error.as_object().cloned().unwrap_or_default();
    TaskPayload::Failed { error }
}

fn unavailable(what: impl AsRef<str>) -> Failure {
    Failure::new(ErrorCode::ToolUnavailable, what)
}
