//! The numbers of a run, for people.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::ground::{Outcome, Run};
use super::history::{History, Verdict};
use super::oracle::{REASONS, Rule, Tally};
use super::say;

/// Violations of one rule that are printed.
const SHOWN: usize = 10;

/// Prints violations and numbers, and whether the run passed.
pub(crate) fn print(run: &Run, outcome: &Outcome) {
    let mut by_rule: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for violation in &outcome.judgement.violations {
        by_rule
            .entry(violation.rule)
            .or_default()
            .push(&violation.what);
    }
    for (rule, found) in &by_rule {
        say(&format!(
            "VIOLATED {rule}; seed {}, {} times",
            run.seed,
            found.len()
        ));
        for what in found.iter().take(SHOWN) {
            say(&format!("  - {what}"));
        }
        if found.len() > SHOWN {
            say(&format!("  … and {} more", found.len() - SHOWN));
        }
    }
    for (name, value) in numbers(run, outcome) {
        say(&format!("  {name:<58} {value}"));
    }
    let verdict = match by_rule.is_empty() {
        true => "PASS",
        false => "FAIL",
    };
    say(&format!("{verdict}: seed {}", run.seed));
}

fn numbers(run: &Run, outcome: &Outcome) -> Vec<(String, String)> {
    let History {
        entries,
        calls,
        letters,
        commits,
        ..
    } = &outcome.history;
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let aborted = entries.iter().filter(|entry| entry.aborted).count();
    row("seed", run.seed.to_string());
    row("duration, s", run.duration.as_secs().to_string());
    row(
        "time for the rest once all was mended, s",
        format!("{:.1}", outcome.rest.as_secs_f64()),
    );
    row("jobs", (entries.len() - aborted).to_string());
    row("records of aborted transactions", aborted.to_string());
    row("calls", calls.len().to_string());
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for call in calls {
        *verdicts.entry(call.verdict).or_default() += 1;
    }
    for (verdict, count) in verdicts {
        row(&format!("calls: {}", name(verdict)), count.to_string());
    }
    row("duplicates", duplicates(outcome).to_string());
    for (reason, tally) in &outcome.judgement.duplicates {
        row(&format!("duplicates: {reason}"), cell(tally));
    }
    row(
        "jobs that a text called finished ahead of their turn",
        outcome.judgement.ahead.to_string(),
    );
    row("dead letters", letters.len().to_string());
    let budget = run.letters_per_minute().to_string();
    row("dead letters that a worker may write a minute", budget);
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for letter in letters {
        *codes.entry(&letter.code).or_default() += 1;
    }
    for (code, count) in codes {
        row(&format!("dead letters: {code}"), count.to_string());
    }
    for (deed, count) in &outcome.history.deeds {
        row(deed, count.to_string());
    }
    row(
        "rebalances seen by workers",
        outcome.history.rebalances.len().to_string(),
    );
    row(
        "samples of committed offsets",
        outcome.history.samples.to_string(),
    );
    row(
        "samples that failed",
        outcome.history.samples_failed.to_string(),
    );
    row("commits seen", commits.len().to_string());
    row("violations", outcome.judgement.violations.len().to_string());
    rows
}

fn duplicates(outcome: &Outcome) -> usize {
    let tallies = outcome.judgement.duplicates.values();
    tallies.map(|tally| tally.count).sum()
}

/// The number, and the bound where there is one.
fn cell(tally: &Tally) -> String {
    match tally.most {
        Some(most) => format!("{} ≤ {most}", tally.count),
        None => tally.count.to_string(),
    }
}

fn name(verdict: Verdict) -> String {
    match verdict {
        Verdict::Gone => "without an answer".to_owned(),
        Verdict::Success => "success".to_owned(),
        Verdict::DoneAndReset => "reset after the work".to_owned(),
        Verdict::Reset => "reset before the work".to_owned(),
        Verdict::Refused(status) => format!("HTTP {status}"),
        Verdict::ToolTransient => "tool error, retryable".to_owned(),
        Verdict::ToolPermanent => "tool error, permanent".to_owned(),
    }
}

const BEFORE: &str = "seed | minutes | worker | brokers | protocol | ordering | workers | concurrency | jobs | calls | kills | SIGTERM | SIGSTOP | cuts and outages | rebalances | samples | ahead | dead letters | budget | lost | early | wrongly dead-lettered | duplicates";
const AFTER: &str = "verdict";

/// The head of the table: the reasons of duplicates have columns of their own.
fn columns() -> String {
    let names: Vec<&str> = BEFORE.split(" | ").chain(REASONS).chain([AFTER]).collect();
    let line = "---|".repeat(names.len());
    format!("| {} |\n|{line}\n", names.join(" | "))
}

/// Appends the run as a row; the file's last line is the table's.
pub(crate) fn append(file: &Path, run: &Run, outcome: &Outcome) -> std::io::Result<()> {
    let known = std::fs::read_to_string(file).unwrap_or_default();
    let mut to = OpenOptions::new().create(true).append(true).open(file)?;
    let columns = columns();
    if !known.contains(&columns) {
        write!(to, "\n{columns}")?;
    }
    let history = &outcome.history;
    let deed = |names: &[&str]| -> u64 {
        let counted = history.deeds.iter();
        counted
            .filter(|(deed, _)| names.iter().any(|name| deed.starts_with(name)))
            .map(|(_, count)| count)
            .sum()
    };
    let broken = |rule: Rule| {
        let violations = outcome.judgement.violations.iter();
        violations
            .filter(|violation| violation.rule == rule)
            .count()
    };
    let optimised = run
        .worker
        .components()
        .any(|part| part.as_os_str() == "release");
    let mut cells = vec![
        run.seed.to_string(),
        format!("{:.1}", run.duration.as_secs_f64() / 60.0),
        if optimised { "release" } else { "debug" }.to_owned(),
        run.brokers.to_string(),
        format!("{:?}", run.protocol).to_lowercase(),
        format!("{:?}", run.ordering).to_lowercase(),
        format!("{}..{}", run.workers.0, run.workers.1),
        run.concurrency.to_string(),
        history
            .entries
            .iter()
            .filter(|entry| !entry.aborted)
            .count()
            .to_string(),
        history.calls.len().to_string(),
        deed(&["SIGKILL"]).to_string(),
        deed(&["SIGTERM"]).to_string(),
        deed(&["SIGSTOP"]).to_string(),
        deed(&[
            "Kafka cut",
            "server cut",
            "outages",
            "dead-letter topic",
            "brokers killed",
        ])
        .to_string(),
        history.rebalances.len().to_string(),
        history.samples.to_string(),
        outcome.judgement.ahead.to_string(),
        history.letters.len().to_string(),
        run.letters_per_minute().to_string(),
        broken(Rule::A).to_string(),
        broken(Rule::B).to_string(),
        broken(Rule::G).to_string(),
        duplicates(outcome).to_string(),
    ];
    let tallies = &outcome.judgement.duplicates;
    let by_reason = REASONS
        .iter()
        .map(|reason| tallies.get(reason).map_or("0".to_owned(), cell));
    cells.extend(by_reason);
    cells.push(match outcome.judgement.violations.is_empty() {
        true => "pass".to_owned(),
        false => "FAIL".to_owned(),
    });
    writeln!(to, "| {} |", cells.join(" | "))
}
