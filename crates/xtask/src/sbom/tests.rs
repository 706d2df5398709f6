use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use mcp_testkit::fetched;
use serde_json::Value;

use super::*;

/// Asking cargo takes seconds: once for all tests.
static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
    let target = host().expect("this machine");
    Inventory::read(&repository(), &BINARIES, &target).expect("cargo's answers")
});

/// A commit that is always the same.
fn origin() -> Origin {
    Origin {
        commit: "0123456789".repeat(4),
        seconds: 1_800_000_000,
        time: "2027-01-15T08:00:00Z".to_owned(),
        changed: Vec::new(),
    }
}

fn documents() -> BTreeMap<&'static str, Value> {
    BINARIES
        .into_iter()
        .map(|binary| {
            let document = document::document(&INVENTORY, binary, Some(&origin()));
            (binary, document.expect("a document"))
        })
        .collect()
}

fn components(document: &Value) -> &Vec<Value> {
    document["components"].as_array().expect("components")
}

fn names(document: &Value, scope: &str) -> BTreeSet<String> {
    components(document)
        .iter()
        .filter(|one| one["scope"] == scope)
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_official_schema_accepts_the_documents() {
    let mut given: Vec<Value> = documents().into_values().collect();
    let mut wrong = given[0].clone();
    wrong["components"][0]["scope"] = "inside".into();
    given.push(wrong);
    let refusals = refusals(&given);
    let (last, all) = refusals.split_last().expect("an answer for each");
    assert_eq!(all, ["", "", ""]);
    assert!(last.contains("inside"), "all is accepted: {last:?}");
}

/// What CycloneDX's own library finds wrong with each, by its strict schema; nothing if it is right.
fn refusals(documents: &[Value]) -> Vec<String> {
    const SCRIPT: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_6)
for path in sys.argv[1:]:
    print(repr(validator.validate_str(open(path).read()) or '')[1:-1].replace('\\n', ' '))";
    let folder = tempfile::tempdir().expect("a folder");
    let paths = documents.iter().enumerate().map(|(number, document)| {
        let path = folder.path().join(number.to_string());
        fs::write(&path, document.to_string()).expect("written");
        path
    });
    let output = Command::new(fetched::tools_python())
        .args(["-c", SCRIPT])
        .args(paths)
        .output()
        .expect("Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_crate_has_its_version_licence_and_the_lock_files_checksum() {
    let lock = fs::read_to_string(repository().join("Cargo.lock")).expect("a lock file");
    for (binary, document) in documents() {
        for component in components(&document) {
            let purl = component["purl"].as_str().expect("a package URL");
            let (name, version) = (&component["name"], &component["version"]);
            assert!(component["licenses"][0].is_object(), "{binary}: {purl}");
            if !purl.starts_with("pkg:cargo/") {
                continue;
            }
            let hash = &component["hashes"][0]["content"];
            let source = "registry+https://github.com/rust-lang/crates.io-index";
            let locked = format!(
                "name = {name}\nversion = {version}\nsource = \"{source}\"\nchecksum = {hash}\n"
            );
            assert!(
                lock.contains(&locked),
                "{binary}: Cargo.lock has no\n{locked}"
            );
        }
    }
}

#[test]
fn every_dependency_is_named_and_leads_to_a_component() {
    for (binary, document) in documents() {
        let root = document["metadata"]["component"]["bom-ref"].clone();
        assert_eq!(
            root.as_str(),
            Some(format!("pkg:generic/{binary}@{}", env!("CARGO_PKG_VERSION")).as_str())
        );
        let known: BTreeSet<&str> = components(&document)
            .iter()
            .map(|one| &one["bom-ref"])
            .chain([&root])
            .filter_map(Value::as_str)
            .collect();
        let dependencies = document["dependencies"].as_array().expect("dependencies");
        let edges: BTreeMap<&str, &Value> = dependencies
            .iter()
            .filter_map(|one| Some((one["ref"].as_str()?, &one["dependsOn"])))
            .collect();
        assert_eq!(
            edges.keys().copied().collect::<BTreeSet<_>>(),
            known,
            "{binary}"
        );
        let mut reached = BTreeSet::new();
        let mut open = vec![root.as_str().expect("a reference")];
        while let Some(one) = open.pop() {
            if reached.insert(one) {
                let on = edges[one].as_array().expect("a list");
                open.extend(on.iter().filter_map(Value::as_str));
            }
        }
        assert_eq!(reached, known, "{binary}: what nothing depends on");
    }
}

/// `cargo metadata` gives bounds from both sides: what is not optional must be there, and no more than what any feature of
/// the workspace brings may be. (Between the two lie dependencies that a feature of this build switches on.)
#[test]
fn the_documents_are_complete_by_cargo_metadata() {
    let output = Command::new(inventory::cargo_program())
        .current_dir(repository())
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", &INVENTORY.target])
        .output()
        .expect("cargo");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (binary, document) in documents() {
        let described: BTreeSet<String> = components(&document)
            .iter()
            .filter(|one| one.get("properties").is_none() && one["name"] != "rust-std")
            .map(|one| format!("{} {}", one["name"], one["version"]))
            .chain([format!("\"{binary}\" \"{}\"", env!("CARGO_PKG_VERSION"))])
            .collect();
        let least = closure(&metadata, binary, false);
        let most = closure(&metadata, binary, true);
        let missing: Vec<_> = least.difference(&described).collect();
        assert!(missing.is_empty(), "{binary} lacks {missing:?}");
        let foreign: Vec<_> = described.difference(&most).collect();
        assert!(foreign.is_empty(), "{binary} has {foreign:?}");
        assert!(least.len() > 100, "{binary}: {} packages", least.len());
    }
}

/// `binary` and the packages behind its normal and build dependencies, with those that are optional or without.
fn closure<'a>(metadata: &'a Value, binary: &str, optional: bool) -> BTreeSet<String> {
    let by_id = |list: &'a Value| -> BTreeMap<&str, &Value> {
        let all = list.as_array().expect("a list").iter();
        all.map(|one| (one["id"].as_str().expect("an id"), one))
            .collect()
    };
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let root = packages.values().copied().find(|one| one["name"] == binary);
    let mut open = vec![root.expect("a package")["id"].as_str().expect("an id")];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let declared = packages[id]["dependencies"].as_array().expect("a list");
        for on in nodes[id]["deps"].as_array().expect("a list") {
            let target = on["pkg"].as_str().expect("an id");
            let name = &packages[target]["name"];
            let kinds = on["dep_kinds"].as_array().expect("a list");
            let wanted = kinds.iter().any(|kind| {
                kind["kind"] != "dev"
                    && (optional
                        || declared.iter().any(|one| {
                            one["name"] == *name
                                && one["kind"] == kind["kind"]
                                && one["target"] == kind["target"]
                                && one["optional"] == false
                        }))
            });
            if wanted {
                open.push(target);
            }
        }
    }
    seen.into_iter()
        .map(|id| format!("{} {}", packages[id]["name"], packages[id]["version"]))
        .collect()
}

#[test]
fn native_code_inside_and_the_standard_library_are_named() {
    let documents = documents();
    let worker = names(&documents["kafka-worker"], "required");
    assert!(worker.is_superset(&set(["librdkafka", "zstd", "mimalloc", "rust-std"])));
    let server = names(&documents["mcp-server"], "required");
    assert!(server.is_superset(&set(["mimalloc", "rust-std", "openssl-sys"])));
    assert!(server.is_disjoint(&set(["librdkafka", "rdkafka", "kafka-worker"])));
}

#[test]
fn what_only_builds_or_tests_a_binary_is_not_inside_it() {
    for (binary, document) in documents() {
        let (inside, outside) = (names(&document, "required"), names(&document, "excluded"));
        assert!(
            outside.is_superset(&set(["cc", "syn", "serde_derive"])),
            "{binary}: {outside:?}"
        );
        assert!(inside.is_disjoint(&outside), "{binary}");
        let tests = set(["mcp-testkit", "proptest", "xtask"]);
        assert!(
            inside.is_disjoint(&tests) && outside.is_disjoint(&tests),
            "{binary}"
        );
    }
}

#[test]
fn licences_of_all_that_is_inside_are_listed_with_texts() {
    let list = licences::list(&INVENTORY, &BINARIES).expect("a list");
    let (table, texts) = list.split_once("\n----").expect("a table, and texts");
    let table = table.split("see LICENSE.\n").nth(1).expect("a table");
    // "librdkafka 2.12.1 (C, in rdkafka-sys)   BSD-2-Clause AND …"
    let listed: BTreeSet<String> = table
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let mut inside = BTreeSet::new();
    for document in documents().into_values() {
        for one in components(&document) {
            let text = |key: &str| one[key].as_str().expect("text").to_owned();
            let ours = text("purl").starts_with("pkg:generic/");
            if !ours && text("scope") == "required" {
                inside.insert(format!("{} {}", text("name"), text("version")));
            }
        }
    }
    assert_eq!(listed, inside);
    for name in inside {
        let owns = |line: &str| line == name || line.starts_with(&format!("{name} ("));
        assert!(texts.lines().any(owns), "{name} has no text");
    }
    for text in [
        "librdkafka - Apache Kafka C driver library",
        "For Zstandard software",
        "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    ] {
        assert!(texts.contains(text), "{text}");
    }
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let target = host().expect("this machine");
    let again = Inventory::read(&repository(), &BINARIES, &target).expect("cargo's answers");
    let first = files(&INVENTORY, &BINARIES, Some(&origin())).expect("files");
    let second = files(&again, &BINARIES, Some(&origin())).expect("files");
    assert!(first == second, "two runs differ");
    let other = Origin {
        commit: "f".repeat(40),
        ..origin()
    };
    let third = files(&again, &BINARIES, Some(&other)).expect("files");
    assert!(
        first[0] != third[0],
        "another commit has the same serial number"
    );
}
