//! What replicas send each other.

use rmcp::ErrorData;
use rmcp::model::InputResponses;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::running::Tag;
use crate::transport::Poster;

/// A message that belongs to another replica.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Errand {
    /// What a client posted to its event stream's session.
    Post {
        session: String,
        by: Poster,
        body: String,
    },
    /// What a client answered to a request of the server's.
    Answer {
        id: String,
        outcome: Result<Value, ErrorData>,
    },
    /// Answers that a task waits for.
    Update {
        task: String,
        answers: InputResponses,
    },
    /// The end of a task.
    Cancel { task: String },
    /// To all: who has a request of that tag? The receipt is [`Receipt::Taken`] for one, [`Receipt::Busy`] for several.
    Find { tag: Tag },
    /// The end of that request.
    Withdraw { tag: Tag },
}

impl Errand {
    /// The id that says whose it is, if it has one.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Find { .. } | Self::Withdraw { .. } => "",
            Self::Post { session: id, .. }
            | Self::Answer { id, .. }
            | Self::Update { task: id, .. }
            | Self::Cancel { task: id } => id,
        }
    }
}

/// What became of an errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Receipt {
    /// It arrived.
    Taken,
    /// What it is for is not there.
    Unknown,
    /// What it is for takes no more now.
    Busy,
    /// The way there is cut.
    Unreachable,
}

impl Receipt {
    /// Taken, or for nobody.
    pub(crate) fn of(is_taken: bool) -> Self {
        if is_taken { Self::Taken } else { Self::Unknown }
    }
}

/// What travels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Letter {
    Errand {
        from: String,
        ticket: u64,
        errand: Errand,
    },
    Receipt {
        #[serde(default)]
        from: String,
        ticket: u64,
        receipt: Receipt,
    },
}
