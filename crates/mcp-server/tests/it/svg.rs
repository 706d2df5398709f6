//! `generate_svg` and `refine_svg`, over HTTP, against Gemini's wire format.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_testkit::{FakeGemini, GeminiReply, OtlpReceiver, Outcome, Span};
use serde_json::{Value, json};

use crate::server::{PATIENCE, Server, error_of, sentence};

pub(crate) const CIRCLE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48" viewBox="0 0 64 48"><circle cx="32" cy="24" r="20" fill="#e63946"/></svg>"##;

/// With what every caller must be spared.
const HOSTILE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48" viewBox="0 0 64 48"><script>alert(1)</script><circle cx="32" cy="24" r="20" fill="#e63946" onclick="alert(2)"/><image href="https://example.com/x.png" width="9" height="9"/></svg>"##;

/// What no cleaning makes a picture of.
const BROKEN: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"><circle"#;

fn drawn(svg: &str) -> GeminiReply {
    GeminiReply::svg(svg, "A circle", "A red circle.")
}

/// A server that asks this Gemini.
async fn server_with(gemini: &FakeGemini, more: &[(&str, &str)]) -> Server {
    let url = gemini.url();
    let mut variables = vec![
        ("GEMINI_BASE_URL", url.as_str()),
        ("GEMINI_API_KEY", FakeGemini::KEY),
    ];
    variables.extend_from_slice(more);
    Server::with_database(&variables).await
}

/// The result of a call of `tool`.
async fn call(server: &Server, tool: &str, arguments: Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let answer = server.post("/message", &[], body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["result"].clone()
}

async fn generate(server: &Server) -> Value {
    call(server, "generate_svg", json!({"prompt": "a circle"})).await
}

#[tokio::test]
async fn a_picture_comes_as_text_as_png_as_a_link_and_typed() {
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    let server = server_with(&gemini, &[]).await;
    let arguments = json!({"prompt": "a circle", "width": 64, "height": 48});
    let result = call(&server, "generate_svg", arguments).await;

    let output = &result["structuredContent"];
    let svg = output["svg"].as_str().unwrap();
    assert!(svg.contains("circle"), "{svg}");
    assert_eq!(
        (&output["title"], &output["width"]),
        (&json!("A circle"), &json!(64.0))
    );
    assert_eq!(
        (&output["model"], &output["height"]),
        (&json!("gemini-3.8-flash"), &json!(48.0))
    );
    assert_eq!(output["removed"], json!([]));

    let [text, image, link] = &result["content"].as_array().unwrap()[..] else {
        panic!("three blocks: {result}");
    };
    assert_eq!(text, &json!({"type": "text", "text": svg}));
    assert_eq!(
        (&image["type"], &image["mimeType"]),
        (&json!("image"), &json!("image/png"))
    );
    let png = STANDARD.decode(image["data"].as_str().unwrap()).unwrap();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(
        (&link["type"], &link["mimeType"]),
        (&json!("resource_link"), &json!("image/svg+xml"))
    );
    assert_eq!(
        (&link["uri"], &link["size"]),
        (&output["artifact"]["uri"], &json!(svg.len()))
    );

    let seen = gemini.calls();
    let asked = seen[0].call.prompt();
    assert!(
        asked.contains("a circle") && asked.contains("64"),
        "{asked}"
    );
    for deprecated in ["temperature", "topP", "topK"] {
        assert!(
            seen[0].call.body["generationConfig"]
                .get(deprecated)
                .is_none()
        );
    }
    assert_eq!(gemini.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_model_sends_is_cleaned_and_it_is_said_what_was_taken_out() {
    let gemini = FakeGemini::start(async |call| match call.number {
        1 => drawn(HOSTILE),
        _ => GeminiReply::text(&format!(
            "```json\n{}\n```",
            json!({"svg": format!("```svg\n{CIRCLE}\n```"), "title": "A\u{7} circle", "description": ""})
        )),
    })
    .await;
    let server = server_with(&gemini, &[]).await;
    let result = generate(&server).await;
    let output = &result["structuredContent"];
    for bad in ["<script", "alert", "onclick", "example.com"] {
        let told = json!([output["svg"], result["content"]]).to_string();
        assert!(!told.contains(bad), "{bad}: {told}");
    }
    let removed = output["removed"].as_array().unwrap();
    assert!(removed.len() >= 3, "{removed:?}");
    assert!(removed.iter().all(|kind| kind["count"] == 1), "{removed:?}");
    // Fences, around the answer and around the picture.
    let output = generate(&server).await["structuredContent"].clone();
    assert!(
        output["svg"].as_str().unwrap().starts_with("<svg"),
        "{output}"
    );
    assert_eq!(output["title"], "A  circle");
}

#[tokio::test]
async fn an_svg_that_is_refused_is_sent_back_once() {
    let gemini = FakeGemini::start(async |call| match call.number {
        1 => drawn(BROKEN),
        2 => drawn(CIRCLE),
        3 => GeminiReply::text("Here is your picture!"),
        4 => drawn(BROKEN),
        _ => drawn(CIRCLE),
    })
    .await;
    let server = server_with(&gemini, &[]).await;
    let repaired = generate(&server).await;
    assert_eq!(
        repaired["structuredContent"]["title"], "A circle",
        "{repaired}"
    );
    let calls = gemini.calls();
    assert_eq!(calls.len(), 2);
    let second = &calls[1].call;
    assert_eq!(second.turns(), 3);
    assert!(
        second.body["contents"][1]["parts"][0]["text"]
            .as_str()
            .unwrap()
            .contains("<circle")
    );
    assert!(second.prompt().contains("cut off"), "{}", second.prompt());

    let refused = generate(&server).await;
    let error = error_of(&refused);
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("svg-rejected"), &json!(false))
    );
    assert_eq!(gemini.calls().len(), 4, "two rounds and no more");
    let metrics = server.get("/metrics", &[]).await;
    let text = metrics.body.as_str().unwrap();
    for outcome in ["repaired", "refused"] {
        let line = format!("mcp_server_svg_rejected_total{{outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line}: {text}");
    }
}

#[tokio::test]
async fn without_a_key_there_is_an_error_and_no_picture() {
    let server = Server::start().await;
    for (tool, arguments) in [
        ("generate_svg", json!({"prompt": "a circle"})),
        ("refine_svg", json!({"svg": CIRCLE, "instructions": "blue"})),
    ] {
        let result = call(&server, tool, arguments).await;
        let error = error_of(&result);
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("provider-unconfigured"), &json!(false))
        );
        assert!(sentence(&result).contains("GEMINI_API_KEY"), "{result}");
        assert!(result.get("structuredContent").is_none());
    }
}

#[tokio::test]
async fn every_failure_says_what_it_is_and_whether_to_try_again() {
    let table = [
        (GeminiReply::quota_a_minute("46s"), "provider-busy", true, 1),
        (GeminiReply::quota_a_day(), "provider-quota", false, 1),
        (GeminiReply::no_quota(), "provider-no-quota", false, 1),
        (GeminiReply::overloaded(), "provider-unavailable", true, 3),
        (GeminiReply::Reset, "provider-unavailable", true, 3),
        (GeminiReply::empty(), "output-missing", true, 3),
        (
            GeminiReply::error(400, "INVALID_ARGUMENT", "no"),
            "provider-refused",
            false,
            1,
        ),
        (
            GeminiReply::error(403, "PERMISSION_DENIED", "no"),
            "provider-refused",
            false,
            1,
        ),
        (
            GeminiReply::error(404, "NOT_FOUND", "no"),
            "provider-refused",
            false,
            1,
        ),
        (GeminiReply::blocked("SAFETY"), "content-blocked", false, 1),
        (
            GeminiReply::stopped("RECITATION"),
            "content-blocked",
            false,
            1,
        ),
        (
            GeminiReply::finished("MAX_TOKENS", "{\"svg\": \"<svg"),
            "output-truncated",
            false,
            1,
        ),
        (GeminiReply::raw("[1"), "provider-unavailable", true, 1),
    ];
    for (reply, code, retryable, requests) in table {
        let shown = format!("{reply:?}");
        let gemini = FakeGemini::always(reply).await;
        let mut server = server_with(&gemini, &[]).await;
        let result = generate(&server).await;
        let error = error_of(&result);
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!(code), &json!(retryable)),
            "{shown}"
        );
        assert_eq!(gemini.calls().len(), requests, "{shown}");
        if code == "provider-busy" {
            assert_eq!(error["retryAfterMs"], 46_000);
        }
        server.process.wait_for_line(code, PATIENCE).await;
        let printed = server.process.output().join("\n");
        assert!(!printed.contains(FakeGemini::KEY), "{printed}");
        assert!(
            !printed.contains("a circle"),
            "no prompt in the log: {printed}"
        );
    }
}

#[tokio::test]
async fn an_overload_that_passes_is_waited_out_within_the_call() {
    let gemini = FakeGemini::start(async |call| match call.number {
        1 => GeminiReply::overloaded(),
        2 => GeminiReply::quota_a_minute("0.1s"),
        _ => drawn(CIRCLE),
    })
    .await;
    let server = server_with(&gemini, &[]).await;
    let result = generate(&server).await;
    assert_eq!(result["structuredContent"]["title"], "A circle", "{result}");
    assert_eq!(gemini.calls().len(), 3);
    let metrics = server.get("/metrics", &[]).await;
    let text = metrics.body.as_str().unwrap();
    for part in [
        "gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name=\"generate_content\",gen_ai_provider_name=\"gcp.gemini\",gen_ai_request_model=\"gemini-3.8-flash\",error_type=\"503\"} 1",
        "mcp_server_gemini_limited_total{quota=\"minute\"} 1",
        "mcp_server_gemini_tokens_total{gen_ai_token_type=\"output\"} 396",
        "mcp_server_gemini_in_flight 0",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_request_to_gemini() {
    let gemini = FakeGemini::always(GeminiReply::Hang).await;
    let server = server_with(&gemini, &[]).await;
    let params = json!({"name": "generate_svg", "arguments": {"prompt": "a circle"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let calling = tokio::spawn(
        reqwest::Client::new()
            .post(format!("{}/message", server.url))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send(),
    );
    gemini.wait_calls(1, PATIENCE).await;
    calling.abort();
    let seen = gemini.wait_ended(1, PATIENCE).await;
    assert_eq!(seen[0].ended, Some(Outcome::Abandoned));
}

#[tokio::test]
async fn a_model_that_is_too_slow_ends_in_time_and_holds_up_no_more_than_its_place() {
    let gemini = FakeGemini::always(GeminiReply::Hang).await;
    let variables = [("GEMINI_TIMEOUT_MS", "2000"), ("GEMINI_CONCURRENCY", "1")];
    let server = server_with(&gemini, &variables).await;
    let (one, two) = tokio::join!(generate(&server), generate(&server));
    let mut codes = [&one, &two].map(|result| error_of(result)["code"].clone().to_string());
    codes.sort();
    assert_eq!(
        codes,
        ["\"provider-busy\"", "\"provider-unavailable\""],
        "{one} {two}"
    );
    assert_eq!(gemini.calls().len(), 1);
}

#[tokio::test]
async fn a_picture_is_changed_and_the_model_sees_only_what_is_clean() {
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    let server = server_with(&gemini, &[]).await;
    let arguments = json!({"svg": HOSTILE, "instructions": "make it blue"});
    let result = call(&server, "refine_svg", arguments).await;
    assert_eq!(result["structuredContent"]["title"], "A circle", "{result}");
    let calls = gemini.calls();
    let asked = calls[0].call.prompt();
    assert!(
        asked.contains("make it blue") && asked.contains("#e63946"),
        "{asked}"
    );
    assert!(
        !asked.contains("alert") && !asked.contains("example.com"),
        "{asked}"
    );

    for (arguments, part) in [
        (
            json!({"svg": BROKEN, "instructions": "x"}),
            "`svg` is refused",
        ),
        (
            json!({"svg": CIRCLE, "instructions": " "}),
            "`instructions`",
        ),
        (json!({"svg": CIRCLE}), "instructions"),
    ] {
        let result = call(&server, "refine_svg", arguments).await;
        assert_eq!(error_of(&result)["code"], "invalid-arguments");
        assert!(sentence(&result).contains(part), "{result}");
    }
    assert_eq!(
        gemini.calls().len(),
        1,
        "nothing is asked for what can't be changed"
    );
}

#[tokio::test]
async fn arguments_out_of_bounds_cost_nothing() {
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    let server = server_with(&gemini, &[]).await;
    for arguments in [
        json!({}),
        json!({"prompt": ""}),
        json!({"prompt": "x".repeat(8_001)}),
        json!({"prompt": "x", "width": 10}),
        json!({"prompt": "x", "width": 0, "height": 10}),
        json!({"prompt": "x", "width": 5_000, "height": 10}),
    ] {
        let result = call(&server, "generate_svg", arguments).await;
        assert_eq!(error_of(&result)["code"], "invalid-arguments");
    }
    assert_eq!(gemini.calls().len(), 0);
}

#[tokio::test]
async fn a_picture_that_can_not_be_kept_is_not_paid_for() {
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    // Nobody listens there.
    let away = ("DATABASE_URL", "postgres://mcp:x@127.0.0.1:1/mcp");
    let server = server_with(&gemini, &[away]).await;
    let result = generate(&server).await;
    assert_eq!(
        (&error_of(&result)["code"], &error_of(&result)["retryable"]),
        (&json!("tool-unavailable"), &json!(true)),
        "{result}"
    );
    assert_eq!(gemini.calls().len(), 0);
}

#[tokio::test]
async fn a_repeated_key_draws_once() {
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    let server = server_with(&gemini, &[]).await;
    let params = json!({"name": "generate_svg", "arguments": {"prompt": "a circle"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let key = [("idempotency-key", "jobs/a/generate_svg")];
    let first = server.post("/message", &key, body.to_string()).await;
    let again = server.post("/message", &key, body.to_string()).await;
    assert_eq!(first.body, again.body);
    assert_eq!(gemini.calls().len(), 1);
}

#[tokio::test]
async fn the_tools_are_listed_with_schemas_and_hints_and_ask_for_their_scope() {
    let server = Server::start().await;
    let listed = server.modern("tools/list", json!({})).await;
    let tools = listed.body["result"]["tools"].as_array().unwrap();
    for name in ["generate_svg", "refine_svg"] {
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        let output = &tool["outputSchema"];
        assert_eq!(output["type"], "object", "{tool}");
        let required = output["required"].as_array().unwrap();
        for field in [
            "svg",
            "title",
            "description",
            "width",
            "height",
            "removed",
            "model",
            "artifact",
        ] {
            assert!(required.contains(&json!(field)), "{field}: {output}");
        }
        let hints = &tool["annotations"];
        assert_eq!(
            (&hints["readOnlyHint"], &hints["openWorldHint"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(
            (&hints["destructiveHint"], &hints["idempotentHint"]),
            (&json!(false), &json!(false))
        );
    }
}

#[tokio::test]
async fn a_request_to_gemini_is_a_span_of_the_tools_call() {
    let collector = OtlpReceiver::start().await;
    let gemini = FakeGemini::always(drawn(CIRCLE)).await;
    let variables = collector.variables();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let server = server_with(&gemini, &variables).await;
    generate(&server).await;
    let named = async |name: &str| {
        let fits = |span: &Span| span.name == name;
        collector.wait_span(name, PATIENCE, fits).await
    };
    let call = named("tools/call generate_svg").await;
    let asked = named("generate_content gemini-3.8-flash").await;
    assert_eq!(
        (&asked.trace_id, &asked.parent_id),
        (&call.trace_id, &call.span_id)
    );
    for (name, value) in [
        ("gen_ai.operation.name", json!("generate_content")),
        ("gen_ai.provider.name", json!("gcp.gemini")),
        ("gen_ai.request.model", json!("gemini-3.8-flash")),
        ("gen_ai.usage.output_tokens", json!(396)),
        ("http.response.status_code", json!(200)),
    ] {
        assert_eq!(
            asked.attributes.get(name),
            Some(&value),
            "{name} of {asked:#?}"
        );
    }
    let seen = gemini.calls();
    assert_eq!(
        seen[0].call.header("traceparent"),
        Some(asked.traceparent().as_str())
    );
}

#[tokio::test]
async fn a_slow_answer_is_still_an_answer() {
    let gemini = FakeGemini::always(drawn(CIRCLE).after(Duration::from_millis(300))).await;
    let server = server_with(&gemini, &[]).await;
    let result = generate(&server).await;
    assert_eq!(result["structuredContent"]["title"], "A circle", "{result}");
}
