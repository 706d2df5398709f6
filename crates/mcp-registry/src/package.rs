//! The rules for packages: what each kind of registry wants, as far as it can be known without asking it.

use serde_json::{Map, Value};
use url::Url;

use crate::issue::{Issues, Place};
use crate::oci;
use crate::server::{objects, text};
use crate::{transport, version};

type Object = Map<String, Value>;

/// Registries of packages, and the one address of each that is taken.
const REGISTRIES: [(&str, &str); 4] = [
    ("npm", "https://registry.npmjs.org"),
    ("pypi", "https://pypi.org"),
    ("nuget", "https://api.nuget.org/v3/index.json"),
    ("cargo", "https://crates.io"),
];

/// One package.
pub(crate) fn check(package: &Object, place: &Place<'_>, issues: &mut Issues) {
    let identifier = text(package, "identifier").unwrap_or_default();
    if identifier.is_empty() || identifier.contains(' ') {
        issues.add(
            &place.field("identifier"),
            "package-identifier",
            "must not be empty, nor hold spaces",
        );
    }
    if let Some(text) = text(package, "version") {
        version::check(text, &place.field("version"), issues);
    }
    for list in ["runtimeArguments", "packageArguments"] {
        let place = place.field(list);
        for (index, argument) in objects(package, list) {
            check_argument(argument, &place.index(index), issues);
        }
    }
    let variables = place.field("environmentVariables");
    for (index, variable) in objects(package, "environmentVariables") {
        if text(variable, "name").is_some_and(|name| name.is_empty() || name.contains('=')) {
            issues.add(
                &variables.index(index).field("name"),
                "variable-name",
                "must not be empty, nor hold `=`",
            );
        }
    }
    transport::check_local(package, place, issues);
    let kind = text(package, "registryType").unwrap_or_default();
    match kind {
        "oci" => {
            without(
                package,
                &["registryBaseUrl", "version", "fileSha256"],
                place,
                issues,
            );
            if let Err(what) = oci::check(identifier) {
                issues.add(&place.field("identifier"), "oci-reference", what);
            }
        }
        "mcpb" => {
            without(package, &["registryBaseUrl"], place, issues);
            with(package, "fileSha256", place, issues);
            if !is_release(identifier) {
                issues.add(
                    &place.field("identifier"),
                    "mcpb-url",
                    "must be the https URL of a release asset with `mcp` in it, at GitHub \
                     (/owner/repo/releases/download/tag/file) or GitLab (/group/repo/-/releases/tag/downloads/file or \
                     /group/repo/-/package_files/id/download)",
                );
            }
        }
        _ => match REGISTRIES.iter().find(|(name, _)| *name == kind) {
            Some((_, base)) => {
                without(package, &["fileSha256"], place, issues);
                with(package, "version", place, issues);
                if text(package, "registryBaseUrl")
                    .is_some_and(|url| !url.is_empty() && url != *base)
                {
                    issues.add(
                        &place.field("registryBaseUrl"),
                        "registry-base-url",
                        format!("must be {base} or left out, for {kind}"),
                    );
                }
            }
            None => issues.add(
                &place.field("registryType"),
                "registry-type",
                "must be npm, pypi, nuget, cargo, oci or mcpb",
            ),
        },
    }
}

/// The package has none of these fields.
fn without(package: &Object, fields: &[&str], place: &Place<'_>, issues: &mut Issues) {
    for field in fields {
        if text(package, field).is_some_and(|text| !text.is_empty()) {
            issues.add(
                &place.field(field),
                "package-field",
                "a package of this type does not have this field",
            );
        }
    }
}

/// The package has this field.
fn with(package: &Object, field: &str, place: &Place<'_>, issues: &mut Issues) {
    if text(package, field).is_none_or(str::is_empty) {
        issues.add(
            &place.field(field),
            "package-field",
            "a package of this type needs this field",
        );
    }
}

fn check_argument(argument: &Object, place: &Place<'_>, issues: &mut Issues) {
    match text(argument, "type").unwrap_or_default() {
        "named" => {
            let name = text(argument, "name").unwrap_or_default();
            if name.is_empty() || name.contains(['<', '>', ' ', '$']) {
                issues.add(
                    &place.field("name"),
                    "argument-name",
                    "a named argument has a name such as --port, without its value",
                );
                return;
            }
            for field in ["value", "default"] {
                if text(argument, field).is_some_and(|value| value.starts_with(name)) {
                    issues.add(
                        &place.field(field),
                        "argument-value",
                        "must not begin with the argument's name, which is added to it",
                    );
                }
            }
        }
        "positional" => {
            if text(argument, "value").is_none() && text(argument, "valueHint").is_none() {
                issues.add(
                    place,
                    "argument-value",
                    "a positional argument has a value or a valueHint",
                );
            }
        }
        _ => issues.add(
            &place.field("type"),
            "argument-type",
            "must be positional or named",
        ),
    }
}

/// Whether it is the address of a release asset whose address says that it is about MCP.
fn is_release(identifier: &str) -> bool {
    let Ok(url) = Url::parse(identifier) else {
        return false;
    };
    let path: Vec<_> = url.path().split('/').skip(1).collect();
    if url.scheme() != "https"
        || url.port().is_some()
        || !url.username().is_empty()
        || !identifier.to_ascii_lowercase().contains("mcp")
        || path.iter().any(|part| part.is_empty())
    {
        return false;
    }
    match url.host_str() {
        Some("github.com" | "www.github.com") => is_github_release(&path),
        Some("gitlab.com" | "www.gitlab.com") => is_gitlab_release(&path),
        _ => false,
    }
}

fn is_github_release(path: &[&str]) -> bool {
    let [owner, repository, "releases", "download", _tag, _file] = path else {
        return false;
    };
    let is_alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let owner = owner.as_bytes();
    owner.len() <= 39
        && is_alphanumeric(owner.first())
        && is_alphanumeric(owner.last())
        && owner
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && repository.bytes().all(is_project_byte)
}

fn is_gitlab_release(path: &[&str]) -> bool {
    let Some(at) = path.iter().rposition(|part| *part == "-") else {
        return false;
    };
    let (project, route) = (&path[..at], &path[at + 1..]);
    let is_route = match route {
        ["releases", _tag, "downloads", _file] => true,
        ["package_files", id, "download"] => id.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    is_route && !project.is_empty() && project.iter().all(|part| part.bytes().all(is_project_byte))
}

fn is_project_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
