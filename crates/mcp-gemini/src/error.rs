//! Every way a request can fail, and what each means: the one place that decides.

use std::time::Duration;

use mcp_core::{ErrorCode, Failure};
use serde_json::json;

use crate::quota::{Limited, Quota};

/// Why there is no answer. No text in it holds the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeminiError {
    /// There was no connection, so nothing was asked.
    #[error("cannot connect to Gemini: {0}")]
    Unreachable(String),
    /// The connection broke before the answer was complete.
    #[error("the connection to Gemini broke: {0}")]
    Lost(String),
    /// No answer in time.
    #[error("no answer from Gemini within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// More bytes than an answer may have.
    #[error("Gemini's answer has more than {0} bytes")]
    TooLarge(usize),
    /// Status 200, and no answer of `generateContent`.
    #[error("what GEMINI_BASE_URL answers is no answer of generateContent: {0}")]
    Unreadable(String),
    /// HTTP 429.
    #[error("{}{message}", .limited.sentence())]
    Limited {
        /// What is used up.
        limited: Limited,
        /// What the provider says.
        message: String,
    },
    /// HTTP 408, or 5xx.
    #[error("Gemini answered HTTP {status}: {message}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// What the provider says.
        message: String,
    },
    /// Any other status.
    #[error("Gemini refused the request with HTTP {status} ({}): {message}", advice(*.status, .reason))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's name for it, such as `API_KEY_INVALID` or `NOT_FOUND`.
        reason: String,
        /// What the provider says.
        message: String,
    },
    /// The provider's filters have stopped it.
    #[error("Gemini blocked {what}: {reason}")]
    Blocked {
        /// `the prompt` or `the answer`.
        what: &'static str,
        /// The reason that the provider gives.
        reason: String,
    },
    /// The answer did not come to its end.
    #[error(
        "the answer was cut off at {max_output_tokens} tokens, thoughts included: ask for something simpler, or raise \
         GEMINI_MAX_OUTPUT_TOKENS"
    )]
    Truncated {
        /// How many it could have had.
        max_output_tokens: u32,
    },
    /// The model said nothing.
    #[error("Gemini answered without an output: {0}")]
    NoOutput(String),
}

impl GeminiError {
    /// What it means for whoever wants to try again.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable(_)
            | Self::Lost(_)
            | Self::TimedOut(_)
            | Self::Unreadable(_)
            | Self::Unavailable { .. } => ErrorCode::ProviderUnavailable,
            Self::TooLarge(_) => ErrorCode::AnswerTooLarge,
            Self::Limited { limited, .. } => match limited.quota {
                Quota::Minute | Quota::Unnamed => ErrorCode::ProviderBusy,
                Quota::Day => ErrorCode::ProviderQuota,
                Quota::Nothing => ErrorCode::ProviderNoQuota,
            },
            Self::Refused { .. } => ErrorCode::ProviderRefused,
            Self::Blocked { .. } => ErrorCode::ContentBlocked,
            Self::Truncated { .. } => ErrorCode::OutputTruncated,
            Self::NoOutput(_) => ErrorCode::OutputMissing,
        }
    }

    /// Its name in metrics and spans (`error.type`): the HTTP status where that is the trouble.
    pub fn kind(&self) -> String {
        match self {
            Self::Unreachable(_) => "unreachable".into(),
            Self::Lost(_) => "connection-lost".into(),
            Self::TimedOut(_) => "timeout".into(),
            Self::TooLarge(_) => "too-large".into(),
            Self::Unreadable(_) => "unreadable".into(),
            Self::Limited { .. } => "429".into(),
            Self::Unavailable { status, .. } | Self::Refused { status, .. } => status.to_string(),
            Self::Blocked { .. } => "blocked".into(),
            Self::Truncated { .. } => "truncated".into(),
            Self::NoOutput(_) => "no-output".into(),
        }
    }
}

impl From<GeminiError> for Failure {
    fn from(error: GeminiError) -> Self {
        let failure = Self::new(error.code(), error.to_string());
        match error {
            GeminiError::Limited { limited, .. } => failure
                .with_retry_after(limited.retry_after)
                .with_detail(json!({"quota": limited.quota.as_str(), "quotaId": limited.quota_id})),
            GeminiError::Unavailable { status, .. } => {
                failure.with_detail(json!({"status": status}))
            }
            GeminiError::Refused { status, reason, .. } => {
                failure.with_detail(json!({"status": status, "reason": reason}))
            }
            GeminiError::Blocked { reason, .. } => failure.with_detail(json!({"reason": reason})),
            GeminiError::Unreachable(_)
            | GeminiError::Lost(_)
            | GeminiError::TimedOut(_)
            | GeminiError::TooLarge(_)
            | GeminiError::Unreadable(_)
            | GeminiError::Truncated { .. }
            | GeminiError::NoOutput(_) => failure,
        }
    }
}

impl Limited {
    fn sentence(&self) -> &'static str {
        match self.quota {
            Quota::Minute => "Gemini's quota a minute is used up, try again later: ",
            Quota::Day => {
                "Gemini's quota of the day is used up; it is free again at midnight, Pacific time: "
            }
            Quota::Nothing => {
                "the project of GEMINI_API_KEY has no quota for GEMINI_MODEL; another model, or billing, may help: "
            }
            Quota::Unnamed => "Gemini has no room for the request now: ",
        }
    }
}

/// What to look at.
fn advice(status: u16, reason: &str) -> &'static str {
    match (status, reason) {
        (401 | 403, _) | (400, "API_KEY_INVALID" | "API_KEY_EXPIRED") => {
            "check GEMINI_API_KEY: whether it is valid, and may use this API"
        }
        (400, "FAILED_PRECONDITION") => "check the project's billing and the server's region",
        (400, _) => "check whether GEMINI_MODEL knows structured output and GEMINI_THINKING_LEVEL",
        (404, _) => "check GEMINI_MODEL and GEMINI_BASE_URL",
        _ => "check GEMINI_BASE_URL",
    }
}
