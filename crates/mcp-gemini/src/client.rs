//! One request and its answer.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::Secret;
use mcp_core::text::bounded;
use reqwest::Response;
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use url::{Host, Url};

use crate::answer::{self, Generated};
use crate::config::{BuildError, GeminiConfig};
use crate::error::GeminiError;
use crate::quota::Limited;
use crate::wire::{self, Content, GenerationConfig, Request, ThinkingConfig};

/// Name resolution, TCP and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections are closed after this, before Google does.
const IDLE: Duration = Duration::from_secs(60);
/// Largest answer, in bytes: 65536 tokens, which is as much as any model gives, are well below one of them.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// Largest error that is read; of a larger one the beginning.
const ERROR_MAX: usize = 64 * 1024;
/// What is passed on of the provider's sentences, in bytes.
const MESSAGE_MAX: usize = 400;
const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The target of spans that are only for traces, in all of the product.
const SPANS: &str = "otel::span";

/// Trace headers for what a span calls.
pub type Propagation = fn(&Span) -> Vec<(String, String)>;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'a> {
    /// What holds for the whole conversation.
    pub system: &'a str,
    /// The conversation; the last turn is the user's.
    pub turns: &'a [Turn],
    /// The JSON Schema that the answer is to keep to. It says nothing of what the strings in it hold.
    pub schema: &'a Value,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ours.
    User(String),
    /// What the model answered.
    Model(String),
}

/// A pool of connections to one model. Cheap to clone.
#[derive(Clone)]
pub struct GeminiClient {
    http: reqwest::Client,
    endpoint: Url,
    config: GeminiConfig,
    headers: HeaderMap,
    propagation: Propagation,
}

impl fmt::Debug for GeminiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GeminiClient").field(&self.config).finish()
    }
}

impl GeminiClient {
    /// The client. It connects to nothing yet.
    ///
    /// # Errors
    /// A key or a base URL that no request could have, or an HTTP library that can't be set up.
    pub fn new(config: GeminiConfig) -> Result<Self, BuildError> {
        let endpoint = endpoint(&config).ok_or(BuildError::BaseUrl)?;
        let mut key =
            HeaderValue::try_from(config.api_key.expose()).map_err(|_| BuildError::ApiKey)?;
        key.set_sensitive(true);
        let http = reqwest::Client::builder()
            .user_agent(concat!("mcp-hybrid/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE);
        // The way out of a company's network may be a proxy (HTTPS_PROXY); to this machine there is none.
        let http = match is_loopback(&endpoint) {
            true => http.no_proxy(),
            false => http,
        };
        Ok(Self {
            http: http.build().map_err(BuildError::Http)?,
            endpoint,
            headers: HeaderMap::from_iter([(API_KEY, key)]),
            config,
            propagation: |_| Vec::new(),
        })
    }

    /// The same client, with the trace headers by which the other side becomes a child of the request's span.
    #[must_use]
    pub fn with_propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    /// What it was told.
    pub fn config(&self) -> &GeminiConfig {
        &self.config
    }

    /// Asks, and waits for the answer for at most `timeout`. When the future is dropped, the connection is closed.
    ///
    /// # Errors
    /// Whatever is no answer that the model has brought to its end.
    pub async fn generate(
        &self,
        prompt: &Prompt<'_>,
        timeout: Duration,
    ) -> Result<Generated, GeminiError> {
        let span = self.span();
        let asked = tokio::time::timeout(timeout, self.ask(prompt, &span));
        let outcome = asked
            .instrument(span.clone())
            .await
            .unwrap_or(Err(GeminiError::TimedOut(timeout)));
        match &outcome {
            Ok(generated) => {
                let usage = generated.usage;
                let output = usage.candidates_token_count + usage.thoughts_token_count;
                span.record("gen_ai.response.model", generated.model.as_deref());
                span.record(
                    "gen_ai.usage.input_tokens",
                    tokens(usage.prompt_token_count),
                );
                span.record("gen_ai.usage.output_tokens", tokens(output));
            }
            Err(error) => {
                span.record("error.type", error.kind());
                span.record("otel.status_code", "ERROR");
            }
        }
        outcome
    }

    async fn ask(&self, prompt: &Prompt<'_>, span: &Span) -> Result<Generated, GeminiError> {
        let mut headers = self.headers.clone();
        for (name, value) in (self.propagation)(span) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.try_into()) {
                headers.insert(name, value);
            }
        }
        let request = self.http.post(self.endpoint.clone()).headers(headers);
        let sent = request.json(&self.request(prompt)).send().await;
        let response = sent.map_err(|error| self.broken(error))?;
        let status = response.status().as_u16();
        span.record("http.response.status_code", i64::from(status));
        if status == 200 {
            let body = self.read(response, ANSWER_MAX).await?;
            let body = body.ok_or(GeminiError::TooLarge(ANSWER_MAX))?;
            let response = serde_json::from_slice(&body)
                .map_err(|error| GeminiError::Unreadable(mcp_core::text::shape_error(&error)))?;
            return answer::read(response, self.config.max_output_tokens);
        }
        let body = self.read(response, ERROR_MAX).await?.unwrap_or_default();
        Err(self.refusal(status, &body))
    }

    fn request(&self, prompt: &Prompt<'_>) -> Request {
        let turns = prompt.turns.iter().map(|turn| match turn {
            Turn::User(text) => Content::text(Some("user"), text),
            Turn::Model(text) => Content::text(Some("model"), text),
        });
        Request {
            system_instruction: Content::text(None, prompt.system),
            contents: turns.collect(),
            generation_config: GenerationConfig {
                max_output_tokens: self.config.max_output_tokens,
                response_mime_type: "application/json".into(),
                response_json_schema: prompt.schema.clone(),
                thinking_config: self.config.thinking.map(|level| ThinkingConfig {
                    thinking_level: level.as_str().into(),
                }),
            },
        }
    }

    /// The body, or `None` if it is larger than `max`.
    async fn read(
        &self,
        mut response: Response,
        max: usize,
    ) -> Result<Option<Vec<u8>>, GeminiError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + chunk.len() > max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    /// What a status other than 200 means.
    fn refusal(&self, status: u16, body: &[u8]) -> GeminiError {
        let error = match serde_json::from_slice::<wire::ErrorBody>(body) {
            Ok(body) => body.error,
            // A proxy's page, perhaps.
            Err(_) => wire::Status {
                message: String::from_utf8_lossy(body).into_owned(),
                ..wire::Status::default()
            },
        };
        let message = self.told(&error.message);
        match status {
            429 => GeminiError::Limited {
                limited: Limited::read(&error),
                message,
            },
            408 | 500..=599 => GeminiError::Unavailable { status, message },
            _ => {
                let stated = error
                    .details("ErrorInfo")
                    .find_map(|info| info["reason"].as_str());
                GeminiError::Refused {
                    status,
                    reason: self.told(stated.unwrap_or(&error.status)),
                    message,
                }
            }
        }
    }

    /// What went wrong below HTTP.
    fn broken(&self, error: reqwest::Error) -> GeminiError {
        let error = error.without_url();
        let mut texts = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            texts.push(cause.to_string());
            source = cause.source();
        }
        texts.dedup();
        let cause = match texts.is_empty() {
            true => error.to_string(),
            false => texts.join(": "),
        };
        let cause = self.told(&cause);
        match error.is_connect() {
            true => GeminiError::Unreachable(cause),
            false => GeminiError::Lost(cause),
        }
    }

    /// A sentence of the other side, bounded, without the key: some of Google's name it.
    fn told(&self, text: &str) -> String {
        bounded(&without(text, &self.config.api_key), MESSAGE_MAX)
    }

    /// OpenTelemetry's semantic conventions for generative AI, and for HTTP clients.
    fn span(&self) -> Span {
        let model = self.config.model.as_ref();
        tracing::info_span!(
            target: SPANS,
            "generate_content",
            otel.name = format!("generate_content {model}"),
            otel.kind = "client",
            otel.status_code = Empty,
            gen_ai.operation.name = "generate_content",
            gen_ai.provider.name = "gcp.gemini",
            gen_ai.request.model = model,
            gen_ai.request.max_tokens = i64::from(self.config.max_output_tokens),
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.output.type = "json",
            http.request.method = "POST",
            http.response.status_code = Empty,
            server.address = self.endpoint.host_str(),
            server.port = self.endpoint.port_or_known_default().map(i64::from),
            error.type = Empty,
        )
    }
}

/// `{base}/v1beta/models/{model}:generateContent`.
fn endpoint(config: &GeminiConfig) -> Option<Url> {
    let mut url = config.base_url.clone();
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain {
        return None;
    }
    let method = format!("{}:generateContent", config.model);
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["v1beta", "models", &method]);
    Some(url)
}

/// OpenTelemetry's numbers have a sign.
fn tokens(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn without(text: &str, key: &Secret) -> String {
    match key.expose() {
        "" => text.to_owned(),
        key => text.replace(key, "[key]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str) -> Option<String> {
        let config = GeminiConfig {
            base_url: Url::parse(base).unwrap(),
            ..GeminiConfig::new(Secret::new("k"))
        };
        endpoint(&config).map(String::from)
    }

    #[test]
    fn the_path_comes_behind_that_of_the_base() {
        let path = "v1beta/models/gemini-3.8-flash:generateContent";
        for (base, before) in [
            ("https://h", "https://h/"),
            ("https://h:1/a/", "https://h:1/a/"),
            ("http://127.0.0.1:9/a/b", "http://127.0.0.1:9/a/b/"),
        ] {
            assert_eq!(url(base), Some(format!("{before}{path}")));
        }
        for bad in [
            "ftp://h",
            "https://u:p@h",
            "https://h?key=1",
            "https://h#a",
            "data:x",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_and_not_shown() {
        let error = GeminiClient::new(GeminiConfig::new(Secret::new("secret\nkey"))).err();
        let error = error.map(|error| format!("{error} {error:?}")).unwrap();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn the_key_is_taken_out_of_what_the_provider_says() {
        let client = GeminiClient::new(GeminiConfig::new(Secret::new("AIza1"))).unwrap();
        let said = client.refusal(
            403,
            br#"{"error":{"message":"Consumer 'api_key:AIza1' has been suspended."}}"#,
        );
        assert!(said.to_string().contains("api_key:[key]"), "{said}");
        let page = client.refusal(502, b"<html>AIza1</html>");
        assert!(!format!("{page:?}").contains("AIza1"));
    }
}
