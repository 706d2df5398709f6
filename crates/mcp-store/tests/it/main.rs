//! One contract, tried on every database that there is.

mod artifacts;
mod databases;
mod opening;
mod outages;
mod servers;
mod versions;
