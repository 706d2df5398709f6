//! `mcp-hybrid job submit --wait`: the results, as a worker tells them.

use serde_json::{Value, json};

use crate::command::mcp_hybrid;
use crate::pair::Pair;

fn job(id: &str, server: &Value) -> String {
    let payload = json!({"mcpServers": {"x": server}}).to_string();
    json!({"jobID": id, "jobType": "server-init", "payload": payload}).to_string()
}

#[tokio::test]
async fn the_exit_code_tells_success_dead_letter_and_no_result() {
    let pair = Pair::start("wait", "").await;
    let brokers = pair.kafka.bootstrap();
    let variables = [
        ("KAFKA_BROKERS", &*brokers),
        ("KAFKA_TOPIC", &*pair.jobs),
        ("KAFKA_RESULT_TOPIC", &*pair.results),
    ];
    let wait = ["job", "submit", "--wait", "--file", "-"];
    let good = pair.python("modern.py");
    let denied = json!({"command": "uv"});

    let input = [job("a", &good), job("b", &good)].join("\n");
    let told = mcp_hybrid(&wait, &variables, input).await.json_lines(0);
    let mut ids: Vec<_> = told.iter().map(|result| result["jobID"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["a", "b"]);
    for result in &told {
        assert_eq!(result["status"], "succeeded");
        assert_eq!(result["result"]["x"]["serverInfo"]["name"], "python-modern");
    }

    // Results of earlier jobs are no answer, though they have the same id.
    let input = [job("a", &denied), job("b", &good)].join("\n");
    let mut told = mcp_hybrid(&wait, &variables, input).await.json_lines(1);
    told.sort_by_key(|result| result["jobID"].to_string());
    assert_eq!(told[0]["status"], "dead-lettered");
    // The same id is the same job, so the server takes no other arguments under it.
    assert_eq!(told[0]["error"]["code"], "invalid-arguments");
    assert_eq!(told[1]["status"], "succeeded");

    let elsewhere = pair.kafka.new_topic("wait-elsewhere", 1, &[]).await;
    let late = [&wait[..], &["--topic", &elsewhere, "--timeout", "1"]].concat();
    let ran = mcp_hybrid(&late, &variables, job("late", &good)).await;
    let line = ran.refusal(2);
    assert!(line.contains("late") && line.contains("1 s"), "{line}");
    assert_eq!(pair.kafka.end_offsets(&elsewhere).await, [1], "it was sent");

    let nowhere = [
        &wait[..],
        &["--topic", &elsewhere, "--result-topic", "no-such"],
    ]
    .concat();
    let ran = mcp_hybrid(&nowhere, &variables, job("nowhere", &good)).await;
    let line = ran.refusal(1);
    assert!(line.contains("no-such"), "{line}");
    assert_eq!(pair.kafka.end_offsets(&elsewhere).await, [1], "it was not");
}
