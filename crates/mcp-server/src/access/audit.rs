//! One JSON line for each call and each refusal: who, what, how it ended. Never arguments, results or keys.
//!
//! A line is put into a buffer in memory, and a thread of its own writes what has gathered there: a call never waits for
//! the disk. What the buffer has no room for is counted, and the count is written when there is room again.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use mcp_core::Clock;
use mcp_core::clock::rfc3339;
use mcp_core::text::bounded;
use metrics::{Counter, counter};
use serde::Serialize;
use tokio::time::Instant;

use super::keys::ApiKey;
use super::settings::AuditTarget;
use crate::metric_definitions as metric;

/// Most bytes that wait to be written.
const BUFFER_MAX: usize = 4 * 1024 * 1024;
/// Capacity that the buffer keeps, in bytes: what gathers at some ten thousand calls a second, for growing it holds up calls.
const BUFFER_KEPT: usize = 256 * 1024;
/// How long lines gather before they are written together: also what a killed process loses.
const GATHER: Duration = Duration::from_millis(10);
/// Longest idempotency key or tool name in a line, in bytes.
const TEXT_MAX: usize = 256;

/// One line. Field names are the wire format: additions only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    audit: &'static str,
    /// Set when it is written.
    time: &'a str,
    key: &'a str,
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    /// `ok`, an error code, `cancelled`, or why it was refused.
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    /// The result is one that was stored by an earlier call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

/// Where lines go; without a target nowhere.
pub(crate) struct AuditLog(Option<Arc<Buffer>>);

struct Buffer {
    state: Mutex<State>,
    changed: Condvar,
    /// Lines that were lost.
    lost: Counter,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    stamp: Stamp,
    lost: u64,
    writing: bool,
    closed: bool,
}

/// The time as text. Within a second only its end changes: to make all of it anew would be a good part of a line's cost.
#[derive(Default)]
struct Stamp {
    second: i64,
    /// As `2026-07-28T00:00:00.000Z`.
    text: String,
}

impl Stamp {
    fn at(&mut self, now: DateTime<Utc>) -> &str {
        let (second, millis) = (now.timestamp(), now.timestamp_subsec_millis() % 1_000);
        if second != self.second || self.text.is_empty() {
            (self.second, self.text) = (second, rfc3339(now));
            return &self.text;
        }
        let end = self.text.len() - "Z".len();
        for (place, digit) in [millis / 100, millis / 10 % 10, millis % 10]
            .into_iter()
            .enumerate()
        {
            let at = end - 3 + place;
            let digit = char::from_digit(digit, 10).unwrap_or('0');
            self.text
                .replace_range(at..=at, digit.encode_utf8(&mut [0; 4]));
        }
        &self.text
    }
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst a part of one line.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditLog {
    pub(super) fn new(target: &AuditTarget) -> Self {
        let mut sink: Box<dyn Write + Send> = match target {
            AuditTarget::None => return Self(None),
            AuditTarget::Stderr => Box::new(std::io::stderr()),
            AuditTarget::Stdout => Box::new(std::io::stdout()),
            AuditTarget::File(file) => Box::new(file.clone()),
        };
        let lost = counter!(metric::AUDIT_LOST);
        // Seen before it has happened.
        lost.increment(0);
        let buffer = Arc::new(Buffer {
            state: Mutex::default(),
            changed: Condvar::new(),
            lost,
        });
        let shared = buffer.clone();
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || write_out(&shared, sink.as_mut()));
        match thread {
            Ok(_) => Self(Some(buffer)),
            Err(error) => {
                tracing::error!(%error, "no thread for the audit log: there is none");
                Self(None)
            }
        }
    }

    /// Waits until all lines up to now are written.
    pub(crate) async fn flush(&self) {
        let Some(buffer) = self.0.clone() else {
            return;
        };
        let flushed = tokio::task::spawn_blocking(move || {
            let mut state = buffer.lock();
            while !state.closed && (state.writing || !state.text.is_empty()) {
                let waited = buffer.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        });
        // Cancelled only where the runtime ends, and then nobody waits any more.
        let _ = flushed.await;
    }

    /// A request that was refused before it became a call of a tool.
    pub(crate) fn refused(
        &self,
        caller: Option<&ApiKey>,
        peer: Option<SocketAddr>,
        tool: Option<&str>,
        why: &'static str,
    ) {
        if self.0.is_none() {
            return;
        }
        let tool = tool.map(|tool| bounded(tool, TEXT_MAX));
        self.write(Line {
            audit: "refused",
            time: "",
            key: caller.map_or("-", ApiKey::name),
            key_id: caller.map_or("-", ApiKey::id),
            peer,
            tool: tool.as_deref(),
            outcome: why,
            duration_ms: None,
            idempotency_key: None,
            replayed: false,
            trace_id: None,
        });
    }

    fn write(&self, line: Line<'_>) {
        let Some(buffer) = &self.0 else {
            return;
        };
        let mut state = buffer.lock();
        if state.text.len() >= BUFFER_MAX {
            state.lost += 1;
            drop(state);
            buffer.lost.increment(1);
            return;
        }
        let State {
            text,
            stamp,
            writing,
            ..
        } = &mut *state;
        let wake = text.is_empty() && !*writing;
        let time = stamp.at(Clock::System.now());
        // A line of strings and numbers can always be written to memory.
        let _ = serde_json::to_writer(&mut *text, &Line { time, ..line });
        text.push(b'\n');
        drop(state);
        if wake {
            buffer.changed.notify_all();
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        if let Some(buffer) = &self.0 {
            buffer.lock().closed = true;
            buffer.changed.notify_all();
        }
    }
}

/// The thread: waits for lines, lets them gather, writes them in one go.
fn write_out(buffer: &Buffer, sink: &mut dyn Write) {
    let mut lines = Vec::new();
    let mut failing = false;
    let mut state = buffer.lock();
    loop {
        while state.text.is_empty() && !state.closed {
            let waited = buffer.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.text.is_empty() {
            return;
        }
        state.writing = true;
        if !state.closed {
            let waited = buffer.changed.wait_timeout(state, GATHER);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut lines, &mut state.text);
        let mut lost = std::mem::take(&mut state.lost);
        drop(state);
        let count = lines.iter().filter(|&&byte| byte == b'\n').count();
        if lost > 0 {
            let time = rfc3339(Clock::System.now());
            // As above: memory takes it.
            let _ = writeln!(
                lines,
                r#"{{"audit":"lost","time":"{time}","lines":{lost}}}"#
            );
        }
        let written = sink.write_all(&lines).and_then(|()| sink.flush());
        if let Err(error) = &written
            && !failing
        {
            tracing::error!(%error, "audit lines can't be written and are lost");
        }
        failing = written.is_err();
        if failing {
            // All of them, for nobody knows which part of them is there. They are told of when lines are written again.
            let unwritten = u64::try_from(count).unwrap_or(u64::MAX);
            buffer.lost.increment(unwritten);
            lost = lost.saturating_add(unwritten);
        } else {
            lost = 0;
        }
        lines.clear();
        lines.shrink_to(BUFFER_KEPT);
        state = buffer.lock();
        state.lost += lost;
        state.writing = false;
        buffer.changed.notify_all();
    }
}

/// A call under way. Its line is written when this is dropped, whatever way the call ends.
pub(crate) struct Call<'a> {
    pub(crate) log: &'a AuditLog,
    pub(crate) caller: &'a ApiKey,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) tool: &'a str,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) replayed: bool,
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) began: Instant,
    /// Until it is known: `cancelled`.
    pub(crate) outcome: &'static str,
}

/// The outcome of a call whose caller went away.
pub(crate) const CANCELLED: &str = "cancelled";
/// The outcome of one that went well.
pub(crate) const OK: &str = "ok";
/// The outcome of a call whose result says that it is an error.
pub(crate) const ERROR: &str = "tool-error";

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.log.0.is_none() {
            return;
        }
        let key = self.idempotency_key.map(|key| bounded(key, TEXT_MAX));
        self.log.write(Line {
            audit: "call",
            time: "",
            key: self.caller.name(),
            key_id: self.caller.id(),
            peer: self.peer,
            tool: Some(self.tool),
            outcome: self.outcome,
            duration_ms: Some(millis(self.began.elapsed())),
            idempotency_key: key.as_deref(),
            replayed: self.replayed,
            trace_id: self.trace_id,
        });
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_time_whether_its_second_is_new_or_not() {
        let mut stamp = Stamp::default();
        for millis in [0, 7, 12, 999, 1_000, 1_345, 61_045, 60_999, -1] {
            let now = DateTime::from_timestamp_millis(1_785_000_000_000 + millis).unwrap();
            assert_eq!(stamp.at(now), rfc3339(now));
        }
    }
}
