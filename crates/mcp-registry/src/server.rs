//! The rules for a `server.json` beyond its schema: those of the official registry that need no network, and a few more.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use url::Url;

use crate::issue::{Issues, Place};
use crate::{fields, name, package, transport, version};

/// Where publishers may put what they like, in `_meta`.
pub const PUBLISHER_META: &str = "io.modelcontextprotocol.registry/publisher-provided";
/// Where the registry puts what it knows.
pub const OFFICIAL_META: &str = "io.modelcontextprotocol.registry/official";
/// Most bytes of [`PUBLISHER_META`] and of a tool's `_meta`, as compact JSON.
pub(crate) const META_MAX: usize = 4 * 1024;
/// Characters that show a text in another order than it has, so that it says something else to a reader (Unicode TR 36 §2.5).
const TURNING: [RangeInclusive<char>; 3] = [
    '\u{200e}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2066}'..='\u{2069}',
];
/// Characters that no URI has (RFC 3986 §2), beside those that [mislead](misleads), and that break out of an attribute of HTML.
const NO_URI: [char; 8] = ['"', '\'', '<', '>', ' ', '\t', '\n', '\r'];

type Object = Map<String, Value>;

/// Checks a document that may not even fit the schema: what has another type than it should is passed over, for the
/// schema has an issue about it.
pub(crate) fn check(server: &Object, issues: &mut Issues) {
    let root = Place::top("server");
    fields::check(server, &root, issues);
    if let Some(text) = text(server, "name") {
        name::check(text, &root.field("name"), issues);
    }
    if let Some(text) = text(server, "version") {
        version::check(text, &root.field("version"), issues);
    }
    if text(server, "title").is_some_and(|title| title.trim().is_empty()) {
        issues.add(
            &root.field("title"),
            "title-blank",
            "a title is more than space: leave it out, or write one",
        );
    }
    for field in ["title", "description"] {
        if text(server, field).is_some_and(|text| text.chars().any(misleads)) {
            issues.add(
                &root.field(field),
                "text-plain",
                "must have no control characters and none that turn the text around: people decide by what they see",
            );
        }
    }
    if let Some(url) = text(server, "websiteUrl") {
        let place = root.field("websiteUrl");
        if !is_https(url) || url.contains(is_no_uri) {
            issues.add(
                &place,
                "website-url",
                "must be an absolute https URL, with quotes, angle brackets and spaces percent-encoded",
            );
        }
    }
    for (index, icon) in objects(server, "icons") {
        if text(icon, "src").is_some_and(|src| !is_https(src)) {
            let icons = root.field("icons");
            issues.add(
                &icons.index(index).field("src"),
                "icon-src",
                "must be an absolute https URL",
            );
        }
    }
    if let Some(repository) = object(server, "repository") {
        check_repository(repository, &root.field("repository"), issues);
    }
    for (index, package) in objects(server, "packages") {
        package::check(package, &root.field("packages").index(index), issues);
    }
    transport::check_remotes(server, &root.field("remotes"), issues);
    for list in ["packages", "remotes"] {
        if let Some(value) = server.get(list) {
            check_plain(value, &root.field(list), issues);
        }
    }
    if let Some(meta) = object(server, "_meta") {
        check_meta(meta, &root.field("_meta"), issues);
    }
}

/// No control characters: names and values of headers, variables and arguments go where these begin a new line or end a text.
fn check_plain(value: &Value, place: &Place<'_>, issues: &mut Issues) {
    match value {
        Value::String(text) if text.contains(char::is_control) => {
            issues.add(place, "text-control", "must have no control characters");
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                check_plain(element, &place.index(index), issues);
            }
        }
        Value::Object(fields) => {
            // Prose for people, and what has a rule of its own.
            let others = fields
                .iter()
                .filter(|(field, _)| !matches!(field.as_str(), "description" | "url"));
            for (field, value) in others {
                check_plain(value, &place.field(field), issues);
            }
        }
        _ => {}
    }
}

/// Only the two hosts that the official registry can look at.
fn check_repository(repository: &Object, place: &Place<'_>, issues: &mut Issues) {
    if let (Some(url), Some(source)) = (text(repository, "url"), text(repository, "source")) {
        let is_repository = match source {
            "github" => repository_path(url, "github.com").is_some_and(|path| path.len() == 2),
            "gitlab" => repository_path(url, "gitlab.com")
                .is_some_and(|path| path.len() >= 2 && !path.contains(&"-")),
            _ => false,
        };
        if !is_repository {
            issues.add(
                &place.field("url"),
                "repository-url",
                "must be https://github.com/owner/name with source github, or https://gitlab.com/group/name with \
                 source gitlab",
            );
        }
    }
    let subfolder = text(repository, "subfolder").unwrap_or_default();
    if !subfolder.is_empty() && !subfolder.split('/').all(is_part) {
        issues.add(
            &place.field("subfolder"),
            "repository-subfolder",
            "must be a path below the repository's root: letters, digits, dots, underscores, hyphens, single slashes; \
             no `.` or `..`, and no slash at its ends",
        );
    }
}

/// The parts of the path of a repository at that host.
fn repository_path<'a>(url: &'a str, host: &str) -> Option<Vec<&'a str>> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    let path = rest.strip_prefix(host)?.strip_prefix('/')?;
    let parts: Vec<_> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    parts.iter().all(|part| is_part(part)).then_some(parts)
}

/// Whether it can be a part of a path that leads below where it begins.
fn is_part(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && part.bytes().all(is_path_byte)
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn check_meta(meta: &Object, place: &Place<'_>, issues: &mut Issues) {
    if let Some(provided) = meta.get(PUBLISHER_META) {
        let size = provided.to_string().len();
        if size > META_MAX {
            issues.add(
                &place.field(PUBLISHER_META),
                "publisher-meta-size",
                format!("has {size} bytes; the most are {META_MAX}"),
            );
        }
    }
    for key in meta.keys().filter(|key| *key != PUBLISHER_META) {
        issues.add(
            &place.field(key),
            "meta-key",
            format!("only {PUBLISHER_META} is a publisher's to fill"),
        );
    }
}

/// Whether a text that shows it may look like another one. Line ends are for descriptions.
fn misleads(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || TURNING.iter().any(|range| range.contains(&c))
}

/// Whether a character is none of a URI.
pub(crate) fn is_no_uri(c: char) -> bool {
    NO_URI.contains(&c) || misleads(c)
}

fn is_https(url: &str) -> bool {
    url.starts_with("https://") && Url::parse(url).is_ok_and(|url| url.has_host())
}

/// The text of a field, if it is one.
pub(crate) fn text<'a>(object: &'a Object, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

/// The object in a field, if it is one.
pub(crate) fn object<'a>(object: &'a Object, field: &str) -> Option<&'a Object> {
    object.get(field)?.as_object()
}

/// The objects in an array, each with its index.
pub(crate) fn objects<'a>(
    object: &'a Object,
    field: &str,
) -> impl Iterator<Item = (usize, &'a Object)> {
    let elements = object.get(field).and_then(Value::as_array);
    let elements = elements.into_iter().flatten().enumerate();
    elements.filter_map(|(index, element)| Some((index, element.as_object()?)))
}
