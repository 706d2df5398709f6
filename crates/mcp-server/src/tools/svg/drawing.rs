//! What the tools give.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_core::SvgResult;
use rmcp::model::{ContentBlock, Resource};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

/// A picture: for programs the result, for people and models the SVG as a text, a PNG and a link.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Drawing {
    pub(super) result: SvgResult,
    /// A PNG.
    #[serde(skip)]
    pub(super) preview: Vec<u8>,
}

/// That of the result itself: derived, it would be a reference to it, and clients want an object.
impl JsonSchema for Drawing {
    fn schema_name() -> Cow<'static, str> {
        SvgResult::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SvgResult::json_schema(generator)
    }
}

impl Drawing {
    pub(crate) fn content(&self) -> Vec<ContentBlock> {
        let SvgResult {
            svg,
            title,
            description,
            artifact,
            ..
        } = &self.result;
        let link = Resource::new(&artifact.uri, format!("{}.svg", artifact.sha256))
            .with_title(title)
            .with_description(description)
            .with_mime_type(&artifact.mime_type)
            .with_size(artifact.size);
        vec![
            ContentBlock::text(svg),
            ContentBlock::image(STANDARD.encode(&self.preview), "image/png"),
            ContentBlock::resource_link(link),
        ]
    }
}
