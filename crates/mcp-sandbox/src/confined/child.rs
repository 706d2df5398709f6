//! The confined process. It has one thread when it boxes itself in, and no environment.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::exit;

use rustix::event::{PollFd, PollFlags, poll};

use super::{Function, Role};
use crate::layers::Confinement;

/// The hidden first argument; then come the role's name and its [`Confinement`] as JSON.
pub(super) const ARGUMENT: &str = "__confined";
/// Exit code: the function refuses its input, and standard output has the sentence.
pub(super) const REFUSED: i32 = 65;
/// Exit code: the process could not box itself in, and standard error says why.
pub(super) const NOT_CONFINED: i32 = 78;
/// Exit code: nobody waits for the output any more.
const FORSAKEN: i32 = 75;

/// Becomes the confined process and never returns, if this process was started as one. Call it in `main` before any
/// thread or runtime is started, with every role that the executable has.
pub fn run_if_requested(roles: &[Role]) {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return;
    }
    let name = arguments.next().unwrap_or_default();
    let confinement = arguments.next().unwrap_or_default();
    let Some(role) = roles.iter().find(|role| role.name == name) else {
        fail(&format!("this executable has no role {name:?}"));
    };
    crate::process::launcher::close_inherited();
    let confined = serde_json::from_str(&confinement)
        .map_err(|error| error.to_string())
        .and_then(|confinement| confine(&confinement));
    if let Err(error) = confined {
        fail(&error);
    }
    exit(match work(role.function) {
        Ok(code) => code,
        // The other end is gone.
        Err(_) => FORSAKEN,
    });
}

fn confine(confinement: &Confinement) -> Result<(), String> {
    let begun = confinement.begin().map_err(|error| error.to_string())?;
    begun.finish().map_err(|error| error.to_string())?;
    Ok(())
}

fn work(function: Function) -> io::Result<i32> {
    // After the boxing in: a thread inherits what was done to the one that starts it.
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(end_when_forsaken)?;
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    let (code, output) = match function(input) {
        Ok(output) => (0, output),
        Err(sentence) => (REFUSED, sentence.into_bytes()),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&output)?;
    stdout.flush()?;
    Ok(code)
}

/// Ends the process when the reader of its output is gone, even by SIGKILL: nobody else would end it then.
fn end_when_forsaken() {
    let stdout = io::stdout();
    let mut watched = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
    if poll(&mut watched, None).is_ok() {
        exit(FORSAKEN);
    }
}

#[expect(
    clippy::print_stderr,
    reason = "standard error is how the server hears of it"
)]
fn fail(what: &str) -> ! {
    eprintln!("{what}");
    exit(NOT_CONFINED)
}
