//! Requests under way that their client may give up. In the eras of 2025 it says so with `notifications/cancelled`, a POST
//! of its own at any replica, and names the request by the id that it gave it.
//!
//! Every client counts its ids from 0, so an id says little. A [`Tag`] is the id with all that is known of who sent it; two
//! clients can have the same all the same, and to end the call of another is worse than to let one run. So a request is
//! cancelled only if, of all replicas, exactly one has that tag.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderValue;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use rmcp::model::RequestId;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::access::ApiKey;
use crate::access::gate::{PeerAddress, Principal};
use crate::replica::Replica;

/// What a proxy says of who is behind it. Nothing is let in for it: it only tells callers apart.
const FORWARDED: &str = "x-forwarded-for";

/// Who sent a request, as far as its headers and its connection tell.
pub(crate) struct Sender {
    pub(crate) key: Option<Arc<ApiKey>>,
    pub(crate) peer: Option<PeerAddress>,
    forwarded: Option<HeaderValue>,
    agent: Option<HeaderValue>,
}

impl Sender {
    pub(crate) fn of(parts: &Parts) -> Self {
        let caller: Option<&Principal> = parts.extensions.get();
        Self {
            key: caller.map(|caller| Arc::clone(&caller.key)),
            peer: parts.extensions.get().copied(),
            forwarded: parts.headers.get(FORWARDED).cloned(),
            agent: parts.headers.get(USER_AGENT).cloned(),
        }
    }

    /// Its request of that id.
    pub(crate) fn tag(&self, id: &RequestId) -> Tag {
        let text = |header: &HeaderValue| String::from_utf8_lossy(header.as_bytes()).into_owned();
        Tag {
            key: self.key.as_ref().map_or("", |key| key.name()).to_owned(),
            peer: self.peer.map(|PeerAddress(peer)| peer.ip()),
            forwarded: self.forwarded.as_ref().map(text),
            agent: self.agent.as_ref().map(text),
            id: id.clone(),
        }
    }
}

/// A request as its client names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Tag {
    key: String,
    peer: Option<IpAddr>,
    forwarded: Option<String>,
    #[serde(default)]
    agent: Option<String>,
    id: RequestId,
}

/// The requests under way here.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<Tag, Vec<Arc<Notify>>>>);

impl Running {
    /// How many have that tag.
    pub(crate) fn count(&self, tag: &Tag) -> usize {
        self.lock().get(tag).map_or(0, Vec::len)
    }

    /// Ends the one of that tag; false if there is none, or more than one.
    pub(crate) fn cancel(&self, tag: &Tag) -> bool {
        match self.lock().get(tag).map(Vec::as_slice) {
            Some([only]) => {
                only.notify_one();
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tag, Vec<Arc<Notify>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is on the list until this is dropped.
pub(crate) struct Listed {
    replica: Arc<Replica>,
    tag: Tag,
    cancelled: Arc<Notify>,
}

impl Listed {
    pub(crate) fn new(replica: &Arc<Replica>, tag: Tag) -> Self {
        let cancelled = Arc::new(Notify::new());
        let mut running = replica.running.lock();
        let of_tag = running.entry(tag.clone()).or_default();
        of_tag.push(Arc::clone(&cancelled));
        drop(running);
        Self {
            replica: Arc::clone(replica),
            tag,
            cancelled,
        }
    }

    /// Waits until its client gives it up.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut running = self.replica.running.lock();
        if let Some(of_tag) = running.get_mut(&self.tag) {
            of_tag.retain(|other| !Arc::ptr_eq(other, &self.cancelled));
            if of_tag.is_empty() {
                running.remove(&self.tag);
            }
        }
    }
}
