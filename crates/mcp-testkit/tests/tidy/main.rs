//! The house rules that no lint knows, for every crate of the workspace. Each rule lists all who break it.

mod source;

use std::fs;

use mcp_testkit::fetched::repository;
use source::{Source, crates, sources};

const LONGEST: usize = 500;

#[test]
fn files_are_short() {
    let long = sources()
        .filter(|source| !source.is_test())
        .filter_map(|source| {
            let length = source.code().len();
            (length > LONGEST).then(|| source.at(LONGEST + 1, &format!("{length} lines")))
        });
    report(
        long,
        &format!("split it: a file has at most {LONGEST} lines without its tests"),
    );
}

#[test]
fn modules_are_files_named_after_them() {
    let mods = sources()
        .filter(|source| source.path.ends_with("mod.rs"))
        .map(|source| source.at(1, "a mod.rs"));
    report(mods, "rename foo/mod.rs to foo.rs");
}

#[test]
fn names_say_what_is_inside() {
    let vague = ["util", "utils", "helper", "helpers", "common", "misc"];
    let offenders = sources().flat_map(|source| {
        let mut found: Vec<String> = source
            .path
            .components()
            .filter_map(|part| part.as_os_str().to_str())
            .filter(|part| vague.contains(&part.trim_end_matches(".rs")))
            .map(|part| source.at(1, part))
            .collect();
        found.extend(source.lines_where(|line| {
            let module = line.split("mod ").nth(1).unwrap_or_default();
            let name = module.trim_end().trim_end_matches([';', '{', ' ']);
            vague.contains(&name)
        }));
        found
    });
    report(offenders, "name it after what it holds");
}

#[test]
fn a_crate_has_one_binary_of_integration_tests() {
    let loose = sources()
        .filter(|source| {
            let parent = source.path.parent();
            parent.is_some_and(|parent| parent.ends_with("tests"))
                && source.path.components().count() == 4
        })
        .map(|source| source.at(1, "a test binary of its own"));
    report(loose, "make it a module of tests/it/main.rs");
}

#[test]
fn every_readme_is_the_documentation_of_its_crate() {
    let include = "#![doc = include_str!(\"../README.md\")]";
    let offenders = crates().filter_map(|folder| {
        let name = folder.strip_prefix(repository()).expect("it lies in it");
        if !folder.join("README.md").is_file() {
            return Some(format!("{}: no README.md", name.display()));
        }
        let root = ["src/lib.rs", "src/main.rs"]
            .into_iter()
            .find(|root| folder.join(root).is_file())?;
        let text = fs::read_to_string(folder.join(root)).expect("it is readable");
        (!text.contains(include)).then(|| format!("{}/{root}:1: no {include}", name.display()))
    });
    report(
        offenders,
        "write a README.md, and include it in the crate's root",
    );
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let allowed = [concat!("#[", "allow("), concat!("#![", "allow(")];
    let offenders = sources().flat_map(|source| {
        source.lines_where(|line| allowed.iter().any(|attribute| line.contains(attribute)))
    });
    report(offenders, "use #[expect(lint, reason = \"…\")]");
}

#[test]
fn no_test_is_ignored() {
    let attribute = concat!("#[", "ignore");
    let offenders =
        sources().flat_map(|source| source.lines_where(|line| line.contains(attribute)));
    report(offenders, "repair the test, or remove it");
}

#[test]
fn the_unmaintained_backoff_crate_is_named_in_one_file() {
    let offenders = sources()
        .filter(|source| !source.path.ends_with("crates/mcp-core/src/retry.rs"))
        .flat_map(|source| source.lines_where(|line| names(line, "backoff", "::")));
    report(offenders, "use mcp_core's RetryPolicy");
}

#[test]
fn kafka_is_named_by_its_owners_only() {
    // The bill of materials names it as it names all that is inside.
    let owners = [
        "crates/kafka-worker",
        "crates/mcp-testkit",
        "crates/xtask/src/sbom",
    ];
    let offenders = sources()
        .filter(|source| !owners.iter().any(|owner| source.path.starts_with(owner)))
        .flat_map(|source| source.lines_where(|line| names(line, "rdkafka", "")));
    report(
        offenders,
        "put it in kafka-worker, or use mcp-testkit in a test",
    );
}

#[test]
fn the_test_kit_is_no_part_of_the_product() {
    // Tasks for developers are none either.
    let product = crates().filter(|folder| !folder.ends_with("xtask"));
    let offenders = product.filter_map(|folder| {
        let manifest = folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("it is readable");
        let section = text.split("\n[dependencies]").nth(1)?;
        let section = section.split("\n[").next().unwrap_or_default();
        let named = section.lines().any(|line| names(line, "mcp-testkit", ""));
        named.then(|| manifest.display().to_string())
    });
    report(offenders, "move mcp-testkit to [dev-dependencies]");
}

/// Whether `name` stands in the line as a word of its own, with `then` behind it, outside a comment.
fn names(line: &str, name: &str, then: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let wordy = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let after = &code[at + name.len()..];
        !code[..at].ends_with(wordy) && !after.starts_with(wordy) && after.starts_with(then)
    })
}

fn report(offenders: impl Iterator<Item = String>, what_to_do: &str) {
    let offenders: Vec<String> = offenders.collect();
    assert!(
        offenders.is_empty(),
        "{what_to_do}:\n  {}\n",
        offenders.join("\n  ")
    );
}

#[test]
fn tests_do_not_count_as_code() {
    let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
    let source = Source::new("crates/a/src/b.rs", text);
    assert_eq!(source.code(), ["fn a() {}", "", "fn c() {}"]);
}

#[test]
fn a_name_is_a_whole_word_outside_comments() {
    assert!(names("use rdkafka::Message;", "rdkafka", ""));
    assert!(!names("let librdkafka = 1;", "rdkafka", ""));
    assert!(!names("// as rdkafka has it", "rdkafka", ""));
    assert!(!names("let backoff = 3;", "backoff", "::"));
}
