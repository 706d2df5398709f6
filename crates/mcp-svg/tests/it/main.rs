//! The corpora through the crate: what is hostile gets nothing through, what is ordinary looks the same.

mod checker;
mod corpus;
mod hostile;
mod mutations;
mod ordinary;

use std::path::{Path, PathBuf};

/// A folder of the corpus.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name)
}
