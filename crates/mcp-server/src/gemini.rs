//! What the tools ask Gemini: so many at a time, again where that helps, and all of it within a call's time.

mod patience;
pub(crate) mod settings;

use std::time::Duration;

use mcp_core::{ErrorCode, Failure};
use mcp_gemini::{GeminiClient, GeminiError, Generated, Prompt};
use metrics::{counter, gauge, histogram};
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::metric_definitions as metric;
use settings::GeminiSettings;

/// The way to Gemini, if there is a key.
pub(crate) struct Gemini {
    client: Option<GeminiClient>,
    places: Semaphore,
    time: Duration,
}

/// The requests of one call of a tool; it has its place until this is dropped.
pub(crate) struct Session<'a> {
    client: &'a GeminiClient,
    deadline: Instant,
    _place: Place<'a>,
}

impl Gemini {
    pub(crate) fn new(settings: &GeminiSettings) -> Self {
        if let Some(client) = &settings.client {
            let url = &client.config().base_url;
            if settings.in_the_clear() {
                tracing::warn!(%url, "GEMINI_BASE_URL is no https URL: the key and the prompts travel in the clear");
            }
        }
        Self {
            client: settings.client.clone(),
            places: Semaphore::new(settings.concurrency),
            time: settings.time,
        }
    }

    /// Waits for a place, for at most half of the call's time.
    ///
    /// # Errors
    /// [`ErrorCode::ProviderUnconfigured`] without a key, [`ErrorCode::ProviderBusy`] when no place came free.
    pub(crate) async fn session(&self) -> Result<Session<'_>, Failure> {
        let Some(client) = &self.client else {
            return Err(Failure::new(
                ErrorCode::ProviderUnconfigured,
                "this server has no key for Gemini: its operator must set GEMINI_API_KEY or GEMINI_API_KEY_FILE",
            ));
        };
        let deadline = Instant::now() + self.time;
        let Ok(place) = tokio::time::timeout(self.time / 2, self.places.acquire()).await else {
            let failure = Failure::new(
                ErrorCode::ProviderBusy,
                "as many calls as this server makes at once are under way to Gemini (GEMINI_CONCURRENCY)",
            );
            return Err(failure.with_detail(json!({"quota": "concurrency"})));
        };
        let Ok(permit) = place else {
            unreachable!("nobody closes it");
        };
        Ok(Session {
            client,
            deadline,
            _place: Place::new(permit),
        })
    }
}

impl Session<'_> {
    /// The model that is asked.
    pub(crate) fn model(&self) -> &str {
        self.client.config().model.as_ref()
    }

    /// Asks, and asks again where that may help and there is time.
    pub(crate) async fn generate(&self, prompt: &Prompt<'_>) -> Result<Generated, Failure> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match self.ask(prompt).await {
                Ok(generated) => return Ok(generated),
                Err(error) => error,
            };
            match patience::before_another(&error, attempts, self.left()) {
                Some(wait) => {
                    tracing::info!(
                        attempts,
                        wait_ms = wait.as_millis(),
                        "Gemini is asked again: {error}"
                    );
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error.into()),
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn ask(&self, prompt: &Prompt<'_>) -> Result<Generated, GeminiError> {
        let left = self.left();
        if left.is_zero() {
            return Err(GeminiError::TimedOut(Duration::ZERO));
        }
        let began = Instant::now();
        let outcome = self.client.generate(prompt, left).await;
        let error_type = outcome
            .as_ref()
            .err()
            .map_or_else(String::new, GeminiError::kind);
        let labels = [
            ("gen_ai_operation_name", "generate_content".to_owned()),
            ("gen_ai_provider_name", "gcp.gemini".to_owned()),
            ("gen_ai_request_model", self.model().to_owned()),
            ("error_type", error_type),
        ];
        histogram!(metric::GEMINI_DURATION, &labels).record(began.elapsed());
        match &outcome {
            Ok(generated) => {
                let usage = generated.usage;
                let output = usage.candidates_token_count + usage.thoughts_token_count;
                for (kind, count) in [("input", usage.prompt_token_count), ("output", output)] {
                    counter!(metric::GEMINI_TOKENS, "gen_ai_token_type" => kind).increment(count);
                }
            }
            Err(GeminiError::Limited { limited, .. }) => {
                counter!(metric::GEMINI_LIMITED, "quota" => limited.quota.as_str()).increment(1);
            }
            Err(_) => {}
        }
        outcome
    }
}

/// A place, counted; given back when this is dropped.
struct Place<'a> {
    _permit: SemaphorePermit<'a>,
}

impl<'a> Place<'a> {
    fn new(permit: SemaphorePermit<'a>) -> Self {
        gauge!(metric::GEMINI_ACTIVE).increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        gauge!(metric::GEMINI_ACTIVE).decrement(1.0);
    }
}
