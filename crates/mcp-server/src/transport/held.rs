//! What a request holds of the server's bounds: from its message until the last byte of its answer is written.

use std::sync::Arc;

use axum::body::Bytes;

use super::Service;
use crate::access::ApiKey;
use crate::access::gate::{Place, Refusal};
use crate::access::load::Room;

/// A place, if the request needs one, and room. Both are free again when this is dropped.
pub(crate) struct Held {
    place: Option<Arc<Place>>,
    room: Room,
}

impl Held {
    pub(super) fn new(place: Option<Arc<Place>>, room: Room) -> Self {
        Self { place, room }
    }

    /// For what has no body that was read here.
    ///
    /// # Errors
    /// This replica, or the key, has all it can do.
    pub(super) fn take(
        service: &Service,
        key: &Arc<ApiKey>,
        bytes: usize,
    ) -> Result<Self, Refusal> {
        let place = service.access.place(key)?;
        let mut room = Room::none(service.access.clone());
        match room.grow(bytes) {
            true => Ok(Self::new(Some(place), room)),
            false => Err(Refusal::Overloaded),
        }
    }

    pub(super) fn place(&self) -> Option<&Arc<Place>> {
        self.place.as_ref()
    }

    /// The answer, which takes the room of its request: whoever writes it to the caller drops it when that is done, and
    /// not before it is read.
    pub(crate) fn until_written(mut self, text: Vec<u8>) -> Bytes {
        self.room.become_bytes(text.capacity());
        Bytes::from_owner(Answer { text, _held: self })
    }
}

struct Answer {
    text: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}
