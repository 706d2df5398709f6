//! One attempt of a job: its tool calls over HTTP, and what they add up to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use mcp_client::{McpClient, ToolCall};
use mcp_core::{ErrorCode, Failure, IdempotencyKey, Step, job};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::dlq::Mask;
use crate::engine::job::Job;

/// Calls of one job at the same time: a job names up to 64 servers, and all of them share its one permit.
const CALLS_AT_ONCE: usize = 4;

/// How an attempt ended.
#[derive(Debug)]
pub struct Attempt {
    /// What every step answered, by step; or the worst failure.
    pub result: Result<Value, Failure>,
    /// Whether the server was called, and had its time: only then does the outcome say something of it.
    pub called: bool,
}

/// Makes one attempt. Steps that succeeded in an earlier one are not called again. Each call ends after `timeout`, and
/// all of them at `ends`. Only `with_answers` are the answers kept: a job that waits with those of its other steps would
/// be far larger than its record.
pub async fn make(
    client: &McpClient,
    job: &mut Job,
    timeout: Duration,
    ends: Instant,
    trace: &[(String, String)],
    with_answers: bool,
) -> Attempt {
    let plan = match (&job.envelope, &job.refused) {
        (Ok(envelope), None) => job::plan(envelope),
        (Err(failure), _) | (_, Some(failure)) => Err(failure.clone()),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(failure) => {
            return Attempt {
                result: Err(failure),
                called: false,
            };
        }
    };
    let id = job.id().unwrap_or_default().to_owned();
    let topic = job.ownership.topic.clone();
    let due: Vec<&Step> = plan
        .iter()
        .filter(|step| !matches!(job.steps.get(&step.id), Some(Ok(_))))
        .collect();
    let called = AtomicBool::new(false);
    let call_step = async |step: &Step| {
        let key = IdempotencyKey::new(&topic, &id, &step.id);
        let left = left(ends);
        let answer = call(client, step, &key, timeout.min(left), trace).await;
        // One that the job's own deadline cut short says nothing of the server.
        let is_cut = left < timeout && is_timeout(&answer);
        called.fetch_or(!is_cut, Ordering::Relaxed);
        job.ownership.attempted();
        let answer = match with_answers {
            true => answer,
            false => answer.map(|_| Value::Null),
        };
        (step.id.clone(), answer)
    };
    let answers: Vec<_> = match due[..] {
        [only] => vec![call_step(only).await],
        // Boxed: few jobs need it, and all of them would carry its size.
        _ => {
            let calls = futures::stream::iter(due).map(call_step);
            Box::pin(calls.buffer_unordered(CALLS_AT_ONCE).collect()).await
        }
    };
    job.steps.extend(answers);
    Attempt {
        result: sum_up(&plan, job),
        called: called.into_inner(),
    }
}

fn is_timeout(answer: &Result<Value, Failure>) -> bool {
    matches!(answer, Err(failure) if failure.code == ErrorCode::CallTimeout)
}

fn left(ends: Instant) -> Duration {
    ends.saturating_duration_since(Instant::now())
}

async fn call(
    client: &McpClient,
    step: &Step,
    key: &IdempotencyKey,
    timeout: Duration,
    trace: &[(String, String)],
) -> Result<Value, Failure> {
    if timeout.is_zero() {
        return Err(Failure::new(
            ErrorCode::CallTimeout,
            "the job's deadline came before this call",
        ));
    }
    let call = ToolCall {
        tool: &step.tool,
        arguments: &step.arguments,
        idempotency_key: Some(key),
        trace,
        timeout,
    };
    // The client has taken the step's environment values and headers out of what the server may have repeated.
    let answer = client.call_tool(call).await.map_err(masked)?;
    Ok(match answer.structured_content() {
        Some(structured) => structured.clone(),
        None => answer.content().into(),
    })
}

/// Without what looks like a secret: the text may be a tool's own, and goes into logs and dead letters.
fn masked(mut failure: Failure) -> Failure {
    failure.message = Mask::default().text(&failure.message);
    failure
}

/// All answers in the order of the plan, or the worst failure with each step's outcome as its detail.
fn sum_up(plan: &[Step], job: &mut Job) -> Result<Value, Failure> {
    let worst = plan
        .iter()
        .filter_map(|step| job.steps.get(&step.id)?.as_ref().err())
        .reduce(|worst, next| {
            if next.class() > worst.class() {
                next
            } else {
                worst
            }
        });
    let Some(worst) = worst else {
        if let [only] = plan
            && only.id == only.tool
            && let Some(Ok(answer)) = job.steps.swap_remove(&only.id)
        {
            return Ok(answer);
        }
        let all: Map<_, _> = plan
            .iter()
            .map(|step| (step.id.clone(), answer(job, step)))
            .collect();
        return Ok(Value::Object(all));
    };
    let mut failure = worst.clone();
    if plan.len() > 1 {
        let outcomes: Map<_, _> = plan
            .iter()
            .map(|step| (step.id.clone(), outcome(job, step)))
            .collect();
        let failed = plan
            .iter()
            .filter(|step| !matches!(job.steps.get(&step.id), Some(Ok(_))))
            .count();
        failure = Failure::new(
            worst.code,
            format!(
                "{failed} of {} servers failed; the worst: {}",
                plan.len(),
                worst.message
            ),
        )
        .with_retry_after(worst.retry_after)
        .with_detail(json!({"servers": outcomes, "worst": worst.detail}));
    }
    Err(failure)
}

fn answer(job: &Job, step: &Step) -> Value {
    match job.steps.get(&step.id) {
        Some(Ok(answer)) => answer.clone(),
        _ => Value::Null,
    }
}

fn outcome(job: &Job, step: &Step) -> Value {
    match job.steps.get(&step.id) {
        Some(Ok(_)) => json!({"status": "succeeded"}),
        Some(Err(failure)) => json!({
            "status": "failed",
            "code": failure.code.as_str(),
            "message": mcp_core::text::bounded(&failure.message, 200),
        }),
        None => json!({"status": "not called"}),
    }
}

/// The attempt of a job whose handler ended with a defect of ours.
pub fn defect() -> Attempt {
    Attempt {
        result: Err(Failure::new(
            ErrorCode::Internal,
            "the worker failed on this job: see its log",
        )),
        called: false,
    }
}

#[cfg(test)]
mod tests;
