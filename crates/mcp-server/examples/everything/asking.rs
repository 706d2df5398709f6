//! Tools that ask their caller. Each is written once: the same code asks on the call's stream in the eras that have
//! requests from server to client, and ends with `input_required` in 2026-07-28.

#![expect(
    deprecated,
    reason = "sampling and roots are deprecated since 2026-07-28, and still tested"
)]

use std::collections::BTreeMap;

use mcp_core::{ErrorCode, Failure};
use mcp_server::{Caller, ToolContext, Tools};
use rmcp::model::{
    CallToolResult, CreateMessageRequest, CreateMessageRequestParams, ElicitRequest,
    ElicitRequestParams, ElicitResult, InputRequest, ListRootsRequest,
};
use serde_json::{Value, json};

use super::content::text;
use super::{nothing, text_of, with};

type Outcome = Result<CallToolResult, Failure>;

pub(super) fn add(tools: Tools) -> Tools {
    let tools = classic(tools);
    let tools = rounds(tools);
    let tools = with(
        tools,
        "test_missing_capability",
        "Needs sampling.",
        nothing(),
        async |_, context| sampled(&context.caller, "answer", "Say something.", 100).await,
    );
    let tools = with(
        tools,
        "test_streaming_elicitation",
        "Speaks, then asks.",
        nothing(),
        async |_, context| {
            context.caller.progress(0.0, None, Some("asking")).await;
            named(&context.caller, "user_name", "What is your name?").await
        },
    );
    with(
        tools,
        "test_input_required_result_capabilities",
        "Asks what its caller can answer.",
        nothing(),
        async |_, context| {
            let all = [
                ("elicited", elicitation("Go on?", &["ok"])?),
                ("sampled", sampling("Go on?", 50)?),
            ];
            let possible = all
                .into_iter()
                .filter(|(_, request)| context.caller.can_answer(request) != Some(false));
            let asked = possible.map(|(key, request)| (key.to_owned(), request));
            let answers = context.caller.ask(asked.collect()).await?;
            Ok(text(json!(answers).to_string()))
        },
    )
}

/// The tools of the eras with requests from server to client.
fn classic(tools: Tools) -> Tools {
    let tools = with(
        tools,
        "test_sampling",
        "Asks the caller's model.",
        json!({"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}),
        async |arguments, context| {
            let prompt = text_of(&arguments, "prompt");
            sampled(&context.caller, "sample", &prompt, 100).await
        },
    );
    let tools = with(
        tools,
        "test_elicitation",
        "Asks the person at the caller.",
        json!({"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}),
        async |arguments, context| {
            let properties = json!({
                "username": {"type": "string", "description": "User's response"},
                "email": {"type": "string", "description": "User's email address"},
            });
            let message = text_of(&arguments, "message");
            let params = form(&message, properties, &["username", "email"])?;
            let answer = context.caller.elicit("user", params).await?;
            Ok(text(format!("User response: {}", shown(&answer))))
        },
    );
    let tools = filled(tools, "test_elicitation_sep1034_defaults", || {
        json!({
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": true},
        })
    });
    filled(tools, "test_elicitation_sep1330_enums", || {
        let titled = |titles: [&str; 3]| {
            let values = ["value1", "value2", "value3"];
            let both = values.into_iter().zip(titles);
            Value::from_iter(both.map(|(value, title)| json!({"const": value, "title": title})))
        };
        let plain = json!(["option1", "option2", "option3"]);
        let first = titled(["First Option", "Second Option", "Third Option"]);
        let choice = titled(["First Choice", "Second Choice", "Third Choice"]);
        json!({
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": first},
            "legacyEnum": {
                "type": "string", "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": choice}},
        })
    })
}

/// A tool that has a form filled in.
fn filled(tools: Tools, name: &'static str, properties: fn() -> Value) -> Tools {
    with(
        tools,
        name,
        "Has a form filled in.",
        nothing(),
        move |_, context: ToolContext| async move {
            let params = form("Please fill in", properties(), &[])?;
            let answer = context.caller.elicit("form", params).await?;
            Ok(text(format!("Elicitation completed: {}", shown(&answer))))
        },
    )
}

/// The tools of 2026-07-28.
fn rounds(tools: Tools) -> Tools {
    let tools = with(
        tools,
        "test_input_required_result_elicitation",
        "Asks for a name.",
        nothing(),
        async |_, context| named(&context.caller, "user_name", "What is your name?").await,
    );
    let tools = with(
        tools,
        "test_input_required_result_sampling",
        "Asks a model.",
        nothing(),
        async |_, context| {
            let question = "What is the capital of France?";
            sampled(&context.caller, "capital_question", question, 100).await
        },
    );
    let tools = with(
        tools,
        "test_input_required_result_list_roots",
        "Asks for roots.",
        nothing(),
        async |_, context| {
            let roots = context.caller.roots("client_roots").await?.roots;
            let uris: Vec<_> = roots.iter().map(|root| root.uri.as_str()).collect();
            Ok(text(format!("Roots: {}", uris.join(", "))))
        },
    );
    let tools = confirmed(tools, "test_input_required_result_request_state");
    let tools = confirmed(tools, "test_input_required_result_tampered_state");
    let tools = with(
        tools,
        "test_input_required_result_multiple_inputs",
        "Asks for all at once.",
        nothing(),
        async |_, context| {
            let roots = InputRequest::ListRoots(ListRootsRequest {
                method: Default::default(),
                extensions: Default::default(),
            });
            let requests = BTreeMap::from([
                (
                    "user_name".to_owned(),
                    elicitation("What is your name?", &["name"])?,
                ),
                ("greeting".to_owned(), sampling("Generate a greeting", 50)?),
                ("client_roots".to_owned(), roots),
            ]);
            let answers = context.caller.ask(requests).await?;
            Ok(text(json!(answers).to_string()))
        },
    );
    with(
        tools,
        "test_input_required_result_multi_round",
        "Asks twice.",
        nothing(),
        async |_, context| {
            let step = async |key: &str, message: &str, field: &str| {
                let params = form(message, json!({field: {"type": "string"}}), &[field])?;
                let answer = context.caller.elicit(key, params).await?;
                Ok::<_, Failure>(answer.content.unwrap_or_default()[field].clone())
            };
            let name = step("step1", "Step 1: What is your name?", "name").await?;
            let color = step("step2", "Step 2: What is your favorite color?", "color").await?;
            Ok(text(format!("{name} likes {color}")))
        },
    )
}

/// A tool that goes on when it may; it gets no further than asking with a state that was not signed for it.
fn confirmed(tools: Tools, name: &'static str) -> Tools {
    with(
        tools,
        name,
        "Asks whether to go on.",
        nothing(),
        async |_, context| {
            let params = form(
                "Please confirm",
                json!({"ok": {"type": "boolean"}}),
                &["ok"],
            )?;
            context.caller.elicit("confirm", params).await?;
            Ok(text("state-ok"))
        },
    )
}

/// Greets whoever answers.
pub(super) async fn named(caller: &Caller, key: &str, message: &str) -> Outcome {
    let params = form(message, json!({"name": {"type": "string"}}), &["name"])?;
    let answer = caller.elicit(key, params).await?;
    let content = answer.content.unwrap_or_default();
    let name = content["name"].as_str().unwrap_or("stranger");
    Ok(text(format!("Hello, {name}!")))
}

async fn sampled(caller: &Caller, key: &str, prompt: &str, tokens: u32) -> Outcome {
    let answer = caller.sample(key, sampling_params(prompt, tokens)?).await?;
    let answer = serde_json::to_value(&answer).unwrap_or_default();
    let said = answer["content"]["text"].as_str().unwrap_or_default();
    Ok(text(format!("LLM response: {said}")))
}

fn elicitation(message: &str, fields: &[&str]) -> Result<InputRequest, Failure> {
    let properties = fields
        .iter()
        .map(|field| (*field, json!({"type": "string"})));
    let params = form(message, Value::from_iter(properties), fields)?;
    Ok(InputRequest::Elicitation(ElicitRequest::new(params)))
}

fn sampling(prompt: &str, tokens: u32) -> Result<InputRequest, Failure> {
    let params = sampling_params(prompt, tokens)?;
    Ok(InputRequest::CreateMessage(CreateMessageRequest::new(
        params,
    )))
}

/// A form of those properties.
pub(super) fn form(
    message: &str,
    properties: Value,
    required: &[&str],
) -> Result<ElicitRequestParams, Failure> {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    written(json!({"mode": "form", "message": message, "requestedSchema": schema}))
}

fn sampling_params(prompt: &str, tokens: u32) -> Result<CreateMessageRequestParams, Failure> {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    written(json!({"messages": [message], "maxTokens": tokens}))
}

fn written<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))
}

fn shown(answer: &ElicitResult) -> String {
    let content = answer.content.clone().unwrap_or_default();
    format!(
        "action={}, content={content}",
        json!(answer.action).as_str().unwrap_or_default()
    )
}
