//! A short run of the chaos harness, and the packing of a release, as everybody starts them; and what `deploy/` says of the
//! programs.

mod chaos;
mod dist;
mod observability;
