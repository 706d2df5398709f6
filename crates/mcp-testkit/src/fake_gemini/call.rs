//! What a fake Gemini was asked.

use axum::http::HeaderMap;
use serde_json::Value;

use crate::Outcome;

/// One well-formed request.
#[derive(Clone, Debug)]
pub struct GeminiCall {
    /// Counts all of them, from 1.
    pub number: usize,
    /// The model in the path.
    pub model: String,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
}

impl GeminiCall {
    /// What the user said last.
    pub fn prompt(&self) -> &str {
        let turns = self.body["contents"].as_array();
        let last = turns.and_then(|turns| turns.last());
        last.and_then(|turn| turn["parts"][0]["text"].as_str())
            .unwrap_or_default()
    }

    /// How many turns the conversation has.
    pub fn turns(&self) -> usize {
        self.body["contents"].as_array().map_or(0, Vec::len)
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A request and its end.
#[derive(Clone, Debug)]
pub struct SeenGeminiCall {
    /// The request.
    pub call: GeminiCall,
    /// How it ended; `None` while it runs.
    pub ended: Option<Outcome>,
}
