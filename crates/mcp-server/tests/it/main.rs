//! The server as its callers see it: its own process, or replicas of the example server, spoken to over HTTP.

mod artifacts;
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
mod health;
mod idempotency;
mod initialize;
mod keys;
mod launching;
mod limits;
mod malformed;
mod metrics;
mod own_tool;
mod panics;
mod places;
mod publish;
mod questions;
mod replica;
mod sdks;
mod server;
mod silence;
mod site;
mod sse;
mod start;
mod streams;
mod svg;
mod tasks;
mod tls;
mod unread;
