//! `tools/list`, all pages of it, bounded.

use std::collections::HashMap;
use std::sync::Arc;

use mcp_core::tool::ToolInfo;
use mcp_core::{ErrorCode, Failure, text::bounded};
use serde_json::{Map, Value};

use crate::exchange::{Form, Miss, Wire};
use crate::json_rpc::{Params, Request};
use crate::param_headers::ParamHeader;
use crate::redaction::Redaction;

/// Most pages read.
const PAGES_MAX: usize = 100;
/// Most tools read.
const TOOLS_MAX: usize = 1_000;

/// The tools read so far.
#[derive(Debug, Default)]
pub(crate) struct ToolList {
    pub(crate) tools: Vec<ToolInfo>,
    /// By tool, the arguments to mirror into headers; tools without any are not in it.
    pub(crate) param_headers: HashMap<String, Arc<[ParamHeader]>>,
    pages: usize,
}

impl ToolList {
    /// Adds a page and returns the cursor of the next one. With `checked`, tools whose `x-mcp-header` annotations
    /// break the rules are left out, as 2026-07-28 has it.
    pub(crate) fn add_page(
        &mut self,
        mut page: Map<String, Value>,
        checked: bool,
    ) -> Result<Option<String>, Failure> {
        let Some(Value::Array(tools)) = page.remove("tools") else {
            return Err(invalid("`tools` is no array"));
        };
        self.pages += 1;
        for tool in tools {
            let tool: ToolInfo = serde_json::from_value(tool)
                .map_err(|error| invalid(&format!("a tool is none: {error}")))?;
            match ParamHeader::read(&tool.input_schema) {
                Err(reason) if checked => {
                    let name = bounded(&tool.name, 200);
                    tracing::warn!(
                        tool = name,
                        reason,
                        "left out: its `x-mcp-header` annotations break the rules"
                    );
                    continue;
                }
                Ok(headers) if !headers.is_empty() => {
                    self.param_headers.insert(tool.name.clone(), headers.into());
                }
                Ok(_) | Err(_) => {}
            }
            self.tools.push(tool);
        }
        let next = match page.remove("nextCursor") {
            Some(Value::String(cursor)) if !cursor.is_empty() => Some(cursor),
            _ => None,
        };
        if self.tools.len() > TOOLS_MAX || (next.is_some() && self.pages >= PAGES_MAX) {
            let message =
                format!("the server lists more than {TOOLS_MAX} tools or {PAGES_MAX} pages");
            return Err(Failure::new(ErrorCode::AnswerTooLarge, message));
        }
        Ok(next)
    }
}

impl Wire {
    /// All tools, in at most as many bytes as one answer may have.
    pub(crate) async fn list_tools(
        &self,
        form: Form<'_>,
        redaction: &Redaction,
    ) -> Result<ToolList, Miss> {
        let mut list = ToolList::default();
        let mut cursor: Option<String> = None;
        let mut bytes = 0;
        loop {
            let params = Params::Page {
                cursor: cursor.as_deref(),
            };
            let request = Request::new("tools/list", params);
            let page = self.ask(&request, form, redaction).await?;
            bytes += page.bytes;
            if bytes > self.answer_max {
                let message = format!("the tool list is larger than {} bytes", self.answer_max);
                return Err(Failure::new(ErrorCode::AnswerTooLarge, message).into());
            }
            cursor = list.add_page(page.result, matches!(form, Form::Modern(_)))?;
            if cursor.is_none() {
                return Ok(list);
            }
        }
    }
}

fn invalid(reason: &str) -> Failure {
    let message = format!("the answer to `tools/list` is no tool list: {reason}");
    Failure::new(ErrorCode::InvalidAnswer, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn pages_are_joined_and_bounded() {
        let mut list = ToolList::default();
        let tool = json!({"name": "a", "inputSchema": {"type": "object"}});
        let next = list.add_page(page(json!({"tools": [tool], "nextCursor": "2"})), true);
        assert_eq!(next.unwrap().as_deref(), Some("2"));
        assert_eq!(
            list.add_page(page(json!({"tools": [tool]})), true).unwrap(),
            None
        );
        assert_eq!(list.tools.len(), 2);

        let endless = || page(json!({"tools": [], "nextCursor": "again"}));
        let failure = (0..PAGES_MAX).find_map(|_| list.add_page(endless(), true).err());
        assert_eq!(failure.unwrap().code, ErrorCode::AnswerTooLarge);
        let many = page(json!({"tools": vec![tool; TOOLS_MAX + 1]}));
        let failure = ToolList::default().add_page(many, true).unwrap_err();
        assert_eq!(failure.code, ErrorCode::AnswerTooLarge);
    }

    #[test]
    fn a_tool_with_bad_annotations_is_left_out_where_they_mean_something() {
        let bad = json!({"name": "bad", "inputSchema": {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}});
        for (checked, kept) in [(true, 0), (false, 1)] {
            let mut list = ToolList::default();
            list.add_page(page(json!({"tools": [bad]})), checked)
                .unwrap();
            assert_eq!(list.tools.len(), kept);
        }
    }
}
