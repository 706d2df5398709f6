#![doc = include_str!("../README.md")]

pub mod app;
pub mod attempt;
pub mod breaker;
pub mod budget;
pub mod config;
pub mod dead_letter;
pub mod disposition;
pub mod dlq;
pub mod embedded;
pub mod engine;
pub mod journal;
pub mod kafka;
pub mod metric_definitions;
mod mutation;
pub mod outbox;
pub mod signals;
pub mod spans;
pub mod topics;
pub mod variables;
pub mod watchdog;

pub use app::Worker;
pub use config::WorkerConfig;
pub use journal::{JobEvent, JobEventKind};
