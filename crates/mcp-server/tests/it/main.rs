//! The server as its callers see it: its own process, or replicas of the example server, spoken to over HTTP.

mod audit;
mod behind_the_gate;
mod callers;
mod cancel;
mod conformance;
mod counter;
mod drain;
mod eras;
#[path = "../../examples/everything/server.rs"]
mod everything;
mod idempotency;
mod initialize;
mod keys;
mod limits;
mod malformed;
mod metrics;
mod panics;
mod places;
mod questions;
mod replica;
mod sdks;
mod server;
mod silence;
mod sse;
mod start;
mod streams;
mod tasks;
mod tls;
mod unread;
