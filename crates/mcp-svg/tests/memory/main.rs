//! The memory that a file takes, counted by the allocator. One test, so that nothing else of the process counts.

#[path = "../it/corpus.rs"]
mod corpus;

use std::path::Path;

use mcp_svg::{Limits, process};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What processing a file may allocate at one time, bytes.
const MOST: usize = 64 * 1024 * 1024;

#[test]
fn no_file_takes_more_than_64_mib() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let hostile = corpus::files(&folder.join("hostile"))
        .into_iter()
        .chain(corpus::made());
    let ordinary = corpus::files(&folder.join("ordinary"));
    let mut over = Vec::new();
    for case in hostile.chain(ordinary) {
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        drop(process(&case.bytes, &Limits::default()));
        let taken = ALLOCATOR.peak_usage().saturating_sub(before);
        if taken > MOST {
            over.push(format!("{}: {} KiB", case.name, taken / 1024));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
