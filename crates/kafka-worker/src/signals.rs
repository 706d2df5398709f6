//! What the parts of the engine tell each other besides jobs: holds on intake and the failure that ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Reasons to take no records, each held by one part; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Holds(Arc<[AtomicBool; 2]>);

/// Who holds intake.
#[derive(Clone, Copy, Debug)]
pub enum Hold {
    /// The MCP server is down.
    Server,
    /// Dead letters or results can't be written.
    Outbox,
}

impl Holds {
    /// Sets or releases one hold.
    pub fn set(&self, hold: Hold, held: bool) {
        self.0[hold as usize].store(held, Ordering::Relaxed);
    }

    /// Whether any hold is set.
    pub fn any(&self) -> bool {
        self.0.iter().any(|hold| hold.load(Ordering::Relaxed))
    }
}

/// The failure that ends the process: the first one counts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Fatal(Arc<(OnceLock<String>, CancellationToken)>);

impl Fatal {
    /// The process can't go on.
    pub fn raise(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::error!(reason, "the worker can't go on");
        let _ = self.0.0.set(reason);
        self.0.1.cancel();
    }

    /// The reason, once there is one.
    pub fn reason(&self) -> Option<&str> {
        self.0.0.get().map(String::as_str)
    }

    /// Resolves once there is a reason.
    pub async fn raised(&self) {
        self.0.1.cancelled().await;
    }
}
