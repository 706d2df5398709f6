//! Programs that behave and programs that do not, started for real.

mod attacks;
mod confined;
mod handshake;
mod launching;
mod misbehaviour;
mod missing;
mod nothing_left;
mod program;
mod worth;
