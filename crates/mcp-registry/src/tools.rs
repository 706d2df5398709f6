//! The rules for the tools that are published beside a server: objects as `tools/list` gives them.

use std::collections::HashSet;

use jsonschema::Draft;
use serde_json::Value;

use crate::issue::{Issues, Place};
use crate::schema;
use crate::server::text;

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
                check_schema(schema, &place.field("inputSchema"), issues);
            }
        }
        if let Some(schema) = tool.get("outputSchema") {
            check_schema(schema, &place.field("outputSchema"), issues);
        }
    }
}

/// A schema must be one of the dialect that it names; JSON Schema 2020-12 where it names none, as MCP has it.
fn check_schema(tool_schema: &Value, place: &Place<'_>, issues: &mut Issues) {
    if !tool_schema.is_object() {
        issues.add(place, "tool-schema", "must be an object");
        return;
    }
    let dialect = match tool_schema.get("$schema") {
        None => Draft::Draft202012,
        Some(named) => {
            let named = named.as_str().unwrap_or_default();
            match named.trim_end_matches('#') {
                "https://json-schema.org/draft/2020-12/schema" => Draft::Draft202012,
                "https://json-schema.org/draft/2019-09/schema" => Draft::Draft201909,
                "http://json-schema.org/draft-07/schema" => Draft::Draft7,
                _ => {
                    issues.add(
                        &place.field("$schema"),
                        "tool-schema-dialect",
                        "must be that of JSON Schema 2020-12, 2019-09 or draft-07, or left out, which means 2020-12",
                    );
                    return;
                }
            }
        }
    };
    let meta = match dialect {
        Draft::Draft7 => jsonschema::draft7::meta::validator(),
        Draft::Draft201909 => jsonschema::draft201909::meta::validator(),
        _ => jsonschema::draft202012::meta::validator(),
    };
    schema::add_all(meta.iter_errors(tool_schema), place, "tool-schema", issues);
}
