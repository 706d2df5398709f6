//! The key that makes at-least-once delivery effectively once.

use std::fmt;

/// The `_meta` key of a `tools/call` request that carries the idempotency key.
pub const META_KEY: &str = "io.mcp-hybrid/idempotency-key";
/// The HTTP header that carries it too.
pub const HEADER: &str = "idempotency-key";

/// `{topic}/{jobID}/{step}`: the same for every delivery and every attempt of one step of one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of `step` of the job `job_id` that was read from `topic`.
    pub fn new(topic: &str, job_id: &str, step: &str) -> Self {
        Self(format!("{topic}/{job_id}/{step}"))
    }

    /// The key as text, as it stands in `_meta`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as a header value: bytes outside visible ASCII, and `%` itself, percent-encoded (RFC 3986 §2.1).
    pub fn to_header(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_graphic() && byte != b'%' {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::IdempotencyKey;

    #[test]
    fn the_key_has_the_shape_of_the_contract() {
        let key = IdempotencyKey::new("mcp-jobs", "job-123", "MariaDB_Server");
        assert_eq!(key.as_str(), "mcp-jobs/job-123/MariaDB_Server");
        assert_eq!(key.to_header(), "mcp-jobs/job-123/MariaDB_Server");
    }

    #[test]
    fn a_header_value_is_visible_ascii() {
        let key = IdempotencyKey::new("t", "jöb 1%", "s");
        assert_eq!(key.to_header(), "t/j%C3%B6b%201%25/s");
    }
}
