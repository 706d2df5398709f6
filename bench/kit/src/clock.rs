//! Two clocks that all processes of one machine share, and one of a thread.

use std::time::Duration;

use mcp_core::Clock;
use rustix::thread::nanosleep;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of the machine's monotonic clock: comparable between processes.
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Processor time that this thread has used, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds * 1_000_000_000 + nanos
}

/// Does nothing for a while, to the microsecond.
pub fn pause(length: Duration) {
    // No length here is near the largest there is, and one that is cut short harms nothing.
    if let Ok(length) = Timespec::try_from(length) {
        let _ = nanosleep(&length);
    }
}

/// Milliseconds since 1970: comparable with the timestamps of records.
pub fn wall_ms() -> i64 {
    Clock::System.now().timestamp_millis()
}
