//! `cargo xtask chaos`: real workers, real Kafka, and everything going wrong around them.

mod binary;
mod dice;
mod director;
mod feeder;
mod fleet;
mod ground;
mod history;
mod link;
mod mutations;
mod oracle;
mod plan;
mod report;
mod stub;
mod watchers;
mod workload;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use tokio::task::LocalSet;

use self::ground::{Ground, Run};
use self::oracle::Ordering;
use self::plan::Deed;

/// Records a second, unless `--jobs` says how many there are in all.
const RATE: u64 = 100;

/// Runs real workers against real Kafka while everything around them breaks, and judges what happened.
///
/// Everything that goes wrong follows from the seed: the plan is printed, and the same seed gives the same plan. A
/// violation of a rule is printed with all that is known of the record. The exit code is 0 when no rule was broken, 1
/// when one was, 2 when the harness itself failed. docs/chaos.md tells of the rules.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "Examples:
  cargo xtask chaos --seed 7                                a minute with everything
  cargo xtask chaos --seed 1,2,3 --for 20m --release --workers 1..5 --report docs/chaos.md
  cargo xtask chaos --brokers 3 --only broker,kafka-cut     three brokers, one of which is killed
  cargo xtask chaos --mutation off-by-one                   with that bug switched on: must fail
  cargo xtask chaos --prove-mutations                       all bugs, one after the other; succeeds if each is caught")]
pub(crate) struct Options {
    /// What the plan, the records and the faults follow from; with commas, one run after the other
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seed: Vec<u64>,
    /// How long things go wrong: 90s, 20m. Then everything is mended, and the rest of the jobs is waited for
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Records to produce, over nearly all of the time [default: 100 a second, 25 with partition order]
    #[arg(long)]
    jobs: Option<u32>,
    /// Fewest and most workers, or just one number
    #[arg(long, value_name = "N..M", default_value = "1..4", value_parser = range)]
    workers: (usize, usize),
    /// Brokers: 1, or 3 of which one at a time may be killed
    #[arg(long, default_value_t = 1)]
    brokers: usize,
    /// Partitions of the topic of jobs
    #[arg(long, default_value_t = 6)]
    partitions: i32,
    /// WORKER_CONCURRENCY
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// WORKER_ORDERING
    #[arg(long, value_enum, default_value = "key")]
    ordering: Ordering,
    /// The consumer group's protocol
    #[arg(long, value_enum, default_value = "classic")]
    group_protocol: Protocol,
    /// Let only these go wrong
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Deed>,
    /// Build the worker with known bugs, and switch this one on: the run must fail
    #[arg(long, value_enum)]
    mutation: Option<mutations::Mutation>,
    /// Run once without a bug, and once with each of these, or with all; succeeds if every one is caught
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        num_args = 0..,
        value_name = "MUTATION",
        conflicts_with = "mutation"
    )]
    prove_mutations: Option<Vec<mutations::Mutation>>,
    /// Use the optimised worker
    #[arg(long)]
    release: bool,
    /// Use this worker, and build none
    #[arg(long, value_name = "PATH")]
    worker: Option<PathBuf>,
    /// Append the numbers of each run to this file, as rows of a Markdown table
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where to write the log of a worker that is killed or ends, one file an instance
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
}

/// The consumer group's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// The members agree, cooperatively
    Classic,
    /// KIP-848: the broker decides
    Consumer,
}

/// Runs what was asked for; whether all of it was as it should be.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    ensure!(
        matches!(options.brokers, 1 | 3),
        "--brokers is 1 or 3: with two, none can be killed"
    );
    ensure!(options.partitions > 0, "--partitions is 1 or more");
    LocalSet::new().run_until(run_all(options)).await
}

async fn run_all(options: Options) -> anyhow::Result<bool> {
    if let Some(chosen) = &options.prove_mutations {
        return mutations::prove(&options, chosen).await;
    }
    let worker = binary::worker(&options)?;
    let ground = Ground::start(options.brokers).await?;
    let mut all_right = true;
    for seed in &options.seed {
        let run = Run::new(*seed, &options, worker.clone());
        say(&format!("chaos: seed {seed}, the plan is\n{}", run.plan()));
        let outcome = ground.play(&run).await?;
        report::print(&run, &outcome);
        if let Some(file) = &options.report {
            report::append(file, &run, &outcome)
                .with_context(|| format!("writing {}", file.display()))?;
        }
        all_right &= outcome.judgement.violations.is_empty();
    }
    Ok(all_right)
}

/// One line, or several, for whoever runs this.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    match number.parse::<u64>() {
        Ok(count @ 1..=86_400) => Ok(Duration::from_secs(count * unit)),
        _ => Err("a number of seconds or minutes, as 90s or 20m".to_owned()),
    }
}

fn range(text: &str) -> Result<(usize, usize), String> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) if (1..=high).contains(&low) && high <= 8 => Ok((low, high)),
        _ => Err("from 1 to 8, as 3 or 1..4".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("20m"), Ok(Duration::from_secs(1_200)));
        assert!(duration("soon").is_err() && duration("0s").is_err());
        assert_eq!(range("3"), Ok((3, 3)));
        assert_eq!(range("1..4"), Ok((1, 4)));
        assert!(range("4..1").is_err() && range("1..9").is_err() && range("0").is_err());
    }
}
