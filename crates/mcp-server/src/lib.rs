#![doc = include_str!("../README.md")]

pub mod access;
pub mod app;
mod artifacts;
pub mod caller;
mod calls;
pub mod config;
mod connections;
mod database;
mod gemini;
pub mod handler;
mod health;
mod idempotency;
mod launching;
pub mod metric_definitions;
mod redis_link;
mod relay;
mod replica;
mod running;
mod sessions;
mod site;
mod spans;
mod tasks;
mod tls;
pub mod tools;
pub mod transport;
pub mod variables;

pub use app::{App, run};
pub use caller::{Caller, TaskSupport};
pub use config::ServerConfig;
pub use health::health;
pub use launching::LaunchConfig;
pub use tools::{Tool, ToolContext, Tools};
