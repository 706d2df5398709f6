//! Prompts of every shape, one of which asks.

use mcp_server::Caller;
use rmcp::ErrorData;
use rmcp::model::{
    ContentBlock, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage,
    ResourceContents, Role,
};
use serde_json::json;

use super::asking::form;
use super::content::PNG;
use super::text_of;

pub(super) fn list() -> Vec<Prompt> {
    let prompt = |name: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| {
            PromptArgument::new(*argument)
                .with_description("A value.")
                .with_required(true)
        });
        Prompt::new(name, Some("A prompt for tests."), Some(arguments.collect()))
    };
    vec![
        prompt("test_simple_prompt", &[]),
        prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
        prompt("test_prompt_with_image", &[]),
        prompt("test_input_required_result_prompt", &[]),
    ]
}

pub(super) async fn get(
    request: GetPromptRequestParams,
    caller: &Caller,
) -> Result<GetPromptResult, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    let says = |text: String| ContentBlock::text(text);
    let content = match request.name.as_str() {
        "test_simple_prompt" => vec![says("This is a simple prompt for testing.".into())],
        "test_prompt_with_arguments" => {
            let (one, two) = (text_of(&arguments, "arg1"), text_of(&arguments, "arg2"));
            vec![says(format!(
                "Prompt with arguments: arg1='{one}', arg2='{two}'"
            ))]
        }
        "test_prompt_with_embedded_resource" => {
            let text = "Embedded resource content for testing.";
            let resource = ResourceContents::text(text, text_of(&arguments, "resourceUri"));
            vec![
                ContentBlock::resource(resource.with_mime_type("text/plain")),
                says("Please process the embedded resource above.".into()),
            ]
        }
        "test_prompt_with_image" => vec![
            ContentBlock::image(PNG, "image/png"),
            says("Please analyze the image above.".into()),
        ],
        "test_input_required_result_prompt" => {
            let what = "What context should the prompt use?";
            let form = form(what, json!({"context": {"type": "string"}}), &["context"]);
            let params = form.map_err(|error| ErrorData::internal_error(error.message, None))?;
            let answer = caller.elicit("user_context", params).await;
            let answer = answer.map_err(|error| ErrorData::invalid_request(error.message, None))?;
            vec![says(answer.content.unwrap_or_default().to_string())]
        }
        _ => return Err(ErrorData::invalid_params("there is no such prompt", None)),
    };
    let messages = content
        .into_iter()
        .map(|content| PromptMessage::new(Role::User, content));
    Ok(GetPromptResult::new(messages.collect()))
}
