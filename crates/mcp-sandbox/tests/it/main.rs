//! Programs that behave and programs that do not, started for real.

mod handshake;
mod misbehaviour;
mod nothing_left;
mod program;
