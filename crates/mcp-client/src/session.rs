//! What a client remembers of its server: the era, and the session of servers that have them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue};

use crate::json_rpc::{SESSION_HEADER, VERSION_HEADER};

/// The outcome of an `initialize` handshake.
#[derive(Debug)]
pub(crate) struct Session {
    /// The version that was agreed on.
    pub(crate) version: &'static str,
    /// The session id, from servers that keep sessions.
    pub(crate) id: Option<HeaderValue>,
}

impl Session {
    /// The headers of every request after the handshake.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        headers.insert(VERSION_HEADER, HeaderValue::from_static(self.version));
        if let Some(id) = &self.id {
            headers.insert(SESSION_HEADER, id.clone());
        }
    }
}

/// Which era a server speaks.
#[derive(Clone, Debug, Default)]
pub(crate) enum Era {
    /// Not known yet, or no longer.
    #[default]
    Unknown,
    /// 2026-07-28: no handshake, no session.
    Modern,
    /// 2025-11-25 and before, with no handshake made or the session ended.
    Legacy,
    /// 2025-11-25 and before, after the handshake.
    InSession(Arc<Session>),
}

/// The remembered era, shared by all calls of a client.
#[derive(Debug, Default)]
pub(crate) struct EraMemory {
    era: Mutex<Era>,
    /// Held during a handshake, so that many calls that need one make one.
    pub(crate) handshake: tokio::sync::Mutex<()>,
}

impl EraMemory {
    pub(crate) fn get(&self) -> Era {
        self.lock().clone()
    }

    pub(crate) fn set(&self, era: Era) {
        *self.lock() = era;
    }

    /// A modern request was answered. That says nothing against a session that another call has just made: the
    /// remembered one stays until it fails.
    pub(crate) fn saw_modern(&self) {
        let mut era = self.lock();
        if matches!(*era, Era::Unknown) {
            *era = Era::Modern;
        }
    }

    /// A handshake of the versions before was made, for a session that is not to be used further.
    pub(crate) fn saw_legacy(&self) {
        let mut era = self.lock();
        if !matches!(*era, Era::InSession(_)) {
            *era = Era::Legacy;
        }
    }

    /// Puts `next` in the place of `session`, unless another session has taken it.
    pub(crate) fn leave(&self, session: &Arc<Session>, next: Era) {
        let mut era = self.lock();
        if matches!(&*era, Era::InSession(current) if Arc::ptr_eq(current, session)) {
            *era = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Era> {
        self.era.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
