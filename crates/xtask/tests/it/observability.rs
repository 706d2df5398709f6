//! The alerts and dashboards of `deploy/`: each query is one that Prometheus takes and names only metrics that the programs
//! have; each alert is tested and has its section in the runbook.

mod promql;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mcp_runtime::metric::{Kind, Metric};
use mcp_testkit::fetched;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Groups<R> {
    groups: Vec<Group<R>>,
}

#[derive(Deserialize)]
struct Group<R> {
    rules: Vec<R>,
}

#[derive(Deserialize)]
struct Alert {
    alert: String,
    expr: String,
    labels: std::collections::BTreeMap<String, String>,
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Cases {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    alert_rule_test: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    alertname: String,
    exp_alerts: Vec<Value>,
}

/// A query, and where it stands.
struct Query {
    place: String,
    text: String,
}

fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let folder = fetched::repository().join(folder);
    let entries = fs::read_dir(&folder).expect("the folder is there");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(end));
    files.sort();
    assert!(!files.is_empty(), "{folder:?} has no {end}");
    files
}

fn yaml<T: for<'de> Deserialize<'de>>(file: &Path) -> T {
    let text = fs::read_to_string(file).expect("it can be read");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn alerts() -> Vec<Alert> {
    let rules = files("deploy/prometheus/rules", ".rules.yml");
    let groups = rules
        .iter()
        .flat_map(|file| yaml::<Groups<Alert>>(file).groups);
    groups.flat_map(|group| group.rules).collect()
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let ran = Command::new(fetched::promtool())
        .args(arguments)
        .args(files)
        .output()
        .expect("promtool runs");
    let [out, err] =
        [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(ran.status.success(), "{arguments:?}\n{out}\n{err}");
}

/// Every `expr` and every query of a variable below `value`.
fn queries(place: &str, value: &Value, found: &mut Vec<Query>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| queries(place, value, found)),
        Value::Object(fields) => {
            let title = fields.get("title").and_then(Value::as_str);
            let place = title.map_or(place.to_owned(), |title| format!("{place}: {title}"));
            if let Some(Value::String(text)) = fields.get("expr") {
                let text = text.clone();
                found.push(Query {
                    place: place.clone(),
                    text,
                });
            }
            // label_values(METRIC, LABEL) is Grafana's, and the metric in it a query.
            if let Some(Value::String(text)) = fields.get("definition") {
                let inner = text
                    .strip_prefix("label_values(")
                    .and_then(|rest| rest.split(',').next());
                let text = inner
                    .unwrap_or_else(|| panic!("{place}: {text}"))
                    .to_owned();
                found.push(Query {
                    place: place.clone(),
                    text,
                });
            }
            fields
                .values()
                .for_each(|value| queries(&place, value, found));
        }
        _ => {}
    }
}

fn dashboards() -> Vec<Query> {
    let mut found = Vec::new();
    for file in files("deploy/grafana/dashboards", ".json") {
        let text = fs::read_to_string(&file).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        queries(&name, &dashboard, &mut found);
    }
    assert!(found.len() > 60, "only {} queries", found.len());
    found
}

/// The series of everything that the programs expose, and Prometheus' own of each target.
fn exposed() -> BTreeSet<String> {
    let series = |metric: &Metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .map(|end| format!("{}{end}", metric.name))
            .to_vec(),
        Kind::Counter | Kind::Gauge => vec![metric.name.to_owned()],
    };
    let own = defined().iter().flat_map(series).collect::<Vec<_>>();
    own.into_iter().chain(["up".to_owned()]).collect()
}

fn defined() -> Vec<Metric> {
    [
        kafka_worker::metric_definitions::exposed(),
        mcp_server::metric_definitions::exposed(),
    ]
    .concat()
}

/// Grafana's variables as Grafana fills them in.
fn filled_in(query: &str) -> String {
    let mut query = query
        .replace("$__rate_interval", "1m")
        .replace("$__range", "1h");
    for variable in ["instance", "topic", "tool"] {
        query = query.replace(&format!("${variable}"), ".*");
    }
    assert!(
        !query.contains('$'),
        "a variable that is not known here: {query}"
    );
    query
}

#[test]
fn every_metric_that_an_alert_or_a_dashboard_names_is_exposed() {
    let exposed = exposed();
    let alerts = alerts().into_iter().map(|alert| Query {
        place: alert.alert,
        text: alert.expr,
    });
    for Query { place, text } in alerts.chain(dashboards()) {
        let named = promql::metrics(&filled_in(&text));
        assert!(!named.is_empty(), "{place}: names no metric: {text}");
        for metric in named {
            assert!(
                exposed.contains(&metric),
                "{place}: nothing exposes {metric}: {text}"
            );
        }
    }
}

#[test]
fn every_metric_has_a_place_on_a_dashboard() {
    let shown: BTreeSet<_> = dashboards()
        .iter()
        .flat_map(|query| promql::metrics(&filled_in(&query.text)))
        .collect();
    let unseen: Vec<_> = defined()
        .into_iter()
        .map(|metric| metric.name)
        .filter(|name| !shown.iter().any(|shown| shown.starts_with(name)))
        .collect();
    assert!(unseen.is_empty(), "no dashboard shows {unseen:?}");
}

#[test]
fn prometheus_takes_the_configuration_the_rules_and_every_query_of_a_dashboard() {
    let configuration = fetched::repository().join("deploy/prometheus/prometheus.yml");
    promtool(&["check", "config"], &[configuration]);
    let rules: Vec<_> = dashboards()
        .iter()
        .enumerate()
        .map(|(number, query)| {
            let expr = filled_in(&query.text);
            serde_json::json!({"record": format!("query_{number}"), "expr": expr})
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    // JSON is YAML.
    let file = folder.path().join("dashboards.yml");
    let groups = serde_json::json!({"groups": [{"name": "dashboards", "rules": rules}]});
    fs::write(&file, groups.to_string()).unwrap();
    promtool(&["check", "rules"], &[file]);
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let tests = files("deploy/prometheus/tests", ".test.yml");
    promtool(&["test", "rules"], &tests);
    let checks: Vec<Check> = tests
        .iter()
        .flat_map(|file| yaml::<Cases>(file).tests)
        .flat_map(|case| case.alert_rule_test)
        .collect();
    for Alert { alert, .. } in alerts() {
        let outcomes: BTreeSet<_> = checks
            .iter()
            .filter(|check| check.alertname == alert)
            .map(|check| !check.exp_alerts.is_empty())
            .collect();
        assert_eq!(outcomes, BTreeSet::from([false, true]), "{alert}");
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_and_has_its_section_in_the_runbook() {
    let runbook = fs::read_to_string(fetched::repository().join("docs/runbook.md")).unwrap();
    let mut sections: BTreeSet<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    for alert in alerts() {
        let name = &*alert.alert;
        let severity = alert.labels.get("severity").map(String::as_str);
        assert!(
            matches!(severity, Some("page" | "ticket")),
            "{name}: {severity:?}"
        );
        for annotation in ["summary", "description"] {
            assert!(
                alert.annotations.contains_key(annotation),
                "{name}: {annotation}"
            );
        }
        let anchor = format!("docs/runbook.md#{}", name.to_ascii_lowercase());
        assert_eq!(
            alert.annotations.get("runbook_url"),
            Some(&anchor),
            "{name}"
        );
        assert!(
            sections.remove(name),
            "docs/runbook.md has no section {name}"
        );
        let section = runbook.split(&format!("### {name}\n")).nth(1).unwrap();
        let section = section.split("\n### ").next().unwrap();
        for part in ["**Means.**", "**Look.**", "**Do.**", "**Can wait.**"] {
            assert!(section.contains(part), "{name} lacks {part}");
        }
    }
    assert!(sections.is_empty(), "sections of no alert: {sections:?}");
}
