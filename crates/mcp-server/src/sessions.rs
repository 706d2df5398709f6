//! The sessions of 2024-11-05: each lives exactly as long as the event stream of its client, at the replica that holds it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rmcp::model::{ProtocolVersion, RequestId};
use serde_json::json;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::access::ApiKey;
use crate::access::gate::PeerAddress;
use crate::caller::outbox::{Outbox, event_of};
use crate::relay::Receipt;
use crate::transport::{Held, Known, Reply, stopping};

/// Calls of one session under way.
const CALLS_MAX: usize = 64;

/// The sessions of this replica.
#[derive(Debug)]
pub(crate) struct Sessions {
    replica: Arc<str>,
    open: Mutex<HashMap<String, Arc<Session>>>,
    is_draining: AtomicBool,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) opener: Opener,
    known: Mutex<Known>,
    calls: Mutex<HashMap<RequestId, AbortHandle>>,
}

/// Who opened a session: all that is kept of the request, for there may be many thousands.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) key: Arc<ApiKey>,
    pub(crate) peer: Option<PeerAddress>,
}

/// Ends the session with its stream.
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) session: Arc<Session>,
    sessions: Weak<crate::replica::Replica>,
}

impl Sessions {
    pub(crate) fn new(replica: Arc<str>) -> Self {
        Self {
            replica,
            open: Mutex::default(),
            is_draining: AtomicBool::new(false),
        }
    }

    /// Opens one; `None` while the server stops.
    pub(crate) fn open(
        &self,
        opener: Opener,
        sessions: Weak<crate::replica::Replica>,
    ) -> Option<Opened> {
        if self.is_draining.load(Ordering::Acquire) {
            return None;
        }
        let id = format!("{}.{}", self.replica, Uuid::new_v4().simple());
        let session = Arc::new(Session {
            outbox: Arc::default(),
            opener,
            known: Mutex::new(Known {
                version: ProtocolVersion::V_2024_11_05,
                capabilities: json!({}),
            }),
            calls: Mutex::default(),
        });
        lock(&self.open).insert(id.clone(), Arc::clone(&session));
        Some(Opened {
            id,
            session,
            sessions,
        })
    }

    /// An open session.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Session>> {
        lock(&self.open).get(id).cloned()
    }

    /// Ends the sessions that have nothing under way now, and the others when they have not any more.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        for session in lock(&self.open).values() {
            session.close_if_idle();
        }
    }

    fn close(&self, id: &str) {
        let closed = lock(&self.open).remove(id);
        if let Some(session) = closed {
            session.outbox.close();
            for (_, call) in lock(&session.calls).drain() {
                call.abort();
            }
        }
    }
}

impl Session {
    pub(crate) fn known(&self) -> Known {
        lock(&self.known).clone()
    }

    /// What the client said in `initialize`.
    pub(crate) fn learn(&self, known: Known) {
        *lock(&self.known) = known;
    }

    /// Runs a call and puts its answer on the stream. What the call holds it holds until its answer is read.
    pub(crate) fn run(
        self: &Arc<Self>,
        id: RequestId,
        call: impl Future<Output = Reply> + Send + 'static,
        held: Held,
        sessions: Arc<crate::replica::Replica>,
    ) -> Receipt {
        let mut calls = lock(&self.calls);
        if calls.len() >= CALLS_MAX || calls.contains_key(&id) {
            return Receipt::Busy;
        }
        let session = Arc::clone(self);
        let key = id.clone();
        // It can't end before it is in the map: that is locked until then.
        let running = tokio::spawn(async move {
            let reply = tokio::select! {
                biased;
                reply = call => reply,
                () = sessions.ended.cancelled() => stopping(key.clone()),
            };
            let answer = held.until_written(event_of(&reply.body));
            drop(reply);
            let _ = session.outbox.send(answer).await;
            lock(&session.calls).remove(&key);
            if sessions.sessions.is_draining.load(Ordering::Acquire) {
                session.close_if_idle();
            }
        });
        calls.insert(id, running.abort_handle());
        Receipt::Taken
    }

    /// Ends a call that the client no longer wants; it gets no answer.
    pub(crate) fn cancel(&self, id: &RequestId) {
        let cancelled = lock(&self.calls).remove(id);
        if let Some(call) = cancelled {
            call.abort();
        }
    }

    fn close_if_idle(&self) {
        if lock(&self.calls).is_empty() {
            self.outbox.close();
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(replica) = self.sessions.upgrade() {
            replica.sessions.close(&self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
