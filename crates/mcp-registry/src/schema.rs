//! The official schema of `server.json`, and what a validator says about a document in our words.

use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::issue::{Issues, Place};

/// The release of the schema that is checked against.
pub const SCHEMA_URL: &str =
    "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
const SCHEMA: &str = include_str!("../schemas/server-2025-12-11.json");

/// The schema, compiled.
#[derive(Clone, Debug)]
pub(crate) struct ServerSchema(Validator);

impl ServerSchema {
    pub(crate) fn new() -> Self {
        let schema = serde_json::from_str(SCHEMA).expect("the embedded schema is JSON");
        Self(jsonschema::draft7::new(&schema).expect("the embedded schema is one"))
    }

    /// Adds all that the schema has against it, and names another schema than this.
    pub(crate) fn check(&self, server: &Value, issues: &mut Issues) {
        let root = Place::top("server");
        if server.get("$schema").and_then(Value::as_str) != Some(SCHEMA_URL) {
            let message = format!("must be {SCHEMA_URL:?}");
            issues.add(&root.field("$schema"), "schema-version", message);
        }
        add_all(self.0.iter_errors(server), &root, "schema", issues);
    }
}

/// Adds the errors of a validator, each at its own place below `place` and without the value that it is about.
pub(crate) fn add_all<'e>(
    errors: impl Iterator<Item = ValidationError<'e>>,
    place: &Place<'_>,
    rule: &'static str,
    issues: &mut Issues,
) {
    for error in errors {
        let pointer = format!("{place}{}", error.instance_path().as_str());
        issues.add_at(&pointer, rule, &error.masked_with("the value").to_string());
    }
}
