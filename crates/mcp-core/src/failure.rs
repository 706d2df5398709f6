//! One failed outcome: what the client, the tools and the worker pass to each other instead of strings.

use std::time::Duration;

use serde_json::Value;

use crate::error_code::{Class, ErrorCode};
use crate::text::bounded;

/// Longest message kept, in bytes. Longer ones are cut: messages come from outside too.
const MESSAGE_MAX: usize = 1_024;

/// A failure with its code, a sentence for people, and what the other side said about trying again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// What failed, decides everything.
    pub code: ErrorCode,
    /// A sentence that says what was wrong, where, and what to do. Never holds a secret.
    pub message: String,
    /// What the server asked for (`Retry-After`, `retryAfterMs`).
    pub retry_after: Option<Duration>,
    /// More for programs, free of secrets.
    pub detail: Option<Value>,
}

impl Failure {
    /// A failure with `code` and a bounded `message`.
    pub fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
        Self {
            code,
            message: bounded(message.as_ref(), MESSAGE_MAX),
            retry_after: None,
            detail: None,
        }
    }

    /// The same failure with the wait that the other side asked for.
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// The same failure with more for programs.
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The class of its code.
    pub fn class(&self) -> Class {
        self.code.class()
    }
}
