//! The server as its callers see it: its own process, spoken to over HTTP.

mod callers;
mod conformance;
mod drain;
mod eras;
mod initialize;
mod malformed;
mod panics;
mod server;
mod start;
