//! What happens to jobs, told once: log line, metrics and, where someone listens, the event itself.

use std::time::Duration;

use mcp_core::{Class, ErrorCode, Failure, JobType};
use metrics::{counter, gauge, histogram};
use rdkafka::Message;
use tokio::sync::mpsc;

use crate::engine::job::Job;
use crate::metric_definitions as metric;

/// Something that happened to a job.
#[derive(Clone, Debug)]
pub struct JobEvent {
    /// The job's id, where the record is an envelope.
    pub job_id: Option<String>,
    /// The record's topic.
    pub topic: String,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The worker's client id.
    pub worker: String,
    /// Attempts so far.
    pub attempts: u32,
    /// What happened.
    pub kind: JobEventKind,
}

/// What happened to a job.
#[derive(Clone, Debug)]
pub enum JobEventKind {
    /// An attempt began.
    Started,
    /// An attempt failed and another one follows after that time.
    Retrying(Failure, Duration),
    /// The server is down; the job waits for it without spending an attempt.
    Held(Failure),
    /// The job succeeded and its offset may be committed.
    Succeeded,
    /// The dead letter is acknowledged and the job's offset may be committed.
    DeadLettered(ErrorCode, Class, String),
}

/// Writes log lines and metrics; passes events on.
#[derive(Clone, Debug)]
pub struct Journal {
    worker: String,
    listener: Option<mpsc::Sender<JobEvent>>,
}

impl Journal {
    /// A journal of the worker with that client id. A listener that does not keep up misses events.
    pub fn new(worker: String, listener: Option<mpsc::Sender<JobEvent>>) -> Self {
        Self { worker, listener }
    }

    /// The worker's client id.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// An attempt began.
    pub fn started(&self, job: &Job) {
        self.tell(job, || JobEventKind::Started);
    }

    /// An attempt ended, with its failure if it failed.
    pub fn attempted(&self, job: &Job, took: Duration, failure: Option<&Failure>) {
        let error = failure.map_or("", |failure| failure.code.as_str());
        histogram!(metric::PROCESS_DURATION, "job_type" => type_label(job), "error_type" => error)
            .record(took);
        if let Some(failure) = failure {
            counter!(metric::ATTEMPTS_FAILED, "code" => failure.code.as_str(), "class" => failure.class().as_str())
                .increment(1);
        }
    }

    /// The job is tried again after `delay`.
    pub fn retrying(&self, job: &Job, failure: &Failure, delay: Duration) {
        tracing::warn!(
            job_id = job.id(), topic = job.message.topic(), partition = job.message.partition(), offset = job.message.offset(),
            attempt = job.attempts, code = %failure.code, retry_in_ms = delay.as_millis(), "attempt failed, trying again: {}", failure.message
        );
        self.tell(job, || JobEventKind::Retrying(failure.clone(), delay));
    }

    /// The job waits for the server.
    pub fn held(&self, job: &Job, failure: &Failure) {
        tracing::debug!(job_id = job.id(), code = %failure.code, "held until the server is back: {}", failure.message);
        self.tell(job, || JobEventKind::Held(failure.clone()));
    }

    /// The job succeeded.
    pub fn succeeded(&self, job: &Job) {
        counter!(metric::JOBS, "job_type" => type_label(job), "status" => "succeeded").increment(1);
        tracing::info!(
            job_id = job.id(),
            job_type = job.job_type(),
            topic = job.message.topic(),
            partition = job.message.partition(),
            offset = job.message.offset(),
            attempts = job.attempts,
            "job succeeded"
        );
        self.tell(job, || JobEventKind::Succeeded);
    }

    /// The dead letter is acknowledged.
    pub fn dead_lettered(&self, job: &Job, failure: &Failure, class: Class) {
        counter!(metric::JOBS, "job_type" => type_label(job), "status" => "dead-lettered")
            .increment(1);
        counter!(metric::DEAD_LETTERS, "code" => failure.code.as_str(), "class" => class.as_str())
            .increment(1);
        tracing::error!(
            job_id = job.id(), topic = job.message.topic(), partition = job.message.partition(), offset = job.message.offset(),
            attempts = job.attempts, code = %failure.code, %class, "job dead-lettered: {}", failure.message
        );
        self.tell(job, || {
            JobEventKind::DeadLettered(failure.code, class, failure.message.clone())
        });
    }

    /// The numbers of the scheduler and the breaker.
    pub fn gauges(&self, in_flight: usize, parked: usize, breaker_open: bool) {
        gauge!(metric::IN_FLIGHT).set(count(in_flight));
        gauge!(metric::RETRIES_PARKED).set(count(parked));
        gauge!(metric::BREAKER_OPEN).set(if breaker_open { 1.0 } else { 0.0 });
    }

    fn tell(&self, job: &Job, kind: impl FnOnce() -> JobEventKind) {
        if let Some(listener) = &self.listener {
            let event = JobEvent {
                job_id: job.id().map(str::to_owned),
                topic: job.message.topic().to_owned(),
                partition: job.message.partition(),
                offset: job.message.offset(),
                worker: self.worker.clone(),
                attempts: job.attempts,
                kind: kind(),
            };
            // A listener that is slow or gone must not hold up jobs.
            let _ = listener.try_send(event);
        }
    }
}

/// A gauge's value. Counts of records and jobs are far below 2⁵².
pub fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

/// A label must not grow with what records say.
fn type_label(job: &Job) -> &'static str {
    job.job_type()
        .and_then(|name| JobType::parse(name).ok())
        .map_or("unknown", JobType::as_str)
}
