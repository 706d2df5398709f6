//! Waiting for a condition, with a deadline in place of a guess.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

const PAUSE: Duration = Duration::from_millis(50);

/// Runs `check` again and again until it answers `Ok`, and returns what it answered.
///
/// # Panics
///
/// When `within` has passed: the message is the last `Err`, so let it say what was seen instead.
pub async fn eventually<T, E: Display>(
    within: Duration,
    mut check: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + within;
    let mut seen = None;
    loop {
        // A check that hangs counts as one that failed.
        match timeout_at(deadline, check()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) => seen = Some(error.to_string()),
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            let seen = seen.as_deref().unwrap_or("no check came to an end");
            panic!("not within {within:?}: {seen}");
        }
        sleep(PAUSE).await;
    }
}
