//! One task's state: changed in one place, and stored before the next change.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::clock::rfc3339;
use mcp_core::{Clock, Failure};
use rmcp::model::{DetailedTask, InputRequests, InputResponses, TaskPayload};
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;

use super::store::{Owned, StoreError, TaskStore};
use crate::caller::fits;

/// How often a state that can't be stored is tried again, at this distance.
const STORE_TRIES: u32 = 20;
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// The state of a task that runs here.
#[derive(Debug)]
pub(super) struct Board {
    store: Arc<TaskStore>,
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Debug)]
struct State {
    owned: Owned,
    answers: InputResponses,
}

impl Board {
    pub(super) fn new(owner: &str, task: DetailedTask, store: Arc<TaskStore>) -> Self {
        let owner = owner.into();
        Self {
            store,
            state: Mutex::new(State {
                owned: Owned { owner, task },
                answers: InputResponses::new(),
            }),
            answered: Notify::new(),
        }
    }

    /// Stores the first state.
    pub(super) async fn publish(&self) -> Result<(), StoreError> {
        self.store.put(&self.state.lock().await.owned).await
    }

    /// Asks, and waits for all answers.
    pub(super) async fn ask(&self, requests: InputRequests) -> Result<InputResponses, Failure> {
        let keys: Vec<String> = requests.keys().cloned().collect();
        {
            let mut state = self.state.lock().await;
            let mut asked = requests;
            if let TaskPayload::InputRequired { input_requests } = &state.owned.task.payload {
                asked.extend(input_requests.clone());
            }
            let payload = TaskPayload::InputRequired {
                input_requests: asked,
            };
            self.change(&mut state, payload).await;
        }
        loop {
            let answered = self.answered.notified();
            {
                let mut state = self.state.lock().await;
                if keys.iter().all(|key| state.answers.contains_key(key)) {
                    let taken = keys
                        .iter()
                        .filter_map(|key| state.answers.remove_entry(key));
                    return Ok(taken.collect());
                }
            }
            answered.await;
        }
    }

    /// Takes answers to what is asked; others are ignored.
    pub(super) async fn answer(&self, answers: InputResponses) {
        let mut state = self.state.lock().await;
        let TaskPayload::InputRequired { input_requests } = &state.owned.task.payload else {
            return;
        };
        let mut left = input_requests.clone();
        let fitting = answers
            .into_iter()
            .filter(|(key, answer)| left.get(key).is_some_and(|request| fits(request, answer)));
        let fitting: InputResponses = fitting.collect();
        left.retain(|key, _| !fitting.contains_key(key));
        state.answers.extend(fitting);
        let payload = if left.is_empty() {
            TaskPayload::Working
        } else {
            TaskPayload::InputRequired {
                input_requests: left,
            }
        };
        self.change(&mut state, payload).await;
        drop(state);
        self.answered.notify_waiters();
    }

    /// The end; only the first one counts.
    pub(super) async fn finish(&self, payload: TaskPayload) {
        let mut state = self.state.lock().await;
        if !state.owned.task.status().is_terminal() {
            self.change(&mut state, payload).await;
        }
    }

    async fn change(&self, state: &mut State, payload: TaskPayload) {
        let mut task = state.owned.task.task.clone();
        task.last_updated_at = rfc3339(Clock::System.now());
        state.owned.task = DetailedTask::new(task, payload);
        for attempt in 1..=STORE_TRIES {
            match self.store.put(&state.owned).await {
                Ok(()) => return,
                Err(error) if attempt == STORE_TRIES => {
                    tracing::error!(%error, "a task's state is lost to the other replicas");
                }
                Err(_) => sleep(STORE_PAUSE).await,
            }
        }
    }
}
