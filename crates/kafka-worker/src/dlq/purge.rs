//! `dlq purge`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{REQUEST, admin, wait};
use super::ledger::Ledger;
use super::options::PurgeOptions;
use super::progress::Progress;
use super::reader::{Range, Reader};
use super::target::Target;
use super::{Session, UsageError, letters, note};

/// What one partition would lose.
struct Part {
    range: Range,
    letters: u64,
    /// How many of them were never redriven.
    unsent: u64,
}

pub(super) fn run(options: &PurgeOptions, session: &Session) -> anyhow::Result<ExitCode> {
    let target = options.target.resolve(&session.vars)?;
    if !options.yes && !std::io::stdin().is_terminal() {
        let what =
            "purge asks first, and there is no terminal to ask on: --yes deletes without asking";
        return Err(UsageError(what.into()).into());
    }
    let before = options.before.map(|when| when.millis(session.clock.now()));
    let reader = Reader::new(&target)?;
    let mut all = Vec::new();
    for dead in &target.dead {
        let parts = parts(&reader, dead, before)?;
        for part in &parts {
            note(&format!(
                "{dead}/{}: {}, {} never redriven",
                part.range.partition,
                letters(part.letters),
                part.unsent
            ));
        }
        all.push((dead, parts));
    }
    let total: u64 = all
        .iter()
        .flat_map(|(_, parts)| parts)
        .map(|part| part.letters)
        .sum();
    if total == 0 {
        note("there is nothing to delete");
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<_> = all.iter().map(|(dead, _)| dead.as_str()).collect();
    if !options.yes {
        let _ = write!(
            std::io::stderr(),
            "{} will be deleted for good. Type yes or the topic's name to do so: ",
            letters(total)
        );
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !agrees(&answer, &names) {
            note("nothing was deleted");
            return Ok(ExitCode::FAILURE);
        }
    }
    for (dead, parts) in &all {
        delete(&target, dead, parts)?;
    }
    note(&format!("{} deleted", letters(total)));
    Ok(ExitCode::SUCCESS)
}

fn agrees(answer: &str, topics: &[&str]) -> bool {
    let answer = answer.trim();
    answer == "yes" || matches!(topics, [only] if answer == *only)
}

fn parts(reader: &Reader, dead: &str, before: Option<i64>) -> anyhow::Result<Vec<Part>> {
    let mut ranges = reader.extent(dead, &reader.existing(dead)?)?;
    if let Some(before) = before {
        for range in &mut ranges {
            // All older: up to the end.
            if let Some(offset) = reader.offset_at(dead, range.partition, before)? {
                range.to = offset.min(range.to);
            }
        }
    }
    ranges.retain(|range| range.len() > 0);
    let ledger = Ledger::glance(reader, dead)?;
    let progress = Progress::reading(&ranges, true);
    let mut parts: Vec<_> = ranges
        .iter()
        .map(|range| Part {
            range: *range,
            letters: 0,
            unsent: 0,
        })
        .collect();
    let _ = reader.scan(dead, &ranges, &mut |letter| {
        progress.read(1);
        let part = parts
            .iter_mut()
            .find(|part| part.range.partition == letter.partition);
        if let Some(part) = part {
            part.letters += 1;
            part.unsent += u64::from(ledger.redriven(&letter).is_none());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(parts)
}

fn delete(target: &Target, dead: &str, parts: &[Part]) -> anyhow::Result<()> {
    let mut upto = TopicPartitionList::new();
    for part in parts {
        upto.add_partition_offset(dead, part.range.partition, Offset::Offset(part.range.to))?;
    }
    if upto.count() == 0 {
        return Ok(());
    }
    let options = AdminOptions::new()
        .operation_timeout(Some(REQUEST))
        .request_timeout(Some(REQUEST));
    let results = wait(admin(target)?.delete_records(&upto, &options))
        .with_context(|| format!("the letters of {dead} can't be deleted"))?;
    for element in results.elements() {
        let partition = element.partition();
        element
            .error()
            .with_context(|| format!("the letters of {dead}/{partition} can't be deleted"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::agrees;

    #[test]
    fn only_yes_or_the_name_of_the_one_topic_agrees() {
        assert!(agrees("yes\n", &["a", "b"]));
        assert!(agrees("a\n", &["a"]));
        for answer in ["", "\n", "y", "no", "YES", "b", "a b"] {
            assert!(!agrees(answer, &["a"]), "{answer}");
        }
        assert!(!agrees("a", &["a", "b"]));
    }
}
