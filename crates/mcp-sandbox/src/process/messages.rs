//! What server and launcher say to each other over the control socket: one order, then one report, a JSON line each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mcp_core::Secret;
use serde::{Deserialize, Serialize};

/// Longest order, in bytes. Arguments and environment are bounded far below it.
pub(crate) const ORDER_MAX: usize = 4 << 20;

/// What to start. Its environment travels here and not in the launcher's own, so that the launcher runs with none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, Secret>,
    /// The working directory.
    pub(crate) dir: PathBuf,
    /// Removed when all processes are gone.
    pub(crate) scratch: PathBuf,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Report {
    /// It could not be started.
    NotStarted(String),
    /// It ended by itself with this exit code.
    Exited(i32),
    /// A signal ended it before it was asked to stop.
    Signalled(i32),
    /// It was stopped because the server asked.
    Stopped,
}

impl Report {
    /// Whether a program that ended like this may be one that does not know how it was addressed.
    pub(crate) fn may_be_legacy(&self) -> bool {
        match self {
            Self::Exited(_) | Self::Stopped => true,
            Self::NotStarted(_) | Self::Signalled(_) => false,
        }
    }

    /// The end of a sentence that begins with the program's name.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::NotStarted(why) => format!("could not be started: {why}"),
            Self::Exited(code) => format!("ended with exit code {code}"),
            Self::Signalled(signal) => format!("was ended by signal {signal}"),
            Self::Stopped => "was stopped".into(),
        }
    }
}
