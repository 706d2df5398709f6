//! Children that die with the test process, however that dies.

use std::{
    io::{self, PipeWriter},
    path::Path,
    process::{Child, Command, Stdio},
};

/// After the kill it waits a moment: a process that is on its way out may still write.
const SCRIPT: &str = r#"
    trap '' INT TERM HUP
    read -r never
    kill -9 "$1"
    [ -z "$2" ] || { sleep 1; rm -rf "$2"; }
"#;

/// A small shell that holds the reading end of a pipe: when the test process ends, the pipe closes, and the shell kills the
/// child. (The kernel's parent-death signal would not do: it fires when the *thread* that started the child ends, and
/// each test has its own.)
pub(crate) struct Leash {
    shell: Child,
    held: Option<PipeWriter>,
}

impl Leash {
    /// Also removes `folder` at the end of the test process, if there is one: a value that is never dropped cannot.
    pub(crate) fn on(child: &Child, folder: Option<&Path>) -> io::Result<Leash> {
        let (end, held) = io::pipe()?;
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "leash", &child.id().to_string()])
            .args(folder)
            .stdin(end)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Leash {
            shell,
            held: Some(held),
        })
    }

    /// Closes the pipe: what the end of the test process does.
    pub(crate) fn cut(&mut self) {
        self.held = None;
    }
}

/// To be dropped before the child is reaped: after that its process id may be another's.
impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
