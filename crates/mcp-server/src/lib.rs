#![doc = include_str!("../README.md")]

pub mod access;
pub mod app;
pub mod caller;
mod calls;
pub mod config;
mod connections;
pub mod handler;
mod idempotency;
pub mod metric_definitions;
mod redis_link;
mod relay;
mod replica;
mod running;
mod sessions;
mod site;
mod tasks;
mod tls;
pub mod tools;
pub mod transport;

pub use app::{App, run};
pub use caller::{Caller, TaskSupport};
pub use config::ServerConfig;
pub use tools::{Tool, ToolContext, Tools};
