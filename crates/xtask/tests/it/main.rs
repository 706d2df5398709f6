//! A short run of the chaos harness, as everybody starts it.

mod chaos;
