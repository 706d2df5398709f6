//! `generate_svg` and `refine_svg`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error_code::ErrorCode;
use crate::failure::Failure;

/// Longest prompt or instructions, in characters.
pub const PROMPT_MAX: usize = 8_000;
/// Largest side that can be asked for, in pixels.
pub const SIDE_MAX: u32 = 4_096;

/// Arguments of `generate_svg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GenerateSvgArgs {
    /// What the picture shows, and how.
    #[schemars(length(min = 1, max = "PROMPT_MAX"))]
    pub prompt: String,
    /// Its width in pixels; with the height, or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = "SIDE_MAX"))]
    pub width: Option<u32>,
    /// Its height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = "SIDE_MAX"))]
    pub height: Option<u32>,
}

impl GenerateSvgArgs {
    /// Width and height, if they are given.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArguments`], with the argument that is out of its bounds.
    pub fn check(&self) -> Result<Option<(u32, u32)>, Failure> {
        text("prompt", &self.prompt)?;
        let size = match (self.width, self.height) {
            (None, None) => return Ok(None),
            (Some(width), Some(height)) => (width, height),
            _ => {
                return Err(invalid(
                    "`width` and `height` are given together, or neither".into(),
                ));
            }
        };
        for (name, side) in [("width", size.0), ("height", size.1)] {
            if !(1..=SIDE_MAX).contains(&side) {
                return Err(invalid(format!("`{name}` must be from 1 to {SIDE_MAX}")));
            }
        }
        Ok(Some(size))
    }
}

/// Arguments of `refine_svg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefineSvgArgs {
    /// The SVG to change, whole.
    #[schemars(length(min = 1))]
    pub svg: String,
    /// What is to be different.
    #[schemars(length(min = 1, max = "PROMPT_MAX"))]
    pub instructions: String,
}

impl RefineSvgArgs {
    /// # Errors
    /// [`ErrorCode::InvalidArguments`], with the argument that is out of its bounds. The SVG itself is for whoever reads it.
    pub fn check(&self) -> Result<(), Failure> {
        text("instructions", &self.instructions)
    }
}

fn text(name: &str, value: &str) -> Result<(), Failure> {
    if value.trim().is_empty() {
        return Err(invalid(format!("`{name}` is empty")));
    }
    if value.chars().count() > PROMPT_MAX {
        return Err(invalid(format!(
            "`{name}` has more than {PROMPT_MAX} characters"
        )));
    }
    Ok(())
}

fn invalid(what: String) -> Failure {
    Failure::new(ErrorCode::InvalidArguments, what)
}

/// Result of `generate_svg` and `refine_svg`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SvgResult {
    /// The picture, cleaned: no scripts, no references to anything outside, only elements and attributes that draw.
    pub svg: String,
    /// Its title, by the model.
    pub title: String,
    /// What it shows, in a sentence or two, by the model.
    pub description: String,
    /// Its width in pixels.
    pub width: f64,
    /// Its height in pixels.
    pub height: f64,
    /// What was taken out of the model's SVG, by kind.
    pub removed: Vec<RemovedContent>,
    /// The model that drew it.
    pub model: String,
    /// Where it is kept.
    pub artifact: ArtifactRef,
}

/// A kind of content that was taken out of an SVG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemovedContent {
    /// What, in plain words.
    pub what: String,
    /// How many of it.
    pub count: u32,
}

/// Where the content of a result is kept. What carries results refers to it where the content itself has no room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactRef {
    /// Where to fetch it with GET and an API key of the server.
    pub uri: String,
    /// Of its bytes, 64 hexadecimal digits. The path at the server is `/artifacts/{sha256}.svg`.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// `image/svg+xml`.
    pub mime_type: String,
    /// From then on it may be gone; RFC 3339.
    pub expires_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_bounded() {
        let args = |prompt: &str, width, height| GenerateSvgArgs {
            prompt: prompt.into(),
            width,
            height,
        };
        assert_eq!(args("a cat", None, None).check(), Ok(None));
        assert_eq!(
            args("a cat", Some(1), Some(4_096)).check(),
            Ok(Some((1, 4_096)))
        );
        for bad in [
            args(" \n", None, None),
            args(&"a".repeat(8_001), None, None),
            args("a cat", Some(10), None),
            args("a cat", Some(0), Some(1)),
            args("a cat", Some(1), Some(4_097)),
        ] {
            assert_eq!(bad.check().unwrap_err().code, ErrorCode::InvalidArguments);
        }
        assert!(args(&"é".repeat(8_000), None, None).check().is_ok());
    }

    #[test]
    fn the_schema_says_what_is_bounded_and_required() {
        let schema = schemars::schema_for!(GenerateSvgArgs).to_value();
        assert_eq!(schema["required"], json!(["prompt"]));
        assert_eq!(schema["properties"]["prompt"]["maxLength"], 8_000);
        assert_eq!(schema["properties"]["width"]["maximum"], 4_096);
        let schema = schemars::schema_for!(RefineSvgArgs).to_value();
        assert_eq!(schema["required"], json!(["svg", "instructions"]));
    }
}
