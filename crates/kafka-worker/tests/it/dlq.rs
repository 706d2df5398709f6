use mcp_testkit::{Kafka, NewRecord, Operation, Process, Resource, free_port};
use serde_json::json;

use crate::dlq_command::{ended, start};
use crate::setting::Setting;

#[tokio::test]
async fn list_shows_the_letters_that_fit_as_a_table_or_as_json() {
    let kafka = Kafka::shared().await;
    let setting = Setting::without_dead_letters(kafka, "list", 1).await;
    kafka.create_topic(&setting.dead, 2, &[]).await;
    let late = [
        ("mcp.error.code", "call-timeout"),
        ("mcp.error.class", "exhausted"),
    ];
    let mut second = setting.letter("b", 1).partition(1);
    for (name, value) in late {
        // The last one counts.
        second = second.header(name, value);
    }
    setting.bury(setting.letter("a", 0).partition(0)).await;
    setting.bury(second).await;
    let foreign = NewRecord::value("no letter").partition(1);
    setting.bury(foreign).await;

    let table = setting.dlq(&["list"]).await.expect(0);
    let line = |part: &str| {
        let found = table.lines.iter().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part} in {table:?}"))
    };
    assert!(line("POSITION").contains("MESSAGE"));
    assert!(line("0:0").contains("request-rejected  permanent"));
    assert!(line("0:0").ends_with("the server refuses it"));
    assert!(line("1:1").contains(" - "));
    assert_eq!(table.lines.len(), 5, "{table:?}");
    assert!(table.lines.contains(&"3 letters".to_owned()));

    let records = kafka.read_all(&setting.dead).await;
    let b = &records[1];
    let b_time = chrono::DateTime::from_timestamp_millis(b.timestamp)
        .expect("a time")
        .to_rfc3339();
    let since_b = records
        .iter()
        .filter(|record| record.timestamp >= b.timestamp);
    let since_b = since_b.count();
    for (filter, count) in [
        (&["--code", "call-timeout"][..], 1),
        (&["--code", "call-timeout", "--code", "request-rejected"], 2),
        (&["--class", "permanent"], 1),
        (&["--type", "tool-call"], 2),
        (&["--job", "a"], 1),
        (&["--job", "a", "--class", "exhausted"], 0),
        (&["--since", "1h"], 3),
        (&["--until", "1h"], 0),
        (&["--since", &b_time], since_b),
        (&["--until", &b_time], 3 - since_b),
        (&["--limit", "2"], 2),
    ] {
        let listed = setting.dlq(&[&["list", "--json"], filter].concat()).await;
        assert_eq!(listed.expect(0).objects().len(), count, "{filter:?}");
    }

    let objects = setting
        .dlq(&["list", "--json", "--job", "b"])
        .await
        .expect(0)
        .objects();
    let object = &objects[0];
    assert_eq!(object["topic"], json!(setting.dead));
    assert_eq!(
        (&object["partition"], &object["offset"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(object["code"], "call-timeout");
    assert_eq!(
        object["source"],
        json!({"topic": setting.jobs, "partition": 0, "offset": 1})
    );
}

#[tokio::test]
async fn show_decodes_the_letter_and_masks_its_secrets() {
    let setting = Setting::new(Kafka::shared().await, "show", 1).await;
    let servers = json!({"mcpServers": {
        "db": {"command": "uv", "args": ["--password", "secret-one"], "env": {"ANY": "secret-two"}},
        "api": {"type": "http", "url": "https://me:secret-three@host/mcp", "headers": {"X": "Bearer secret-four"}},
    }});
    let value = json!({"jobID": "a", "jobType": "server-init", "payload": servers.to_string()});
    let record = NewRecord::value(value.to_string())
        .key("visible-key")
        .header("authorization", "secret-five")
        .header("note", "it said secret-two")
        .header("binary", b"\xff\xfe");
    setting.bury(setting.letter_of(record, "a", 0)).await;

    let by_place = setting.dlq(&["show", "0:0"]).await.expect(0).text();
    let by_job = setting.dlq(&["show", "a"]).await.expect(0).text();
    let as_json = setting.dlq(&["show", "a", "--json"]).await.expect(0);
    assert_eq!(by_place.lines().last(), by_job.lines().last());
    for text in [&by_place, &by_job, &as_json.text()] {
        assert!(
            text.contains("visible-key") && text.contains("[secret]"),
            "{text}"
        );
        assert!(text.contains("[2 bytes that are no UTF-8]"), "{text}");
        for secret in ["one", "two", "three", "four", "five"] {
            assert!(!text.contains(&format!("secret-{secret}")), "{text}");
        }
    }
    let payload = &as_json.objects()[0]["value"]["payload"];
    assert_eq!(payload["mcpServers"]["db"]["command"], "uv");

    let nothing = setting.dlq(&["show", "0:7"]).await.expect(1).text();
    assert!(nothing.contains("holds no letter 0:7"), "{nothing}");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_line() {
    let kafka = Kafka::shared().await;
    let brokers = kafka.bootstrap();
    let nobody = format!("127.0.0.1:{}", free_port());
    let variables = [("KAFKA_BROKERS", &*brokers)];
    for (variables, args, code, part) in [
        (
            &[][..],
            &["list"][..],
            2,
            "--brokers (or KAFKA_BROKERS) is not set",
        ),
        (
            &[],
            &["list", "--brokers", "kafka"],
            2,
            "--brokers=\"kafka\"",
        ),
        (
            &variables,
            &["list", "--since", "soon"],
            2,
            "allowed is RFC 3339",
        ),
        (
            &variables,
            &["list", "--code", "call-time"],
            2,
            "call-timeout",
        ),
        (&variables, &["redrive", "--rate", "0"], 2, "--rate"),
        (&variables, &["redrive", "7"], 2, "partition:offset"),
        (
            &variables,
            &["redrive", "0:1", "--code", "call-timeout"],
            2,
            "cannot be used with",
        ),
        (
            &variables,
            &["list", "--topic", "no-such"],
            1,
            "topic no-such-dlq does not exist",
        ),
        (
            &variables,
            &["redrive", "--topic", "no-such"],
            1,
            "topic no-such-dlq does not exist",
        ),
        (
            &[],
            &["list", "--brokers", &nobody],
            1,
            "Connection refused",
        ),
    ] {
        let end = ended(start(variables, args)).await;
        let lines: Vec<_> = end
            .lines
            .iter()
            .filter(|line| line.starts_with("kafka-worker: "))
            .collect();
        assert_eq!(
            (end.code, lines.len()),
            (Some(code), 1),
            "{args:?}: {end:?}"
        );
        assert!(lines[0].contains(part), "{args:?}: {lines:?}");
    }
}

#[tokio::test]
async fn without_permission_for_the_ledger_letters_are_listed_and_none_is_sent() {
    let kafka = Kafka::builder().sasl_ssl().acls().start().await;
    let setting = Setting::new(&kafka, "acl", 1).await;
    setting.bury_all(&["a".to_owned()]).await;
    let listener = kafka.sasl_ssl();
    let variables = variables(listener.client_properties("PLAIN"), &setting);
    let refused = ended(with(&variables, &["list"])).await.expect(1).text();
    assert!(
        refused.contains("check its credentials and ACLs"),
        "{refused}"
    );

    let user = listener.user();
    let topic = Resource::Topic(&setting.dead);
    kafka.allow(user, Operation::Read, topic).await;
    let group = Resource::Group("mcp-workers");
    kafka.allow(user, Operation::Read, group).await;
    let listed = ended(with(&variables, &["list", "--json"])).await;
    let listed = listed.expect(0);
    assert_eq!(listed.objects().len(), 1);
    assert!(listed.text().contains("the ledger topic"), "{listed:?}");

    let refused = ended(with(&variables, &["redrive"])).await.expect(1).text();
    let command = format!("--create --topic {}-redriven", setting.dead);
    assert!(refused.contains(&command), "{refused}");
    assert_eq!(setting.sent().await.len(), 0);
}

/// librdkafka's properties as variables of the worker.
fn variables(properties: Vec<(String, String)>, setting: &Setting<'_>) -> Vec<(String, String)> {
    let variable = |(name, value): (String, String)| match &*name {
        "bootstrap.servers" => ("KAFKA_BROKERS".to_owned(), value),
        name => (
            format!("KAFKA_PROPERTY_{}", name.to_uppercase().replace('.', "_")),
            value,
        ),
    };
    let mut variables: Vec<_> = properties.into_iter().map(variable).collect();
    variables.push(("KAFKA_TOPIC".into(), setting.jobs.clone()));
    variables
}

fn with(variables: &[(String, String)], args: &[&str]) -> Process {
    let pairs: Vec<_> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    start(&pairs, args)
}

#[tokio::test]
async fn a_broker_that_wants_tls_and_a_login_is_reached_by_the_workers_variables() {
    let kafka = Kafka::builder().sasl_ssl().start().await;
    let setting = Setting::new(&kafka, "secure", 1).await;
    setting.bury_all(&["a".to_owned()]).await;
    let listener = kafka.sasl_ssl();
    let mut variables = variables(listener.client_properties("SCRAM-SHA-512"), &setting);

    let listed = ended(with(&variables, &["list", "--json"])).await.expect(0);
    assert_eq!(listed.objects().len(), 1);
    ended(with(&variables, &["redrive"])).await.expect(0);
    assert_eq!(setting.sent().await, ["a"]);
    ended(with(&variables, &["purge", "--yes"])).await.expect(0);

    variables.retain(|(name, _)| !name.ends_with("PASSWORD"));
    variables.push((
        "KAFKA_PROPERTY_SASL_PASSWORD".into(),
        "guessed-password".into(),
    ));
    let refused = ended(with(&variables, &["list"])).await.expect(1).text();
    assert!(
        refused.to_lowercase().contains("authentication"),
        "{refused}"
    );
    assert!(!refused.contains("guessed-password"), "{refused}");
}
