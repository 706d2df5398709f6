//! The schemas of tools: JSON Schema 2020-12, as MCP has it, and whole in themselves: nobody has to fetch anything to use them.
//!
//! They are not compiled here: the compiler of jsonschema follows references, and some hundred bytes of them can take it
//! minutes. What is done here is linear in the size of the document, and sees what nothing refers to as well.

mod references;

use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use crate::issue::{Issues, Place};
use crate::schema;
use crate::server::text;
use references::References;

/// The one dialect. A `#` at its end is the same.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Longest pattern, in bytes: that of reading one grows with the square of its groups' names.
const PATTERN_MAX: usize = 4_096;

/// Whether a text is a regular expression of ECMA-262. It is read, never compiled and never run.
static REGEX: LazyLock<Validator> = LazyLock::new(|| {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(&json!({"format": "regex"}))
        .expect("a constant schema compiles")
});

/// Checks one schema of a tool.
pub(crate) fn check(tool_schema: &Value, place: &Place<'_>, issues: &mut Issues) {
    let Some(object) = tool_schema.as_object() else {
        issues.add(place, "tool-schema", "must be an object");
        return;
    };
    check_dialect(object, place, issues);
    if !has_dialect(object) {
        // In another dialect the rest may well be right.
        return;
    }
    let meta = jsonschema::draft202012::meta::validator();
    schema::add_all(meta.iter_errors(tool_schema), place, "tool-schema", issues);
    let mut references = References::new(tool_schema);
    references.read(place, issues);
    references.check(place, issues);
}

fn has_dialect(schema: &Map<String, Value>) -> bool {
    schema.get("$schema").is_none_or(|named| {
        let named = named.as_str().unwrap_or_default();
        named.strip_suffix('#').unwrap_or(named) == DIALECT
    })
}

fn check_dialect(schema: &Map<String, Value>, place: &Place<'_>, issues: &mut Issues) {
    if !has_dialect(schema) {
        issues.add(
            &place.field("$schema"),
            "tool-schema-dialect",
            format!(
                "must be {DIALECT}, or left out, which means the same: MCP has no other dialect"
            ),
        );
    }
}

/// The patterns of one schema, without those of the schemas in it.
fn check_patterns(schema: &Map<String, Value>, place: &Place<'_>, issues: &mut Issues) {
    if let Some(pattern) = text(schema, "pattern") {
        check_pattern(pattern, &place.field("pattern"), issues);
    }
    let properties = place.field("patternProperties");
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    for pattern in patterns.into_iter().flat_map(Map::keys) {
        check_pattern(pattern, &properties.field(pattern), issues);
    }
}

fn check_pattern(pattern: &str, place: &Place<'_>, issues: &mut Issues) {
    if pattern.len() > PATTERN_MAX {
        let message = format!(
            "the pattern has {} bytes; the most are {PATTERN_MAX}",
            pattern.len()
        );
        issues.add(place, "tool-schema-pattern", message);
    } else if !REGEX.is_valid(&Value::from(pattern)) {
        issues.add(
            place,
            "tool-schema-pattern",
            "the pattern is not a regular expression of ECMA-262 with its flag u, which is what clients read",
        );
    }
}

/// Calls `each` with every value that stands where a schema has a schema, and with its place. `definitions` and `dependencies`
/// are of older dialects; the meta-schema of 2020-12 still knows them.
fn subschemas<'s>(
    schema: &'s Map<String, Value>,
    place: &Place<'_>,
    each: &mut dyn FnMut(&'s Value, &Place<'_>),
) {
    for (keyword, value) in schema {
        let place = place.field(keyword);
        match keyword.as_str() {
            "additionalProperties"
            | "contains"
            | "contentSchema"
            | "else"
            | "if"
            | "items"
            | "not"
            | "propertyNames"
            | "then"
            | "unevaluatedItems"
            | "unevaluatedProperties" => each(value, &place),
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    each(value, &place.index(index));
                }
            }
            "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties"
            | "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    each(value, &place.field(name));
                }
            }
            _ => {}
        }
    }
}
