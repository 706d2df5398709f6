//! `generateContent` of v1beta as it stands in its HTTP bodies: only the fields that are used here. Names are those of the
//! API's reference.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What holds for the whole conversation.
    pub system_instruction: Content,
    /// The conversation; the last turn is the user's.
    pub contents: Vec<Content>,
    /// How to answer.
    pub generation_config: GenerationConfig,
}

/// How to answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationConfig {
    /// Thoughts count too.
    pub max_output_tokens: u32,
    /// `application/json`.
    pub response_mime_type: String,
    /// The JSON Schema of the answer.
    pub response_json_schema: Value,
    /// Left out: as the model does by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_config: Option<ThinkingConfig>,
}

/// How much to think before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThinkingConfig {
    /// `minimal`, `low`, `medium` or `high`.
    pub thinking_level: String,
}

/// What one side says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Content {
    /// `user` or `model`; none in an instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its parts, in order.
    #[serde(default)]
    pub parts: Vec<Part>,
}

impl Content {
    /// One text.
    pub fn text(role: Option<&str>, text: impl Into<String>) -> Self {
        Self {
            role: role.map(str::to_owned),
            parts: vec![Part {
                text: Some(text.into()),
                thought: false,
            }],
        }
    }
}

/// A piece of text. Parts of other kinds have none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether it is a thought and no answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thought: bool,
}

/// The body of an answer with status 200.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The answers; one is asked for. None where the prompt was blocked.
    #[serde(default)]
    pub candidates: Vec<Candidate>,
    /// What was wrong with the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_feedback: Option<PromptFeedback>,
    /// What it cost.
    #[serde(default)]
    pub usage_metadata: Usage,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,
}

/// One answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// What it says; absent where it was blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Why the model stopped: `STOP` where it was at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_message: Option<String>,
}

/// What was wrong with the prompt.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptFeedback {
    /// `SAFETY`, `BLOCKLIST`, `PROHIBITED_CONTENT`, `IMAGE_SAFETY`, `OTHER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_reason: Option<String>,
}

/// Tokens that count against the quota and the bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Of the prompt.
    #[serde(default)]
    pub prompt_token_count: u64,
    /// Of the answer.
    #[serde(default)]
    pub candidates_token_count: u64,
    /// Of the thoughts before it.
    #[serde(default)]
    pub thoughts_token_count: u64,
}

/// The body of an answer with any other status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: Status,
}

/// `google.rpc.Status`, with the HTTP status as its code.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The HTTP status.
    #[serde(default)]
    pub code: u16,
    /// A sentence for developers. It may name the API key.
    #[serde(default)]
    pub message: String,
    /// `INVALID_ARGUMENT` and its like.
    #[serde(default)]
    pub status: String,
    /// `google.rpc.ErrorInfo`, `QuotaFailure`, `RetryInfo` and others, told apart by `@type`.
    #[serde(default)]
    pub details: Vec<Value>,
}

impl Status {
    /// The details of that type, such as `QuotaFailure`.
    pub(crate) fn details(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.details.iter().filter(move |detail| {
            let named = detail["@type"].as_str().unwrap_or_default();
            named.rsplit('.').next() == Some(kind)
        })
    }
}
