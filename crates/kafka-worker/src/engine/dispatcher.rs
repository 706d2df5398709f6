//! The async half of the engine: takes records from the poll thread, runs jobs on permits, and tells the poll thread
//! which are done.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::{ErrorCode, Failure};
use mcp_runtime::Condition;
use rdkafka::Message;
use rdkafka::message::OwnedMessage;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::job::{Job, LaneName, Ordering, Started};
use super::ownership::Ownership;
use super::scheduler::{LaneId, Place, Scheduler};
use super::workshop::{Outcome, Workshop, guarded_attempt, make_durable};
use crate::attempt::Attempt;
use crate::breaker::{self, Admission, Breaker, Transition};
use crate::disposition::{self, Attempted, Disposition};
use crate::signals::{Hold, Holds};

/// A record that the poll thread received.
#[derive(Debug)]
pub struct Received {
    /// The record.
    pub message: OwnedMessage,
    /// The assignment it belongs to.
    pub ownership: Arc<Ownership>,
}

/// A record whose outcome is durable.
#[derive(Debug)]
pub struct Done {
    /// The assignment it belongs to.
    pub ownership: Arc<Ownership>,
    /// Its offset.
    pub offset: i64,
}

/// What the dispatcher is told and whom it tells.
pub struct DispatcherLinks {
    /// What jobs need.
    pub workshop: Arc<Workshop>,
    /// Jobs in flight.
    pub concurrency: usize,
    /// What keeps its order.
    pub ordering: Ordering,
    /// From the poll thread.
    pub received: mpsc::Receiver<Received>,
    /// To the poll thread.
    pub done: std::sync::mpsc::Sender<Done>,
    /// Wakes it to drop the jobs of assignments that are being given up.
    pub revoked: Arc<Notify>,
    /// Whether the server answers.
    pub server: Condition,
    /// Reasons to take no records.
    pub holds: Holds,
}

/// Runs jobs on permits.
pub struct Dispatcher {
    links: DispatcherLinks,
    jobs: Scheduler<LaneName, Job>,
    breaker: Breaker,
    probe: Option<u64>,
    serial: u64,
}

/// What a job's task reports.
enum Report {
    /// An attempt has ended.
    Attempted(LaneId, Job, Attempt),
    /// The outcome is durable.
    Settled(LaneId, Job),
    /// The partition was lost meanwhile; the record comes again elsewhere.
    Abandoned(LaneId, Job),
}

impl Dispatcher {
    /// A dispatcher with no job and a server that counts as up.
    pub fn new(links: DispatcherLinks) -> Self {
        links.server.holds();
        Self {
            links,
            jobs: Scheduler::default(),
            breaker: Breaker::default(),
            probe: None,
            serial: 0,
        }
    }

    /// Runs until the poll thread has closed its end and no job is under way.
    pub async fn run(mut self) {
        // Bounded by the permits: each running job reports once.
        let (reports, mut reported) = mpsc::channel(self.links.concurrency);
        let mut open = true;
        let mut batch = Vec::with_capacity(64);
        while open || self.jobs.running() > 0 {
            self.dispatch(&reports);
            self.links.workshop.journal.gauges(
                self.jobs.running(),
                self.jobs.parked(),
                self.breaker.is_open(),
            );
            // With no job here that could soon be the next probe, records are let in to find one.
            let hold = self.breaker.is_open() && self.has_probe(Instant::now());
            self.links.holds.set(Hold::Server, hold);
            let wake = self.next_wake();
            tokio::select! {
                Some(report) = reported.recv() => self.report(report, &reports),
                count = self.links.received.recv_many(&mut batch, 64), if open => {
                    open = count > 0;
                    batch.drain(..).for_each(|received| self.accept(received));
                }
                () = self.links.revoked.notified() => self.jobs.retain(|job| !job.ownership.is_draining()),
                () = sleep_until(wake) => {}
            }
        }
    }

    fn accept(&mut self, received: Received) {
        if received.ownership.is_draining() {
            return;
        }
        self.serial += 1;
        let job = Job::new(self.serial, received.message, received.ownership);
        self.jobs.push(job.lane(self.links.ordering), job);
    }

    /// Starts as many jobs as there are permits.
    fn dispatch(&mut self, reports: &mpsc::Sender<Report>) {
        while self.jobs.running() < self.links.concurrency {
            let now = Instant::now();
            let probe = match self.breaker.admission(now) {
                Admission::Open => false,
                Admission::Probe => true,
                Admission::NotBefore(_) | Admission::AfterProbe => return,
            };
            let Some((lane, job)) = self.jobs.next(now) else {
                return;
            };
            if !job.ownership.enter() {
                self.jobs.finish(lane);
                continue;
            }
            if let Some(wait) = self.too_early(&job) {
                job.ownership.leave();
                self.jobs.park(lane, job, now + wait, Place::First);
                continue;
            }
            if probe {
                self.breaker.probe_started();
                self.probe = Some(job.serial);
            }
            self.start(lane, job, now, probe, reports.clone());
        }
    }

    fn start(
        &self,
        lane: LaneId,
        mut job: Job,
        now: Instant,
        probe: bool,
        reports: mpsc::Sender<Report>,
    ) {
        let workshop = self.links.workshop.clone();
        let outage = self.breaker.outage(now);
        job.started.get_or_insert_with(|| Started {
            at: now,
            time: workshop.clock.now(),
            outage,
        });
        job.attempts += 1;
        let left = workshop.deadline.saturating_sub(job.age(now, outage));
        // A probe that its job's deadline cuts short would say nothing of the server.
        let ends = now
            + if probe {
                left.max(workshop.call_timeout)
            } else {
                left
            };
        if let Ok(envelope) = &job.envelope
            && envelope
                .expires_at
                .is_some_and(|expires| expires < workshop.clock.now())
        {
            job.refused = Some(Failure::new(
                ErrorCode::JobExpired,
                "`expiresAt` has passed before the job could run",
            ));
        }
        workshop.journal.started(&job);
        tokio::spawn(async move {
            let owner = job.ownership.clone();
            let attempt = tokio::select! {
                attempt = guarded_attempt(&workshop, &mut job, ends) => Some(attempt),
                () = owner.lost() => None,
            };
            let report = match attempt {
                Some(attempt) => {
                    workshop
                        .journal
                        .attempted(&job, now.elapsed(), attempt.result.as_ref().err());
                    Report::Attempted(lane, job, attempt)
                }
                None => Report::Abandoned(lane, job),
            };
            // The receiver lives as long as a job runs.
            let _ = reports.send(report).await;
        });
    }

    fn report(&mut self, report: Report, reports: &mpsc::Sender<Report>) {
        match report {
            Report::Attempted(lane, job, attempt) => self.attempted(lane, job, attempt, reports),
            Report::Settled(lane, job) => self.settled(lane, job),
            Report::Abandoned(lane, job) => {
                self.probe_ended(&job, false);
                job.ownership.leave();
                self.jobs.finish(lane);
            }
        }
    }

    fn attempted(
        &mut self,
        lane: LaneId,
        mut job: Job,
        attempt: Attempt,
        reports: &mpsc::Sender<Report>,
    ) {
        let now = Instant::now();
        if attempt.called {
            let blame = attempt
                .result
                .as_ref()
                .err()
                .map(|failure| failure.code.blame());
            match self.breaker.outcome(now, job.serial, blame) {
                Some(Transition::Opened) => self.server_down(attempt.result.as_ref().err()),
                Some(Transition::Closed) => self.server_back(),
                None => {}
            }
        }
        self.probe_ended(&job, attempt.called);
        let failure = match attempt.result {
            Ok(result) if self.links.workshop.outbox.has_results() => {
                return self.settle(lane, job, Outcome::Success(result), reports);
            }
            Ok(_) => {
                self.links.workshop.journal.succeeded(&job);
                return self.settled(lane, job);
            }
            Err(failure) => failure,
        };
        let attempted = Attempted {
            attempts: job.attempts,
            age: job.age(now, self.breaker.outage(now)),
            breaker_open: self.breaker.is_open(),
        };
        let workshop = &self.links.workshop;
        match disposition::decide(&failure, attempted, &workshop.retry, workshop.deadline) {
            Disposition::Retry(delay) => {
                workshop.journal.retrying(&job, &failure, delay);
                self.park(lane, job, now + delay, Place::First);
            }
            Disposition::Hold(delay) => {
                job.attempts -= 1;
                workshop.journal.held(&job, &failure);
                // Each probe is another job: one that is its own trouble must not be the only witness.
                self.park(lane, job, now + delay, Place::Last);
            }
            Disposition::DeadLetter(class) => {
                self.settle(lane, job, Outcome::Failure(failure, class), reports);
            }
        }
    }

    fn park(&mut self, lane: LaneId, job: Job, due: Instant, place: Place) {
        job.ownership.leave();
        if job.ownership.is_draining() {
            self.jobs.finish(lane);
        } else {
            self.jobs.park(lane, job, due, place);
        }
    }

    /// Makes the outcome durable; the job keeps its permit meanwhile.
    fn settle(&self, lane: LaneId, job: Job, outcome: Outcome, reports: &mpsc::Sender<Report>) {
        let workshop = self.links.workshop.clone();
        let reports = reports.clone();
        tokio::spawn(async move {
            let owner = job.ownership.clone();
            let settled = tokio::select! {
                () = make_durable(&workshop, &job, outcome) => true,
                () = owner.lost() => false,
            };
            let report = match settled {
                true => Report::Settled(lane, job),
                false => Report::Abandoned(lane, job),
            };
            let _ = reports.send(report).await;
        });
    }

    fn settled(&mut self, lane: LaneId, job: Job) {
        let offset = job.message.offset();
        // Told before it is counted out: when the poll thread sees nobody in flight, all that is done has been told.
        let _ = self.links.done.send(Done {
            ownership: job.ownership.clone(),
            offset,
        });
        job.ownership.leave();
        self.jobs.finish(lane);
    }

    fn probe_ended(&mut self, job: &Job, called: bool) {
        if self.probe == Some(job.serial) {
            self.probe = None;
            if !called {
                self.breaker.probe_abandoned(Instant::now());
            }
        }
    }

    fn server_down(&self, failure: Option<&Failure>) {
        let last = failure.map_or_else(String::new, ToString::to_string);
        tracing::error!(
            last,
            "the MCP server counts as down: intake is held until a probe succeeds"
        );
        self.links
            .server
            .fails(format!("the MCP server counts as down; last: {last}"));
    }

    fn server_back(&self) {
        tracing::info!("the MCP server answers again");
        self.links.server.holds();
    }

    /// Whether a job runs, or could run within the longest time between two probes.
    fn has_probe(&self, now: Instant) -> bool {
        self.jobs.running() > 0
            || self.jobs.has_ready()
            || self
                .jobs
                .next_due()
                .is_some_and(|due| due <= now + breaker::LONGEST_WAIT)
    }

    fn too_early(&self, job: &Job) -> Option<Duration> {
        let not_before = job.envelope.as_ref().ok()?.not_before?;
        let wait = (not_before - self.links.workshop.clock.now())
            .to_std()
            .ok()?;
        // Looked at again at least once an hour, so that a clock that was set has its effect.
        (!wait.is_zero()).then_some(wait.min(Duration::from_secs(3_600)))
    }

    /// When there is something to do without a record or report coming in.
    fn next_wake(&self) -> Option<Instant> {
        if self.jobs.running() >= self.links.concurrency {
            return None;
        }
        match self.breaker.admission(Instant::now()) {
            Admission::Open | Admission::Probe => self.jobs.next_due(),
            Admission::NotBefore(until) if self.jobs.has_ready() => Some(until),
            Admission::NotBefore(until) => self.jobs.next_due().map(|due| due.max(until)),
            Admission::AfterProbe => None,
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
