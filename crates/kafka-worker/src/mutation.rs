//! Known bugs that can be switched on: the chaos harness must find each of them (`cargo xtask chaos --prove-mutations`).
//!
//! They exist only in a build with the feature `mutations`, which no ordinary build has; there, the variable
//! `WORKER_MUTATION` names one. Without the feature [`is`] is constantly false and nothing of them is compiled.

/// A known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Commits behind the highest finished record.
    CommitHighest,
    /// Commits one more than may be committed.
    OffByOne,
    /// Goes on with a partition that was given up or lost.
    EpochIgnored,
    /// Counts a dead letter as written once it is sent.
    DeadLetterNotAwaited,
    /// Gives up what is in flight at once.
    DrainSkipped,
    /// Takes offsets for a sequence without gaps.
    GapPlusOne,
}

/// Whether the worker has this bug.
#[cfg(not(feature = "mutations"))]
pub(crate) const fn is(_: Mutation) -> bool {
    false
}

/// Whether the worker has this bug.
///
/// # Panics
/// When `WORKER_MUTATION` names none.
#[cfg(feature = "mutations")]
pub(crate) fn is(mutation: Mutation) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Mutation>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("WORKER_MUTATION").ok()?;
        Some(match name.as_str() {
            "commit-highest" => Mutation::CommitHighest,
            "off-by-one" => Mutation::OffByOne,
            "epoch-ignored" => Mutation::EpochIgnored,
            "dead-letter-not-awaited" => Mutation::DeadLetterNotAwaited,
            "drain-skipped" => Mutation::DrainSkipped,
            "gap-plus-one" => Mutation::GapPlusOne,
            other => panic!("WORKER_MUTATION={other:?} is no mutation"),
        })
    });
    *chosen == Some(mutation)
}
