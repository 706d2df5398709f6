//! `mcp-hybrid dev`: the whole system in one process. The parts are those of the product, given the same variables as
//! their binaries; only the broker is a stand-in, and with `--brokers` not even that.

mod plan;
mod report;
mod scripted_gemini;
mod system;
mod timeline;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use mcp_runtime::{Telemetry, Vars, signals};
use tokio::time::Instant;

use self::plan::DemoJob;
use self::system::System;
use self::timeline::Timeline;
use crate::cli::DevOptions;
use crate::style::{Style, Tone, quiet, say};

/// How long the jobs may take in all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts the system, submits the jobs, shows what happens, and judges the outcome.
pub(crate) async fn run(options: DevOptions) -> anyhow::Result<ExitCode> {
    let style = Style::of_stdout();
    let vars = Vars::from_env();
    // The timeline tells the story.
    let telemetry = Telemetry::init("mcp-hybrid", &quiet(&vars))?;
    let stop = signals::stop_token()?;
    let scratch = tempfile::tempdir().context("a temporary directory")?;

    let mut system = System::start(&options, &vars, telemetry.metrics(), scratch.path()).await?;
    system.introduce(style);
    let jobs = plan::jobs(scratch.path(), system.has_real_gemini());
    let outcome = tokio::select! {
        outcome = play(&mut system, &jobs, style) => outcome,
        () = stop.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    let all_expected = match outcome {
        Ok(timeline) => report::show(&system, &jobs, &timeline, style).await?,
        Err(error) => {
            system.stop().await?;
            return Err(error);
        }
    };
    if options.keep {
        system.invite(style);
        stop.cancelled().await;
    }
    system.stop().await?;
    telemetry.shutdown();
    Ok(if all_expected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Produces the jobs and follows them to their ends.
async fn play(system: &mut System, jobs: &[DemoJob], style: Style) -> anyhow::Result<Timeline> {
    let mut timeline = Timeline::new(style);
    for job in jobs {
        let position = system.produce(job).await?;
        timeline.produced(job, position.partition, position.offset);
    }
    let deadline = Instant::now() + PATIENCE;
    while timeline.ended().len() < jobs.len() {
        match tokio::time::timeout_at(deadline, system.next_event()).await {
            Ok(event) => timeline.event(&event?),
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                say(style.paint(
                    Tone::Bad,
                    format!("\nnot every job ended within {seconds} s"),
                ));
                break;
            }
        }
    }
    Ok(timeline)
}
