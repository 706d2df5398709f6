//! The client against servers written here byte for byte, and against the official conformance suite.

mod conformance;
mod handshakes;
mod negotiation;
mod outcomes;
mod real_servers;
mod requests;
mod sse_transport;
mod streams;
mod stub;
mod transport_failures;
