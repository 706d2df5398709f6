//! The real worker against real Kafka and an MCP server whose answers each test decides.

mod backpressure;
mod breaker;
mod crash;
mod dead_letter;
mod dead_letter_topic;
mod drain;
mod failures;
mod job_contract;
mod log_restart;
mod malformed;
mod metrics;
mod ordering;
mod outages;
mod rebalance;
mod results;
mod security;
mod setting;
mod settings;
mod success;
mod transactions;
mod worker;
