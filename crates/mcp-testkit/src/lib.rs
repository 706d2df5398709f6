#![doc = include_str!("../README.md")]

mod conformance;
mod eventually;
pub mod fetched;
mod kafka;
mod leash;
mod output;
mod port;
mod process;
mod stub_server;

pub use conformance::{conformance_client, conformance_server};
pub use eventually::eventually;
pub use kafka::{Kafka, KafkaBuilder, NewRecord, Record, SaslSsl};
pub use port::free_port;
pub use process::{Process, ProcessBuilder, workspace_binary};
pub use stub_server::{Call, Connection, Outcome, Reply, SeenCall, StubServer, TokenEndpoint};
