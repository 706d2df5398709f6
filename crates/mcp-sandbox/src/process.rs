//! Starting a program so that nothing of it stays behind.
//!
//! The server does not start the program itself. It starts its own executable again as a small *launcher*, which
//! starts the program and outlives it:
//!
//! ```text
//! server ── control socket ── launcher (session leader, child subreaper, no new privileges)
//!    └──────── pipes ─────────── program ── whatever it starts, however often it forks or calls setsid
//! ```
//!
//! Whatever the program starts stays below the launcher, since orphans move up to the nearest subreaper. The launcher
//! ends all of it when the program ends, when the server asks, and when the control socket closes because the server
//! is gone, even by SIGKILL. A program that kills its launcher gains nothing: the server is a subreaper too, and ends
//! what then becomes its own child ([`orphans`]).

pub(crate) mod launcher;
mod messages;
pub(crate) mod orphans;
pub(crate) mod running;
mod tree;
