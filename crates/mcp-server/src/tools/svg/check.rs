//! An SVG is read, cleaned and drawn in a process of its own, which has no rights and can be killed: what a picture costs is
//! known only when it is drawn.

use std::num::NonZero;
use std::sync::LazyLock;
use std::thread::available_parallelism;
use std::time::Duration;

use mcp_core::{ErrorCode, Failure, RemovedContent};
use mcp_sandbox::Mode;
use mcp_sandbox::confined::{Confined, ConfinedError, Role};
use mcp_svg::{Limits, Processed, Removed};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Runs in the confined process. An executable with these tools calls `mcp_sandbox::confined::run_if_requested` with it.
pub const ROLE: Role = Role::new("svg-check", process);

/// Ten times what the limits of a file allow for.
const CPU_SECONDS: u64 = 3;
const MEMORY: u64 = 256 << 20;
/// By the clock, on a machine that has much else to do.
const TIME: Duration = Duration::from_secs(20);
/// How long a check waits for others to end before its caller is told to come back.
const BUSY: Duration = Duration::from_secs(10);
const COME_BACK: Duration = Duration::from_secs(1);

/// A picture that can be shown to anyone.
pub(crate) struct Checked {
    pub(crate) svg: String,
    pub(crate) preview: Vec<u8>,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) removed: Vec<RemovedContent>,
}

/// Why there is none.
pub(crate) enum NotChecked {
    /// The SVG is at fault.
    Refused(String),
    /// The machine is.
    NotRun(Failure),
}

/// As many checks at once as there are processors: more would end no sooner, and each needs its memory.
static PLACES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// In the confined process: from the text to the outcome as JSON.
fn process(input: Vec<u8>) -> Result<Vec<u8>, String> {
    let processed =
        mcp_svg::process(&input, &Limits::default()).map_err(|error| error.to_string())?;
    serde_json::to_vec(&processed).map_err(|error| error.to_string())
}

/// Cleans and draws `svg`. `mode` decides what happens where the kernel can't box the process in fully (`MCP_SANDBOX`).
pub(crate) async fn check(svg: &str, mode: Mode) -> Result<Checked, NotChecked> {
    let _place = place().await.map_err(NotChecked::NotRun)?;
    let confined = Confined::new(&ROLE)
        .wall_clock(TIME)
        .cpu_seconds(CPU_SECONDS)
        .memory_bytes(MEMORY)
        .require_layers(mode == Mode::Require);
    let output = confined.run(svg.as_bytes()).await.map_err(not_checked)?;
    let processed: Processed = serde_json::from_slice(&output).map_err(|error| {
        let what = format!("what the confined process answers can't be read: {error}");
        NotChecked::NotRun(Failure::new(ErrorCode::LaunchFailed, what))
    })?;
    let Processed { svg, preview } = processed;
    let removed = svg.removed.into_iter();
    Ok(Checked {
        svg: svg.svg,
        preview: preview.data,
        width: svg.width,
        height: svg.height,
        removed: removed
            .map(|Removed { what, count }| RemovedContent { what, count })
            .collect(),
    })
}

async fn place() -> Result<SemaphorePermit<'static>, Failure> {
    match timeout(BUSY, PLACES.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) => unreachable!("nobody closes it"),
        Err(_) => Err(Failure::new(
            ErrorCode::LaunchBusy,
            "as many SVGs are being checked as this server checks at once",
        )
        .with_retry_after(Some(COME_BACK))),
    }
}

fn not_checked(error: ConfinedError) -> NotChecked {
    match error {
        ConfinedError::Refused(why) => NotChecked::Refused(why),
        ConfinedError::InputTooLarge { .. }
        | ConfinedError::OutOfTime(_)
        | ConfinedError::OutOfMemory(_)
        | ConfinedError::OutputTooLarge(_)
        | ConfinedError::Crashed(_) => NotChecked::Refused(format!("drawing it: {error}")),
        ConfinedError::NotStarted(_) | ConfinedError::Timeout(_) | ConfinedError::Killed => {
            NotChecked::NotRun(Failure::new(
                ErrorCode::LaunchFailed,
                format!("the SVG could not be checked: {error}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_sandbox::confined::ConfinedError;

    use super::{Duration, NotChecked, not_checked};

    #[test]
    fn what_the_machine_ended_is_not_the_files_fault() {
        let is_refused = |error| matches!(not_checked(error), NotChecked::Refused(_));
        for error in [
            ConfinedError::Refused("it is no SVG".into()),
            ConfinedError::OutOfTime(3),
            ConfinedError::OutOfMemory(1),
            ConfinedError::Crashed("it ended with signal 11".into()),
        ] {
            assert!(is_refused(error));
        }
        for error in [
            ConfinedError::NotStarted("no processes left".into()),
            ConfinedError::Timeout(Duration::from_secs(20)),
            ConfinedError::Killed,
        ] {
            assert!(!is_refused(error));
        }
    }
}
