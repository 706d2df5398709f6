//! A short run of the chaos harness, as everybody starts it; and what `deploy/` says of the programs.

mod chaos;
mod observability;
