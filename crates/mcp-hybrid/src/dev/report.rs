//! After the jobs: committed offsets, dead letters, pictures, and whether every outcome is the expected one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use kafka_worker::dead_letter;
use kafka_worker::topics::{Committed, TopicReader, TopicRecord, committed};
use mcp_core::{JobResult, SvgResult};
use tokio::time::Instant;

use super::plan::{DemoJob, Expected};
use super::system::System;
use super::timeline::{Ended, Timeline};
use crate::style::{Style, Tone, say};

/// Commits follow once a second.
const COMMIT_PATIENCE: Duration = Duration::from_secs(15);

/// Shows and judges; whether all is as expected.
pub(super) async fn show(
    system: &System,
    jobs: &[DemoJob],
    timeline: &Timeline,
    style: Style,
) -> anyhow::Result<bool> {
    let offsets = committed_at_end(system).await?;
    let letters = dead_letters(system, jobs).await?;

    say(style.paint(Tone::Bold, "\nCommitted offsets"));
    let mut all_committed = true;
    for offset in &offsets {
        let is_at_end = offset.committed.unwrap_or(0) == offset.end;
        all_committed &= is_at_end;
        let at = offset
            .committed
            .map_or_else(|| "-".to_owned(), |at| at.to_string());
        let tone = if is_at_end { Tone::Good } else { Tone::Bad };
        let line = format!(
            "  partition {}   committed {at:>2} of {:>2}",
            offset.partition, offset.end
        );
        say(style.paint(tone, line));
    }

    say(style.paint(Tone::Bold, "\nDead letters"));
    for letter in letters.values() {
        let header = |name| letter.header(name).unwrap_or("-").to_owned();
        say(format!(
            "  {:<14} {:<15} {:<10} from {}/{}/{}: {}",
            String::from_utf8_lossy(letter.key.as_deref().unwrap_or_default()),
            header(dead_letter::ERROR_CODE),
            header(dead_letter::ERROR_CLASS),
            header(dead_letter::TOPIC),
            header(dead_letter::PARTITION),
            header(dead_letter::OFFSET),
            header(dead_letter::MESSAGE),
        ));
    }

    pictures(system, style).await?;

    say(style.paint(Tone::Bold, "\nOutcomes"));
    let mut all_expected = true;
    for job in jobs {
        let ended = timeline.ended().get(job.id);
        let expected =
            ended.is_some_and(|ended| ended.is(job.expected)) && letter_fits(job, &letters);
        all_expected &= expected;
        let (tone, verdict) = if expected {
            (Tone::Good, "as expected")
        } else {
            (Tone::Bad, "NOT AS EXPECTED")
        };
        let was = ended.map_or_else(|| "did not end".to_owned(), describe);
        say(style.paint(tone, format!("  {:<14} {was}: {verdict}", job.id)));
        if !expected {
            say(format!("  {:<14} expected was {:?}", "", job.expected));
        }
    }
    let ok = all_expected && all_committed;
    let (tone, verdict) = match (all_expected, all_committed) {
        (true, true) => (
            Tone::Good,
            "Every job ended as expected, and every offset is committed.",
        ),
        (true, false) => (
            Tone::Bad,
            "Not every offset is committed. RUST_LOG=info shows the logs.",
        ),
        (false, _) => (
            Tone::Bad,
            "Not every job ended as expected. RUST_LOG=info shows the logs.",
        ),
    };
    say(style.paint(tone, format!("\n{verdict}")));
    Ok(ok)
}

fn describe(ended: &Ended) -> String {
    match ended {
        Ended::Success { attempts: 1 } => "succeeded".to_owned(),
        Ended::Success { attempts } => format!("succeeded after {attempts} attempts"),
        Ended::DeadLetter { code, class } => format!("dead letter, {code} ({class})"),
    }
}

/// A dead letter on the topic itself, with the value byte for byte, or none where none is expected.
fn letter_fits(job: &DemoJob, letters: &BTreeMap<String, TopicRecord>) -> bool {
    match (job.expected, letters.get(job.id)) {
        (Expected::Success { .. } | Expected::AnySuccess, None) => true,
        (Expected::DeadLetter { code, class }, Some(letter)) => {
            letter.header(dead_letter::ERROR_CODE) == Some(code)
                && letter.header(dead_letter::ERROR_CLASS) == Some(class)
                && letter.value.as_deref() == Some(job.value.as_bytes())
        }
        _ => false,
    }
}

/// The committed offsets, once they are at the end or patience has.
async fn committed_at_end(system: &System) -> anyhow::Result<Vec<Committed>> {
    let deadline = Instant::now() + COMMIT_PATIENCE;
    loop {
        let (connection, names) = (system.connection.clone(), system.names.clone());
        let offsets =
            tokio::task::spawn_blocking(move || committed(&connection, &names.group, &names.jobs))
                .await??;
        let at_end = offsets
            .iter()
            .all(|offset| offset.committed.unwrap_or(0) == offset.end);
        if at_end || Instant::now() >= deadline {
            return Ok(offsets);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the results tell of pictures.
async fn pictures(system: &System, style: Style) -> anyhow::Result<()> {
    let (connection, topic) = (system.connection.clone(), system.names.results.clone());
    let results = tokio::task::spawn_blocking(move || {
        let reader = TopicReader::new(&connection, &topic, false)?;
        let mut results = Vec::new();
        // All are acknowledged by now.
        while let Some(record) = reader.next(Duration::from_secs(1)).context("the results")? {
            results.push(record);
        }
        anyhow::Ok(results)
    });
    say(style.paint(Tone::Bold, "\nPictures"));
    for record in results.await?? {
        let value = record.value.as_deref().unwrap_or_default();
        let Ok(job) = serde_json::from_slice::<JobResult>(value) else {
            continue;
        };
        let Some(picture) = job
            .result
            .and_then(|result| serde_json::from_value::<SvgResult>(result).ok())
        else {
            continue;
        };
        let removed: Vec<_> = picture
            .removed
            .iter()
            .map(|removed| format!("{} × {}", removed.count, removed.what))
            .collect();
        let removed = match removed.is_empty() {
            true => "nothing".to_owned(),
            false => removed.join(", "),
        };
        say(format!(
            "  {:<14} {:?}, {} × {} pixels, taken out: {removed}",
            job.job_id.unwrap_or_default(),
            picture.title,
            picture.width,
            picture.height,
        ));
        say(format!("  {:<14} {}", "", picture.artifact.uri));
    }
    Ok(())
}

/// What stands on the dead-letter topic, by key.
async fn dead_letters(
    system: &System,
    jobs: &[DemoJob],
) -> anyhow::Result<BTreeMap<String, TopicRecord>> {
    let (connection, topic) = (system.connection.clone(), system.names.dead_letters.clone());
    let expected = jobs
        .iter()
        .filter(|job| matches!(job.expected, Expected::DeadLetter { .. }))
        .count();
    tokio::task::spawn_blocking(move || {
        let reader = TopicReader::new(&connection, &topic, false)?;
        let mut letters = BTreeMap::new();
        // All are acknowledged by now; the last quiet second shows that there are no more than expected.
        loop {
            let wait = if letters.len() < expected {
                Duration::from_secs(10)
            } else {
                Duration::from_secs(1)
            };
            let Some(letter) = reader.next(wait).context("the dead letters")? else {
                return Ok(letters);
            };
            let key =
                String::from_utf8_lossy(letter.key.as_deref().unwrap_or_default()).into_owned();
            letters.insert(key, letter);
        }
    })
    .await?
}
