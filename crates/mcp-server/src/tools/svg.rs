//! What `generate_svg` and `refine_svg` share: ask the model, trust nothing that comes back, keep what is left.

mod caption;
pub mod check;
mod drawing;
pub(crate) mod prompt;

use std::sync::Arc;

use mcp_core::text::shape_error;
use mcp_core::{ErrorCode, Failure, SvgResult};
use mcp_gemini::{Generated, Prompt, Turn};
use mcp_sandbox::Mode;
use metrics::counter;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::ToolContext;
use crate::artifacts::Artifacts;
use crate::config::ServerConfig;
use crate::gemini::Gemini;
use crate::metric_definitions as metric;
use caption::caption;
use check::{Checked, NotChecked};
pub use drawing::Drawing;

/// How often the model is told why its SVG was refused, and may send another. More than once seldom helps, and each time
/// costs as much as the first.
const REPAIRS: usize = 1;
/// Longest title and description that are passed on, in bytes.
const TITLE_MAX: usize = 200;
const DESCRIPTION_MAX: usize = 1_000;

/// What is checked and kept before Gemini is asked.
const REHEARSAL: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"><path d=\"M0 0h1v1z\"/></svg>";

/// Draws, by Gemini.
pub struct Artist {
    gemini: Gemini,
    artifacts: Artifacts,
    sandbox: Mode,
}

/// What the model is told to answer.
#[derive(Deserialize)]
struct Output {
    svg: String,
    title: String,
    description: String,
}

/// Why what the model sent is not taken.
enum Rejected {
    /// It is told so, and may send another.
    ByUs(String),
    /// It could not be looked at; nothing is wrong with it.
    Not(Failure),
}

impl Artist {
    /// The one of that configuration.
    pub fn of(config: &ServerConfig) -> Arc<Self> {
        Arc::new(Self {
            gemini: Gemini::new(&config.gemini),
            artifacts: Artifacts::of(config),
            sandbox: config.launching.mode,
        })
    }

    /// Gives back the room of pictures that have expired, until `stop`.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        self.artifacts.sweep(stop).await;
    }

    /// The SVG of a caller, cleaned.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArguments`] if it is refused.
    pub(crate) async fn clean(&self, svg: &str) -> Result<String, Failure> {
        match check::check(svg, self.sandbox).await {
            Ok(checked) => Ok(checked.svg),
            Err(NotChecked::Refused(why)) => Err(Failure::new(
                ErrorCode::InvalidArguments,
                format!("`svg` is refused: {why}"),
            )),
            Err(NotChecked::NotRun(failure)) => Err(failure),
        }
    }

    /// The picture that is asked for, cleaned and kept.
    pub(crate) async fn draw(
        &self,
        asked: String,
        context: &ToolContext,
    ) -> Result<Drawing, Failure> {
        let session = self.gemini.session().await?;
        self.rehearse().await?;
        let mut turns = vec![Turn::User(asked)];
        let mut repairs = 0;
        let (generated, output, checked) = loop {
            let prompt = Prompt {
                system: prompt::SYSTEM,
                turns: &turns,
                schema: prompt::schema(),
            };
            let generated = session.generate(&prompt).await?;
            let why = match self.accept(&generated).await {
                Ok((output, checked)) => break (generated, output, checked),
                Err(Rejected::Not(failure)) => return Err(failure),
                Err(Rejected::ByUs(why)) => why,
            };
            if repairs == REPAIRS {
                counter!(metric::SVG_REJECTED, "outcome" => "refused").increment(1);
                return Err(Failure::new(
                    ErrorCode::SvgRejected,
                    format!(
                        "the model's SVG is refused, also after it was told why and sent another: {why}"
                    ),
                ));
            }
            repairs += 1;
            tracing::info!("the model's SVG is refused, it is told so: {why}");
            turns.push(Turn::Model(generated.text));
            turns.push(Turn::User(prompt::repair(&why)));
        };
        if repairs > 0 {
            counter!(metric::SVG_REJECTED, "outcome" => "repaired").increment(1);
        }
        let artifact = self.artifacts.keep_svg(&checked.svg, context).await?;
        tracing::info!(
            model = generated.model.as_deref().unwrap_or(session.model()),
            bytes = artifact.size,
            sha256 = artifact.sha256,
            repairs,
            "an SVG was drawn"
        );
        Ok(Drawing {
            result: SvgResult {
                svg: checked.svg,
                title: caption(&output.title, TITLE_MAX),
                description: caption(&output.description, DESCRIPTION_MAX),
                width: checked.width,
                height: checked.height,
                removed: checked.removed,
                model: generated.model.unwrap_or_else(|| session.model().into()),
                artifact,
            },
            preview: checked.preview,
        })
    }

    /// Checks and keeps a picture of our own, as will be done with the one that Gemini is paid for: where that can't be done,
    /// nothing is paid.
    async fn rehearse(&self) -> Result<(), Failure> {
        let largest = mcp_svg::Limits::default().input_bytes;
        self.artifacts.has_room(largest).await?;
        match check::check(REHEARSAL, self.sandbox).await {
            Ok(checked) => Ok(self.artifacts.put_svg(&checked.svg).await.map(drop)?),
            Err(NotChecked::NotRun(failure)) => Err(failure),
            Err(NotChecked::Refused(why)) => Err(Failure::new(
                ErrorCode::Internal,
                format!("an SVG without a fault is refused: {why}"),
            )),
        }
    }

    /// What the model sent, if it can be taken.
    async fn accept(&self, generated: &Generated) -> Result<(Output, Checked), Rejected> {
        let output: Output = serde_json::from_str(generated.json()).map_err(|error| {
            let what = shape_error(&error);
            Rejected::ByUs(format!(
                "the answer is not the JSON object that was asked for: {what}"
            ))
        })?;
        match check::check(&output.svg, self.sandbox).await {
            Ok(checked) => Ok((output, checked)),
            Err(NotChecked::Refused(why)) => Err(Rejected::ByUs(why)),
            Err(NotChecked::NotRun(failure)) => Err(Rejected::Not(failure)),
        }
    }
}
