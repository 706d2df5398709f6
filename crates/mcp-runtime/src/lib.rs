#![doc = include_str!("../README.md")]

pub mod admin;
pub mod conditions;
pub mod flags;
pub mod pages;
pub mod signals;
pub mod telemetry;
pub mod trace_context;
pub mod vars;

pub use conditions::{Condition, Conditions};
pub use telemetry::Telemetry;
pub use vars::{ConfigError, Vars};
