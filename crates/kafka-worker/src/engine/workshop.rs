//! What runs on a permit: an attempt of a job, and making its outcome durable.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use mcp_client::McpClient;
use mcp_core::clock::rfc3339;
use mcp_core::{Class, Clock, Failure, JobResult, JobStatus, RetryPolicy};
use mcp_runtime::log_fields::{self, TRACE_ID};
use mcp_runtime::trace_context;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::job::{self, Job};
use crate::attempt::{self, Attempt};
use crate::dead_letter::Verdict;
use crate::journal::Journal;
use crate::mutation::{self, Mutation};
use crate::outbox::Outbox;
use crate::signals::Pulse;
use crate::spans;

/// What jobs need, shared by their tasks.
pub struct Workshop {
    /// The MCP server's client.
    pub client: McpClient,
    /// Dead letters and results.
    pub outbox: Outbox,
    /// Log, metrics, events.
    pub journal: Journal,
    /// Between attempts.
    pub retry: RetryPolicy,
    /// For one call.
    pub call_timeout: Duration,
    /// For all attempts of a job.
    pub deadline: Duration,
    /// The consumer group, for dead letters.
    pub group: String,
    /// Wall clock.
    pub clock: Clock,
    /// Whether the process has stood still lately.
    pub pulse: Pulse,
}

/// How a job ended for good.
pub(super) enum Outcome {
    Success(Value),
    Failure(Failure, Class),
}

/// Makes one attempt in the span of the record's trace. A panic is a failure like others: the record must not be lost
/// with the task.
pub(super) async fn guarded_attempt(workshop: &Workshop, job: &mut Job, ends: Instant) -> Attempt {
    let message = &job.message;
    let span = spans::process(
        message,
        job.id(),
        &workshop.group,
        workshop.journal.worker(),
    );
    // A record without a context has the one that its first attempt began.
    let incoming = |name: &str| {
        let own = job::header(message, name);
        let earlier = job.traceparent.as_deref();
        own.or(earlier.filter(|_| name == trace_context::TRACEPARENT))
    };
    trace_context::set_parent(&span, incoming);
    let trace = trace_context::outgoing(&span, incoming);
    job.traceparent = trace
        .iter()
        .find_map(|(name, value)| (name == trace_context::TRACEPARENT).then(|| value.clone()));
    let with_answers = workshop.outbox.has_results();
    let (client, timeout) = (&workshop.client, workshop.call_timeout);
    let fields = [("job_id", job.id()), (TRACE_ID, job.trace_id())];
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_owned())))
        .collect();
    let attempt =
        attempt::make(client, job, timeout, ends, &trace, with_answers).instrument(span.clone());
    let attempt = log_fields::with(fields, attempt);
    let attempt = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(attempt) => attempt,
        // The panic hook has logged it.
        Err(_) => attempt::defect(),
    };
    if let Err(failure) = &attempt.result {
        spans::failed(&span, failure.code.as_str());
    }
    attempt
}

/// Returns once the outcome is where it belongs: nowhere, in the result topic, in the dead-letter topic.
pub(super) async fn make_durable(workshop: &Workshop, job: &Job, outcome: Outcome) {
    // The partition may be another's since a standstill; then the loss of it, which is told within that time, ends this.
    workshop.pulse.steady().await;
    let now = rfc3339(workshop.clock.now());
    let started_at = job
        .started
        .map_or_else(|| now.clone(), |started| rfc3339(started.time));
    let mut result = JobResult {
        job_id: job.id().map(str::to_owned),
        job_type: job.job_type().map(str::to_owned),
        status: JobStatus::Succeeded,
        attempts: job.attempts,
        started_at: started_at.clone(),
        finished_at: now.clone(),
        result: None,
        error: None,
    };
    match outcome {
        Outcome::Success(value) => {
            result.result = Some(value);
            workshop.outbox.result(&job.message, result).await;
            workshop.journal.succeeded(job);
        }
        Outcome::Failure(failure, class) => {
            let verdict = Verdict {
                class,
                attempts: job.attempts,
                group: workshop.group.clone(),
                job_id: result.job_id.clone(),
                job_type: result.job_type.clone(),
                first_attempt_at: started_at,
                failed_at: now,
                worker: workshop.journal.worker().to_owned(),
                traceparent: job.traceparent.clone(),
                failure: failure.clone(),
            };
            let written = workshop.outbox.dead_letter(&job.message, verdict);
            match mutation::is(Mutation::DeadLetterNotAwaited) {
                true => _ = written.now_or_never(),
                false => written.await,
            }
            result.status = JobStatus::DeadLettered;
            result.error = Some(json!({
                "code": failure.code.as_str(), "class": class.as_str(), "message": failure.message, "detail": failure.detail,
            }));
            workshop.outbox.result(&job.message, result).await;
            workshop.journal.dead_lettered(job, &failure, class);
        }
    }
}
