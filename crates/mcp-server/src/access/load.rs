//! What is under way and open in this process, and where it stops taking more: before memory grows, not after.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Gauge, gauge};

use super::settings::AccessConfig;
use super::{Access, ApiKey};
use crate::metric_definitions as metric;

/// Requests under way, the bytes that they and their answers take, and event streams.
pub(crate) struct Load {
    requests: AtomicUsize,
    requests_max: usize,
    bytes: AtomicUsize,
    bytes_max: usize,
    streams: AtomicUsize,
    streams_max: usize,
    open_streams: Gauge,
}

impl Load {
    pub(super) fn new(config: &AccessConfig) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            requests_max: config.max_in_flight,
            bytes: AtomicUsize::new(0),
            bytes_max: config.max_body_bytes_in_flight,
            streams: AtomicUsize::new(0),
            streams_max: config.max_streams,
            open_streams: gauge!(metric::STREAMS),
        }
    }

    /// Takes a place for a request. Every one that was taken is to be [left](Self::leave).
    pub(super) fn enter(&self) -> bool {
        take(&self.requests, 1, self.requests_max)
    }

    pub(super) fn leave(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes the right to an event stream. Every one that was taken is to be [left](Self::leave_stream).
    pub(super) fn enter_stream(&self) -> bool {
        let fits = take(&self.streams, 1, self.streams_max);
        if fits {
            self.open_streams.increment(1.0);
        }
        fits
    }

    pub(super) fn leave_stream(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
        self.open_streams.decrement(1.0);
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Room for a request, and then for its answer, until that is written.
pub(crate) struct Room {
    access: Access,
    bytes: usize,
}

impl Room {
    /// No room yet.
    pub(crate) fn none(access: Access) -> Self {
        Self { access, bytes: 0 }
    }

    /// Room for so many bytes more, if there is.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let load = self.access.load();
        let fits = take(&load.bytes, bytes, load.bytes_max);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Room for so many bytes in all, whether there is or not: they are there already. What is over the bound keeps others
    /// out.
    pub(crate) fn become_bytes(&mut self, bytes: usize) {
        let all = &self.access.load().bytes;
        if bytes > self.bytes {
            all.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            all.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Room {
    /// What of a key's bodies is arriving: half of the room, and a body of `body_max` bytes in any case. Who sends slowly
    /// keeps nobody else out.
    pub(crate) fn arriving<'a>(&self, key: &'a ApiKey, body_max: usize) -> Arriving<'a> {
        Arriving {
            all: key.arriving(),
            max: (self.access.load().bytes_max / 2).max(body_max),
            bytes: 0,
        }
    }
}

/// The part of a body that has arrived before the rest; nothing any more when this is dropped.
pub(crate) struct Arriving<'a> {
    all: &'a AtomicUsize,
    max: usize,
    bytes: usize,
}

impl Arriving<'_> {
    /// So many bytes more, if they fit the key's share.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let fits = take(self.all, bytes, self.max);
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.all.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let load = self.access.load();
        load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Adds `amount` if the sum stays within `max`. The sum may be over it for a moment, which only refuses others.
fn take(counter: &AtomicUsize, amount: usize, max: usize) -> bool {
    let before = counter.fetch_add(amount, Ordering::Relaxed);
    let fits = before.saturating_add(amount) <= max;
    if !fits {
        counter.fetch_sub(amount, Ordering::Relaxed);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_ends_makes_room() {
        let access = Access::new(&AccessConfig {
            max_in_flight: 2,
            max_body_bytes_in_flight: 10,
            ..AccessConfig::default()
        });
        let load = access.load();
        assert!(load.enter() && load.enter() && !load.enter());
        load.leave();
        assert!(load.enter());
        let mut first = Room::none(access.clone());
        assert!(first.grow(4) && first.grow(6) && !first.grow(1));
        let mut second = Room::none(access.clone());
        assert!(!second.grow(1));
        drop(first);
        assert!(second.grow(10));
        second.become_bytes(12);
        assert!(!Room::none(access.clone()).grow(0), "over the bound");
        second.become_bytes(3);
        assert!(Room::none(access.clone()).grow(7));
        drop(second);
        assert_eq!(load.bytes(), 0);
    }
}
