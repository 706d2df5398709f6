//! Known bugs, which the oracle must find.

use std::time::Duration;

use clap::ValueEnum;
use tokio::time::Instant;

use super::ground::{Ground, Run};
use super::oracle::Rule;
use super::plan::Deed;
use super::{Options, binary, report, say};

/// A bug that a worker built with the feature `mutations` can be told to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mutation {
    /// Commit behind the highest finished record
    CommitHighest,
    /// Commit one more than may be committed
    OffByOne,
    /// Go on with a partition that was given up or lost
    EpochIgnored,
    /// Count a dead letter as written once it is sent
    DeadLetterNotAwaited,
    /// Give up what is in flight at once, on SIGTERM and at a revocation
    DrainSkipped,
    /// Take offsets for a sequence without gaps
    GapPlusOne,
}

impl Mutation {
    /// Its name in `WORKER_MUTATION`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CommitHighest => "commit-highest",
            Self::OffByOne => "off-by-one",
            Self::EpochIgnored => "epoch-ignored",
            Self::DeadLetterNotAwaited => "dead-letter-not-awaited",
            Self::DrainSkipped => "drain-skipped",
            Self::GapPlusOne => "gap-plus-one",
        }
    }

    /// What has to go wrong around the worker for the bug to show, and for how long.
    fn occasion(self) -> (Vec<Deed>, u64) {
        match self {
            Self::CommitHighest | Self::OffByOne | Self::GapPlusOne => (vec![Deed::ScaleUp], 6),
            Self::EpochIgnored => (vec![Deed::ScaleUp, Deed::ScaleDown], 30),
            Self::DeadLetterNotAwaited => (vec![Deed::Letters], 12),
            // The cut must not explain the duplicates of the whole run.
            Self::DrainSkipped => (vec![Deed::Term, Deed::ScaleUp, Deed::KafkaCut], 20),
        }
    }
}

/// The seconds of the run without a bug.
const CONTROL: u64 = 12;

/// Runs once without a bug, which must pass, and once with each; whether every one was caught.
pub(crate) async fn prove(options: &Options, chosen: &[Mutation]) -> anyhow::Result<bool> {
    let mutations = match chosen {
        [] => Mutation::value_variants(),
        some => some,
    };
    let worker = binary::worker(options)?;
    let ground = Ground::start(options.brokers).await?;
    let seed = options.seed.first().copied().unwrap_or(1);
    let short = |mutation, only, seconds: u64| Run {
        mutation,
        only,
        duration: Duration::from_secs(seconds),
        // More than the workers manage at once, so that there are queues for the bug to spoil.
        jobs: u32::try_from(seconds * 150).unwrap_or(u32::MAX),
        concurrency: 8,
        workers: (1, 3),
        ..Run::new(seed, options, worker.clone())
    };
    let occasions = vec![Deed::ScaleUp, Deed::ScaleDown, Deed::Term, Deed::Letters];
    let control = short(None, occasions, CONTROL);
    let outcome = ground.play(&control).await?;
    let mut all = outcome.judgement.violations.is_empty();
    if !all {
        report::print(&control, &outcome);
    }
    say(&format!(
        "chaos: seed {seed}, without a mutation: {}",
        if all {
            "no rule is broken"
        } else {
            "RULES ARE BROKEN"
        }
    ));
    for mutation in mutations {
        let (only, seconds) = mutation.occasion();
        let run = Run {
            patience: Duration::from_secs(5),
            ..short(Some(*mutation), only, seconds)
        };
        let began = Instant::now();
        let outcome = ground.play(&run).await?;
        let took = began.elapsed().as_secs();
        let mut violations = outcome.judgement.violations.clone();
        // That the harness could not see is no proof.
        violations.retain(|violation| violation.rule != Rule::Harness);
        let mut rules: Vec<_> = violations
            .iter()
            .map(|violation| format!("{:?}", violation.rule))
            .collect();
        rules.sort();
        rules.dedup();
        let name = mutation.name();
        match violations.first() {
            Some(first) => {
                let example: String = first.what.chars().take(300).collect();
                let rules = rules.join(", ");
                say(&format!(
                    "chaos: seed {seed}, {name}: caught by {rules} in {took} s\n    {example}"
                ));
            }
            None => {
                all = false;
                report::print(&run, &outcome);
                say(&format!("chaos: seed {seed}, {name}: NOT CAUGHT"));
            }
        }
    }
    say(match all {
        true => "PASS: every mutation was caught, and without one no rule was broken",
        false => "FAIL: see above",
    });
    Ok(all)
}
