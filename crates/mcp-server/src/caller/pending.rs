//! Requests of this replica to callers, waiting for their answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::ErrorData;
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

/// What a caller answered.
pub(crate) type Outcome = Result<Value, ErrorData>;

/// The requests under way, by their ids. An id says which replica waits, and nobody can guess it: it is all that an
/// answer needs to find its way, and only who was asked knows it.
#[derive(Debug)]
pub(crate) struct Pending {
    replica: Arc<str>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
}

impl Pending {
    pub(crate) fn new(replica: Arc<str>) -> Self {
        Self {
            replica,
            waiting: Mutex::default(),
        }
    }

    /// Begins to wait.
    pub(crate) fn ask(&self) -> Question<'_> {
        let id = format!("{}.{}", self.replica, Uuid::new_v4().simple());
        let (answer, answered) = oneshot::channel();
        self.lock().insert(id.clone(), answer);
        Question {
            pending: self,
            id,
            answered,
        }
    }

    /// Hands an answer to who waits for it; false when nobody does.
    pub(crate) fn answer(&self, id: &str, outcome: Outcome) -> bool {
        let waiting = self.lock().remove(id);
        waiting.is_some_and(|waiting| waiting.send(outcome).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Outcome>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request under way; dropping it gives up waiting.
pub(crate) struct Question<'a> {
    pending: &'a Pending,
    id: String,
    answered: oneshot::Receiver<Outcome>,
}

impl Question<'_> {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) async fn answer(&mut self) -> Option<Outcome> {
        (&mut self.answered).await.ok()
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.pending.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_finds_its_question_once() {
        let pending = Pending::new("r".into());
        let mut question = pending.ask();
        assert!(question.id().starts_with("r."));
        assert!(!pending.answer("r.0", Ok(Value::Null)));
        assert!(pending.answer(question.id(), Ok(Value::from(7))));
        assert!(!pending.answer(question.id(), Ok(Value::from(8))));
        assert_eq!(question.answer().await.unwrap().unwrap(), 7);
    }

    #[test]
    fn what_is_no_longer_waited_for_is_forgotten() {
        let pending = Pending::new("r".into());
        drop(pending.ask());
        assert!(pending.lock().is_empty());
    }
}
