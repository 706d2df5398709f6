//! Files that may change while the server runs.

use std::path::PathBuf;
use std::time::Duration;

use mcp_runtime::vars::read_bounded;
use metrics::{counter, gauge};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::metric_definitions as metric;

/// How often the files are looked at. They are read whole, for a mounted Kubernetes secret is changed by moving a link
/// and a copied file may keep its time of change.
const LOOK: Duration = Duration::from_secs(1);

/// Looks at `files` until `stop`, and gives their contents to `apply` when one has changed. A change counts once it has
/// been the same for two looks, so that a file that is just being written is not taken for a short one. What can't be
/// read, or is refused, changes nothing: the log says so, once.
pub(crate) async fn watch(
    what: &'static str,
    files: Vec<PathBuf>,
    mut apply: impl FnMut(&[String]) -> Result<String, String>,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // `None`: what the server started with, which the first look finds again unless it has changed since.
    let mut settled: Option<Result<Vec<String>, String>> = None;
    let mut seen = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let paths = files.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || read(&paths)).await else {
            return;
        };
        let is_stable = seen.as_ref() == Some(&now);
        seen = Some(now.clone());
        if !is_stable || settled.as_ref() == Some(&now) {
            continue;
        }
        let is_first = settled.is_none();
        let outcome = now.clone().and_then(|texts| apply(&texts));
        settled = Some(now);
        let refused = if outcome.is_err() { 1.0 } else { 0.0 };
        gauge!(metric::RELOAD_REFUSED, "what" => what).set(refused);
        match outcome {
            // The first look usually finds what the server has started with.
            Ok(_) if is_first => {}
            Ok(done) => {
                counter!(metric::RELOADS, "what" => what, "outcome" => "ok").increment(1);
                tracing::info!("{what}: {done}");
            }
            Err(error) => {
                counter!(metric::RELOADS, "what" => what, "outcome" => "refused").increment(1);
                tracing::error!("{what}: the change is not taken, what was before stays: {error}");
            }
        }
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<String>, String> {
    let one = |file: &PathBuf| {
        read_bounded(file).map_err(|error| format!("{} can't be read: {error}", file.display()))
    };
    files.iter().map(one).collect()
}
