use std::time::Duration;

use mcp_testkit::{Kafka, SaslSsl, TokenEndpoint};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};

const SOON: Duration = Duration::from_secs(30);
/// Long enough for a login that works.
const A_WHILE: Duration = Duration::from_secs(3);

/// Produces through the secure listener: an acknowledgement proves the login.
async fn produce(
    properties: impl IntoIterator<Item = (String, String)>,
    topic: &str,
    within: Duration,
) -> Result<(), String> {
    let producer: FutureProducer = ClientConfig::from_iter(properties)
        .set("message.timeout.ms", within.as_millis().to_string())
        .create()
        .map_err(|error| error.to_string())?;
    let record = FutureRecord::<str, str>::to(topic).payload("secret");
    match producer.send(record, within).await {
        Ok(_) => Ok(()),
        Err((error, _)) => Err(error.to_string()),
    }
}

fn wrong_password(listener: &SaslSsl) -> impl Iterator<Item = (String, String)> {
    listener
        .client_properties("PLAIN")
        .into_iter()
        .map(|(name, value)| match name.as_str() {
            "sasl.password" => (name, "guessed".to_owned()),
            _ => (name, value),
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mechanism_logs_in_over_tls_and_a_wrong_password_does_not() {
    let kafka = Kafka::builder().sasl_ssl().start().await;
    let topic = kafka.new_topic("secure", 1, &[]).await;
    let listener = kafka.sasl_ssl();

    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
        let produced = produce(listener.client_properties(mechanism), &topic, SOON).await;
        assert_eq!(produced, Ok(()), "{mechanism}");
    }

    let tokens = TokenEndpoint::start().await;
    let produced = produce(tokens.client_properties(listener), &topic, SOON).await;
    assert_eq!(produced, Ok(()), "OAUTHBEARER by OIDC");
    assert!(tokens.served() > 0);

    assert!(
        produce(wrong_password(listener), &topic, A_WHILE)
            .await
            .is_err()
    );
    assert_eq!(kafka.end_offsets(&topic).await, [5]);
}
