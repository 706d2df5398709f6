//! Which fields there are. The schema allows any others beside its own; the official registry takes none that it does not
//! know, and neither do we: what nobody reads is most often misspelt.

use serde_json::{Map, Value};

use crate::issue::{Issues, Place};
use crate::server::{object, objects};

type Object = Map<String, Value>;

const SERVER: &[&str] = &[
    "$schema",
    "name",
    "description",
    "title",
    "repository",
    "version",
    "websiteUrl",
    "icons",
    "packages",
    "remotes",
    "_meta",
];
const REPOSITORY: &[&str] = &["url", "source", "id", "subfolder"];
const ICON: &[&str] = &["src", "mimeType", "sizes", "theme"];
const PACKAGE: &[&str] = &[
    "registryType",
    "registryBaseUrl",
    "identifier",
    "version",
    "fileSha256",
    "runtimeHint",
    "transport",
    "runtimeArguments",
    "packageArguments",
    "environmentVariables",
];
const TRANSPORT: &[&str] = &["type", "url", "headers", "variables"];
/// Of every input; those that are not a variable of another one have more.
const INPUT: &[&str] = &[
    "description",
    "isRequired",
    "format",
    "value",
    "isSecret",
    "default",
    "placeholder",
    "choices",
];
const NAMED_INPUT: &[&str] = &["name", "variables"];
const ARGUMENT: &[&str] = &["type", "name", "valueHint", "isRepeated", "variables"];

/// Adds an issue for each field that there is not.
pub(crate) fn check(server: &Object, root: &Place<'_>, issues: &mut Issues) {
    only(server, &[SERVER], root, issues);
    if let Some(repository) = object(server, "repository") {
        only(repository, &[REPOSITORY], &root.field("repository"), issues);
    }
    let icons = root.field("icons");
    for (index, icon) in objects(server, "icons") {
        only(icon, &[ICON], &icons.index(index), issues);
    }
    let packages = root.field("packages");
    for (index, package) in objects(server, "packages") {
        check_package(package, &packages.index(index), issues);
    }
    let remotes = root.field("remotes");
    for (index, remote) in objects(server, "remotes") {
        check_transport(remote, &remotes.index(index), issues);
    }
}

fn check_package(package: &Object, place: &Place<'_>, issues: &mut Issues) {
    only(package, &[PACKAGE], place, issues);
    if let Some(transport) = object(package, "transport") {
        check_transport(transport, &place.field("transport"), issues);
    }
    for list in ["runtimeArguments", "packageArguments"] {
        check_inputs(package, list, ARGUMENT, place, issues);
    }
    check_inputs(package, "environmentVariables", NAMED_INPUT, place, issues);
}

fn check_transport(transport: &Object, place: &Place<'_>, issues: &mut Issues) {
    only(transport, &[TRANSPORT], place, issues);
    check_inputs(transport, "headers", NAMED_INPUT, place, issues);
    check_variables(transport, place, issues);
}

fn check_inputs(
    parent: &Object,
    list: &str,
    more: &[&str],
    place: &Place<'_>,
    issues: &mut Issues,
) {
    let place = place.field(list);
    for (index, input) in objects(parent, list) {
        let place = place.index(index);
        only(input, &[INPUT, more], &place, issues);
        check_variables(input, &place, issues);
    }
}

fn check_variables(parent: &Object, place: &Place<'_>, issues: &mut Issues) {
    let place = place.field("variables");
    for (name, variable) in object(parent, "variables").into_iter().flatten() {
        if let Some(variable) = variable.as_object() {
            only(variable, &[INPUT], &place.field(name), issues);
        }
    }
}

fn only(object: &Object, known: &[&[&str]], place: &Place<'_>, issues: &mut Issues) {
    for field in object.keys() {
        if !known.iter().any(|known| known.contains(&&**field)) {
            issues.add(
                &place.field(field),
                "unknown-field",
                "there is no such field; what is your own belongs into _meta",
            );
        }
    }
}
