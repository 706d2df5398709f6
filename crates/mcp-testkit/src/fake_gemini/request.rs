//! What the real Gemini refuses before any model sees it.

use axum::{
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use serde_json::{Value, json};

use super::{FakeGemini, reply};

/// The models that there are.
const MODELS: [&str; 4] = [
    "gemini-3.8-flash",
    "gemini-3.7-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.1-pro-preview",
];

/// Why a request is not taken, and what it is answered.
pub(super) struct Refusal {
    pub(super) why: String,
    pub(super) response: Response,
}

fn refusal(code: u16, status: &str, message: &str, details: Value) -> Box<Refusal> {
    Box::new(Refusal {
        why: message.to_owned(),
        response: reply::error(code, status, message, details),
    })
}

fn invalid(message: &str) -> Box<Refusal> {
    refusal(400, "INVALID_ARGUMENT", message, json!([]))
}

/// The model and the body of a request that the real one would take.
pub(super) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(String, Value), Box<Refusal>> {
    let model = uri
        .path()
        .strip_prefix("/v1beta/models/")
        .and_then(|rest| rest.strip_suffix(":generateContent"));
    let (Some(model), &Method::POST) = (model, method) else {
        let what = format!("{method} {} is no method of this API", uri.path());
        return Err(refusal(404, "NOT_FOUND", &what, json!([])));
    };
    if uri.query().is_some() {
        return Err(invalid("a key in the URL ends up in every log"));
    }
    let service = json!({"service": "generativelanguage.googleapis.com"});
    let info = |reason| {
        let kind = "type.googleapis.com/google.rpc.ErrorInfo";
        json!([{"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": service}])
    };
    match headers.get("x-goog-api-key").map(|key| key.as_bytes()) {
        None => {
            let message = "Method doesn't allow unregistered callers (callers without established identity). Please use \
                           API Key or other form of API consumer identity to call this API.";
            return Err(refusal(403, "PERMISSION_DENIED", message, json!([])));
        }
        Some(key) if key != FakeGemini::KEY.as_bytes() => {
            let message = "API key not valid. Please pass a valid API key.";
            return Err(refusal(
                400,
                "INVALID_ARGUMENT",
                message,
                info("API_KEY_INVALID"),
            ));
        }
        Some(_) => {}
    }
    if !MODELS.contains(&model) {
        let message = format!(
            "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call \
             ListModels to see the list of available models and their supported methods."
        );
        return Err(refusal(404, "NOT_FOUND", &message, json!([])));
    }
    let is_json = headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/json");
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) if is_json => body,
        _ => return Err(invalid("Invalid JSON payload received.")),
    };
    shape(&body)?;
    Ok((model.to_owned(), body))
}

fn shape(body: &Value) -> Result<(), Box<Refusal>> {
    known(
        body,
        "",
        &[
            "contents",
            "systemInstruction",
            "generationConfig",
            "safetySettings",
        ],
    )?;
    let config = &body["generationConfig"];
    let allowed = [
        "maxOutputTokens",
        "responseMimeType",
        "responseJsonSchema",
        "responseSchema",
        "thinkingConfig",
        "candidateCount",
        "stopSequences",
        "temperature",
        "topP",
        "topK",
        "seed",
    ];
    known(config, "generation_config", &allowed)?;
    let thinking = &config["thinkingConfig"];
    let allowed = ["thinkingLevel", "thinkingBudget", "includeThoughts"];
    known(thinking, "generation_config.thinking_config", &allowed)?;
    if let Some(level) = thinking.get("thinkingLevel") {
        let levels = ["minimal", "low", "medium", "high"];
        if !level.as_str().is_some_and(|level| levels.contains(&level)) {
            return Err(invalid(
                "Invalid value at 'generation_config.thinking_config.thinking_level'",
            ));
        }
    }
    if config
        .get("responseJsonSchema")
        .is_some_and(|schema| !schema.is_object())
        || (config.get("responseJsonSchema").is_some()
            && config["responseMimeType"] != "application/json")
    {
        return Err(invalid(
            "a response schema needs the response mime type application/json",
        ));
    }
    let Some(turns) = body["contents"]
        .as_array()
        .filter(|turns| !turns.is_empty())
    else {
        return Err(invalid(
            "* GenerateContentRequest.contents: contents is not specified",
        ));
    };
    for (index, turn) in turns.iter().enumerate() {
        let role = turn["role"].as_str().unwrap_or("user");
        // They take turns, and the user has the last word.
        let expected = if (turns.len() - index) % 2 == 1 {
            "user"
        } else {
            "model"
        };
        if role != expected {
            return Err(invalid("Please use a valid role: user, model."));
        }
        parts(turn, &format!("contents[{index}]"))?;
    }
    match body.get("systemInstruction") {
        Some(instruction) => parts(instruction, "system_instruction"),
        None => Ok(()),
    }
}

fn parts(content: &Value, at: &str) -> Result<(), Box<Refusal>> {
    known(content, at, &["role", "parts"])?;
    let parts = content["parts"].as_array();
    let Some(parts) = parts.filter(|parts| !parts.is_empty()) else {
        return Err(invalid(&format!(
            "* GenerateContentRequest.{at}.parts: must not be empty"
        )));
    };
    for part in parts {
        known(part, &format!("{at}.parts"), &["text"])?;
        if !part["text"].is_string() {
            return Err(invalid(&format!(
                "* GenerateContentRequest.{at}.parts: required oneof field 'data' must have one initialized field"
            )));
        }
    }
    Ok(())
}

fn known(object: &Value, at: &str, allowed: &[&str]) -> Result<(), Box<Refusal>> {
    let names = object
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    for name in names {
        if !allowed.contains(&name.as_str()) {
            return Err(invalid(&format!(
                "Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."
            )));
        }
    }
    Ok(())
}
