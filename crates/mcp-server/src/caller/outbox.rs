//! Messages on their way to a caller's event stream, each as its event.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::timeout;

/// What stands around a message in its event.
const BEFORE: &[u8] = b"event: message\ndata: ";
const AFTER: &[u8] = b"\n\n";
/// How many messages may wait for a slow reader.
const MESSAGES_MAX: usize = 64;
/// How many bytes of them; a single larger one is let through.
const BYTES_MAX: usize = 1024 * 1024;
/// How long a reader that is behind may keep a writer waiting before its stream is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message as an event. JSON as serde writes it has no line breaks.
pub(crate) fn event(message: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(BEFORE);
    // Fails only for types with maps whose keys are no strings; a message has none.
    let _ = serde_json::to_writer(&mut text, message);
    text.extend_from_slice(AFTER);
    Bytes::from(text)
}

/// A message that is written already, as an event.
pub(crate) fn event_of(message: &[u8]) -> Vec<u8> {
    [BEFORE, message, AFTER].concat()
}

/// The stream is closed, or was given up.
#[derive(Debug)]
pub(crate) struct Gone;

/// A bounded queue with one reader. It costs nothing until something is put in.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    arrived: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    fn has_room(&self, message: &Bytes) -> bool {
        let fits = self.bytes + message.len() <= BYTES_MAX && self.messages.len() < MESSAGES_MAX;
        fits || self.messages.is_empty()
    }
}

impl Outbox {
    /// Puts a message in, waiting for room; closes the stream when its reader does not make any.
    pub(crate) async fn send(&self, message: Bytes) -> Result<(), Gone> {
        loop {
            let room = self.room.notified();
            {
                let mut queue = self.lock();
                if queue.closed {
                    return Err(Gone);
                }
                if queue.has_room(&message) {
                    queue.bytes += message.len();
                    queue.messages.push_back(message);
                    drop(queue);
                    self.arrived.notify_one();
                    return Ok(());
                }
            }
            if timeout(PATIENCE, room).await.is_err() {
                tracing::debug!("a stream's reader is too slow: it is closed");
                self.close();
                return Err(Gone);
            }
        }
    }

    /// The next message; `None` when the stream is closed and empty. For one reader.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            if let Some(message) = self.try_next() {
                return Some(message);
            }
            if self.lock().closed {
                return None;
            }
            self.arrived.notified().await;
        }
    }

    /// The next message, if there is one.
    pub(crate) fn try_next(&self) -> Option<Bytes> {
        let mut queue = self.lock();
        let message = queue.messages.pop_front()?;
        queue.bytes -= message.len();
        drop(queue);
        self.room.notify_waiters();
        Some(message)
    }

    /// Waits until it takes no more messages.
    pub(crate) async fn closed(&self) {
        loop {
            let room = self.room.notified();
            if self.lock().closed {
                return;
            }
            room.await;
        }
    }

    /// Takes no more messages.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
        self.room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn messages_come_in_order_and_a_closed_outbox_ends() {
        let outbox = Outbox::default();
        for message in ["a", "b"] {
            outbox.send(Bytes::from(message)).await.unwrap();
        }
        outbox.close();
        assert_eq!(outbox.next().await.unwrap(), "a");
        assert_eq!(outbox.next().await.unwrap(), "b");
        assert!(outbox.next().await.is_none());
        assert!(outbox.send(Bytes::from("c")).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_loses_its_stream_and_not_the_servers_memory() {
        let outbox = Outbox::default();
        let mut taken = 0;
        while outbox.send(Bytes::from(vec![0; 100_000])).await.is_ok() {
            taken += 1;
            assert!(taken <= MESSAGES_MAX);
        }
        assert_eq!(taken, BYTES_MAX / 100_000);
    }

    #[tokio::test]
    async fn a_writer_that_waits_goes_on_when_there_is_room() {
        let outbox = Arc::new(Outbox::default());
        for _ in 0..MESSAGES_MAX {
            outbox.send(Bytes::from("x")).await.unwrap();
        }
        let waiting = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.send(Bytes::from("last")).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(outbox.next().await.unwrap(), "x");
        waiting.await.unwrap().unwrap();
    }
}
