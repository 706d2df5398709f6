//! What is under way in this process, and where it stops taking more: before memory grows, not after.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Access;

/// Requests and bytes of their bodies, under way.
#[derive(Debug)]
pub(crate) struct Load {
    requests: AtomicUsize,
    requests_max: usize,
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Load {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            requests_max,
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// Takes a place for a request. Every one that was taken is to be [left](Self::leave).
    pub(super) fn enter(&self) -> bool {
        take(&self.requests, 1, self.requests_max)
    }

    pub(super) fn leave(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Room for the body of a request, until that is answered.
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
    use crate::access::settings::AccessConfig;

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
        drop(second);
        assert_eq!(load.bytes(), 0);
    }
}
