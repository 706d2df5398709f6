//! `svg-generate` jobs: through Kafka, the worker and the server to Gemini's wire format, and back.

use mcp_testkit::{FakeGemini, GeminiReply};
use serde_json::{Value, json};

use crate::pair::Pair;

const CIRCLE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><circle cx="32" cy="24" r="20" fill="#e63946"/></svg>"##;

/// A picture whose result no small topic takes.
fn large() -> String {
    let circles: String = (0..200)
        .map(|at| format!(r##"<circle cx="{at}" cy="{at}" r="2" fill="#e63946"/>"##))
        .collect();
    format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400">{circles}</svg>"#)
}

fn drawn(svg: &str) -> GeminiReply {
    GeminiReply::svg(svg, "A circle", "A red circle.")
}

async fn pair(name: &str, gemini: &FakeGemini, result_bytes: Option<&str>) -> Pair {
    let variables = [
        ("GEMINI_BASE_URL", gemini.url()),
        ("GEMINI_API_KEY", FakeGemini::KEY.to_owned()),
    ];
    Pair::with_variables(name, &variables, result_bytes).await
}

/// GETs what a result refers to.
async fn fetch(artifact: &Value) -> String {
    let uri = artifact["uri"].as_str().unwrap();
    let answer = reqwest::get(uri).await.unwrap();
    assert_eq!(answer.status(), 200, "{uri}");
    assert_eq!(answer.headers()["content-type"], "image/svg+xml");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_job_draws_once_however_often_it_is_submitted() {
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    let pair = pair("svg", &gemini, None).await;
    let payload = json!({"prompt": "a circle", "width": 64, "height": 48});
    pair.submit_as("svg-generate", "picture", &payload).await;
    let [first] = &pair.results(1).await[..] else {
        panic!("one result");
    };
    assert_eq!(
        (&first["jobID"], &first["jobType"]),
        (&json!("picture"), &json!("svg-generate"))
    );
    assert_eq!(
        (&first["status"], &first["attempts"]),
        (&json!("succeeded"), &json!(1))
    );
    let picture = &first["result"];
    assert_eq!(
        (&picture["title"], &picture["width"]),
        (&json!("A circle"), &json!(64.0))
    );
    assert_eq!(
        fetch(&picture["artifact"]).await,
        picture["svg"].as_str().unwrap()
    );

    pair.submit_as("svg-generate", "picture", &payload).await;
    let results = pair.results(2).await;
    assert_eq!(results[1]["result"], *picture);
    assert_eq!(gemini.calls().len(), 1, "the same job is the same call");
    pair.wait_all_committed().await;
    assert_eq!(pair.dead_letters().await, 0);
}

#[tokio::test]
async fn a_picture_too_large_for_a_record_is_kept_and_referred_to_and_never_cut() {
    let gemini = FakeGemini::always(drawn(&large())).await;
    let pair = pair("svg-large", &gemini, Some("2000")).await;
    let payload = json!({"prompt": "many circles"});
    pair.submit_as("svg-generate", "large", &payload).await;
    let [told] = &pair.results(1).await[..] else {
        panic!("one result");
    };
    assert_eq!(told["status"], "succeeded");
    let omitted = told["result"]["omittedBytes"].as_u64().unwrap();
    assert!(omitted > 2_000, "{told}");
    let [artifact] = &told["result"]["artifacts"].as_array().unwrap()[..] else {
        panic!("one reference: {told}");
    };
    let svg = fetch(artifact).await;
    assert_eq!(artifact["size"], svg.len());
    assert!(
        svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    assert_eq!(svg.matches("<circle").count(), 200);
    pair.wait_all_committed().await;
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_a_dead_letter_at_once() {
    let gemini = FakeGemini::start(async |call| match (call.prompt(), call.number) {
        (prompt, _) if prompt.contains("a bomb") => GeminiReply::blocked("PROHIBITED_CONTENT"),
        // As often as one call of the tool asks.
        (_, 1..=3) => GeminiReply::overloaded(),
        _ => drawn(CIRCLE),
    })
    .await;
    let pair = pair("svg-failures", &gemini, None).await;
    pair.submit_as("svg-generate", "overloaded", &json!({"prompt": "a circle"}))
        .await;
    let results = pair.results(1).await;
    assert_eq!(
        (&results[0]["status"], &results[0]["attempts"]),
        (&json!("succeeded"), &json!(2))
    );
    assert_eq!(gemini.calls().len(), 4);

    let job = pair
        .submit_as("svg-generate", "blocked", &json!({"prompt": "a bomb"}))
        .await;
    let letter = pair.dead_letter("blocked", 1).await;
    assert_eq!(
        letter.header("mcp.error.code").as_deref(),
        Some("content-blocked")
    );
    assert_eq!(
        letter.header("mcp.error.class").as_deref(),
        Some("permanent")
    );
    assert!(
        letter
            .header("__dlq.errors.message")
            .unwrap()
            .contains("PROHIBITED_CONTENT")
    );
    assert_eq!(letter.text(), job);
    assert_eq!(gemini.calls().len(), 5, "once is enough");
    pair.wait_all_committed().await;
    assert!(!pair.log().contains(FakeGemini::KEY));
}

#[tokio::test]
async fn any_tool_can_be_called_by_a_job() {
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    let pair = pair("svg-refine", &gemini, None).await;
    let payload =
        json!({"tool": "refine_svg", "arguments": {"svg": CIRCLE, "instructions": "make it blue"}});
    pair.submit_as("tool-call", "refine", &payload).await;
    let results = pair.results(1).await;
    assert_eq!(results[0]["result"]["title"], "A circle", "{results:?}");
    assert!(gemini.calls()[0].call.prompt().contains("make it blue"));
}
