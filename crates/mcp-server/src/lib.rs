#![doc = include_str!("../README.md")]

pub mod app;
pub mod config;
mod connections;
pub mod handler;
pub mod metric_definitions;
pub mod tools;
pub mod transport;

pub use app::{App, run};
pub use config::ServerConfig;
pub use tools::{Tool, ToolContext, Tools};
