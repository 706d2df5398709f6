//! `mcp-hybrid dev`, to its end.

use std::net::TcpListener;

use mcp_testkit::Kafka;

use crate::command::{Ran, mcp_hybrid};

const JOBS: [&str; 9] = [
    "one-server",
    "three-servers",
    "poison",
    "not-allowed",
    "flaky",
    "picture",
    "recolour",
    "forbidden",
    "publish",
];

fn assert_all_as_expected(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr, "");
    assert!(!ran.stdout.contains('\x1b'), "{:?}", ran.stdout);
    let (story, outcomes) = ran.stdout.split_once("\nOutcomes\n").expect("outcomes");
    for job in JOBS {
        let line = |text: &str, end: &str| {
            let mut lines = text.lines();
            lines.any(|line| line.contains(job) && line.ends_with(end))
        };
        assert!(line(outcomes, ": as expected"), "{job}: {}", ran.stdout);
        let produced = story.lines().find(|line| line.contains(job));
        assert!(produced.is_some_and(|line| line.contains("produced")));
    }
    assert_eq!(outcomes.matches(": as expected").count(), JOBS.len());
    for part in [
        "flaky          succeeded after 3 attempts",
        "poison         dead letter, invalid-record (permanent)",
        "not-allowed    dead letter, launch-denied (permanent)",
        "forbidden      dead letter, content-blocked (permanent)",
        "Every job ended as expected, and every offset is committed.",
    ] {
        assert!(outcomes.contains(part), "{part}: {outcomes}");
    }
    for part in [
        "(scripted: GEMINI_API_KEY is not set, so no model draws here)",
        "picture        \"Lighthouse at night\", 320 × 200 pixels, taken out: ",
        "/artifacts/",
        "recolour       \"The same with a red sky\", 80 × 60 pixels, taken out: nothing",
    ] {
        assert!(story.contains(part), "{part}: {story}");
    }
}

#[tokio::test]
async fn on_the_embedded_broker_every_job_ends_as_expected() {
    // Nothing is installed: not even a search path is needed.
    let ran = mcp_hybrid(&["dev"], &[], "").await;
    assert_all_as_expected(&ran);
    assert!(ran.stdout.contains("embedded, for trying out"));
}

#[tokio::test]
async fn on_a_real_kafka_every_job_ends_as_expected_on_topics_of_its_own() {
    let kafka = Kafka::shared().await;
    let ran = mcp_hybrid(&["dev", "--brokers", &kafka.bootstrap()], &[], "").await;
    assert_all_as_expected(&ran);
    let named = |prefix: &str| {
        let line = ran.stdout.lines().find(|line| line.starts_with(prefix));
        line.expect("it says what runs where")
    };
    let topics = named("topics").trim_start_matches("topics").trim();
    let jobs = topics.split(' ').next().unwrap();
    let group = named("workers").rsplit(' ').next().unwrap();
    assert!(jobs.starts_with("mcp-dev-"), "{topics}");
    // The test's own look, not the demonstration's.
    let ends = kafka.end_offsets(jobs).await;
    assert_eq!(ends.iter().sum::<i64>(), JOBS.len() as i64);
    let committed = kafka.committed(group, jobs).await;
    let at: Vec<_> = committed.iter().map(|at| at.unwrap_or(0)).collect();
    assert_eq!(at, ends);
    let letters = kafka.read_all(&format!("{jobs}-dlq")).await;
    let mut keys: Vec<_> = letters.iter().filter_map(|l| l.key_text()).collect();
    keys.sort();
    assert_eq!(keys, ["forbidden", "not-allowed", "poison"]);
}

#[tokio::test]
async fn a_bad_flag_or_variable_stops_it_with_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|at| (taken, at.port())).unwrap();
    let port = taken.1.to_string();
    for (arguments, code, parts) in [
        (&["dev", "--port", "99999"][..], 2, ["--port", "99999"]),
        (&["dev", "--port", "http"], 2, ["--port", "http"]),
        (&["dev", "--port", &port], 1, ["--port", &port]),
        (&["dev", "--kep"], 2, ["--kep", "--keep"]),
        (&["dev", "--brokers"], 2, ["--brokers", "HOST:PORT"]),
        (&["dev", "--brokers", "kafka"], 1, ["--brokers", "kafka"]),
        (&["dev", "now"], 2, ["now", "--help"]),
        (&["develop"], 2, ["develop", "dev"]),
    ] {
        let ran = mcp_hybrid(arguments, &[], "").await;
        let line = ran.refusal(code);
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    let ran = mcp_hybrid(&["dev"], &[("LOG_FORMAT", "yaml")], "").await;
    let line = ran.refusal(1);
    assert!(
        line.contains("LOG_FORMAT") && line.contains("yaml"),
        "{line}"
    );
}

#[tokio::test]
async fn brokers_that_do_not_answer_are_named() {
    let ran = mcp_hybrid(&["dev", "--brokers", "127.0.0.1:1"], &[], "").await;
    let line = ran.refusal(1);
    assert!(line.contains("--brokers 127.0.0.1:1"), "{line}");
}
