//! `mcp-hybrid job submit`: jobs from a file, arguments or standard input to any Kafka.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use kafka_worker::topics::{JobProducer, TopicReader};
use mcp_core::{JobEnvelope, JobResult, JobStatus, job};
use mcp_runtime::{Telemetry, Vars};
use tokio::time::Instant;

use crate::brokers;
use crate::cli::SubmitOptions;
use crate::style::{quiet, say};

/// Largest input, in bytes: all of it is checked before anything is sent.
const INPUT_MAX: u64 = 256 * 1024 * 1024;
/// The exit code when a result did not come in time.
const NO_RESULT: u8 = 2;

/// Submits, prints a line for each job, and waits for results if asked.
pub(crate) async fn submit(options: SubmitOptions) -> anyhow::Result<ExitCode> {
    let vars = Vars::from_env();
    // What is wrong is said in one line; telemetry is here for the trace, which begins with the producer.
    let telemetry = Telemetry::init("mcp-hybrid", &quiet(&vars))?;
    let outcome = send(options, &vars).await;
    telemetry.shutdown();
    outcome
}

async fn send(options: SubmitOptions, vars: &Vars) -> anyhow::Result<ExitCode> {
    let connection = brokers::connection(vars, options.brokers.as_deref())?;
    let topic = options
        .topic
        .as_deref()
        .or(vars.get("KAFKA_TOPIC"))
        .unwrap_or("mcp-jobs");
    let jobs = jobs(&options)?;
    if !options.no_check {
        for (job, number) in jobs.iter().zip(1..) {
            job::plan(job).map_err(|failure| {
                anyhow::anyhow!(
                    "job {number} ({}): {failure}; nothing was sent (--no-check sends it all the same)",
                    job.job_id
                )
            })?;
        }
    }
    // Before anything is sent: a result may come at once.
    let results = match options.wait {
        false => None,
        true => {
            let topic = options
                .result_topic
                .as_deref()
                .or(vars.get("KAFKA_RESULT_TOPIC"))
                .context("--wait needs --result-topic (or KAFKA_RESULT_TOPIC), the one that the workers write to")?;
            let (connection, topic) = (connection.clone(), topic.to_owned());
            Some(
                tokio::task::spawn_blocking(move || TopicReader::new(&connection, &topic, true))
                    .await??,
            )
        }
    };
    let producer = JobProducer::new(&connection)?;
    let mut waiting = BTreeSet::new();
    for (job, number) in jobs.iter().zip(1..) {
        let position = producer
            .submit(topic, options.key.as_deref(), job)
            .await
            .with_context(|| {
                let (id, brokers) = (&job.job_id, &connection.brokers);
                format!(
                    "job {number} ({id}) was not acknowledged by {brokers}, those before it were"
                )
            })?;
        if !options.wait {
            say(serde_json::json!({
                "jobID": job.job_id, "topic": topic, "partition": position.partition, "offset": position.offset,
            }));
        }
        waiting.insert(job.job_id.clone());
    }
    match results {
        None => Ok(ExitCode::SUCCESS),
        Some(results) => {
            let patience = Duration::from_secs(options.timeout);
            tokio::task::spawn_blocking(move || wait_for(&results, waiting, patience)).await?
        }
    }
}

/// Prints each awaited result as one JSON line.
fn wait_for(
    results: &TopicReader,
    mut waiting: BTreeSet<String>,
    patience: Duration,
) -> anyhow::Result<ExitCode> {
    let deadline = Instant::now() + patience;
    let mut all_succeeded = true;
    while !waiting.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let missing: Vec<_> = waiting.into_iter().take(10).collect();
            eprint_line(&format!(
                "no result within {} s for {}",
                patience.as_secs(),
                missing.join(", ")
            ));
            return Ok(ExitCode::from(NO_RESULT));
        }
        let Some(record) = results.next(left.min(Duration::from_millis(200)))? else {
            continue;
        };
        // Other programs' records on the topic are not ours to judge.
        let Some(result) = record
            .value
            .as_deref()
            .and_then(|value| serde_json::from_slice::<JobResult>(value).ok())
        else {
            continue;
        };
        if result.job_id.as_ref().is_some_and(|id| waiting.remove(id)) {
            all_succeeded &= result.status == JobStatus::Succeeded;
            say(serde_json::to_string(&result)?);
        }
    }
    Ok(if all_succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn jobs(options: &SubmitOptions) -> anyhow::Result<Vec<JobEnvelope>> {
    match (&options.file, &options.job_type, &options.payload) {
        (Some(path), _, _) => {
            let text = read(path)?;
            let documents =
                serde_json::Deserializer::from_slice(&text).into_iter::<serde_json::Value>();
            let mut jobs = Vec::new();
            for (document, number) in documents.zip(1..) {
                let document =
                    document.with_context(|| format!("{}: job {number}", path.display()))?;
                let bytes = document.to_string();
                let job = JobEnvelope::decode(Some(bytes.as_bytes()), None).map_err(|failure| {
                    anyhow::anyhow!("{}: job {number}: {}", path.display(), failure.message)
                })?;
                jobs.push(job);
            }
            anyhow::ensure!(
                !jobs.is_empty(),
                "{}: there is no job in it",
                path.display()
            );
            Ok(jobs)
        }
        (None, Some(job_type), Some(payload)) => {
            let document = serde_json::json!({
                "jobID": options.id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
                "jobType": job_type,
                "payload": payload,
            });
            let job = JobEnvelope::decode(Some(document.to_string().as_bytes()), None)
                .map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
            Ok(vec![job])
        }
        _ => anyhow::bail!(
            "no job given: use --file FILE (- is standard input), or --type with --payload; --help shows examples"
        ),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let source: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| path.display().to_string())?)
    };
    let mut text = Vec::new();
    source.take(INPUT_MAX + 1).read_to_end(&mut text)?;
    anyhow::ensure!(
        text.len() as u64 <= INPUT_MAX,
        "{}: larger than {INPUT_MAX} bytes; split it",
        path.display()
    );
    Ok(text)
}

fn eprint_line(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "mcp-hybrid: {line}");
}
