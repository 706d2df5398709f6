//! A short run of the chaos harness, and the packing of a release, as everybody starts them.

mod chaos;
mod dist;
