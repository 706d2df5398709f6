//! Tools that show every kind of content, progress and messages.

use std::time::Duration;

use mcp_core::{ErrorCode, Failure};
use mcp_server::Tools;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::sleep;

use super::{Change, nothing, text_of, with};

/// A red pixel.
pub(super) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// No sound at all.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// Between two signs of life.
const STEP: Duration = Duration::from_millis(50);

type Outcome = Result<CallToolResult, Failure>;

pub(super) fn add(tools: Tools, changes: &broadcast::Sender<Change>) -> Tools {
    let tools = fixed(tools);
    let tools = with(
        tools,
        "test_error_handling",
        "Fails.",
        nothing(),
        async |_, _| -> Outcome {
            let what = "This tool intentionally returns an error for testing";
            Err(Failure::new(ErrorCode::ToolFailed, what))
        },
    );
    let tools = with(
        tools,
        "test_tool_with_progress",
        "Tells how far it is.",
        nothing(),
        async |_, context| {
            for progress in [0.0, 50.0, 100.0] {
                context.caller.progress(progress, Some(100.0), None).await;
                sleep(STEP).await;
            }
            Ok(text("done"))
        },
    );
    let tools = logging(
        logging(tools, "test_tool_with_logging"),
        "test_logging_tool",
    );
    let tools = with(
        tools,
        "test_custom_header",
        "Has an argument that is repeated in a header.",
        json!({
            "type": "object",
            "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
            "required": ["region"],
        }),
        async |arguments, _| Ok(text(text_of(&arguments, "region"))),
    );
    let tools = with(
        tools,
        "json_schema_2020_12_tool",
        "Tool with JSON Schema 2020-12 features",
        schema_of_2020_12(),
        async |_, _| Ok(text("fine")),
    );
    let tools = changing(tools, "test_trigger_tool_change", changes, Change::Tools);
    changing(
        tools,
        "test_trigger_prompt_change",
        changes,
        Change::Prompts,
    )
}

pub(super) fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

/// Tools that always give the same.
fn fixed(tools: Tools) -> Tools {
    let image = || ContentBlock::image(PNG, "image/png");
    let resource = |uri: &str, kind: &str, text: &str| {
        ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(kind))
    };
    let all = [
        (
            "test_simple_text",
            vec![ContentBlock::text(
                "This is a simple text response for testing.",
            )],
        ),
        ("test_image_content", vec![image()]),
        (
            "test_audio_content",
            vec![ContentBlock::audio(WAV, "audio/wav")],
        ),
        (
            "test_embedded_resource",
            vec![resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content.",
            )],
        ),
        (
            "test_multiple_content_types",
            vec![
                ContentBlock::text("Multiple content types test:"),
                image(),
                resource(
                    "test://mixed-content-resource",
                    "application/json",
                    r#"{"test":"data","value":123}"#,
                ),
            ],
        ),
    ];
    all.into_iter().fold(tools, |tools, (name, content)| {
        let result = CallToolResult::success(content);
        let call = move |_, _| std::future::ready(Ok(result.clone()));
        with(tools, name, "Gives content of its kind.", nothing(), call)
    })
}

#[expect(
    deprecated,
    reason = "messages to the client are deprecated since 2026-07-28, and still tested"
)]
fn logging(tools: Tools, name: &'static str) -> Tools {
    use rmcp::model::LoggingLevel::Info;
    with(
        tools,
        name,
        "Says what it does.",
        nothing(),
        async |_, context| {
            context.caller.log(Info, "Tool execution started").await;
            sleep(STEP).await;
            context.caller.log(Info, "Tool processing data").await;
            sleep(STEP).await;
            context.caller.log(Info, "Tool execution completed").await;
            Ok(text("done"))
        },
    )
}

fn changing(
    tools: Tools,
    name: &'static str,
    changes: &broadcast::Sender<Change>,
    change: Change,
) -> Tools {
    let changes = changes.clone();
    let call = move |_, _| {
        // Without subscribers nobody is told.
        let _ = changes.send(change);
        std::future::ready(Ok(text("changed")))
    };
    with(
        tools,
        name,
        "Says that a list has changed.",
        nothing(),
        call,
    )
}

fn schema_of_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
