#![doc = include_str!("../README.md")]

pub mod app;
pub mod caller;
pub mod config;
mod connections;
pub mod handler;
pub mod metric_definitions;
mod relay;
mod replica;
mod sessions;
mod tasks;
pub mod tools;
pub mod transport;

pub use app::{App, run};
pub use caller::{Caller, TaskSupport};
pub use config::ServerConfig;
pub use tools::{Tool, ToolContext, Tools};
