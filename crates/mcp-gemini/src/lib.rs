#![doc = include_str!("../README.md")]

mod answer;
mod client;
mod config;
mod error;
mod quota;
pub mod wire;

pub use answer::Generated;
pub use client::{GeminiClient, Prompt, Propagation, Turn};
pub use config::{BASE_URL, BuildError, GeminiConfig, MODEL, ModelName, ThinkingLevel};
pub use error::GeminiError;
pub use quota::{Limited, Quota};
