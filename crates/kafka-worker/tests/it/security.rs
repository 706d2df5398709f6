use std::fs;
use std::time::Duration;

use futures::future::join_all;
use mcp_testkit::{Kafka, Reply, StubServer, TokenEndpoint};
use tempfile::{NamedTempFile, TempDir};

use crate::setting::{Setting, tool_job};
use crate::worker::WorkerBuilder;

/// librdkafka's properties as variables, the password as a file.
pub(crate) fn with_properties(
    mut worker: WorkerBuilder,
    properties: Vec<(String, String)>,
    folder: &TempDir,
) -> WorkerBuilder {
    for (name, value) in properties {
        let variable = format!("KAFKA_PROPERTY_{}", name.to_uppercase().replace('.', "_"));
        worker = match &*name {
            "bootstrap.servers" => worker.var("KAFKA_BROKERS", value),
            "sasl.password" => {
                // A file of its own: another worker may be reading its at this moment.
                let file = NamedTempFile::new_in(folder).expect("a writable folder");
                let (_, path) = file.keep().expect("a file that stays");
                fs::write(&path, format!("{value}\n")).expect("a writable file");
                worker.var(&format!("{variable}_FILE"), path.display())
            }
            _ => worker.var(&variable, value),
        };
    }
    worker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mechanism_does_a_job_over_tls_and_a_wrong_password_is_told() {
    let kafka = Kafka::builder().sasl_ssl().start().await;
    let listener = kafka.sasl_ssl();
    let tokens = TokenEndpoint::start().await;
    let folder = TempDir::new().expect("a temporary folder");
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let logins = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
        .map(|mechanism| (mechanism, listener.client_properties(mechanism)))
        .into_iter()
        .chain([("OIDC", tokens.client_properties(listener))]);

    join_all(logins.map(async |(name, properties)| {
        let setting = Setting::new(&kafka, name, 1).await;
        setting.submit(tool_job(name, "x")).await;
        setting
            .submit(mcp_testkit::NewRecord::value("poison"))
            .await;
        let worker = with_properties(setting.worker(&server), properties, &folder);
        let mut worker = worker.var("RUST_LOG", "trace").start_ready().await;
        setting.wait_all_committed().await;
        // The dead letter has passed through a producer, which logs in on its own.
        setting.dead_letters(1).await;
        worker.leave().await;
        assert!(!worker.log().contains(listener.password()), "{name}");
    }))
    .await;
    assert!(tokens.served() > 0);
    assert_eq!(server.calls().len(), 5);

    let setting = Setting::new(&kafka, "wrong", 1).await;
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let wrong = listener.client_properties(mechanism).into_iter();
        let wrong = wrong.filter(|(name, _)| name != "sasl.password").collect();
        let mut worker = with_properties(setting.worker(&server), wrong, &folder)
            .var("KAFKA_PROPERTY_SASL_PASSWORD", "guessed-password")
            .var("RUST_LOG", "trace")
            .start()
            .await;
        let reason = worker.wait_not_ready("broker", "credentials").await;
        assert!(!reason.contains("guessed-password"), "{reason}");
        // The client tries again several times meanwhile.
        tokio::time::sleep(Duration::from_secs(2)).await;
        worker.process.terminate();
        worker.process.wait_exit(crate::worker::SOON).await;
        let log = worker.log();
        assert!(!log.contains("guessed-password"));
        let is_told = |line: &&str| line.contains("ERROR") && line.contains("the broker refuses");
        assert_eq!(log.lines().filter(is_told).count(), 1, "{log}");
    }
}
