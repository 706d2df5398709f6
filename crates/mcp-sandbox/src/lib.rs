#![doc = include_str!("../README.md")]

pub mod confined;
pub mod policy;

mod env_file;
mod handshake;
mod layers;
mod lines;
mod masking;
mod permits;
mod probe;
mod process;
mod sandbox;

/// The launcher's entry point.
pub mod launcher {
    pub use crate::process::launcher::run_if_requested;
}

pub use layers::{Layer, Missing};
pub use policy::{Folders, LaunchPolicy, Limits, PolicyError};
pub use sandbox::{Mode, Sandbox};
