use mcp_registry::{Issues, Publication, Validator};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn server() -> Value {
    json!({
        "$schema": mcp_registry::SCHEMA_URL,
        "name": "com.example/weather",
        "description": "Weather, by city",
        "version": "1.2.3",
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn check(server: Value, tools: Value) -> Result<Publication, Issues> {
    let Value::Array(tools) = tools else {
        panic!("{tools} is no array");
    };
    Validator::default().check(object(server), tools)
}

/// Pointer and rule of each issue.
fn issues(server: Value, tools: Value) -> Vec<(String, &'static str)> {
    let issues = check(server, tools).unwrap_err();
    let kept = issues.kept().iter();
    kept.map(|issue| (issue.pointer.clone(), issue.rule))
        .collect()
}

#[test]
fn the_hash_is_of_the_content_and_not_of_its_spelling() {
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    let (one, other) = (
        json!({"name": "one", "inputSchema": schema}),
        json!({"inputSchema": {"properties": {"a": {}, "b": {}}, "type": "object"}, "name": "one"}),
    );
    let last = json!({"name": "two", "inputSchema": {"type": "object"}});
    let reversed: Map<_, _> = object(server()).into_iter().rev().collect();
    let first = check(server(), json!([one, last])).unwrap();
    let second = check(reversed.into(), json!([last, other])).unwrap();
    assert_eq!(first.sha256(), second.sha256());
    // Made by hand from Python's `json.dumps(…, sort_keys=True, separators=(",", ":"))`.
    assert_eq!(
        first.sha256(),
        "eaadab61a7d3eb498ad08851d8368fe59f73a04d5e25cccd5e322d2aad2bd4be"
    );
    for changed in [check(server(), json!([])), check(server(), json!([one]))] {
        assert_ne!(changed.unwrap().sha256(), first.sha256());
    }
}

#[test]
fn a_publication_is_the_document_as_it_came() {
    let mut document = server();
    document["remotes"] = json!([
        {"type": "sse", "url": "https://a.example/sse"},
        {"type": "streamable-http", "url": "https://b.example/mcp"},
    ]);
    let publication = check(document.clone(), json!([])).unwrap();
    assert_eq!(publication.name(), "com.example/weather");
    assert_eq!(publication.version(), "1.2.3");
    assert_eq!(publication.server().to_string(), document.to_string());
    let urls: Vec<_> = publication.remote_urls().collect();
    assert_eq!(urls, ["https://a.example/sse", "https://b.example/mcp"]);
}

#[test]
fn what_begins_a_new_line_elsewhere_is_refused() {
    let package = |more: Value| {
        let mut document = server();
        document["packages"] = json!([{
            "registryType": "npm", "identifier": "weather", "version": "1.0.0", "transport": {"type": "stdio"},
        }]);
        for (field, value) in more.as_object().unwrap() {
            document["packages"][0][field] = value.clone();
        }
        document
    };
    let remote = |header: Value| {
        let mut document = server();
        let url = "https://a.example/mcp";
        document["remotes"] = json!([{"type": "sse", "url": url, "headers": [header]}]);
        document
    };
    let repository = |url: &str| {
        let mut document = server();
        document["repository"] = json!({"url": url, "source": "github"});
        document
    };
    let prose = json!({"name": "A", "description": "one\ntwo"});
    check(package(json!({"environmentVariables": [prose]})), json!([])).unwrap();
    for (document, rule) in [
        (package(json!({"identifier": "a\0b"})), "text-control"),
        (package(json!({"runtimeHint": "npx\n"})), "text-control"),
        (
            package(json!({"environmentVariables": [{"name": "A", "choices": ["x\r"]}]})),
            "text-control",
        ),
        (
            package(json!({"environmentVariables": [{"name": "A=B"}]})),
            "variable-name",
        ),
        (remote(json!({"name": "A\r\nB: c"})), "text-control"),
        (remote(json!({"name": "A", "value": "x\0"})), "text-control"),
        (repository("https://github.com/a/.."), "repository-url"),
    ] {
        let issues = check(document.clone(), json!([])).unwrap_err();
        assert!(
            issues.kept().iter().any(|issue| issue.rule == rule),
            "{rule}: {document}"
        );
    }
}

#[test]
fn tools_are_checked_each_at_its_place() {
    let tools = json!([
        {"name": "good", "title": "Good", "description": "x", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {}}}, "annotations": {"readOnlyHint": true}},
        {"name": "named", "_meta": {"x": "y"}, "inputSchema": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}},
    ]);
    check(server(), tools).unwrap();
    let bad = json!([
        "no object",
        {"inputSchema": {"type": "object"}},
        {"name": "white space", "inputSchema": {"type": "object"}},
        {"name": "none"},
        {"name": "text", "inputSchema": "object"},
        {"name": "array", "inputSchema": {"type": "array"}},
        {"name": "kind", "inputSchema": {"type": "object", "properties": {"a": {"type": "text"}}}},
        {"name": "kind", "inputSchema": {"type": "object"}},
        {"name": "out", "inputSchema": {"type": "object"}, "outputSchema": {"required": "a"}},
        {"name": "dialect", "inputSchema": {"$schema": "https://example.com/schema", "type": "object"}},
        {"name": "title", "title": 1, "inputSchema": {"type": "object"}},
        {"name": "meta", "annotations": "x", "_meta": "x", "inputSchema": {"type": "object"}},
        {"name": "large", "_meta": {"x": "x".repeat(9_000)}, "inputSchema": {"type": "object"}},
    ]);
    let expected = [
        ("/tools/0", "tool"),
        ("/tools/1/name", "tool-name"),
        ("/tools/2/name", "tool-name"),
        ("/tools/3/inputSchema", "tool-schema"),
        ("/tools/4/inputSchema/type", "tool-schema"),
        ("/tools/4/inputSchema", "tool-schema"),
        ("/tools/5/inputSchema/type", "tool-schema"),
        ("/tools/6/inputSchema/properties/a/type", "tool-schema"),
        ("/tools/7/name", "tool-name"),
        ("/tools/8/outputSchema/required", "tool-schema"),
        ("/tools/9/inputSchema/$schema", "tool-schema-dialect"),
        ("/tools/10/title", "tool"),
        ("/tools/11/annotations", "tool"),
        ("/tools/11/_meta", "tool"),
        ("/tools/12/_meta", "tool-meta-size"),
    ];
    let expected = expected.map(|(pointer, rule)| (pointer.to_owned(), rule));
    assert_eq!(issues(server(), bad), expected);
}

#[test]
fn the_meta_of_a_tool_has_the_bound_of_the_publishers() {
    // `{"x":"…"}` has eight bytes around the text.
    for (length, is_taken) in [(4_096 - 8, true), (4_096 - 7, false)] {
        let meta = json!({"x": "x".repeat(length)});
        let tools = json!([{"name": "a", "_meta": meta, "inputSchema": {"type": "object"}}]);
        assert_eq!(check(server(), tools).is_ok(), is_taken, "{length}");
    }
}

#[test]
fn versions_that_are_several_or_look_like_others_are_refused() {
    let rules = |version: &str| {
        let mut document = server();
        document["version"] = json!(version);
        let issues = check(document, json!([])).map_or_else(|issues| issues, |_| Issues::default());
        let rules: Vec<_> = issues.kept().iter().map(|issue| issue.rule).collect();
        rules
    };
    for range in [
        "*",
        ">=1,<2",
        ">1 <2",
        "^1.0.0+b",
        "^",
        "!=1",
        "1.0+a || 2.0+b",
        "1.0.0-*",
        "x",
        "1.2.3.x",
        "X+b",
    ] {
        assert_eq!(rules(range), ["version-range"], "{range:?}");
    }
    for hidden in [
        "1\u{200b}",
        "1\u{202e}",
        "\u{feff}1",
        "1\u{2066}2",
        "1\u{2069}",
        "1\u{ad}0",
        "1\u{200d}",
        "1\u{fe0f}",
        "1\u{e0031}",
        "1 0",
        "1\u{a0}0",
        "1\u{2028}",
        "1\u{85}",
        "1\t0",
        " 1",
        "latest\u{200b}",
        "1.0.0-\u{430}lpha",
        "第一版",
    ] {
        assert_eq!(rules(hidden), ["version-text"], "{hidden:?}");
    }
    for reserved in ["latest", "LATEST", "@latest"] {
        assert_eq!(rules(reserved), ["version-reserved"], "{reserved:?}");
    }
    for taken in [
        "1.0.0",
        "v1",
        "xylophone",
        "1.0.0+x",
        "1.0~rc1",
        "1!2.0",
        "1.0.0-rc.1+b.5",
        "2026.01.31",
        "snapshot",
        "1_0",
    ] {
        assert_eq!(rules(taken), [] as [&str; 0], "{taken:?}");
    }
}

#[test]
fn texts_for_people_do_not_turn_around() {
    let rules = |field: &str, text: &str| {
        let mut document = server();
        document[field] = json!(text);
        let issues = check(document, json!([])).map_or_else(|issues| issues, |_| Issues::default());
        let rules: Vec<_> = issues.kept().iter().map(|issue| issue.rule).collect();
        rules
    };
    for field in ["title", "description"] {
        for text in [
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200f}b",
            "a\u{7}b",
            "a\u{1b}[31mb",
        ] {
            assert_eq!(rules(field, text), ["text-plain"], "{field}: {text:?}");
        }
        // With joiners, as some scripts and emoji have them.
        for text in ["Wetter, nach Ort", "می\u{200c}خواهم", "👩\u{200d}🔬"] {
            assert_eq!(rules(field, text), [] as [&str; 0], "{field}: {text:?}");
        }
    }
}

#[test]
fn numbers_that_would_become_others_are_refused() {
    let parse = |number: &str| -> Value { serde_json::from_str(number).unwrap() };
    let with = |number: &str| {
        let mut document = server();
        document["_meta"] = json!({mcp_registry::PUBLISHER_META: {"n": [parse(number)]}});
        document
    };
    for taken in [
        "0",
        "-0.0",
        "1.5",
        "1e3",
        "9007199254740991.0",
        "18446744073709551615",
        "-9223372036854775808",
        "1e-300",
    ] {
        check(with(taken), json!([])).unwrap_or_else(|issues| panic!("{taken}: {issues}"));
    }
    let place = "/server/_meta/io.modelcontextprotocol.registry~1publisher-provided/n/0";
    for refused in [
        "12345678901234567890123",
        "12345678901234567890124",
        "-12345678901234567890123",
        "18446744073709551616",
        "-9223372036854775809",
        "9007199254740992.0",
        "9007199254740993.0",
        "1e300",
    ] {
        let found = issues(with(refused), json!([]));
        assert_eq!(found, [(place.to_owned(), "number")], "{refused}");
    }
    let schema = json!({"type": "object", "properties": {"a": {"maximum": parse("1e20")}}});
    let tools = json!([{"name": "a", "inputSchema": schema}]);
    let place = "/tools/0/inputSchema/properties/a/maximum".to_owned();
    assert_eq!(issues(server(), tools), [(place, "number")]);
}

#[test]
fn what_is_too_large_is_not_looked_at_further() {
    let mut document = server();
    document["name"] = json!(7);
    document["x"] = json!("x".repeat(300 * 1024));
    assert_eq!(
        issues(document, json!([])),
        [("/server".to_owned(), "size")]
    );
    let large = json!([{"name": "a", "inputSchema": {"type": "object", "description": "x".repeat(600 * 1024)}}]);
    assert_eq!(issues(server(), large), [("/tools".to_owned(), "size")]);
    let many: Vec<_> = (0..513)
        .map(|number| json!({"name": format!("t{number}"), "inputSchema": {"type": "object"}}))
        .collect();
    assert_eq!(
        issues(server(), many.into()),
        [("/tools".to_owned(), "tools-count")]
    );
}

#[test]
fn issues_show_no_values() {
    let mut document = server();
    document["packages"] = json!([{"registryType": 1, "identifier": "x", "transport": {"type": "stdio"}, "environmentVariables": [{"name": "K", "value": ["hunter2"]}]}]);
    document["title"] = json!({"password": "hunter2"});
    let refused = check(document, json!([])).unwrap_err();
    let shown = format!("{refused} {refused:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        shown.contains("/server/packages/0/environmentVariables/0/value"),
        "{shown}"
    );
}

/// Any JSON, with the names and texts that mean something here.
fn documents() -> impl Strategy<Value = Value> {
    const WORDS: &str = "\\$id|\\$anchor|\\$defs|pattern|patternProperties|properties|\\(|name|version|server|packages|remotes|url|type|transport|named|stdio|sse|oci|mcpb|npm|identifier|\
         https://\\{a\\}:\\{b\\}/c|http://\\[::1\\]|inputSchema|object|\\$ref|\\$schema|#|_meta|icons|src|repository|\
         registryType|com\\.example/w1|1\\.2\\.3|latest|variables|packageArguments";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        WORDS.prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((WORDS, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A good document with one of its parts replaced by anything.
fn mutated() -> impl Strategy<Value = Value> {
    const FIELDS: [&str; 12] = [
        "$schema",
        "name",
        "description",
        "version",
        "title",
        "packages",
        "remotes",
        "repository",
        "icons",
        "_meta",
        "websiteUrl",
        "other",
    ];
    (prop::sample::select(&FIELDS[..]), documents()).prop_map(|(field, value)| {
        let mut document = server();
        document[field] = value;
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_document_gets_an_answer_with_places_in_it(document in prop_oneof![mutated(), documents()], tools in prop::collection::vec(documents(), 0..3)) {
        let Value::Object(fields) = document else { return Ok(()) };
        let whole = json!({"server": fields, "tools": tools});
        match Validator::default().check(fields, tools) {
            Ok(publication) => prop_assert!(publication.name().len() <= 200 && !publication.version().is_empty()),
            Err(issues) => {
                prop_assert!(!issues.is_empty());
                for issue in issues.kept() {
                    // A place is there, or is that of a field that is missing.
                    let parent = issue.pointer.rsplit_once('/').unwrap().0;
                    let is_cut = issue.pointer.ends_with('…');
                    prop_assert!(is_cut || whole.pointer(parent).is_some(), "{} in {whole}", issue.pointer);
                }
            }
        }
    }

    #[test]
    fn what_is_published_passes_again(document in mutated()) {
        if let Ok(publication) = check(document, json!([])) {
            let again = check(publication.server().clone(), publication.tools().clone()).unwrap();
            prop_assert_eq!(again.sha256(), publication.sha256());
        }
    }
}
