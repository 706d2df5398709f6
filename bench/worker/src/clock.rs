//! Two clocks that all processes of one machine share.

use mcp_core::Clock;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock: comparable between processes.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds * 1_000_000_000 + nanos
}

/// Milliseconds since 1970: comparable with the timestamps of records.
pub(crate) fn wall_ms() -> i64 {
    Clock::System.now().timestamp_millis()
}
