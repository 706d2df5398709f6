//! The CycloneDX 1.6 document of a binary.

use openssl::sha::sha256;
use serde_json::{Map, Value, json};

use super::inventory::{Inventory, Package};
use super::native;
use crate::origin::Origin;

/// The document of `binary`. Its serial number follows from its content.
///
/// # Errors
///
/// A package is not described, or holds native code that nothing is known of.
pub(super) fn document(
    inventory: &Inventory,
    binary: &str,
    origin: Option<&Origin>,
) -> anyhow::Result<Value> {
    let root = inventory.root(binary);
    let inside = inventory.inside(binary);
    let everything = inventory.everything(binary)?;
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for id in &everything {
        let package = inventory.package(id)?;
        let mut on: Vec<String> = inventory
            .direct(id)
            .map(|id| Ok(reference(inventory.package(id)?)))
            .collect::<anyhow::Result<_>>()?;
        if *id == root {
            on.push(standard_library(&inventory.rust).purl);
        } else {
            components.push(component(package, inside.contains(id)));
        }
        if let Some(library) = native::compiled_in(inventory, package)? {
            on.push(library.purl.clone());
            let part = Part {
                name: library.name,
                version: &library.version,
                licence: library.licence,
                purl: library.purl.clone(),
            };
            dependencies.push(json!({"ref": library.purl, "dependsOn": []}));
            components.push(part.component(&[("mcp-hybrid:compiled-in-by", &id.to_string())]));
        }
        dependencies.push(json!({"ref": reference(package), "dependsOn": on}));
    }
    let standard = standard_library(&inventory.rust);
    dependencies.push(json!({"ref": standard.purl, "dependsOn": []}));
    components.push(standard.component(&[]));
    let by_reference = |key: &'static str| move |value: &Value| value[key].to_string();
    components.sort_by_key(by_reference("bom-ref"));
    dependencies.sort_by_key(by_reference("ref"));
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata(inventory.package(&root)?, &inventory.target, origin),
        "components": components,
        "dependencies": dependencies,
    });
    document["serialNumber"] = serial_number(&document.to_string()).into();
    Ok(document)
}

fn metadata(package: &Package, target: &str, origin: Option<&Origin>) -> Value {
    let mut properties = vec![json!({"name": "mcp-hybrid:target", "value": target})];
    let mut metadata = json!({
        "lifecycles": [{"phase": "build"}],
        "tools": {"components": [{
            "type": "application",
            "name": "cargo xtask sbom",
            "version": env!("CARGO_PKG_VERSION"),
        }]},
    });
    if let Some(origin) = origin {
        metadata["timestamp"] = origin.time.clone().into();
        properties.push(json!({"name": "mcp-hybrid:commit", "value": origin.commit}));
    }
    let mut component = described(package, "application");
    component.insert("properties".to_owned(), properties.into());
    metadata["component"] = component.into();
    metadata
}

/// A crate as a component. What only builds the binary is "excluded" from what it needs at run time.
fn component(package: &Package, inside: bool) -> Value {
    let mut component = described(package, "library");
    let scope = match inside {
        true => "required",
        false => "excluded",
    };
    component.insert("scope".to_owned(), scope.into());
    component.into()
}

fn described(package: &Package, kind: &str) -> Map<String, Value> {
    let purl = reference(package);
    let mut value = json!({
        "type": kind,
        "bom-ref": purl,
        "name": package.id.name,
        "version": package.id.version,
        "licenses": licences(&package.licence),
        "purl": purl,
    });
    if let Some(description) = &package.description {
        value["description"] = description.trim().replace('\n', " ").into();
    }
    if let Some(checksum) = &package.checksum {
        value["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(repository) = &package.repository {
        value["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What is no crate of a registry.
struct Part<'a> {
    name: &'a str,
    version: &'a str,
    licence: &'a str,
    purl: String,
}

impl Part<'_> {
    fn component(&self, properties: &[(&str, &str)]) -> Value {
        let mut value = json!({
            "type": "library",
            "bom-ref": self.purl,
            "name": self.name,
            "version": self.version,
            "scope": "required",
            "licenses": licences(self.licence),
            "purl": self.purl,
        });
        if !properties.is_empty() {
            let pairs = properties
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}));
            value["properties"] = pairs.collect();
        }
        value
    }
}

fn standard_library(rust: &str) -> Part<'_> {
    Part {
        name: "rust-std",
        version: rust,
        licence: "MIT OR Apache-2.0",
        purl: format!("pkg:github/rust-lang/rust@{rust}"),
    }
}

/// The package URL, which is what other components refer to it by. A crate of this workspace is in no registry, and another's of the same name is not
/// meant.
fn reference(package: &Package) -> String {
    let kind = match package.checksum {
        Some(_) => "cargo",
        None => "generic",
    };
    let version = package.id.version.replace('+', "%2B");
    format!("pkg:{kind}/{}@{version}", package.id.name)
}

/// One licence by its SPDX id, or an expression.
fn licences(expression: &str) -> Value {
    match expression.contains(' ') {
        true => json!([{"expression": expression}]),
        false => json!([{"license": {"id": expression}}]),
    }
}

/// A UUID of version 8 (RFC 9562) made from the first half of a SHA-256.
fn serial_number(content: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sha256(content.as_bytes())[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = |range: std::ops::Range<usize>| -> String {
        bytes[range]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        hex(0..4),
        hex(4..6),
        hex(6..8),
        hex(8..10),
        hex(10..16)
    )
}
