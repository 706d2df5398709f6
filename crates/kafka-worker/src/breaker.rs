//! The circuit breaker over the MCP server, as a pure state machine.
//!
//! It opens when several jobs in a row failed in a way that speaks against the server ([`Blame`]): then intake pauses,
//! no attempt is spent and nothing is dead-lettered. After a wait one job is let through as a probe; its outcome closes
//! the breaker or doubles the wait. A single job that fails over and over never opens it, because a job can be its own
//! trouble; only a call that did not reach the server counts each time.

use std::time::Duration;

use mcp_core::Blame;
use tokio::time::Instant;

/// Jobs in a row that open the breaker.
const THRESHOLD: usize = 10;
/// Calls in a row that did not reach the server and open the breaker.
const UNREACHABLE_THRESHOLD: usize = 3;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest time between two probes.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Closed, open, or half-open with one probe under way.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// The jobs of the present run of failures, without repetitions.
    suspects: Vec<u64>,
    unreachable: usize,
    /// Whether calls did not arrive when it opened or was last probed.
    was_unreachable: bool,
    open_since: Option<Instant>,
    /// How long it was open before that.
    past_outage: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant, wait: Duration },
    Probing { wait: Duration },
}

/// Whether a job may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Open,
    /// Yes, this one, as the probe.
    Probe,
    /// Not before that time.
    NotBefore(Instant),
    /// Not before the probe that is under way has ended.
    AfterProbe,
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
            was_unreachable: false,
            open_since: None,
            past_outage: Duration::ZERO,
        }
    }
}

impl Breaker {
    /// Whether a job may be started now, without starting one.
    pub fn admission(&self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Open,
            State::Open { until, .. } if now >= until => Admission::Probe,
            State::Open { until, .. } => Admission::NotBefore(until),
            State::Probing { .. } => Admission::AfterProbe,
        }
    }

    /// The probe is started.
    pub fn probe_started(&mut self) {
        if let State::Open { wait, .. } = self.state {
            self.state = State::Probing { wait };
        }
    }

    /// The probe ended without an outcome: its partition was lost, or it was not sent at all.
    pub fn probe_abandoned(&mut self, now: Instant) {
        if let State::Probing { wait } = self.state {
            self.state = State::Open { until: now, wait };
        }
    }

    /// Notes the outcome of one attempt of the job `job`: `None` is success.
    pub fn outcome(&mut self, now: Instant, job: u64, blame: Option<Blame>) -> Option<Transition> {
        match blame {
            None | Some(Blame::Job) => {
                self.suspects.clear();
                self.unreachable = 0;
                self.close(now)
            }
            Some(blame @ (Blame::Server | Blame::Suspect)) => {
                if blame == Blame::Server {
                    self.unreachable += 1;
                } else if !self.suspects.contains(&job) {
                    self.suspects.push(job);
                }
                match self.state {
                    State::Closed => {
                        let trips = self.unreachable >= UNREACHABLE_THRESHOLD
                            || self.suspects.len() >= THRESHOLD;
                        if trips {
                            self.open(now, FIRST_WAIT, blame);
                        }
                        trips.then_some(Transition::Opened)
                    }
                    // The calls arrive again, which is what it was open for. This job may be its own trouble, and
                    // must not keep the others waiting.
                    State::Probing { .. } if self.was_unreachable && blame == Blame::Suspect => {
                        self.close(now)
                    }
                    State::Probing { wait } => {
                        self.open(now, (wait * 2).min(LONGEST_WAIT), blame);
                        None
                    }
                    // A straggler that was started before: says nothing new.
                    State::Open { .. } => None,
                }
            }
        }
    }

    /// Whether the server counts as down.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// How long it has been open in all.
    pub fn outage(&self, now: Instant) -> Duration {
        self.past_outage + self.open_since.map_or(Duration::ZERO, |since| now - since)
    }

    fn close(&mut self, now: Instant) -> Option<Transition> {
        self.past_outage = self.outage(now);
        self.open_since = None;
        self.unreachable = 0;
        let was_open = self.is_open();
        self.state = State::Closed;
        was_open.then_some(Transition::Closed)
    }

    fn open(&mut self, now: Instant, wait: Duration, blame: Blame) {
        self.state = State::Open {
            until: now + wait,
            wait,
        };
        self.suspects.clear();
        self.unreachable = 0;
        self.was_unreachable = blame == Blame::Server;
        self.open_since.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for job in 0..3 {
            breaker.outcome(now, job, Some(Blame::Server));
        }
        assert!(breaker.is_open());
        breaker
    }

    #[test]
    fn calls_that_do_not_arrive_open_it_even_for_one_job() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert_eq!(breaker.outcome(now, 1, Some(Blame::Server)), None);
        assert_eq!(breaker.outcome(now, 1, Some(Blame::Server)), None);
        assert_eq!(
            breaker.outcome(now, 1, Some(Blame::Server)),
            Some(Transition::Opened)
        );
        assert_eq!(
            breaker.admission(now),
            Admission::NotBefore(now + FIRST_WAIT)
        );
    }

    #[test]
    fn one_job_that_fails_over_and_over_does_not_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert_eq!(breaker.outcome(now, 7, Some(Blame::Suspect)), None);
        }
    }

    #[test]
    fn many_jobs_that_fail_in_a_row_open_it_and_an_answer_in_between_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for job in 0..9 {
            assert_eq!(breaker.outcome(now, job, Some(Blame::Suspect)), None);
        }
        assert_eq!(breaker.outcome(now, 9, Some(Blame::Job)), None);
        for job in 0..9 {
            assert_eq!(breaker.outcome(now, job, Some(Blame::Suspect)), None);
        }
        assert_eq!(
            breaker.outcome(now, 9, Some(Blame::Suspect)),
            Some(Transition::Opened)
        );
    }

    #[test]
    fn one_probe_at_a_time_closes_it_or_doubles_the_wait() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + FIRST_WAIT;
        assert_eq!(breaker.admission(later), Admission::Probe);
        breaker.probe_started();
        assert_eq!(breaker.admission(later), Admission::AfterProbe);
        breaker.outcome(later, 1, Some(Blame::Server));
        assert_eq!(
            breaker.admission(later),
            Admission::NotBefore(later + FIRST_WAIT * 2)
        );
        breaker.probe_started();
        assert_eq!(breaker.outcome(later, 1, None), Some(Transition::Closed));
        assert_eq!(breaker.admission(later), Admission::Open);
    }

    #[test]
    fn a_probe_that_arrives_closes_it_whatever_becomes_of_its_job() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.probe_started();
        let outcome = breaker.outcome(now, 1, Some(Blame::Suspect));
        assert_eq!(outcome, Some(Transition::Closed));
    }

    #[test]
    fn the_outage_is_the_time_in_which_it_was_open() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let second = Duration::from_secs(1);
        assert_eq!(breaker.outage(now + second), second);
        breaker.probe_started();
        breaker.outcome(now + second, 1, Some(Blame::Server));
        breaker.probe_started();
        breaker.outcome(now + 2 * second, 1, None);
        assert_eq!(breaker.outage(now + 9 * second), 2 * second);
    }

    #[test]
    fn an_abandoned_probe_lets_the_next_one_through() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.probe_started();
        breaker.probe_abandoned(now);
        assert_eq!(breaker.admission(now), Admission::Probe);
    }
}
