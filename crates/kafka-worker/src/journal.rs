//! What happens to jobs, told once: log line, metrics and, where someone listens, the event itself.

use std::sync::OnceLock;
use std::time::Duration;

use mcp_core::{Class, ErrorCode, Failure, JobType};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
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
pub struct Journal {
    worker: String,
    listener: Option<mpsc::Sender<JobEvent>>,
    /// By the place of the type in [`TYPES`].
    by_type: Vec<TypeMeters>,
    in_flight: Gauge,
    parked: Gauge,
    breaker_open: Gauge,
    budget: OnceLock<Gauge>,
}

/// What counts jobs, looked up once; and there from the start, so that the first dead letter is an increase.
struct TypeMeters {
    succeeded: Counter,
    dead_lettered: Counter,
    took: Histogram,
}

/// The values of the label `job_type`, which must not grow with what records say.
const TYPES: [Option<JobType>; 5] = [
    Some(JobType::ServerInit),
    Some(JobType::SvgGenerate),
    Some(JobType::ServerPublish),
    Some(JobType::ToolCall),
    None,
];

impl Journal {
    /// A journal of the worker with that client id. A listener that does not keep up misses events.
    pub fn new(worker: String, listener: Option<mpsc::Sender<JobEvent>>) -> Self {
        let meters = |job_type: &Option<JobType>| {
            let label = job_type.map_or(UNKNOWN, JobType::as_str);
            TypeMeters {
                succeeded: counter!(metric::JOBS, "job_type" => label, "status" => "succeeded"),
                dead_lettered: counter!(metric::JOBS, "job_type" => label, "status" => "dead-lettered"),
                took: histogram!(metric::PROCESS_DURATION, "job_type" => label, "error_type" => ""),
            }
        };
        Self {
            worker,
            listener,
            by_type: TYPES.iter().map(meters).collect(),
            in_flight: gauge!(metric::IN_FLIGHT),
            parked: gauge!(metric::RETRIES_PARKED),
            breaker_open: gauge!(metric::BREAKER_OPEN),
            budget: OnceLock::new(),
        }
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
        let Some(failure) = failure else {
            return self.meters(job).took.record(took);
        };
        let error = failure.code.as_str();
        histogram!(metric::PROCESS_DURATION, "job_type" => type_label(job), "error_type" => error)
            .record(took);
        counter!(metric::ATTEMPTS_FAILED, "code" => failure.code.as_str(), "class" => failure.class().as_str())
            .increment(1);
    }

    /// The job is tried again after `delay`.
    pub fn retrying(&self, job: &Job, failure: &Failure, delay: Duration) {
        tracing::warn!(
            job_id = job.id(), trace_id = job.trace_id(), topic = job.message.topic(), partition = job.message.partition(), offset = job.message.offset(),
            attempt = job.attempts, code = %failure.code, retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), "attempt failed, trying again: {}", failure.message
        );
        self.tell(job, || JobEventKind::Retrying(failure.clone(), delay));
    }

    /// The job waits for the server.
    pub fn held(&self, job: &Job, failure: &Failure) {
        tracing::debug!(job_id = job.id(), trace_id = job.trace_id(), code = %failure.code, "held until the server is back: {}", failure.message);
        self.tell(job, || JobEventKind::Held(failure.clone()));
    }

    /// The job succeeded.
    pub fn succeeded(&self, job: &Job) {
        self.meters(job).succeeded.increment(1);
        tracing::info!(
            job_id = job.id(),
            trace_id = job.trace_id(),
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
        self.meters(job).dead_lettered.increment(1);
        counter!(metric::DEAD_LETTERS, "code" => failure.code.as_str(), "class" => class.as_str())
            .increment(1);
        tracing::error!(
            job_id = job.id(), trace_id = job.trace_id(), topic = job.message.topic(), partition = job.message.partition(), offset = job.message.offset(),
            attempts = job.attempts, code = %failure.code, %class, "job dead-lettered: {}", failure.message
        );
        self.tell(job, || {
            JobEventKind::DeadLettered(failure.code, class, failure.message.clone())
        });
    }

    /// The numbers of the scheduler, the breaker and the budget.
    pub fn gauges(&self, in_flight: usize, parked: usize, breaker_open: bool, budget: Option<f64>) {
        self.in_flight.set(count(in_flight));
        self.parked.set(count(parked));
        self.breaker_open.set(if breaker_open { 1.0 } else { 0.0 });
        if let Some(remaining) = budget {
            let gauge = self.budget.get_or_init(|| gauge!(metric::BUDGET_REMAINING));
            gauge.set(remaining);
        }
    }

    fn meters(&self, job: &Job) -> &TypeMeters {
        let job_type = job_type(job);
        let at = TYPES.iter().position(|known| *known == job_type);
        &self.by_type[at.unwrap_or(TYPES.len() - 1)]
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

const UNKNOWN: &str = "unknown";

fn type_label(job: &Job) -> &'static str {
    job_type(job).map_or(UNKNOWN, JobType::as_str)
}

fn job_type(job: &Job) -> Option<JobType> {
    JobType::parse(job.job_type()?).ok()
}
