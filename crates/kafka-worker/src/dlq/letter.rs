//! A dead letter as it was read, and what its headers say: pure.

use chrono::{DateTime, Utc};
use mcp_core::clock::rfc3339;
use mcp_core::text::bounded;
use rdkafka::Message;
use rdkafka::message::Headers;
use serde_json::{Value, json};

use crate::dead_letter;

/// Name and value.
pub(crate) type Header = (String, Option<Vec<u8>>);

/// A record of a dead-letter topic, or of the topic that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970; 0 for a record without.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

/// Where the record stood that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Letter {
    pub(crate) fn of(message: &impl Message) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    /// The last header of that name, if it is UTF-8: a worker adds its own behind the record's.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rfind(|(found, _)| found == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.header(name)?.parse().ok()
    }

    /// `partition:offset`.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.partition, self.offset)
    }

    pub(crate) fn time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.timestamp).unwrap_or_default()
    }

    pub(crate) fn job_id(&self) -> Option<&str> {
        self.header(dead_letter::JOB_ID)
    }

    pub(crate) fn job_type(&self) -> Option<&str> {
        self.header(dead_letter::JOB_TYPE)
    }

    pub(crate) fn code(&self) -> Option<&str> {
        self.header(dead_letter::ERROR_CODE)
    }

    pub(crate) fn class(&self) -> Option<&str> {
        self.header(dead_letter::ERROR_CLASS)
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.header(dead_letter::MESSAGE)
    }

    pub(crate) fn attempts(&self) -> Option<u32> {
        self.number(dead_letter::DELIVERY_COUNT)
    }

    /// How often the job was sent back before this letter.
    pub(crate) fn redrives(&self) -> u32 {
        self.number(dead_letter::REDRIVE_COUNT).unwrap_or(0)
    }

    /// Where the record stood; none for a record that no worker wrote.
    pub(crate) fn source(&self) -> Option<Source> {
        Some(Source {
            topic: self.header(dead_letter::TOPIC)?.to_owned(),
            partition: self.number(dead_letter::PARTITION)?,
            offset: self.number(dead_letter::OFFSET)?,
        })
    }

    /// The size of the value that was left out.
    pub(crate) fn value_omitted(&self) -> Option<usize> {
        self.number(dead_letter::VALUE_OMITTED)
    }

    /// Whether key and headers were left out, too.
    pub(crate) fn headers_omitted(&self) -> bool {
        self.header(dead_letter::HEADERS_OMITTED).is_some()
    }

    /// What `list --json` says.
    pub(crate) fn summary(&self, redriven_at: Option<DateTime<Utc>>, message: &str) -> Value {
        let source = self
            .source()
            .map(|at| json!({"topic": at.topic, "partition": at.partition, "offset": at.offset}));
        json!({
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "time": rfc3339(self.time()),
            "jobID": self.job_id(),
            "jobType": self.job_type(),
            "code": self.code(),
            "class": self.class(),
            "attempts": self.attempts(),
            "redrives": self.redrives(),
            "message": message,
            "source": source,
            "omittedBytes": self.value_omitted(),
            "redrivenAt": redriven_at.map(rfc3339),
        })
    }

    /// Its place, its time and whose it is, without what takes memory.
    pub(crate) fn without_contents(&self) -> Self {
        let kept = |(name, _): &&Header| {
            [
                dead_letter::JOB_ID,
                dead_letter::TOPIC,
                dead_letter::PARTITION,
                dead_letter::OFFSET,
            ]
            .contains(&name.as_str())
        };
        Self {
            topic: self.topic.clone(),
            headers: self.headers.iter().filter(kept).cloned().collect(),
            key: None,
            value: None,
            ..*self
        }
    }

    /// For a line about it: where it is, and which job's it is.
    pub(crate) fn name(&self) -> String {
        match self.job_id() {
            Some(id) => format!("{} ({})", self.place(), bounded(id, 80)),
            None => self.place(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A letter with these headers.
    pub(crate) fn letter(headers: &[(&str, &str)]) -> Letter {
        Letter {
            topic: "jobs-dlq".into(),
            partition: 2,
            offset: 7,
            timestamp: 1_700_000_000_000,
            key: Some(b"k".to_vec()),
            value: Some(b"v".to_vec()),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())))
                .collect(),
        }
    }

    #[test]
    fn of_two_headers_the_last_counts() {
        let letter = letter(&[
            ("__dlq.errors.topic", "another queue's"),
            ("__dlq.errors.partition", "9"),
            ("__dlq.errors.topic", "jobs"),
            ("__dlq.errors.partition", "1"),
            ("__dlq.errors.offset", "5"),
        ]);
        let source = letter.source().unwrap();
        assert_eq!(
            (&*source.topic, source.partition, source.offset),
            ("jobs", 1, 5)
        );
    }

    #[test]
    fn a_foreign_record_has_no_source_and_no_redrives() {
        let foreign = letter(&[("__dlq.errors.topic", "jobs"), ("mcp.redrive.count", "x")]);
        assert_eq!((foreign.source(), foreign.redrives()), (None, 0));
        let summary = foreign.summary(None, "");
        assert_eq!(
            (&summary["jobID"], &summary["offset"]),
            (&Value::Null, &json!(7))
        );
    }
}
