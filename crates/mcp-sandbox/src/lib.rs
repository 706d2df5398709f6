#![doc = include_str!("../README.md")]

pub mod policy;

mod env_file;
mod handshake;
mod lines;
mod masking;
mod process;
mod sandbox;

/// The launcher's entry point.
pub mod launcher {
    pub use crate::process::launcher::run_if_requested;
}

pub use policy::{Folders, LaunchPolicy, Limits, PolicyError};
pub use sandbox::Sandbox;
