//! The client against Gemini's wire format.

mod asking;
mod failures;

use std::time::Duration;

use mcp_core::Secret;
use mcp_gemini::{GeminiClient, GeminiConfig, GeminiError, Generated, Prompt, Turn};
use mcp_testkit::FakeGemini;
use serde_json::json;

/// For everything that takes far less on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(gemini: &FakeGemini) -> GeminiConfig {
    GeminiConfig {
        base_url: gemini.url().parse().unwrap(),
        ..GeminiConfig::new(Secret::new(FakeGemini::KEY))
    }
}

async fn ask(config: GeminiConfig, timeout: Duration) -> Result<Generated, GeminiError> {
    let client = GeminiClient::new(config).unwrap();
    let schema = json!({"type": "object", "properties": {"svg": {"type": "string"}}});
    let prompt = Prompt {
        system: "You draw.",
        turns: &[Turn::User("a cat".into())],
        schema: &schema,
    };
    client.generate(&prompt, timeout).await
}
