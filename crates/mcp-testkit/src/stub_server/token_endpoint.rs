//! An OAuth 2.0 token endpoint, for `sasl.oauthbearer.method=oidc`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, extract::State, routing::post};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::SaslSsl;

/// Hands an unsigned token to whoever asks: the brokers of this kit accept those.
pub struct TokenEndpoint {
    address: SocketAddr,
    served: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl TokenEndpoint {
    /// Starts one on a free loopback port.
    pub async fn start() -> TokenEndpoint {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let served = Arc::new(AtomicUsize::new(0));
        let app = Router::new()
            .route("/token", post(token))
            .with_state(served.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("the endpoint serves");
        });
        TokenEndpoint {
            address,
            served,
            task,
        }
    }

    /// librdkafka's `sasl.oauthbearer.token.endpoint.url`.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// librdkafka's properties for a login at `listener` with a token from here.
    pub fn client_properties(&self, listener: &SaslSsl) -> Vec<(String, String)> {
        let own = [
            ("sasl.oauthbearer.method", "oidc".to_owned()),
            ("sasl.oauthbearer.token.endpoint.url", self.url()),
            ("sasl.oauthbearer.client.id", "worker".to_owned()),
            ("sasl.oauthbearer.client.secret", "secret".to_owned()),
        ];
        let replaced = [
            "enable.sasl.oauthbearer.unsecure.jwt",
            "sasl.oauthbearer.config",
        ];
        listener
            .client_properties("OAUTHBEARER")
            .into_iter()
            .filter(|(name, _)| !replaced.contains(&name.as_str()))
            .chain(own.map(|(name, value)| (name.to_owned(), value)))
            .collect()
    }

    /// How many tokens it has handed out.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn token(State(served): State<Arc<AtomicUsize>>) -> Json<Value> {
    served.fetch_add(1, Ordering::Relaxed);
    // Years 2001 and 2065: a clock would make the token no better.
    let claims = json!({"sub": "worker", "iat": 1_000_000_000, "exp": 3_000_000_000_u32});
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.", part(json!({"alg": "none"})), part(claims));
    Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))
}
