#![doc = include_str!("../README.md")]

pub mod admin;
pub mod conditions;
pub mod flags;
pub mod log_fields;
pub mod metric;
pub mod pages;
pub mod probe;
pub mod signals;
pub mod telemetry;
pub mod trace_context;
pub mod variables;
pub mod vars;

pub use conditions::{Condition, Conditions, Notice};
pub use telemetry::Telemetry;
pub use vars::{ConfigError, Vars};
