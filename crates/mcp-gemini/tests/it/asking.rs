//! What is sent, and what comes back when all goes well.

use mcp_core::Secret;
use mcp_gemini::{GeminiClient, GeminiConfig, Prompt, ThinkingLevel, Turn};
use mcp_testkit::{FakeGemini, GeminiReply, Outcome};
use serde_json::json;

use crate::{PATIENCE, ask, config};

#[tokio::test]
async fn the_request_has_what_the_api_asks_for_and_the_key_in_its_header_alone() {
    let gemini = FakeGemini::always(GeminiReply::text("{}")).await;
    let client = GeminiClient::new(GeminiConfig {
        max_output_tokens: 4_000,
        thinking: Some(ThinkingLevel::Minimal),
        ..config(&gemini)
    })
    .unwrap()
    .with_propagation(|_| vec![("traceparent".into(), "00-1-2-01".into())]);
    let schema = json!({"type": "object", "required": ["svg"]});
    let turns = [
        Turn::User("a cat".into()),
        Turn::Model("<svg>".into()),
        Turn::User("close it".into()),
    ];
    let prompt = Prompt {
        system: "You draw.",
        turns: &turns,
        schema: &schema,
    };
    client.generate(&prompt, PATIENCE).await.unwrap();
    assert_eq!(gemini.refused(), Vec::<String>::new());
    let [seen] = &gemini.calls()[..] else {
        panic!("one request");
    };
    let call = &seen.call;
    assert_eq!(call.model, "gemini-3.8-flash");
    assert_eq!(call.header("x-goog-api-key"), Some(FakeGemini::KEY));
    assert_eq!(call.header("traceparent"), Some("00-1-2-01"));
    assert_eq!(
        call.body,
        json!({
            "systemInstruction": {"parts": [{"text": "You draw."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "a cat"}]},
                {"role": "model", "parts": [{"text": "<svg>"}]},
                {"role": "user", "parts": [{"text": "close it"}]},
            ],
            "generationConfig": {
                "maxOutputTokens": 4000,
                "responseMimeType": "application/json",
                "responseJsonSchema": schema,
                "thinkingConfig": {"thinkingLevel": "minimal"},
            },
        })
    );
    let elsewhere = call
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-goog-api-key")
        .any(|(_, value)| value.as_bytes().windows(4).any(|part| part == b"AIza"));
    assert!(!elsewhere, "{:?}", call.headers);
}

#[tokio::test]
async fn the_answer_comes_whole_with_its_model_and_its_cost() {
    let gemini = FakeGemini::always(GeminiReply::svg("<svg/>", "A cat", "It sits.")).await;
    let generated = ask(config(&gemini), PATIENCE).await.unwrap();
    let output: serde_json::Value = serde_json::from_str(generated.json()).unwrap();
    assert_eq!(
        output,
        json!({"svg": "<svg/>", "title": "A cat", "description": "It sits."})
    );
    assert_eq!(generated.model.as_deref(), Some("gemini-3.8-flash"));
    assert_eq!(generated.usage.thoughts_token_count, 56);
}

#[tokio::test]
async fn a_model_that_is_left_to_itself_is_told_nothing_of_thinking() {
    let gemini = FakeGemini::always(GeminiReply::text("{}")).await;
    let own = GeminiConfig {
        thinking: None,
        ..config(&gemini)
    };
    ask(own, PATIENCE).await.unwrap();
    let seen = &gemini.calls()[0].call.body["generationConfig"];
    assert!(seen.get("thinkingConfig").is_none(), "{seen}");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_the_request_with_it() {
    let gemini = FakeGemini::always(GeminiReply::Hang).await;
    let asking = tokio::spawn(ask(config(&gemini), PATIENCE));
    gemini.wait_calls(1, PATIENCE).await;
    asking.abort();
    let seen = gemini.wait_ended(1, PATIENCE).await;
    assert_eq!(seen[0].ended, Some(Outcome::Abandoned));
}

#[tokio::test]
async fn what_is_printed_of_a_client_is_not_the_key() {
    let printed = format!("{:?}", GeminiConfig::new(Secret::new("AIza-secret")));
    assert!(!printed.contains("AIza"), "{printed}");
}
