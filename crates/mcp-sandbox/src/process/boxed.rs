//! The process that becomes the program: it boxes itself in and executes it. Its own error, if there is one, is all that
//! it ever says to the launcher; the program knows nothing of that socket, which closes when the program begins.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, exit};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};
use rustix::stdio::dup2_stdin;

use super::cgroup;
use super::messages::{Order, receive_stdin, receive_text};
use crate::layers::Missing;

/// The hidden first argument; the second one is the launcher's process id.
pub(crate) const ARGUMENT: &str = "__box";
/// The argument instead of an id: box in, say what is missing, and end.
pub(crate) const PROBE: &str = "probe";
/// Exit code of a box that has no program in it. Programs may have it too: the text on the socket counts.
pub(super) const EMPTY: i32 = 71;

/// Becomes the program, as `launcher` says on standard input, or ends.
pub(crate) fn run(launcher: Option<&OsStr>) -> ! {
    if launcher == Some(OsStr::new(PROBE)) {
        exit(match probe() {
            Ok(()) => 0,
            Err(_) => EMPTY,
        });
    }
    let launcher = launcher
        .and_then(|pid| pid.to_str()?.parse().ok())
        .and_then(Pid::from_raw);
    let Ok(mut control) = control() else {
        exit(EMPTY);
    };
    let error = match order(&mut control) {
        Ok(order) => become_program(&order, launcher),
        Err(error) => error.to_string(),
    };
    let _ = control.write_all(error.as_bytes());
    exit(EMPTY)
}

/// Standard input, moved to where no program inherits it.
fn control() -> io::Result<UnixStream> {
    Ok(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

fn order(control: &mut UnixStream) -> io::Result<Order> {
    dup2_stdin(receive_stdin(control)?)?;
    Ok(serde_json::from_slice(&receive_text(control)?)?)
}

/// Returns only what went wrong.
fn become_program(order: &Order, launcher: Option<Pid>) -> String {
    match confine(order, launcher) {
        Ok(()) => {}
        Err(error) => return error.to_string(),
    }
    let env = order.env.iter().map(|(name, value)| (name, value.expose()));
    Command::new(&order.program)
        .args(&order.args)
        .env_clear()
        .envs(env)
        .exec()
        .to_string()
}

fn confine(order: &Order, launcher: Option<Pid>) -> Result<(), Box<dyn std::error::Error>> {
    // A session and a group of its own: what it signals as a group is itself.
    setsid()?;
    if let Some(cgroup) = &order.cgroup
        && let Err(error) = cgroup::join(cgroup)
        && order.confinement.require
    {
        return Err(error.into());
    }
    let begun = order.confinement.begin()?;
    // As the user that it is now: the folder may be that user's alone.
    std::env::set_current_dir(&order.dir)
        .map_err(|error| format!("working directory {}: {error}", order.dir.display()))?;
    die_with(launcher)?;
    begun.finish()?;
    Ok(())
}

/// Ends this process, and the program that it becomes, when the launcher is gone. Said after the last change of who it is,
/// which would forget it.
fn die_with(launcher: Option<Pid>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if launcher.is_some() && getppid() != launcher {
        return Err(io::Error::other("the launcher is gone"));
    }
    Ok(())
}

/// Applies what standard input names and writes what is missing of it to standard output.
fn probe() -> io::Result<()> {
    let mut order = Vec::new();
    io::Read::read_to_end(&mut io::stdin().lock(), &mut order)?;
    let confinement: crate::layers::Confinement = serde_json::from_slice(&order)?;
    let missing: Result<Vec<Missing>, String> = confinement
        .begin()
        .and_then(|begun| begun.finish())
        .map_err(|error| error.to_string());
    io::stdout().write_all(&serde_json::to_vec(&missing)?)
}
