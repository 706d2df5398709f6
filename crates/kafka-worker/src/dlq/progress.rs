//! How far a long command is: a bar on a terminal, a line now and then elsewhere.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::reader::Range;
use super::{note, say};

/// Between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(2);
/// Redraws a second.
const REDRAWS: u8 = 10;

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    said: Cell<Instant>,
}

impl Progress {
    /// For letters that are only read: a bar if `wanted` and standard error is a terminal, otherwise nothing.
    pub(super) fn reading(ranges: &[Range], wanted: bool) -> Self {
        Self::new(ranges.iter().map(|range| range.len()).sum(), wanted)
    }

    /// For `total` letters.
    pub(super) fn new(total: u64, wanted: bool) -> Self {
        let bar = (wanted && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(
                Some(total),
                ProgressDrawTarget::stderr_with_hz(REDRAWS),
            );
            // A template that does not parse would show the default bar.
            if let Ok(style) =
                ProgressStyle::with_template("{bar:30} {pos}/{len} read, {eta} left {msg}")
            {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            said: Cell::new(Instant::now()),
        }
    }

    /// More letters were read.
    pub(super) fn read(&self, more: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(more);
        }
    }

    /// What was done so far.
    pub(super) fn so_far(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(message.to_owned()),
            None if self.said.get().elapsed() >= EVERY => {
                note(message);
                self.said.set(Instant::now());
            }
            None => {}
        }
    }

    /// A line on standard output.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }
}

/// Takes the bar away.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
