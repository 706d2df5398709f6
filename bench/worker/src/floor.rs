//! The floor: rdkafka and reqwest with nothing between them but a semaphore. It commits what it has received, so it loses
//! jobs when it is killed, it retries nothing, and it knows no order. Nothing that keeps promises can cost less.

use std::sync::Arc;

use anyhow::Context as _;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::{ClientConfig, Message as _};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::jobs::request_body;

/// What the floor is told; the Java program takes the same.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FloorOptions {
    #[arg(long)]
    pub(crate) brokers: String,
    #[arg(long)]
    pub(crate) topic: String,
    #[arg(long)]
    pub(crate) group: String,
    #[arg(long)]
    pub(crate) url: String,
    #[arg(long)]
    pub(crate) concurrency: u32,
    #[arg(long)]
    pub(crate) body_bytes: usize,
    #[arg(long)]
    pub(crate) session_ms: u32,
}

/// Runs until SIGTERM, then waits for what is in flight.
pub(crate) async fn run(options: FloorOptions) -> anyhow::Result<()> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &options.brokers)
        .set("group.id", &options.group)
        .set("session.timeout.ms", options.session_ms.to_string())
        .set(
            "heartbeat.interval.ms",
            (options.session_ms / 3).to_string(),
        )
        .set("auto.offset.reset", "earliest")
        .create()
        .context("the consumer")?;
    consumer.subscribe(&[&options.topic])?;
    let http = reqwest::Client::new();
    let permits = Arc::new(Semaphore::new(options.concurrency as usize));
    let mut stop = signal(SignalKind::terminate())?;
    loop {
        let message = tokio::select! {
            message = consumer.recv() => message?,
            _ = stop.recv() => break,
        };
        let body = request_body(message.payload().unwrap_or_default(), options.body_bytes);
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let request = http
            .post(&options.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .body(body);
        tokio::spawn(async move {
            // A failed call is a lost job here.
            if let Ok(response) = request.send().await {
                let _ = response.bytes().await;
            }
            drop(permit);
        });
    }
    let _all = permits.acquire_many(options.concurrency).await?;
    // Without anything received there is nothing to commit.
    let _ = consumer.commit_consumer_state(CommitMode::Sync);
    Ok(())
}
