//! What an answer with status 200 amounts to. Only a candidate that the model has brought to its end counts.

use mcp_core::text::bounded;

use crate::error::GeminiError;
use crate::wire::{Response, Usage};

/// Longest reason that is passed on, in bytes.
const REASON_MAX: usize = 200;

/// What the model has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The text, whole and as it came: JSON, if the model has kept to what it was told.
    pub text: String,
    /// The version of the model, as it names itself.
    pub model: Option<String>,
    /// What it cost.
    pub usage: Usage,
}

impl Generated {
    /// The text without a Markdown fence around it, which models add although they were asked for bare JSON.
    pub fn json(&self) -> &str {
        let text = self.text.trim();
        let Some(fenced) = text
            .strip_prefix("```")
            .and_then(|rest| rest.strip_suffix("```"))
        else {
            return text;
        };
        // The opening fence may name a language.
        match fenced.split_once('\n') {
            Some((language, inside)) if !language.contains(['{', '[']) => inside.trim(),
            _ => fenced.trim(),
        }
    }
}

/// Why a model stops.
enum Finish {
    Complete,
    /// `maxOutputTokens` is reached.
    Truncated,
    /// What came is malformed by the provider's own word; another time it may not be.
    Malformed,
    /// Every other reason is about the contents. New ones are, too.
    Blocked,
}

impl Finish {
    fn of(reason: &str) -> Self {
        match reason {
            "STOP" => Self::Complete,
            "MAX_TOKENS" => Self::Truncated,
            "MALFORMED_RESPONSE"
            | "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "FINISH_REASON_UNSPECIFIED"
            | "" => Self::Malformed,
            _ => Self::Blocked,
        }
    }
}

/// The text of the only candidate.
pub(crate) fn read(response: Response, max_output_tokens: u32) -> Result<Generated, GeminiError> {
    let blocked = response
        .prompt_feedback
        .and_then(|feedback| feedback.block_reason);
    if let Some(reason) = blocked {
        return Err(GeminiError::Blocked {
            what: "the prompt",
            reason: bounded(&reason, REASON_MAX),
        });
    }
    let Some(candidate) = response.candidates.into_iter().next() else {
        return Err(GeminiError::NoOutput("no candidate".into()));
    };
    let reason = candidate.finish_reason.unwrap_or_default();
    let said = || match &candidate.finish_message {
        Some(message) => bounded(&format!("{reason}: {message}"), REASON_MAX),
        None => bounded(&reason, REASON_MAX),
    };
    match Finish::of(&reason) {
        Finish::Complete => {}
        Finish::Truncated => return Err(GeminiError::Truncated { max_output_tokens }),
        Finish::Malformed => {
            return Err(GeminiError::NoOutput(format!("finishReason {:?}", said())));
        }
        Finish::Blocked => {
            return Err(GeminiError::Blocked {
                what: "the answer",
                reason: said(),
            });
        }
    }
    let text: String = candidate
        .content
        .unwrap_or_default()
        .parts
        .into_iter()
        .filter(|part| !part.thought)
        .filter_map(|part| part.text)
        .collect();
    if text.trim().is_empty() {
        return Err(GeminiError::NoOutput("a candidate without text".into()));
    }
    Ok(Generated {
        text,
        model: response.model_version.map(|model| bounded(&model, 100)),
        usage: response.usage_metadata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read_json(response: Value) -> Result<Generated, GeminiError> {
        read(serde_json::from_value(response).unwrap(), 100)
    }

    fn finished(reason: &str, text: &str) -> Value {
        json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reason}]})
    }

    #[test]
    fn parts_are_put_together_without_the_thoughts() {
        let generated = read_json(json!({
            "candidates": [{
                "content": {"parts": [
                    {"text": "hm", "thought": true}, {"text": "{\"a\""}, {"inlineData": {}}, {"text": ":1}", "thoughtSignature": "x"},
                ]},
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 6},
            "modelVersion": "m-1",
            "responseId": "r",
        }))
        .unwrap();
        assert_eq!(generated.text, "{\"a\":1}");
        assert_eq!(generated.model.as_deref(), Some("m-1"));
        let usage = generated.usage;
        assert_eq!(
            (
                usage.prompt_token_count,
                usage.candidates_token_count,
                usage.thoughts_token_count
            ),
            (1, 2, 3)
        );
    }

    #[test]
    fn only_stop_is_an_end() {
        for reason in [
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "OTHER",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "A_NEW_ONE",
        ] {
            match read_json(finished(reason, "{}")) {
                Err(GeminiError::Blocked { reason: told, .. }) => assert_eq!(told, reason),
                other => panic!("{reason}: {other:?}"),
            }
        }
        for reason in ["MALFORMED_RESPONSE", "FINISH_REASON_UNSPECIFIED", ""] {
            let seen = read_json(finished(reason, "{}"));
            assert!(matches!(seen, Err(GeminiError::NoOutput(_))), "{reason}");
        }
        let cut = read_json(finished("MAX_TOKENS", "{\"svg\": \"<sv"));
        assert!(matches!(
            cut,
            Err(GeminiError::Truncated {
                max_output_tokens: 100
            })
        ));
    }

    #[test]
    fn nothing_is_no_answer() {
        for response in [
            json!({}),
            json!({"candidates": []}),
            json!({"candidates": [{"finishReason": "STOP"}]}),
            finished("STOP", " \n"),
        ] {
            let seen = read_json(response);
            assert!(matches!(seen, Err(GeminiError::NoOutput(_))), "{seen:?}");
        }
        let blocked = read_json(json!({"promptFeedback": {"blockReason": "SAFETY"}}));
        assert!(matches!(blocked, Err(GeminiError::Blocked { .. })));
        let harmless = json!({"promptFeedback": {"safetyRatings": []}, "candidates": []});
        assert!(matches!(read_json(harmless), Err(GeminiError::NoOutput(_))));
    }

    #[test]
    fn a_fence_is_taken_off() {
        for text in [
            "{\"a\":1}",
            " {\"a\":1}\n",
            "```json\n{\"a\":1}\n```",
            "```\n{\"a\":1}\n```\n",
            "```{\"a\":1}```",
        ] {
            let text = text.to_owned();
            let (model, usage) = (None, Usage::default());
            assert_eq!(Generated { text, model, usage }.json(), "{\"a\":1}");
        }
    }
}
