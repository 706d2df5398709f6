#![doc = include_str!("../README.md")]

pub mod clock;
pub mod machine;
pub mod numbers;
pub mod progress;
pub mod statistics;
pub mod usage;
