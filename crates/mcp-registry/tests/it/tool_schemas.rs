//! Schemas of tools, and what is said of each.

use std::error::Error;

use jsonschema::{Draft, Retrieve, Uri};
use mcp_registry::Validator;
use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Pointer, from the schema on, and rule of each issue with a schema.
fn issues(schema: &Value) -> Vec<(String, &'static str)> {
    let server = json!({
        "$schema": mcp_registry::SCHEMA_URL,
        "name": "com.example/weather",
        "description": "Weather, by city",
        "version": "1.2.3",
    });
    let mut input: Map<_, _> = schema.as_object().unwrap().clone();
    input.entry("type").or_insert(json!("object"));
    let tools = vec![json!({"name": "a", "inputSchema": input})];
    let server = server.as_object().unwrap().clone();
    let Err(issues) = Validator::default().check(server, tools) else {
        return Vec::new();
    };
    let place = |pointer: &str| {
        pointer
            .strip_prefix("/tools/0/inputSchema")
            .unwrap()
            .to_owned()
    };
    let kept = issues.kept().iter();
    kept.map(|issue| (place(&issue.pointer), issue.rule))
        .collect()
}

/// The verdict of the library, which must not ask for anything either.
fn compiles(schema: &Value) -> bool {
    struct Nothing;
    impl Retrieve for Nothing {
        fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
            Err("nothing is fetched".into())
        }
    }
    let options = jsonschema::options().with_draft(Draft::Draft202012);
    options.with_retriever(Nothing).build(schema).is_ok()
}

#[test]
fn schemas_that_are_whole_in_themselves_are_taken() {
    for schema in [
        json!({}),
        json!({"$schema": DIALECT}),
        json!({"$schema": format!("{DIALECT}#")}),
        json!({"$ref": "#"}),
        json!({"$ref": ""}),
        json!({"properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/properties/a"}}, "$defs": {"a": true}}),
        json!({"items": {"$ref": "#/definitions/a"}, "definitions": {"a": {}}}),
        json!({"items": {"$ref": "#/$defs/a~1b%20c"}, "$defs": {"a/b c": {}}}),
        json!({"items": {"$ref": "#/allOf/1"}, "allOf": [{}, {}]}),
        json!({"items": {"$ref": "#a"}, "$defs": {"x": {"$anchor": "a"}}}),
        json!({"items": {"$dynamicRef": "#a"}, "$defs": {"x": {"$dynamicAnchor": "a"}}}),
        json!({"$id": "https://example.com/a", "items": {"$ref": "b"}, "$defs": {"x": {"$id": "b", "$ref": "#/$defs/y", "$defs": {"y": {}}}}}),
        json!({"$id": "https://example.com/a", "items": {"$ref": "https://example.com/a#/$defs/x"}, "$defs": {"x": {}}}),
        json!({"items": {"$ref": "b#c"}, "$defs": {"x": {"$id": "b", "$anchor": "c"}}}),
        // Anchors of two documents in one.
        json!({"$anchor": "a", "$defs": {"x": {"$id": "b", "$anchor": "a"}}}),
        json!({"properties": {"schema": {"$ref": DIALECT}}}),
        json!({"pattern": "^(?=.*[A-Z])[a-z]{1,3}\\d$", "patternProperties": {"^x-": {}, "\\p{L}": {}}}),
        // No schemas, so no references and no patterns.
        json!({"default": {"$ref": "#/none", "pattern": "("}, "enum": [{"$ref": "http://example.com"}], "const": {"$schema": 1}}),
        json!({"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}, "$id": {}, "$schema": {}}}),
    ] {
        assert_eq!(issues(&schema), [], "{schema}");
        assert!(compiles(&schema), "{schema}");
    }
}

#[test]
fn schemas_of_other_dialects_are_refused() {
    for dialect in [
        "http://json-schema.org/draft-07/schema#",
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2020-12/schema##",
        "https://json-schema.org/draft/next/schema",
        "https://example.com/schema",
        "",
    ] {
        let found = issues(&json!({"$schema": dialect, "minimum": "1"}));
        let expected = ("/$schema".to_owned(), "tool-schema-dialect");
        assert_eq!(found, [expected], "{dialect}");
        let inner = json!({"$defs": {"a": {"$id": "a", "$schema": dialect}}});
        let expected = ("/$defs/a/$schema".to_owned(), "tool-schema-dialect");
        assert!(issues(&inner).contains(&expected), "{dialect}");
    }
    let found = issues(&json!({"$schema": 1}));
    assert_eq!(found, [("/$schema".to_owned(), "tool-schema-dialect")]);
}

#[test]
fn schemas_that_nobody_could_compile_are_refused() {
    let one = |schema, pointer, rule| (schema, vec![(pointer, rule)]);
    let pattern = |schema, pointer| one(schema, pointer, "tool-schema-pattern");
    let reference = |schema, pointer| one(schema, pointer, "tool-schema-reference");
    for (schema, expected) in [
        pattern(json!({"pattern": "("}), "/pattern"),
        pattern(
            json!({"patternProperties": {"(": {}}}),
            "/patternProperties/(",
        ),
        pattern(
            json!({"$defs": {"a": {"pattern": "["}}, "items": {"$ref": "#/$defs/a"}}),
            "/$defs/a/pattern",
        ),
        pattern(
            json!({"properties": {"a": {"pattern": "(?<a>x)(?<a>y)"}}}),
            "/properties/a/pattern",
        ),
        reference(json!({"$ref": "#/$defs/none"}), "/$ref"),
        reference(json!({"items": {"$ref": "#none"}}), "/items/$ref"),
        reference(
            json!({"items": {"$dynamicRef": "#none"}}),
            "/items/$dynamicRef",
        ),
        reference(
            json!({"$ref": "#/$defs/%zz", "$defs": {"%zz": {}}}),
            "/$ref",
        ),
        reference(
            json!({"anyOf": [{}, {"$ref": "http://169.254.169.254/x"}]}),
            "/anyOf/1/$ref",
        ),
        reference(json!({"$ref": "file:///etc/passwd"}), "/$ref"),
        reference(json!({"$ref": "other.json"}), "/$ref"),
        reference(json!({"$ref": "//example.com"}), "/$ref"),
        reference(json!({"$id": "urn:x:y", "$ref": "z"}), "/$ref"),
        reference(
            json!({"$id": "http://127.0.0.1/a", "$ref": "http://127.0.0.1/b"}),
            "/$ref",
        ),
        reference(
            json!({"$id": "https://example.com/a", "items": {"$id": "b", "$ref": "#/items"}}),
            "/items/$ref",
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "http://example.com/x"}], "pattern": "*"}),
            vec![
                ("/pattern", "tool-schema-pattern"),
                ("/allOf/0/$ref", "tool-schema-reference"),
                ("/allOf/1/$ref", "tool-schema-reference"),
            ],
        ),
    ] {
        let expected = expected.into_iter();
        let expected: Vec<_> = expected
            .map(|(pointer, rule)| (pointer.to_owned(), rule))
            .collect();
        assert_eq!(issues(&schema), expected, "{schema}");
        assert!(!compiles(&schema), "{schema}");
    }
}

#[test]
fn schemas_that_only_some_would_compile_are_refused_too() {
    let one = |schema, pointer, rule| (schema, vec![(pointer, rule)]);
    for (schema, expected) in [
        one(
            json!({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}),
            "/$defs/b/$anchor",
            "tool-schema-id",
        ),
        one(
            json!({"$defs": {"a": {"$anchor": "x"}, "b": {"$dynamicAnchor": "x"}}}),
            "/$defs/b/$dynamicAnchor",
            "tool-schema-id",
        ),
        one(
            json!({"$defs": {"a": {"$id": "x"}, "b": {"$id": "x"}}}),
            "/$defs/b/$id",
            "tool-schema-id",
        ),
        // Nothing refers to these yet.
        one(
            json!({"$defs": {"a": {"items": {"pattern": "["}}}}),
            "/$defs/a/items/pattern",
            "tool-schema-pattern",
        ),
        one(
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}}}),
            "/$defs/a/$ref",
            "tool-schema-reference",
        ),
        // There is something, but nothing says that it is a schema.
        one(
            json!({"$ref": "#/x-any", "x-any": {}}),
            "/$ref",
            "tool-schema-reference",
        ),
        one(
            json!({"items": {"$ref": "http://json-schema.org/draft-07/schema#"}}),
            "/items/$ref",
            "tool-schema-reference",
        ),
        one(
            json!({"pattern": "(?i)a"}),
            "/pattern",
            "tool-schema-pattern",
        ),
        one(
            json!({"pattern": "a".repeat(4_097)}),
            "/pattern",
            "tool-schema-pattern",
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(pointer, rule): (&str, _)| (pointer.to_owned(), rule))
            .collect();
        assert_eq!(issues(&schema), expected, "{schema}");
    }
}

#[test]
fn identifiers_are_bounded() {
    let ids = |count| {
        let schemas = (0..count).map(|id| (format!("{id}"), json!({"$id": format!("{id}")})));
        json!({"$defs": Value::Object(schemas.collect())})
    };
    assert_eq!(issues(&ids(64)), []);
    assert_eq!(
        issues(&ids(65)),
        [("/$defs/64/$id".to_owned(), "tool-schema-id")]
    );
    // Each is short, what they make together is not.
    let long = "x".repeat(1_500);
    let nested = json!({"$id": format!("https://a/{long}/"), "items": {"$id": format!("{long}/")}});
    assert_eq!(
        issues(&nested),
        [("/items/$id".to_owned(), "tool-schema-id")]
    );
    let reference = json!({"$ref": format!("#{}", "x".repeat(600 * 100))});
    assert_eq!(
        issues(&reference),
        [("/$ref".to_owned(), "tool-schema-reference")]
    );
}

/// Compiled by the library, each further level takes several times as long as the one before: five seconds with twelve.
#[test]
fn a_schema_costs_what_its_size_is_and_not_what_it_means() {
    let defs = (0..30).map(|number| {
        let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
        (
            format!("d{number}"),
            json!({"allOf": [next, next], "unevaluatedProperties": false}),
        )
    });
    let mut defs: Map<_, _> = defs.collect();
    defs.insert(
        "d30".into(),
        json!({"pattern": "^(a+)+$", "default": "a".repeat(50)}),
    );
    assert_eq!(issues(&json!({"$ref": "#/$defs/d0", "$defs": defs})), []);
}
