//! `refine_svg`: an SVG and what is to be different, by Gemini.

use std::sync::Arc;

use mcp_core::tool::REFINE_SVG;
use mcp_core::{Failure, RefineSvgArgs};
use rmcp::model::{ContentBlock, ToolAnnotations};

use super::svg::{Artist, Drawing, prompt};
use super::{Tool, ToolContext};

/// The tool.
pub struct RefineSvg {
    artist: Arc<Artist>,
}

impl RefineSvg {
    /// The tool of that artist.
    pub fn new(artist: Arc<Artist>) -> Self {
        Self { artist }
    }
}

impl Tool for RefineSvg {
    type Arguments = RefineSvgArgs;
    type Output = Drawing;

    fn name(&self) -> &'static str {
        REFINE_SVG
    }

    fn description(&self) -> &'static str {
        "Changes an SVG as told in words, by Gemini. The given SVG is cleaned before the model sees it, and so is what comes \
         back. Gives the same as generate_svg."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::with_title("Refine an SVG")
            .read_only(false)
            .destructive(false)
            .idempotent(false)
            .open_world(true)
    }

    async fn call(
        &self,
        arguments: RefineSvgArgs,
        context: ToolContext,
    ) -> Result<Drawing, Failure> {
        arguments.check()?;
        let svg = self.artist.clean(&arguments.svg).await?;
        let asked = prompt::refine(&svg, &arguments.instructions);
        self.artist.draw(asked, &context).await
    }

    fn content(&self, drawing: &Drawing) -> Option<Vec<ContentBlock>> {
        Some(drawing.content())
    }
}
