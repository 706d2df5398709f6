//! The circuit breaker over the MCP server, as a pure state machine.
//!
//! It opens when calls failed in a way that speaks against the server ([`Blame`]): several in a row, or too many of the
//! last ones. Then intake pauses, no attempt is spent and nothing is dead-lettered. After a wait the server is asked for
//! its `/ready`; unless it says no, one job is let through as a *trial*, whose outcome closes the breaker or doubles the
//! wait. That a server says it is ready proves little while its calls fail, so only a call closes the breaker. A single
//! job that fails over and over never opens it, because a job can be its own trouble; only a call that did not reach the
//! server counts each time. While no other call goes well such a job has the server asked, too, and one that says it is
//! not ready is believed.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use mcp_core::{Blame, ErrorCode};
use tokio::time::Instant;

use crate::disposition::DOUBT;

/// Jobs in a row that open the breaker, however they fail; also the least number of jobs among the failures of the
/// window.
const JOBS: usize = 10;
/// Jobs in a row that open it when all fail in the same way; with failures that another attempt may cure, so many
/// failures as well.
const ALIKE: usize = 5;
const ALIKE_FAILURES: usize = 10;
/// The same when the connection breaks each time.
const BROKEN_OFF: usize = 3;
/// Calls in a row that did not reach the server and open the breaker.
const UNREACHABLE: usize = 3;
/// The last calls over which the failure ratio is taken.
const WINDOW: usize = 64;
/// The least number of them.
const WINDOW_MIN: usize = 20;
/// The outages that are remembered.
const OUTAGES: usize = 16;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest time between two trials.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Closed, open, or half-open with one trial under way.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// The jobs of the present run of failures.
    suspects: Vec<Suspect>,
    unreachable: usize,
    /// The failures of the present run, and when the first was.
    run: usize,
    run_since: Option<Instant>,
    /// The last calls: the job and time of each that failed.
    window: VecDeque<Option<(u64, Instant)>>,
    /// Whether calls did not arrive when it opened or was last tried.
    was_unreachable: bool,
    /// Whether it opened because everybody seemed to be refused.
    was_refused: bool,
    last_accepted: Option<Instant>,
    /// The last ones; while it is open, the present one is the last.
    outages: VecDeque<Outage>,
    /// How long it was open before the present one.
    past_outage: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Suspect {
    job: u64,
    /// Of its first failure.
    code: ErrorCode,
    /// When it failed so for the last time.
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    /// The first of the failures that opened it.
    began: Instant,
    opened: Instant,
    closed: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant, wait: Duration },
    Asking { wait: Duration },
    HalfOpen { wait: Duration },
    Trying { wait: Duration, job: u64 },
}

/// Whether a job may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Open,
    /// Not before the server was asked whether it is ready: do that now.
    Ask,
    /// Yes, this one, as the trial.
    Trial,
    /// Not before that time.
    NotBefore(Instant),
    /// Not before the question or the trial that is under way has ended.
    Wait,
}

/// A change of state that the outcome brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The breaker opened.
    Opened,
    /// The breaker closed.
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            suspects: Vec::new(),
            unreachable: 0,
            run: 0,
            run_since: None,
            window: VecDeque::with_capacity(WINDOW),
            was_unreachable: false,
            was_refused: false,
            last_accepted: None,
            outages: VecDeque::with_capacity(OUTAGES),
            past_outage: Duration::ZERO,
        }
    }
}

impl Breaker {
    /// Whether a job may be started now, without starting one.
    pub fn admission(&self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Open,
            State::Open { until, .. } if now >= until => Admission::Ask,
            State::Open { until, .. } => Admission::NotBefore(until),
            State::HalfOpen { .. } => Admission::Trial,
            State::Asking { .. } | State::Trying { .. } => Admission::Wait,
        }
    }

    /// The server is being asked.
    pub fn asked(&mut self) {
        if let State::Open { wait, .. } = self.state {
            self.state = State::Asking { wait };
        }
    }

    /// The server has answered; `not_ready`: that it takes no calls, or not at all.
    pub fn answered(&mut self, now: Instant, not_ready: bool) {
        if let State::Asking { wait } = self.state {
            match not_ready {
                true => self.open(now, wait * 2),
                false => self.state = State::HalfOpen { wait },
            }
        }
    }

    /// The server said that it is not ready although the breaker is closed.
    pub fn not_ready(&mut self, now: Instant) -> Option<Transition> {
        let news = self.state == State::Closed;
        if news {
            self.was_unreachable = false;
            self.open(now, FIRST_WAIT);
        }
        news.then_some(Transition::Opened)
    }

    /// The job was refused at `since`, and there was time for others to be called. Everybody is refused if others were,
    /// in the same way and about then, with no call that went well in between; or if none went well since although others
    /// wait. Refusals that lie apart are two jobs' own troubles as soon as an outage: of those it takes more.
    pub fn refuses_everybody(
        &mut self,
        now: Instant,
        (job, code, since): (u64, ErrorCode, Instant),
        others_wait: bool,
    ) -> Option<Transition> {
        let others =
            |other: &Suspect| other.job != job && other.code == code && other.at + DOUBT >= since;
        let none_went_well = !self.accepted_since(since);
        let everybody = self.state == State::Closed
            && ((others_wait && none_went_well) || self.suspects.iter().any(others));
        if everybody {
            self.was_unreachable = false;
            self.open(now, FIRST_WAIT);
            self.was_refused = true;
        }
        everybody.then_some(Transition::Opened)
    }

    /// The job is started as the trial.
    pub fn trial_started(&mut self, job: u64) {
        if let State::HalfOpen { wait } = self.state {
            self.state = State::Trying { wait, job };
        }
    }

    /// The job ended without an outcome: its partition was lost, or it was not sent at all. If it was the trial,
    /// another one is.
    pub fn abandoned(&mut self, job: u64) {
        if let State::Trying { wait, job: trial } = self.state
            && trial == job
        {
            self.state = State::HalfOpen { wait };
        }
    }

    /// Whether an attempt that began then says something of the server. One that ran out of time while others were
    /// answered does not: the server was there, and the call is slow by itself.
    pub fn is_evidence(&self, began: Instant, failure: Option<ErrorCode>) -> bool {
        let others_went_well = self.state == State::Closed && self.accepted_since(began);
        !(others_went_well && failure == Some(ErrorCode::CallTimeout))
    }

    /// Notes the outcome of one attempt of the job `job`: `None` is success.
    pub fn outcome(
        &mut self,
        now: Instant,
        job: u64,
        failure: Option<ErrorCode>,
    ) -> Option<Transition> {
        let failed = failure.filter(|code| match code.blame() {
            Blame::Job => false,
            Blame::Server | Blame::Suspect => true,
        });
        match self.state {
            State::Closed => {
                let opens = match failed {
                    Some(code) => self.failed(now, job, code),
                    None => self.succeeded(now),
                };
                if opens {
                    self.was_unreachable = is_unreachable(failed);
                    self.open(now, FIRST_WAIT);
                }
                opens.then_some(Transition::Opened)
            }
            State::Trying {
                wait, job: trial, ..
            } if trial == job => match failed {
                None => self.close(now),
                // The calls arrive again, which is what it was open for. This job may be its own trouble, and must not
                // keep the others waiting.
                Some(_) if self.was_unreachable && !is_unreachable(failed) => self.close(now),
                Some(_) => {
                    self.was_unreachable = is_unreachable(failed);
                    self.open(now, wait * 2);
                    None
                }
            },
            // A straggler that was started before and goes well: not everybody is refused.
            _ if self.was_refused && failed.is_none() => self.close(now),
            // Otherwise it says nothing new.
            State::Open { .. }
            | State::Asking { .. }
            | State::HalfOpen { .. }
            | State::Trying { .. } => None,
        }
    }

    /// Whether the server counts as down.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Whether it opened at that time or later, even if it has closed again.
    pub fn opened_since(&self, at: Instant) -> bool {
        self.outages.back().is_some_and(|last| last.opened >= at)
    }

    /// Whether a call went well at that time or later.
    pub fn accepted_since(&self, at: Instant) -> bool {
        self.last_accepted.is_some_and(|accepted| accepted >= at)
    }

    /// Whether an attempt that began and failed at these times met an outage. One begins with the first of the failures
    /// that opened the breaker, which at that time could not be told from a job's own.
    pub fn explains(&self, (began, failed): (Instant, Instant)) -> bool {
        self.outages.iter().any(|outage| {
            failed >= outage.began && outage.closed.is_none_or(|closed| began <= closed)
        })
    }

    /// How long it has been open in all.
    pub fn outage(&self, now: Instant) -> Duration {
        let present = self.outages.back().filter(|last| last.closed.is_none());
        self.past_outage + present.map_or(Duration::ZERO, |present| now - present.opened)
    }

    fn succeeded(&mut self, now: Instant) -> bool {
        self.last_accepted = Some(now);
        self.forget_the_run();
        self.note(None);
        false
    }

    fn forget_the_run(&mut self) {
        self.suspects.clear();
        self.run_since = None;
        (self.unreachable, self.run) = (0, 0);
    }

    /// Notes a failure; whether it is one too many.
    fn failed(&mut self, now: Instant, job: u64, code: ErrorCode) -> bool {
        if code.blame() == Blame::Server {
            self.unreachable += 1;
        } else if let Some(known) = self.suspects.iter_mut().find(|known| known.job == job) {
            if known.code == code {
                known.at = now;
            }
        } else {
            self.suspects.push(Suspect { job, code, at: now });
        }
        self.run += 1;
        self.run_since.get_or_insert(now);
        self.note(Some((job, now)));
        let alike = self.suspects.iter().filter(|other| other.code == code);
        let (jobs, failures) = match code {
            ErrorCode::ConnectionLost => (BROKEN_OFF, ALIKE_FAILURES),
            _ if code.is_retryable() => (ALIKE, ALIKE_FAILURES),
            _ => (ALIKE, ALIKE),
        };
        self.unreachable >= UNREACHABLE
            || (alike.count() >= jobs && self.run >= failures)
            || self.suspects.len() >= JOBS
            || self.ratio_is_reached()
    }

    fn note(&mut self, failed: Option<(u64, Instant)>) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(failed);
    }

    fn ratio_is_reached(&self) -> bool {
        let failed = self.failures().count();
        self.window.len() >= WINDOW_MIN
            && failed * 2 >= self.window.len()
            && self
                .failures()
                .map(|(job, _)| job)
                .collect::<HashSet<_>>()
                .len()
                >= JOBS
    }

    fn failures(&self) -> impl Iterator<Item = (u64, Instant)> {
        self.window.iter().flatten().copied()
    }

    fn close(&mut self, now: Instant) -> Option<Transition> {
        self.past_outage = self.outage(now);
        if let Some(present) = self.outages.back_mut() {
            present.closed = Some(now);
        }
        self.last_accepted = Some(now);
        self.state = State::Closed;
        Some(Transition::Closed)
    }

    fn open(&mut self, now: Instant, wait: Duration) {
        let wait = wait.min(LONGEST_WAIT);
        self.state = State::Open {
            until: now + wait,
            wait,
        };
        if self.outages.back().is_none_or(|last| last.closed.is_some()) {
            self.was_refused = false;
            let oldest = self.failures().next().map(|(_, at)| at);
            let began = match self.ratio_is_reached() {
                true => oldest,
                false => self.run_since,
            };
            if self.outages.len() == OUTAGES {
                self.outages.pop_front();
            }
            self.outages.push_back(Outage {
                began: began.unwrap_or(now),
                opened: now,
                closed: None,
            });
        }
        self.forget_the_run();
        self.window.clear();
    }
}

fn is_unreachable(failure: Option<ErrorCode>) -> bool {
    failure.is_some_and(|code| code.blame() == Blame::Server)
}

#[cfg(test)]
mod tests;
