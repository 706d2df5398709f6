//! One file, several times.

use mcp_svg::{Limits, process};
use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

use crate::corpus::Case;

/// What was measured of a file.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) set: &'static str,
    pub(crate) name: String,
    /// Its length.
    pub(crate) bytes: usize,
    /// The longest run, milliseconds of processor time.
    pub(crate) ms: f64,
    /// The largest run, MiB allocated at one time.
    pub(crate) mib: f64,
    /// The kind of refusal, or `drawn`.
    pub(crate) outcome: String,
}

pub(crate) fn row(
    set: &'static str,
    case: &Case,
    runs: u32,
    limits: &Limits,
    allocator: &PeakAlloc,
) -> Row {
    let mut row = Row {
        set,
        name: case.name.clone(),
        bytes: case.bytes.len(),
        ms: 0.0,
        mib: 0.0,
        outcome: String::new(),
    };
    for _ in 0..runs {
        allocator.reset_peak_usage();
        let held = allocator.current_usage();
        let began = thread_cpu_ns();
        let result = process(&case.bytes, limits);
        let took = thread_cpu_ns() - began;
        let taken = allocator.peak_usage().saturating_sub(held);
        row.ms = row.ms.max(took as f64 / 1e6);
        row.mib = row.mib.max(taken as f64 / 1_048_576.0);
        row.outcome = match result {
            Ok(_) => "drawn".to_owned(),
            Err(error) => {
                let json = serde_json::to_value(&error).unwrap_or_default();
                json["kind"].as_str().unwrap_or("refused").to_owned()
            }
        };
    }
    row
}

/// Processor time that this thread has used, nanoseconds: what else the machine does is not in it.
fn thread_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}
