//! The server as its callers see it: its own process, spoken to over HTTP.

mod audit;
mod callers;
mod conformance;
mod counter;
mod drain;
mod eras;
mod idempotency;
mod initialize;
mod keys;
mod limits;
mod malformed;
mod panics;
mod server;
mod start;
mod tls;
