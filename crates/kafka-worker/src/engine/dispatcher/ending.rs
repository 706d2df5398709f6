//! What becomes of a job when something has ended: an attempt, a question to the server, the writing of its outcome.

use mcp_client::Readiness;
use mcp_core::{Blame, Class, Failure};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Dispatcher, Done, Lane, Report};
use crate::attempt::Attempt;
use crate::breaker::Transition;
use crate::disposition::{self, Attempted, Disposition, HOLD};
use crate::engine::job::Job;
use crate::engine::scheduler::Place;
use crate::engine::workshop::{Outcome, make_durable};
use crate::signals::Hold;

impl Dispatcher {
    /// The job would be dead-lettered for failures that may be the server's.
    pub(super) fn asked_for(
        &mut self,
        lane: Lane,
        mut job: Box<Job>,
        (failure, class): (Failure, Class),
        readiness: &Readiness,
        reports: &mpsc::Sender<Report>,
    ) {
        let now = Instant::now();
        self.heed(readiness);
        if self.breaker.is_open() {
            job.attempts -= 1;
            job.spared = Some(now);
            self.links.workshop.journal.held(&job, &failure);
            self.park(lane, job, now + HOLD, Place::Last);
        } else {
            self.dead_letter(lane, job, failure, class, reports);
        }
    }

    pub(super) fn attempted(
        &mut self,
        lane: Lane,
        mut job: Box<Job>,
        attempt: Attempt,
        reports: &mpsc::Sender<Report>,
    ) {
        let now = Instant::now();
        job.ownership.took(now - job.attempt_began);
        let failure = attempt.result.as_ref().err().map(|failure| failure.code);
        if attempt.called && self.breaker.is_evidence(job.attempt_began, failure) {
            let transition = self.breaker.outcome(now, job.serial, failure);
            match (transition, &attempt.result) {
                (Some(Transition::Opened), Err(failure)) => self.server_down(failure),
                (Some(Transition::Closed), _) => self.server_back(),
                (Some(Transition::Opened), Ok(_)) | (None, _) => {}
            }
        }
        self.breaker.abandoned(job.serial);
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
        let doubted = job.doubt.take().is_some();
        let attempt = (job.attempt_began, now);
        job.give_back(|earlier| self.breaker.explains(earlier));
        let attempted = Attempted {
            attempts: job.attempts,
            age: job.age(now, self.breaker.outage(now)),
            in_outage: self.breaker.explains(attempt),
            doubted,
        };
        let workshop = &self.links.workshop;
        match disposition::decide(&failure, attempted, &workshop.retry, workshop.deadline) {
            Disposition::Retry(delay) => {
                if failure.code.blame() == Blame::Suspect {
                    job.suspected.push(attempt);
                    let again = job.attempts > 1;
                    if again && !self.breaker.accepted_since(job.attempt_began) {
                        self.glance(reports);
                    }
                }
                self.links.workshop.journal.retrying(&job, &failure, delay);
                self.park(lane, job, now + delay, Place::First);
            }
            Disposition::Hold(delay) => {
                job.attempts -= 1;
                workshop.journal.held(&job, &failure);
                // Each trial is another job: one that is its own trouble must not be the only witness.
                self.park(lane, job, now + delay, Place::Last);
            }
            Disposition::DeadLetter(class) => {
                self.dead_letter(lane, job, failure, class, reports);
            }
            Disposition::Doubt(wait) => {
                job.doubt = Some((failure, now));
                self.park(lane, job, now + wait, Place::First);
            }
            Disposition::DeadLetterIfReady(class) => {
                // One that was spared while others' calls went well is its own trouble, whatever the server says.
                let spared_enough = job.spared.is_some_and(|at| self.breaker.accepted_since(at));
                if spared_enough {
                    return self.dead_letter(lane, job, failure, class, reports);
                }
                let workshop = workshop.clone();
                let reports = reports.clone();
                tokio::spawn(async move {
                    let readiness = workshop.client.takes_requests().await;
                    let report = Report::AskedFor(lane, job, (failure, class), readiness);
                    let _ = reports.send(report).await;
                });
            }
        }
    }

    /// Writes the dead letter when the budget allows it; until then the job waits without a permit.
    pub(super) fn dead_letter(
        &mut self,
        lane: Lane,
        mut job: Box<Job>,
        failure: Failure,
        class: Class,
        reports: &mpsc::Sender<Report>,
    ) {
        let now = Instant::now();
        let turn = self.budget.reserve(now);
        if turn <= now {
            return self.settle(lane, job, Outcome::Failure(failure, class), reports);
        }
        let per_minute = self.links.dead_letters_per_minute;
        let reason = format!(
            "the dead-letter budget of {per_minute} a minute (WORKER_DLQ_PER_MINUTE) is used up; last: {failure}"
        );
        if !self.links.holds.is_set(Hold::Budget) {
            tracing::error!("intake is held: {reason}");
            self.links.budget.fails(reason);
            self.links.holds.set(Hold::Budget, true);
        }
        job.verdict = Some((failure, class));
        self.park(lane, job, turn, Place::First);
    }

    pub(super) fn park(&mut self, lane: Lane, mut job: Box<Job>, due: Instant, place: Place) {
        if !job.ownership.is_draining() {
            job.leave();
        } else if job.ownership.is_too_late(due)
            || self.breaker.is_open()
            || job.ownership.is_given_up(job.offset())
        {
            return self.give_up(lane, job);
        }
        self.jobs.park(lane, job, due, place);
    }

    /// Leaves the job to the next owner of its partition, and those behind it too.
    pub(super) fn give_up(&mut self, lane: Lane, job: Box<Job>) {
        let mut dropped = 0;
        self.jobs.give_up(lane, |behind| {
            let kept = behind.ownership.epoch != job.ownership.epoch;
            dropped += usize::from(!kept && behind.is_untried());
            kept
        });
        self.untried -= dropped;
    }

    /// Makes the outcome durable; the job keeps its permit meanwhile.
    pub(super) fn settle(
        &self,
        lane: Lane,
        job: Box<Job>,
        outcome: Outcome,
        reports: &mpsc::Sender<Report>,
    ) {
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

    pub(super) fn settled(&mut self, lane: Lane, job: Box<Job>) {
        // Told before it is counted out: when the poll thread sees nobody in flight, all that is done has been told.
        let _ = self.links.done.send(Done {
            ownership: job.ownership.clone(),
            offset: job.offset(),
        });
        drop(job);
        self.jobs.finish(lane);
    }
}
