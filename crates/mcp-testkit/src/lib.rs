#![doc = include_str!("../README.md")]

mod conformance;
mod eventually;
mod fake_gemini;
pub mod fetched;
mod kafka;
mod leash;
mod otlp_receiver;
mod output;
mod port;
mod postgres;
mod process;
mod redis;
mod stub_server;

pub use conformance::{conformance_client, conformance_server};
pub use eventually::eventually;
pub use fake_gemini::{FakeGemini, GeminiCall, GeminiReply, SeenGeminiCall};
pub use kafka::{
    Damage, Feed, GroupWatch, Kafka, KafkaBuilder, KafkaClient, KafkaCluster, Line, NewRecord,
    OffsetWatch, Operation, Record, Resource, SaslSsl, Tail, Transactions,
};
pub use otlp_receiver::{OtlpReceiver, Span};
pub use port::free_port;
pub use postgres::Postgres;
pub use process::{Process, ProcessBuilder, workspace_binary};
pub use redis::Redis;
pub use stub_server::{Call, Connection, Outcome, Reply, SeenCall, StubServer, TokenEndpoint};
