//! The rules for the tools that are published beside a server: objects as `tools/list` gives them.

use std::collections::HashSet;

use serde_json::Value;

use crate::issue::{Issues, Place};
use crate::server::{META_MAX, text};
use crate::tool_schema;

/// Most tools of a server.
pub(crate) const TOOLS_MAX: usize = 512;
/// Longest name of a tool (MCP 2025-11-25, server/tools).
const NAME_MAX: usize = 128;

/// Checks the tools, each alone and their names against each other.
pub(crate) fn check(tools: &[Value], issues: &mut Issues) {
    let root = Place::top("tools");
    if tools.len() > TOOLS_MAX {
        let message = format!("has {} tools; the most are {TOOLS_MAX}", tools.len());
        issues.add(&root, "tools-count", message);
        return;
    }
    let mut names = HashSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let place = root.index(index);
        let Some(tool) = tool.as_object() else {
            issues.add(&place, "tool", "must be an object, as tools/list gives it");
            continue;
        };
        let name = text(tool, "name").unwrap_or_default();
        let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(is_byte) {
            issues.add(
                &place.field("name"),
                "tool-name",
                format!("must be 1 to {NAME_MAX} letters, digits, underscores, hyphens and dots"),
            );
        } else if !names.insert(name) {
            issues.add(
                &place.field("name"),
                "tool-name",
                "another tool has this name",
            );
        }
        for field in ["title", "description"] {
            if tool.get(field).is_some_and(|value| !value.is_string()) {
                issues.add(&place.field(field), "tool", "must be a string");
            }
        }
        for field in ["annotations", "_meta"] {
            if tool.get(field).is_some_and(|value| !value.is_object()) {
                issues.add(&place.field(field), "tool", "must be an object");
            }
        }
        let meta = tool.get("_meta").map_or(0, |meta| meta.to_string().len());
        if meta > META_MAX {
            issues.add(
                &place.field("_meta"),
                "tool-meta-size",
                format!("has {meta} bytes; the most are {META_MAX}"),
            );
        }
        match tool.get("inputSchema") {
            None => issues.add(
                &place.field("inputSchema"),
                "tool-schema",
                "a tool has a schema of its arguments; {\"type\":\"object\"} if there are none",
            ),
            Some(schema) => {
                if schema.get("type") != Some(&Value::from("object")) {
                    issues.add(
                        &place.field("inputSchema").field("type"),
                        "tool-schema",
                        "must be \"object\": arguments have names",
                    );
                }
                tool_schema::check(schema, &place.field("inputSchema"), issues);
            }
        }
        if let Some(schema) = tool.get("outputSchema") {
            tool_schema::check(schema, &place.field("outputSchema"), issues);
        }
    }
}
