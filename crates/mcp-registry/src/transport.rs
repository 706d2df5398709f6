//! The rules for transports: of packages, and of remotes.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::issue::{Issues, Place};
use crate::server::{object, objects, text};
use crate::url_template::UrlTemplate;

type Object = Map<String, Value>;

/// Longest URL of a transport, in bytes: an index of the database holds remote ones.
const URL_MAX: usize = 2_048;

/// The transport of a package; its URL may use the names of the package's arguments and variables.
pub(crate) fn check_local(package: &Object, place: &Place<'_>, issues: &mut Issues) {
    let Some(transport) = object(package, "transport") else {
        return;
    };
    let place = &place.field("transport");
    let url = text(transport, "url").unwrap_or_default();
    match text(transport, "type").unwrap_or_default() {
        "stdio" if url.is_empty() => {}
        "stdio" => issues.add(
            &place.field("url"),
            "stdio-url",
            "a transport over stdio has no URL",
        ),
        "streamable-http" | "sse" => {
            let known = variables_of(package);
            check_url(url, &known, &place.field("url"), issues);
        }
        _ => issues.add(
            &place.field("type"),
            "transport-type",
            "must be stdio, streamable-http or sse",
        ),
    }
}

/// All remotes, each alone and against the others.
pub(crate) fn check_remotes(server: &Object, place: &Place<'_>, issues: &mut Issues) {
    let mut seen = HashMap::new();
    for (index, remote) in objects(server, "remotes") {
        let place = &place.index(index);
        let (kind, url) = (
            text(remote, "type").unwrap_or_default(),
            text(remote, "url").unwrap_or_default(),
        );
        if !matches!(kind, "streamable-http" | "sse") {
            issues.add(
                &place.field("type"),
                "remote-type",
                "must be streamable-http or sse",
            );
            continue;
        }
        let known: Vec<_> = object(remote, "variables")
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        let place = &place.field("url");
        if let Some(template) = check_url(url, &known, place, issues) {
            if !template.is_https() || template.is_local() {
                issues.add(
                    place,
                    "remote-url",
                    "must be an https URL of another machine: not localhost, and no loopback address",
                );
            }
            if template.has_credentials() {
                issues.add(
                    place,
                    "url-credentials",
                    "must not hold a user name or password: everybody can read it",
                );
            }
        }
        if let Some(first) = seen.insert((kind, url), index) {
            issues.add(
                place,
                "remote-duplicate",
                format!("remote {first} has the same type and URL"),
            );
        }
    }
}

/// The template, if it is one; its variables must be among the known ones.
fn check_url<'a>(
    url: &'a str,
    known: &[&str],
    place: &Place<'_>,
    issues: &mut Issues,
) -> Option<UrlTemplate<'a>> {
    if url.len() > URL_MAX {
        let message = format!("has {} bytes; the most are {URL_MAX}", url.len());
        issues.add(place, "url-length", message);
        return None;
    }
    let Some(template) = UrlTemplate::parse(url) else {
        issues.add(place, "url", "must be an http or https URL with a host, and with quotes, angle brackets, spaces and control characters percent-encoded");
        return None;
    };
    for variable in &template.variables {
        if !known.contains(variable) {
            issues.add(
                place,
                "url-variable",
                format!("{{{variable}}} is defined nowhere"),
            );
        }
    }
    Some(template)
}

/// What a package's URL may refer to: names of variables, names and hints of arguments.
fn variables_of(package: &Object) -> Vec<&str> {
    let environment = objects(package, "environmentVariables");
    let mut known: Vec<_> = environment
        .filter_map(|(_, variable)| text(variable, "name"))
        .collect();
    for list in ["runtimeArguments", "packageArguments"] {
        for (_, argument) in objects(package, list) {
            known.extend(text(argument, "name"));
            known.extend(text(argument, "valueHint"));
        }
    }
    known
}
