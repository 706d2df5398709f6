//! `dlq show`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use mcp_core::clock::rfc3339;
use mcp_core::text::bounded;
use serde_json::{Value, json};

use super::filter::Filter;
use super::ledger::Ledger;
use super::letter::Letter;
use super::list::all_of;
use super::mask::Mask;
use super::options::ShowOptions;
use super::reader::Reader;
use super::selection::{by_topic, parse_place};
use super::table::age;
use super::{Session, note};

/// Letters of one job that are shown.
const MOST: usize = 100;
/// The longest text of a value or a header that is shown, in bytes.
const TEXT_MAX: usize = 256 * 1024;

pub(super) fn run(options: &ShowOptions, session: &Session) -> anyhow::Result<ExitCode> {
    let target = options.target.resolve(&session.vars)?;
    let reader = Reader::new(&target)?;
    let mut found = Vec::new();
    match parse_place(&options.letter) {
        Ok(place) => {
            for (dead, places) in by_topic(&[place], &target.dead)? {
                reader.existing(&dead)?;
                for (partition, offset) in places {
                    found.extend(reader.one(&dead, partition, offset)?);
                }
            }
        }
        Err(_) => {
            let filter = Filter::of_job(&options.letter);
            for dead in &target.dead {
                found.extend(all_of(&reader, dead, &filter, MOST)?);
            }
        }
    }
    if found.is_empty() {
        let wanted = bounded(&options.letter, 200);
        anyhow::bail!(
            "{} holds no letter {wanted}; `dlq list` shows what there is",
            target.dead.join(", ")
        );
    }
    let now = session.clock.now();
    let mut out = std::io::stdout().lock();
    for letter in &found {
        let redriven = Ledger::glance(&reader, &letter.topic)?.redriven(letter);
        let text = match options.json {
            true => decoded(letter, redriven).to_string(),
            false => page(letter, redriven, now),
        };
        // A reader that has gone away (`| head`) is no error.
        if writeln!(out, "{text}").is_err() {
            break;
        }
    }
    if found.len() == MOST {
        note(&format!("the first {MOST} are shown"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Value, headers and key, masked.
struct Shown {
    value: Value,
    headers: Vec<(String, Option<String>)>,
    key: Option<String>,
    message: String,
}

fn shown(letter: &Letter) -> Shown {
    // First the value: its secrets are masked in the headers, too.
    let mut mask = Mask::default();
    let value = match (&letter.value, letter.value_omitted()) {
        (_, Some(bytes)) => Value::from(format!(
            "[{bytes} bytes that did not fit into the dead-letter topic; redrive reads them from the source]"
        )),
        (Some(value), None) => mask.value(value),
        (None, None) => Value::Null,
    };
    mask.learn(&letter.headers);
    let message = mask.text(letter.message().unwrap_or_default());
    let headers = letter.headers.iter().map(|(name, value)| {
        let value = value.as_deref().map(|value| mask.header(name, value));
        (
            bounded(name, 200),
            value.map(|value| bounded(&value, TEXT_MAX)),
        )
    });
    let headers = headers.collect();
    let key = letter
        .key
        .as_deref()
        .map(|key| match std::str::from_utf8(key) {
            Ok(text) => mask.text(text),
            Err(_) => format!("[{} bytes that are no UTF-8]", key.len()),
        });
    Shown {
        value,
        headers,
        key,
        message,
    }
}

fn decoded(letter: &Letter, redriven: Option<DateTime<Utc>>) -> Value {
    let shown = shown(letter);
    let mut object = letter.summary(redriven, &shown.message);
    let headers = shown.headers.into_iter();
    object["key"] = json!(shown.key);
    object["headers"] = headers
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    object["valueBytes"] = json!(letter.value.as_ref().map(Vec::len));
    object["value"] = shown.value;
    object
}

fn page(letter: &Letter, redriven: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    let shown = shown(letter);
    let mut page = String::new();
    let mut line = |name: &str, text: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(page, "{name:10} {text}");
    };
    let text = |text: Option<&str>| bounded(text.unwrap_or("-"), 600);
    line("letter", &format!("{}/{}", letter.topic, letter.place()));
    line(
        "time",
        &format!(
            "{} ({} ago)",
            rfc3339(letter.time()),
            age(now - letter.time())
        ),
    );
    line(
        "job",
        &format!("{} ({})", text(letter.job_id()), text(letter.job_type())),
    );
    let attempts = letter
        .attempts()
        .map_or_else(|| "-".to_owned(), |count| count.to_string());
    let (code, class) = (text(letter.code()), text(letter.class()));
    line(
        "failure",
        &format!(
            "{code} ({class}), attempts: {attempts}: {}",
            bounded(&shown.message, 2_000)
        ),
    );
    if let Some(source) = letter.source() {
        let place = format!(
            "{}/{}:{}",
            bounded(&source.topic, 300),
            source.partition,
            source.offset
        );
        line("source", &place);
    }
    let redriven = redriven.map_or_else(String::new, |at| {
        format!(", this letter at {}", rfc3339(at))
    });
    line(
        "redriven",
        &format!("{} times before{redriven}", letter.redrives()),
    );
    line("key", shown.key.as_deref().map_or("none", |key| key));
    page.push_str("headers\n");
    for (name, value) in &shown.headers {
        let value = value.as_deref().unwrap_or("null");
        let _ = writeln!(page, "  {name}: {}", bounded(value, TEXT_MAX));
    }
    let _ = writeln!(
        page,
        "value ({} bytes)",
        letter.value.as_ref().map_or(0, Vec::len)
    );
    let value = match &shown.value {
        Value::String(text) => bounded(text, TEXT_MAX),
        // Pretty-printed JSON escapes control characters, and its own line feeds must stay.
        value => cut(serde_json::to_string_pretty(value).unwrap_or_default()),
    };
    page.push_str(&value);
    page.push('\n');
    page
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::letter::tests::letter;

    #[test]
    fn a_secret_of_the_value_is_masked_in_the_headers_as_well() {
        let mut letter = letter(&[
            ("mcp.job.id", "a"),
            ("__dlq.errors.message", "no login with hunter2"),
            ("authorization", "Bearer swordfish"),
            ("colour", "\u{1b}[31m"),
        ]);
        letter.value = Some(br#"{"payload":"{\"env\":{\"A\":\"hunter2\"}}"}"#.to_vec());
        letter.key = Some(b"key of hunter2".to_vec());
        for text in [
            page(&letter, None, letter.time()),
            decoded(&letter, None).to_string(),
        ] {
            assert!(text.contains("[secret]"), "{text}");
            for secret in ["hunter2", "swordfish", "\u{1b}"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }

    #[test]
    fn the_value_is_pretty_and_the_payload_is_json() {
        let mut letter = letter(&[]);
        letter.value = Some(br#"{"jobID":"a","payload":"{\"tool\":\"t\"}"}"#.to_vec());
        let page = page(&letter, None, letter.time());
        let value = "{\n  \"jobID\": \"a\",\n  \"payload\": {\n    \"tool\": \"t\"\n  }\n}\n";
        assert!(page.ends_with(value), "{page}");
    }
}
