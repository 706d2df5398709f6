//! `generate_svg`: a picture by Gemini, from words.

use std::sync::Arc;

use mcp_core::tool::GENERATE_SVG;
use mcp_core::{Failure, GenerateSvgArgs};
use mcp_runtime::Conditions;
use rmcp::model::{ContentBlock, ToolAnnotations};
use tokio_util::sync::CancellationToken;

use super::svg::{Artist, Drawing, prompt};
use super::{Tool, ToolContext};

/// The tool.
pub struct GenerateSvg {
    artist: Arc<Artist>,
}

impl GenerateSvg {
    /// The tool of that artist.
    pub fn new(artist: Arc<Artist>) -> Self {
        Self { artist }
    }
}

impl Tool for GenerateSvg {
    type Arguments = GenerateSvgArgs;
    type Output = Drawing;

    fn name(&self) -> &'static str {
        GENERATE_SVG
    }

    fn description(&self) -> &'static str {
        "Draws a picture as SVG from a description in words, by Gemini. What comes back is cleaned: it has no scripts and \
         refers to nothing outside. Gives the SVG, a PNG preview, title, description and size, and a link under which the SVG \
         is kept for some days."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::with_title("Generate an SVG")
            .read_only(false)
            .destructive(false)
            .idempotent(false)
            .open_world(true)
    }

    async fn call(
        &self,
        arguments: GenerateSvgArgs,
        context: ToolContext,
    ) -> Result<Drawing, Failure> {
        let size = arguments.check()?;
        let asked = prompt::generate(&arguments.prompt, size);
        self.artist.draw(asked, &context).await
    }

    async fn follow(&self, _ready: &Conditions, stop: CancellationToken) {
        self.artist.follow(stop).await;
    }

    fn content(&self, drawing: &Drawing) -> Option<Vec<ContentBlock>> {
        Some(drawing.content())
    }
}
