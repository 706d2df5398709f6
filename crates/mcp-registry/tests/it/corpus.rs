//! Documents and what the official registry says of them.
//!
//! `official` in `tests/corpus/servers.json` was recorded from the validators of version 1.8.7 of the Go module
//! `github.com/modelcontextprotocol/registry`: the schema of the request's body, `ValidateServerJSON` with all it can do,
//! `ValidatePublishRequest`, and `ValidatePackage` for each package without a network, where only what it says before it asks
//! a package registry counts.

use mcp_registry::Validator;
use serde_json::{Map, Value};

struct Entry {
    name: String,
    is_accepted_there: bool,
    rules: Vec<String>,
    server: Map<String, Value>,
}

fn entries() -> Vec<Entry> {
    let entries: Vec<Value> = serde_json::from_str(include_str!("../corpus/servers.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let read = |entry: &Value| Entry {
        name: text(&entry["name"]),
        is_accepted_there: entry["official"] == "accepted",
        rules: entry["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect(),
        server: entry["server"].as_object().unwrap().clone(),
    };
    entries.iter().map(read).collect()
}

/// Which rules a document breaks, each once, in the order of their names.
fn broken(validator: &Validator, server: Map<String, Value>) -> Vec<String> {
    let Err(issues) = validator.check(server, Vec::new()) else {
        return Vec::new();
    };
    let mut rules: Vec<_> = issues
        .kept()
        .iter()
        .map(|issue| issue.rule.to_owned())
        .collect();
    rules.sort();
    rules.dedup();
    rules
}

#[test]
fn each_document_breaks_the_rules_that_it_is_there_for_and_no_other() {
    let validator = Validator::default();
    let mut wrong = Vec::new();
    for mut entry in entries() {
        entry.rules.sort();
        let rules = broken(&validator, entry.server);
        if rules != entry.rules {
            wrong.push(format!("{}: {rules:?}, not {:?}", entry.name, entry.rules));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_taken_that_the_official_registry_refuses() {
    let validator = Validator::default();
    for entry in entries() {
        let is_accepted = broken(&validator, entry.server).is_empty();
        assert!(!is_accepted || entry.is_accepted_there, "{}", entry.name);
    }
}

/// Where we ask for more than the official registry does; the README says why.
const OURS: [&str; 9] = [
    "namespace-format",
    "remote-duplicate",
    "remote-url",
    "schema-version",
    "text-control",
    "url-credentials",
    "url-length",
    "variable-name",
    "version-text",
];

#[test]
fn what_is_refused_beyond_that_is_refused_by_our_own_rules() {
    let validator = Validator::default();
    let mut count = 0;
    for entry in entries()
        .into_iter()
        .filter(|entry| entry.is_accepted_there)
    {
        let rules = broken(&validator, entry.server);
        count += usize::from(rules.is_empty());
        assert!(
            rules.iter().all(|rule| OURS.contains(&&**rule)),
            "{}: {rules:?}",
            entry.name
        );
    }
    assert!(count >= 30, "{count} documents are accepted by both");
}
