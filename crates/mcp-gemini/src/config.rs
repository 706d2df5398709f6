//! What a client is told, checked.

use std::fmt;
use std::str::FromStr;

use mcp_core::Secret;
use url::Url;

/// Google's own address.
pub const BASE_URL: &str = "https://generativelanguage.googleapis.com";
/// The model by default.
pub const MODEL: &str = "gemini-3.8-flash";

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct GeminiConfig {
    /// The key of a Google Cloud project.
    pub api_key: Secret,
    /// What answers: [`BASE_URL`], or a proxy with the same API. The API's path comes behind its own.
    pub base_url: Url,
    /// Who answers.
    pub model: ModelName,
    /// How much it thinks before; `None` leaves that to the model. Models before Gemini 3 refuse it.
    pub thinking: Option<ThinkingLevel>,
    /// Tokens an answer may have, thoughts included.
    pub max_output_tokens: u32,
}

impl GeminiConfig {
    /// The defaults: [`BASE_URL`], [`MODEL`], little thinking, 16384 tokens.
    pub fn new(api_key: Secret) -> Self {
        let base_url = match Url::parse(BASE_URL) {
            Ok(url) => url,
            Err(error) => unreachable!("it is a URL: {error}"),
        };
        Self {
            api_key,
            base_url,
            model: ModelName(MODEL.into()),
            thinking: Some(ThinkingLevel::Low),
            max_output_tokens: 16_384,
        }
    }
}

/// A model's name, such as `gemini-3.8-flash`; it is a part of the URL's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName(String);

impl FromStr for ModelName {
    type Err = &'static str;

    /// # Errors
    /// What a name may have.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let name = name.strip_prefix("models/").unwrap_or(name);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = (1..=100).contains(&name.len())
            && name.chars().all(plain)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        match is_name {
            true => Ok(Self(name.into())),
            false => Err("the name of a model, such as gemini-3.8-flash"),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ModelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// `thinkingConfig.thinkingLevel` of Gemini 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinkingLevel {
    /// As little as the model can.
    Minimal,
    /// For speed and cost.
    Low,
    /// Between.
    Medium,
    /// As much as it takes.
    High,
}

impl ThinkingLevel {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Why a client can't be made. Never holds the key.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The key has characters that no header can carry.
    #[error("the API key has characters that no HTTP header can carry")]
    ApiKey,
    /// The base URL can't be joined with a path.
    #[error("the base URL must be http:// or https://, without user, query and fragment")]
    BaseUrl,
    /// The HTTP library refused, for instance because the system's certificates can't be read.
    #[error("the HTTP client can't be set up: {0}")]
    Http(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_name_and_no_path() {
        for (given, name) in [
            ("gemini-3.8-flash", "gemini-3.8-flash"),
            ("models/gemini-3.1-pro-preview", "gemini-3.1-pro-preview"),
        ] {
            assert_eq!(given.parse::<ModelName>().unwrap().as_ref(), name);
        }
        for bad in ["", "..", "a/b", "a:b", "a b", "a?key=b", "a%2f", "é"] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad}");
        }
        assert!("a".repeat(101).parse::<ModelName>().is_err());
    }
}
