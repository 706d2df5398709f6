//! Partitions of which nothing has come.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Assignment, Owned, lock};

/// How long a partition may bring nothing before the client is told where to begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(3);

impl Assignment {
    /// The partitions that have brought nothing since they were assigned, and where the client is to begin in each; each of
    /// them once. Should it stand beyond that (see [`Assignment::receive`]), no record may ever come to show it. Where there
    /// is nothing to read, it is told what it knows.
    pub(in crate::engine::intake) fn unbegun(&self, now: Instant) -> Vec<(Arc<str>, i32, i64)> {
        let mut owned = lock(&self.partitions);
        let silent = owned.all_mut().filter(|entry| entry.is_silent(now));
        let told = silent.filter_map(|entry| {
            entry.sought = true;
            let (topic, partition) = (&entry.ownership.topic, entry.ownership.partition);
            Some((topic.clone(), partition, entry.begin?))
        });
        told.collect()
    }

    /// The client could not be told.
    pub(in crate::engine::intake) fn not_told(&self, topic: &str, partition: i32) {
        if let Some(entry) = lock(&self.partitions).get_mut(topic, partition) {
            entry.sought = false;
        }
    }
}

impl Owned {
    fn is_silent(&self, now: Instant) -> bool {
        let is_read = !self.paused && !self.ownership.is_draining() && self.corrupt.is_none();
        let is_late = now - self.assigned >= BEGIN_WITHIN;
        is_read && is_late && self.begin.is_some() && !self.sought && self.tracker.next().is_none()
    }
}
