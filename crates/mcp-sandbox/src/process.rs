//! Starting a program so that nothing of it stays behind.
//!
//! The server does not start the program itself. It starts its own executable again as a small *launcher*, which
//! outlives the program. The launcher starts the executable once more, as the *box*, which gives up every right that the
//! program is not to have and then executes it:
//!
//! ```text
//! server ── control socket ── launcher (session leader, child subreaper, no new privileges)
//!    │                           └─ box, which becomes the program ── whatever it starts
//!    └──────── pipes ───────────────────┘
//! ```
//!
//! Whatever the program starts stays below the launcher, since orphans move up to the nearest subreaper. The launcher
//! ends all of it when the program ends, when the server asks, and when the control socket closes because the server
//! is gone, even by SIGKILL. A program that kills its launcher gains nothing: the server is a subreaper too, and ends
//! what then becomes its own child ([`orphans`]).

pub(crate) mod boxed;
pub(crate) mod cgroup;
pub(crate) mod launcher;
mod messages;
pub(crate) mod orphans;
pub(crate) mod running;
mod scratch;
mod tree;
pub(crate) mod watch;
