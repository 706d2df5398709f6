//! Tools that go on as tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_core::{ErrorCode, Failure};
use mcp_server::{Caller, TaskSupport, ToolContext, Tools};
use rmcp::model::{CallToolResult, ElicitRequest, InputRequest, JsonObject};
use serde_json::json;
use tokio::time::sleep;

use super::asking::{form, named};
use super::content::text;
use super::{nothing, text_of, with};

/// How long the job that fails works before that.
const WORK: Duration = Duration::from_secs(1);

pub(super) fn add(tools: Tools) -> Tools {
    let tools = with(
        tools,
        "greet",
        "Greets.",
        json!({"type": "object", "properties": {"name": {"type": "string"}}}),
        async |arguments, _| Ok(text(format!("Hello, {}!", text_of(&arguments, "name")))),
    );
    let tools = with(
        tools,
        "slow_compute",
        "Takes its time.",
        json!({"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}}),
        async |arguments, context| {
            let seconds = arguments.get("seconds").and_then(serde_json::Value::as_f64);
            let time = Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default();
            let work = async move |_| {
                sleep(time).await;
                Ok(text(format!("computed for {} s", time.as_secs_f64())))
            };
            context
                .caller
                .run_as_task(TaskSupport::Preferred, work)
                .await
        },
    );
    let tools = with(
        tools,
        "failing_job",
        "Fails.",
        nothing(),
        async |_, context| {
            let work = async |_| -> Result<CallToolResult, Failure> {
                sleep(WORK).await;
                Err(Failure::new(
                    ErrorCode::ToolFailed,
                    "the job failed, as it always does",
                ))
            };
            context
                .caller
                .run_as_task(TaskSupport::Required, work)
                .await
        },
    );
    let tools = with(
        tools,
        "protocol_error_job",
        "Panics.",
        nothing(),
        async |_, context| {
            let work = async |_| -> Result<CallToolResult, Failure> { panic!("as it always does") };
            context
                .caller
                .run_as_task(TaskSupport::Preferred, work)
                .await
        },
    );
    asking(tools)
}

fn asking(tools: Tools) -> Tools {
    let confirm = || {
        form(
            "Really?",
            json!({"confirm": {"type": "boolean"}}),
            &["confirm"],
        )
    };
    let tools = with(
        tools,
        "confirm_delete",
        "Asks within its task.",
        json!({"type": "object", "properties": {"filename": {"type": "string"}}}),
        move |arguments: JsonObject, context: ToolContext| async move {
            let name = text_of(&arguments, "filename");
            let work = async move |caller: Caller| {
                let answer = caller.elicit("confirm", confirm()?).await?;
                let confirmed = answer.content.unwrap_or_default()["confirm"] == true;
                Ok(text(if confirmed {
                    format!("deleted {name}")
                } else {
                    "kept".into()
                }))
            };
            context
                .caller
                .run_as_task(TaskSupport::Preferred, work)
                .await
        },
    );
    let tools = with(
        tools,
        "multi_input",
        "Asks twice at once.",
        nothing(),
        move |_, context: ToolContext| async move {
            let work = async move |caller: Caller| {
                let one = InputRequest::Elicitation(ElicitRequest::new(confirm()?));
                let requests = BTreeMap::from([
                    ("first".to_owned(), one.clone()),
                    ("second".to_owned(), one),
                ]);
                let answers = caller.ask(requests).await?;
                Ok(text(json!(answers).to_string()))
            };
            context
                .caller
                .run_as_task(TaskSupport::Preferred, work)
                .await
        },
    );
    with(
        tools,
        "test_tool_with_task",
        "Asks first, then goes on as a task.",
        nothing(),
        async |_, context| {
            let greeting = named(&context.caller, "user_name", "What is your name?").await?;
            let work = async move |_| Ok(greeting);
            context
                .caller
                .run_as_task(TaskSupport::Required, work)
                .await
        },
    )
}
