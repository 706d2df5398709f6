//! What the headers of an MCP request say of its body: the version, and since 2026-07-28 the method and its subject, so
//! that what routes requests need not read them.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rmcp::ErrorData;
use rmcp::model::{ErrorCode, JsonObject, ProtocolVersion, RequestMetaObject};
use serde_json::Value;

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";
const PARAM: &str = "Mcp-Param-";
const BASE64: (&str, &str) = ("=?base64?", "?=");
/// Methods that must name their subject.
const NAMED: [&str; 8] = [
    "tools/call",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
];

/// A request, as far as its headers can contradict it.
pub(super) struct Claims<'a> {
    pub(super) method: &'a str,
    pub(super) subject: Option<&'a str>,
    pub(super) arguments: Option<&'a JsonObject>,
    /// The called tool's input schema: arguments that it marks are repeated in headers.
    pub(super) schema: Option<Arc<JsonObject>>,
    pub(super) meta: &'a RequestMetaObject,
    /// The version that it names there.
    pub(super) own: Option<ProtocolVersion>,
}

/// The version that a request is in.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) version: ProtocolVersion,
    /// It says so itself, as requests since 2026-07-28 do.
    pub(super) is_own: bool,
}

/// A status, and the error in its body.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) ErrorData);

impl Refused {
    /// What it is called in metrics and in the audit log.
    pub(super) fn why(&self) -> &'static str {
        match self.1.code {
            ErrorCode::HEADER_MISMATCH => "header-mismatch",
            ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => "unsupported-version",
            _ => "invalid-request",
        }
    }
}

/// Checks the headers against the request.
pub(super) fn check(headers: &HeaderMap, claims: Claims<'_>) -> Result<Version, Refused> {
    let header = single(headers, VERSION).map_err(mismatch)?;
    let own = &claims.own;
    let known = |version: &str| {
        let mut known = ProtocolVersion::KNOWN_VERSIONS.iter();
        known.find(|known| known.as_str() == version).cloned()
    };
    let has_handshake = own.as_ref().is_none_or(ProtocolVersion::has_initialize);
    if claims.method == "initialize" && has_handshake {
        return initialize(headers);
    }
    if let (Some(header), None) = (header, own)
        && known(header).is_none()
    {
        let header = mcp_core::text::bounded(header, 50);
        let what = format!("{VERSION} {header:?} is not supported");
        return Err(Refused(
            StatusCode::BAD_REQUEST,
            ErrorData::invalid_request(what, None),
        ));
    }
    let is_modern = header.is_some_and(|header| header >= ProtocolVersion::V_2026_07_28.as_str());
    if is_modern {
        standard(headers, &claims).map_err(mismatch)?;
    }
    let Some(own) = claims.own else {
        if is_modern || claims.method == "server/discover" {
            let missing = claims
                .meta
                .missing_required_keys(&ProtocolVersion::V_2026_07_28);
            let what = format!(
                "`_meta` lacks {}, or what it needs there",
                missing.join(", ")
            );
            return Err(Refused(
                StatusCode::BAD_REQUEST,
                ErrorData::invalid_params(what, None),
            ));
        }
        let version = header
            .and_then(known)
            .unwrap_or(ProtocolVersion::V_2025_03_26);
        return Ok(Version {
            version,
            is_own: false,
        });
    };
    match header {
        None => Err(mismatch(format!("{VERSION} is missing"))),
        Some(header) if header != own.as_str() => Err(mismatch(format!(
            "{VERSION} is not the version that `_meta` names"
        ))),
        Some(_) => Ok(Version {
            version: own,
            is_own: true,
        }),
    }
}

/// Checks that `initialize` is what the headers say, too. Its version is checked against its parameters later.
fn initialize(headers: &HeaderMap) -> Result<Version, Refused> {
    match single(headers, METHOD).map_err(mismatch)? {
        None | Some("initialize") => Ok(Version {
            version: ProtocolVersion::LATEST_WITH_INITIALIZE,
            is_own: false,
        }),
        Some(_) => Err(mismatch(format!("{METHOD} is not the method of the body"))),
    }
}

/// Checks that the version header names what `initialize` asks for, if it is there.
pub(super) fn check_initialize(headers: &HeaderMap, asked: &str) -> Result<(), Refused> {
    match single(headers, VERSION).map_err(mismatch)? {
        Some(header) if header != asked => Err(Refused(
            StatusCode::BAD_REQUEST,
            ErrorData::invalid_request(
                format!("{VERSION} is not the `protocolVersion` of the body"),
                None,
            ),
        )),
        _ => Ok(()),
    }
}

fn standard(headers: &HeaderMap, claims: &Claims<'_>) -> Result<(), String> {
    match single(headers, METHOD)? {
        None => return Err(format!("{METHOD} is missing")),
        Some(method) if method != claims.method => {
            return Err(format!("{METHOD} is not the method of the body"));
        }
        Some(_) => {}
    }
    if let Some(subject) = claims.subject.filter(|_| NAMED.contains(&claims.method)) {
        let name = single(headers, NAME)?.ok_or_else(|| format!("{NAME} is missing"))?;
        if decode(name).as_deref() != Some(subject) {
            return Err(format!("{NAME} is not what the body names"));
        }
    }
    let Some(schema) = &claims.schema else {
        return Ok(());
    };
    let mut marked = Vec::new();
    collect(schema.get("properties"), &mut Vec::new(), &mut marked);
    for (path, header) in marked {
        let name = format!("{PARAM}{header}");
        let argument = path
            .split_first()
            .and_then(|(first, rest)| {
                let first = claims.arguments?.get(*first)?;
                rest.iter().try_fold(first, |value, key| value.get(key))
            })
            .and_then(primitive);
        match (single(headers, &name)?, argument) {
            (None, None) => {}
            (Some(_), None) => return Err(format!("{name} is there, its argument is not")),
            (None, Some(_)) => return Err(format!("{name} is missing")),
            (Some(header), Some(argument)) => {
                if decode(header).as_ref() != Some(&argument) {
                    return Err(format!("{name} is not its argument"));
                }
            }
        }
    }
    Ok(())
}

/// Arguments that the schema marks with `x-mcp-header`: their paths, and what they are called there.
fn collect<'a>(
    properties: Option<&'a Value>,
    path: &mut Vec<&'a str>,
    marked: &mut Vec<(Vec<&'a str>, &'a str)>,
) {
    for (name, schema) in properties.and_then(Value::as_object).into_iter().flatten() {
        path.push(name);
        let header = schema.get("x-mcp-header").and_then(Value::as_str);
        if let Some(header) = header.filter(|header| !header.is_empty()) {
            marked.push((path.clone(), header));
        }
        collect(schema.get("properties"), path, marked);
        path.pop();
    }
}

fn primitive(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn decode(value: &str) -> Option<String> {
    let inner = value
        .strip_prefix(BASE64.0)
        .and_then(|value| value.strip_suffix(BASE64.1));
    match inner {
        Some(inner) => String::from_utf8(BASE64_STANDARD.decode(inner).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// The header's one value. Of two, whoever else reads them might take the other one.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!("{name} is there more than once"));
    }
    let text = value.to_str().map(str::trim);
    text.map(Some)
        .map_err(|_| format!("{name} is no plain text"))
}

fn mismatch(what: String) -> Refused {
    let error = ErrorData::new(ErrorCode::HEADER_MISMATCH, what, None);
    Refused(StatusCode::BAD_REQUEST, error)
}
