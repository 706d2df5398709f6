//! The kit keeps what it promises to the tests of other crates.

mod kafka;
mod postgres;
mod process;
mod redis;
mod secure_kafka;
mod stub_server;
