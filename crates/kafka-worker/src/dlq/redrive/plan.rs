//! What becomes of a letter in a redrive, and what the record that is sent looks like: pure.

use rdkafka::message::{Header as RecordHeader, OwnedHeaders};

use crate::dead_letter;
use crate::dlq::letter::{Header, Letter, Source};

/// Headers of another dead-letter queue may stand before ours, under the same names: only the last one is ours.
const LAST: [&str; 6] = [
    dead_letter::TOPIC,
    dead_letter::PARTITION,
    dead_letter::OFFSET,
    dead_letter::GROUP,
    dead_letter::DELIVERY_COUNT,
    dead_letter::MESSAGE,
];
/// Bookkeeping that a letter has once at most.
const OURS: [&str; 11] = [
    dead_letter::ERROR_CODE,
    dead_letter::ERROR_CLASS,
    dead_letter::ERROR_DETAIL,
    dead_letter::JOB_ID,
    dead_letter::JOB_TYPE,
    dead_letter::FIRST_ATTEMPT_AT,
    dead_letter::FAILED_AT,
    dead_letter::WORKER,
    dead_letter::REDRIVE_COUNT,
    dead_letter::VALUE_OMITTED,
    dead_letter::HEADERS_OMITTED,
];
const TRACEPARENT: &str = "traceparent";

/// What the operator allows.
#[derive(Clone, Debug)]
pub(super) struct Rules<'a> {
    /// Topics of jobs.
    pub(super) topics: &'a [String],
    /// A job that was redriven so often is skipped.
    pub(super) max_redrives: u32,
}

/// Why a letter is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Skip {
    #[error(
        "it has no {} header, or no partition and offset: no worker wrote it",
        dead_letter::TOPIC
    )]
    Foreign,
    #[error(
        "it came from topic {0}, which is none of KAFKA_TOPIC (--topic): name it there to redrive it"
    )]
    OtherTopic(String),
    #[error("it was redriven {0} times already; --max-redrives {next} lets it go once more", next = u64::from(*.0) + 1)]
    Loop(u32),
    #[error("its value is not in the letter, and {topic}/{partition}:{offset} does not hold it any more", topic = .0.topic, partition = .0.partition, offset = .0.offset)]
    Gone(Source),
    #[error("its value is not in the letter, and the record at {topic}/{partition}:{offset} is another one", topic = .0.topic, partition = .0.partition, offset = .0.offset)]
    Replaced(Source),
    #[error("{0} does not take it: {1}")]
    Refused(String, String),
    #[error("there is no such letter")]
    Missing,
}

/// Where the letter goes.
pub(super) fn destination(letter: &Letter, rules: &Rules<'_>) -> Result<Source, Skip> {
    let source = letter.source().ok_or(Skip::Foreign)?;
    if !rules.topics.contains(&source.topic) {
        return Err(Skip::OtherTopic(mcp_core::text::bounded(
            &source.topic,
            300,
        )));
    }
    match letter.redrives() {
        count if count >= rules.max_redrives => Err(Skip::Loop(count)),
        _ => Ok(source),
    }
}

/// The job as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

/// Whether the job is not whole in the letter, so that the source's record is needed.
pub(super) fn needs_source(letter: &Letter) -> bool {
    letter.value_omitted().is_some()
}

/// The job of the letter; `original` is the source's record, for a letter that needs it.
pub(super) fn job(
    letter: &Letter,
    source: &Source,
    original: Option<&Letter>,
) -> Result<Job, Skip> {
    let (key, value, mut headers) = match (letter.value_omitted(), original) {
        (None, _) => (letter.key.clone(), letter.value.clone(), originals(letter)),
        (Some(_), None) => return Err(Skip::Gone(source.clone())),
        (Some(size), Some(original)) => {
            let same_size = original.value.as_ref().map_or(0, Vec::len) == size;
            let whole = letter.headers_omitted();
            // A topic that was made anew has other records at the same offsets.
            if !same_size || (!whole && original.key != letter.key) {
                return Err(Skip::Replaced(source.clone()));
            }
            let headers = match whole {
                true => from_source(letter, original),
                false => originals(letter),
            };
            (original.key.clone(), original.value.clone(), headers)
        }
    };
    let count = letter.redrives().saturating_add(1).to_string();
    headers.push((
        dead_letter::REDRIVE_COUNT.to_owned(),
        Some(count.into_bytes()),
    ));
    Ok(Job {
        key,
        value,
        headers,
    })
}

/// The letter's headers without what the worker added.
fn originals(letter: &Letter) -> Vec<Header> {
    let mut ours: Vec<&str> = LAST.to_vec();
    let mut kept: Vec<Header> = Vec::with_capacity(letter.headers.len());
    for (name, value) in letter.headers.iter().rev() {
        if OURS.contains(&name.as_str()) {
            continue;
        }
        if let Some(at) = ours.iter().position(|last| last == name) {
            ours.swap_remove(at);
            continue;
        }
        kept.push((name.clone(), value.clone()));
    }
    kept.reverse();
    kept
}

/// The source's headers, and the letter's trace where the source brought none.
fn from_source(letter: &Letter, original: &Letter) -> Vec<Header> {
    let mut headers = original.headers.clone();
    headers.retain(|(name, _)| name != dead_letter::REDRIVE_COUNT);
    if original.header(TRACEPARENT).is_none()
        && let Some(traceparent) = letter.header(TRACEPARENT)
    {
        headers.push((
            TRACEPARENT.to_owned(),
            Some(traceparent.as_bytes().to_vec()),
        ));
    }
    headers
}

impl Job {
    /// Its headers, for rdkafka.
    pub(super) fn record_headers(&self) -> OwnedHeaders {
        let new = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers.iter().fold(new, |headers, (name, value)| {
            headers.insert(RecordHeader {
                key: name,
                value: value.as_deref(),
            })
        })
    }

    /// What it takes of a batch, in bytes.
    pub(super) fn size(&self) -> usize {
        let length = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + length(value))
            .sum();
        length(&self.key) + length(&self.value) + headers
    }
}

#[cfg(test)]
mod tests;
