//! What was seen in a run. Times are microseconds since its start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_core::Clock;
use tokio::time::Instant;

/// A time of the run, in microseconds.
pub(crate) type Micros = u64;

/// The end of a call that goes on.
pub(crate) const NEVER: Micros = Micros::MAX;

/// A record that was produced and acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) number: u32,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Part of a transaction that was aborted.
    pub(crate) aborted: bool,
}

/// How the stub server ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Still at it, or the caller went away meanwhile.
    Gone,
    /// Done, and answered.
    Success,
    /// Done, and the connection was reset before the answer.
    DoneAndReset,
    /// Reset before anything was done.
    Reset,
    /// An HTTP status in place of an answer.
    Refused(u16),
    /// A tool error that may be retried.
    ToolTransient,
    /// A tool error that may not.
    ToolPermanent,
}

/// A call that the stub server saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) step: u8,
    pub(crate) worker: u16,
    pub(crate) start: Micros,
    pub(crate) end: Micros,
    pub(crate) verdict: Verdict,
}

/// A dead letter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letter {
    /// When the broker appended it.
    pub(crate) at: Micros,
    /// What its headers say of where the record lay.
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) code: String,
    pub(crate) worker: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

/// A committed offset that had changed, or the text beside it.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// When the answer was there, so at or after the time at which it was true.
    pub(crate) at: Micros,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) text: String,
}

/// What was done to the workers and their surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// SIGKILL.
    Killed,
    /// SIGSTOP, until SIGCONT.
    Frozen,
    /// A drain that was cut off by its limit.
    DrainCutOff,
    /// Kafka could not be reached.
    KafkaCut,
    /// The server could not be reached: also an outage of it.
    ServerCut,
    /// A broker was killed, until it was there again.
    BrokerKilled,
    /// This machine was too busy for anything to be on time.
    MachineStalled,
}

/// Trouble for some workers during some time.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) trouble: Trouble,
    pub(crate) workers: Vec<u16>,
    pub(crate) from: Micros,
    pub(crate) until: Micros,
}

/// Everything that the oracle judges.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) topic: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) calls: Vec<Call>,
    pub(crate) letters: Vec<Letter>,
    pub(crate) commits: Vec<Committed>,
    pub(crate) incidents: Vec<Incident>,
    /// When each worker's count of rebalances was seen to have changed.
    pub(crate) rebalances: Vec<(u16, Micros)>,
    /// When the group was not stable, so that it took no commits, in order; none where the broker does not tell.
    pub(crate) rebalancing: Option<Vec<(Micros, Micros)>>,
    /// When each worker was seen to have been expelled from the group.
    pub(crate) expulsions: Vec<(u16, Micros)>,
    pub(crate) samples: u64,
    pub(crate) samples_failed: u64,
    /// What was done, by name.
    pub(crate) deeds: BTreeMap<&'static str, u64>,
    /// Phases in which the server was out, by name.
    pub(crate) outages: Vec<(&'static str, Micros, Micros)>,
    /// The end of the run.
    pub(crate) ends: Vec<i64>,
    pub(crate) members: Option<Vec<String>>,
    pub(crate) live: Vec<String>,
    /// Records that could not be produced, and other trouble of the harness's own.
    pub(crate) own_trouble: Vec<String>,
}

/// Writes the history from many places; cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    began: Instant,
    history: Arc<Mutex<History>>,
}

impl Recorder {
    pub(crate) fn new(topic: &str) -> Self {
        Self {
            began: Instant::now(),
            history: Arc::new(Mutex::new(History {
                topic: topic.to_owned(),
                ..History::default()
            })),
        }
    }

    /// The time of the run.
    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(NEVER)
    }

    /// The run's time at the beginning of that millisecond since 1970, which has just been. By how long ago it was, and not
    /// by how long after the run's beginning: the machine's wall clock may have been set since.
    pub(crate) fn at_wall(&self, millis: i64) -> Micros {
        let age = Clock::System.now().timestamp_micros() - millis * 1_000;
        self.now().saturating_sub(u64::try_from(age).unwrap_or(0))
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn deed(&self, name: &'static str) {
        *self.history().deeds.entry(name).or_default() += 1;
    }

    pub(crate) fn incident(
        &self,
        trouble: Trouble,
        workers: Vec<u16>,
        from: Micros,
        until: Micros,
    ) {
        self.history().incidents.push(Incident {
            trouble,
            workers,
            from,
            until,
        });
    }
}
