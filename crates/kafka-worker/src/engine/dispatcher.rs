//! The async half of the engine: takes records from the poll thread, runs jobs on permits, and tells the poll thread
//! which are done.

mod ending;

use std::sync::Arc;
use std::time::Duration;

use mcp_client::Readiness;
use mcp_core::{Class, ErrorCode, Failure};
use mcp_runtime::{Condition, trace_context};
use rdkafka::Message;
use rdkafka::message::OwnedMessage;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::job::{self, Job, LaneName, Ordering, Started};
use super::ownership::Ownership;
use super::scheduler::{LaneId, Place, Scheduler};
use super::workshop::{Outcome, Workshop, guarded_attempt};
use crate::attempt::Attempt;
use crate::breaker::{Admission, Breaker};
use crate::budget::Budget;
use crate::disposition::HOLD;
use crate::signals::{Hold, Holds, Owned, Sorting};
use crate::spans;

/// Reports that are taken at once.
const REPORTS: usize = 64;
/// Of so many permits one is kept from partitions with slow calls.
const KEPT: usize = 8;
/// After a standstill, how soon it is looked whether work may go on.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
    /// From the poll thread, in batches.
    pub received: mpsc::Receiver<Vec<Received>>,
    /// To the poll thread.
    pub done: std::sync::mpsc::Sender<Done>,
    /// Asks it to sort out the jobs of assignments that are being given up.
    pub sorting: Sorting,
    /// How many partitions share the permits.
    pub owned: Owned,
    /// Dead letters a minute; 0 is no limit.
    pub dead_letters_per_minute: u32,
    /// Whether the server answers.
    pub server: Condition,
    /// Whether dead letters are within their budget.
    pub budget: Condition,
    /// Reasons to take no records.
    pub holds: Holds,
}

/// Runs jobs on permits.
pub struct Dispatcher {
    links: DispatcherLinks,
    jobs: Scheduler<LaneName, Box<Job>>,
    breaker: Breaker,
    budget: Budget,
    /// Jobs that were never started.
    untried: usize,
    /// The last trial had to be a job that had been tried before: records are let in to find another.
    starved: bool,
    /// The server is being asked because calls fail and none goes well.
    glancing: bool,
    serial: u64,
}

type Lane = LaneId<LaneName>;

/// What a job's task reports.
enum Report {
    /// An attempt has ended.
    Attempted(Lane, Box<Job>, Attempt),
    /// The outcome is durable.
    Settled(Lane, Box<Job>),
    /// The partition was lost meanwhile; the record comes again elsewhere.
    Abandoned(Lane, Box<Job>),
    /// The server was asked whether it is ready, to go on.
    Asked(Readiness),
    /// The same, because calls fail.
    Glanced(Readiness),
    /// The same, before this job is dead-lettered for that failure.
    AskedFor(Lane, Box<Job>, (Failure, Class), Readiness),
}

impl Dispatcher {
    /// A dispatcher with no job and a server that counts as up.
    pub fn new(links: DispatcherLinks) -> Self {
        links.server.holds();
        links.budget.holds();
        links.holds.publish_all();
        Self {
            budget: Budget::new(links.dead_letters_per_minute, Instant::now()),
            links,
            jobs: Scheduler::default(),
            breaker: Breaker::default(),
            untried: 0,
            starved: false,
            glancing: false,
            serial: 0,
        }
    }

    /// Runs until the poll thread has closed its end and no job is under way.
    pub async fn run(mut self) {
        // Bounded by the permits and the questions to the server, one of each kind: each reports once.
        let (reports, mut reported) = mpsc::channel(self.links.concurrency + 2);
        let mut open = true;
        let mut batch = Vec::with_capacity(REPORTS);
        let sorting = self.links.sorting.clone();
        while open || self.jobs.running() > 0 {
            self.dispatch(&reports);
            self.tell();
            let wake = self.next_wake();
            tokio::select! {
                _ = reported.recv_many(&mut batch, REPORTS) => {
                    batch.drain(..).for_each(|report| self.report(report, &reports));
                }
                received = self.links.received.recv(), if open => match received {
                    Some(batch) => batch.into_iter().for_each(|received| self.accept(received)),
                    None => open = false,
                },
                request = sorting.asked() => {
                    self.sort_out();
                    sorting.done(request);
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Tells the others how things are.
    fn tell(&mut self) {
        let now = Instant::now();
        self.links.workshop.journal.gauges(
            self.jobs.running(),
            self.jobs.parked(),
            self.breaker.is_open(),
            self.budget.remaining(now),
        );
        // Untried jobs are the better witnesses: with none here, records are let in to find one.
        let hold = self.breaker.is_open() && !self.starved;
        self.links.holds.set(Hold::Server, hold);
        let used_up = self.budget.is_used_up(now);
        self.links.holds.set(Hold::Budget, used_up);
        if !used_up {
            self.links.budget.holds();
        }
    }

    /// Of assignments that are being given up, keeps the jobs that the drain needs and that can run within it; they
    /// count as under way from now on.
    fn sort_out(&mut self) {
        let is_open = self.breaker.is_open();
        let mut untried = 0;
        self.jobs.retain(|job, parked_until| {
            let too_late = parked_until.is_some_and(|due| job.ownership.is_too_late(due));
            let kept = !job.ownership.is_draining() || (!is_open && !too_late && job.enter());
            untried += usize::from(kept && job.is_untried());
            kept
        });
        self.untried = untried;
    }

    fn accept(&mut self, received: Received) {
        if received.ownership.is_given_up(received.message.offset()) {
            return;
        }
        self.serial += 1;
        self.untried += 1;
        self.starved = false;
        let workshop = &self.links.workshop;
        let Received { message, ownership } = received;
        let span = spans::receive(&message, &workshop.group, workshop.journal.worker());
        trace_context::set_parent(&span, |name| job::header(&message, name));
        let job = Box::new(Job::new(self.serial, message, ownership));
        spans::decoded(&span, job.id());
        self.jobs
            .push(job.ownership.epoch, job.lane(self.links.ordering), job);
    }

    /// Starts as many jobs as there are permits.
    fn dispatch(&mut self, reports: &mpsc::Sender<Report>) {
        while self.jobs.running() < self.links.concurrency {
            let now = Instant::now();
            if !self.links.workshop.pulse.is_steady() {
                return;
            }
            let trial = match self.breaker.admission(now) {
                Admission::Open => false,
                Admission::Trial => true,
                Admission::Ask => return self.ask(reports.clone()),
                Admission::NotBefore(_) | Admission::Wait => return,
            };
            let next = match trial {
                true => self.jobs.next_preferring(now, |job| job.is_untried()),
                false => {
                    let permits = Permits {
                        left: self.links.concurrency - self.jobs.running(),
                        kept: kept(self.links.concurrency, self.links.owned.count()),
                    };
                    self.jobs
                        .next_within(now, |job| permits.allow(&job.ownership))
                }
            };
            let Some((lane, mut job)) = next else {
                self.starved = trial;
                return;
            };
            self.untried -= usize::from(job.is_untried());
            if !job.enter() {
                self.give_up(lane, job);
                continue;
            }
            if let Some((failure, class)) = job.verdict.take() {
                self.settle(lane, job, Outcome::Failure(failure, class), reports);
                continue;
            }
            if let Some((failure, since)) = &job.doubt {
                let refused = (job.serial, failure.code, *since);
                // That others wait says something once: if one went well after the breaker opened for it, this job is alone.
                let one_went_well = |at| self.breaker.accepted_since(at);
                let others_wait = self.untried > 0 && !job.opened.is_some_and(one_went_well);
                let opened = self.breaker.refuses_everybody(now, refused, others_wait);
                if opened.is_some() {
                    self.server_down(failure);
                    job.opened.get_or_insert(now);
                }
                // The refused attempt has done nothing: it is made again.
                job.attempts -= 1;
                if self.breaker.opened_since(*since) {
                    job.doubt = None;
                }
                if opened.is_some() {
                    self.park(lane, job, now + HOLD, Place::Last);
                    continue;
                }
            }
            if let Some(wait) = self.too_early(&job) {
                self.untried += usize::from(job.is_untried());
                self.park(lane, job, now + wait, Place::First);
                continue;
            }
            if trial {
                self.starved = !job.is_untried() && !self.has_witness();
                self.breaker.trial_started(job.serial);
            }
            self.start(lane, job, now, trial, reports.clone());
        }
    }

    /// Whether there is a job that was never tried and could be now. One that waits behind another of its lane, or for its
    /// time, bears no witness.
    fn has_witness(&self) -> bool {
        let jobs = &self.jobs;
        self.untried > 0 && jobs.any_ready(|job| job.is_untried() && self.too_early(job).is_none())
    }

    /// Asks the server whether it is ready.
    fn ask(&mut self, reports: mpsc::Sender<Report>) {
        self.breaker.asked();
        let workshop = self.links.workshop.clone();
        tokio::spawn(async move {
            let readiness = workshop.client.readiness().await;
            let _ = reports.send(Report::Asked(readiness)).await;
        });
    }

    /// Asks the server whether it is ready because a job keeps failing and no other call goes well: a job alone never
    /// opens the breaker, and when hardly anything runs it may be the only witness of an outage.
    fn glance(&mut self, reports: &mpsc::Sender<Report>) {
        if self.glancing || self.breaker.is_open() {
            return;
        }
        self.glancing = true;
        let (workshop, reports) = (self.links.workshop.clone(), reports.clone());
        tokio::spawn(async move {
            let readiness = workshop.client.readiness().await;
            let _ = reports.send(Report::Glanced(readiness)).await;
        });
    }

    /// A server that says itself that it is not ready counts as down.
    fn heed(&mut self, readiness: &Readiness) {
        if let Readiness::NotReady(why) = readiness
            && self.breaker.not_ready(Instant::now()).is_some()
        {
            self.server_down(why);
        }
    }

    fn start(
        &self,
        lane: Lane,
        mut job: Box<Job>,
        now: Instant,
        trial: bool,
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
        job.attempt_began = now;
        let left = workshop.deadline.saturating_sub(job.age(now, outage));
        // A trial that its job's deadline cuts short would say nothing of the server.
        let ends = now
            + if trial {
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
                self.breaker.abandoned(job.serial);
                self.give_up(lane, job);
            }
            Report::Asked(readiness) => self.asked(&readiness),
            Report::Glanced(readiness) => {
                self.glancing = false;
                self.heed(&readiness);
            }
            Report::AskedFor(lane, job, verdict, readiness) => {
                self.asked_for(lane, job, verdict, &readiness, reports);
            }
        }
    }

    fn asked(&mut self, readiness: &Readiness) {
        tracing::debug!(?readiness, "the server was asked whether it is ready");
        if let Readiness::NotReady(failure) = readiness {
            self.server_down(failure);
        }
        let not_ready = matches!(readiness, Readiness::NotReady(_));
        self.breaker.answered(Instant::now(), not_ready);
    }

    fn server_down(&self, last: &Failure) {
        let reason = format!("the MCP server counts as down; last: {last}");
        if self.links.server.fails(&reason) {
            tracing::error!("intake is held: {reason}");
        }
    }

    fn server_back(&self) {
        tracing::info!("the MCP server answers again");
        self.links.server.holds();
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
        let recovers = self.budget.recovers_at();
        if !self.links.workshop.pulse.is_steady() {
            return Some(Instant::now() + LOOK_AGAIN);
        }
        if self.jobs.running() >= self.links.concurrency {
            return recovers;
        }
        let next = match self.breaker.admission(Instant::now()) {
            Admission::Open | Admission::Trial => self.jobs.next_due(),
            Admission::NotBefore(until) => Some(until),
            // The next turn of the loop asks.
            Admission::Ask => Some(Instant::now()),
            Admission::Wait => None,
        };
        [next, recovers].into_iter().flatten().min()
    }
}

/// Which partitions may have another permit. Calls that take long gather permits, and would in the end have all of them: the
/// last ones are for partitions that have none, and for those whose calls are quick.
struct Permits {
    left: usize,
    kept: usize,
}

impl Permits {
    fn allow(&self, partition: &Ownership) -> bool {
        // One that is being given up counts its waiting jobs as in flight, too, and its time is short.
        let is_first = partition.in_flight() == 0 || partition.is_draining();
        self.left > self.kept || is_first || partition.is_quick()
    }
}

/// How many permits are kept where so many partitions share all of them.
fn kept(all: usize, owned: usize) -> usize {
    match owned {
        0 | 1 => 0,
        _ => (all / KEPT).max(1),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
