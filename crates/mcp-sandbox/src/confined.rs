//! A function of our own in a process of its own that can be killed: for work on hostile input that may never end, use
//! up the memory, or overflow the stack.
//!
//! The executable starts itself again with a hidden argument and the name of a [`Role`]. That process boxes itself in
//! with every layer that the kernel has (no files but those that are listed, no network, no programs, no rights, bounded
//! memory and processor time) before it reads a byte of the input, runs the function, writes its output and ends.
//!
//! ```no_run
//! use mcp_sandbox::confined::{self, Confined, Role};
//!
//! const UPPERCASE: Role = Role::new("uppercase", |input| {
//!     let text = String::from_utf8(input).map_err(|_| "the input is no text".to_owned())?;
//!     Ok(text.to_uppercase().into_bytes())
//! });
//!
//! fn main() {
//!     // First thing, before any thread exists.
//!     confined::run_if_requested(&[UPPERCASE]);
//!     // … and later, in a tokio runtime:
//!     # async fn later() -> Result<(), confined::ConfinedError> {
//!     let shouted = Confined::new(&UPPERCASE).memory_bytes(64 << 20).run(b"hello").await?;
//!     assert_eq!(shouted, b"HELLO");
//!     # Ok(())
//!     # }
//! }
//! ```

mod child;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use crate::layers::files::Reach;
use crate::layers::resources::Resources;
use crate::layers::{Confinement, Layer};
pub use child::run_if_requested;
use child::{ARGUMENT, REFUSED};

/// How much of what it wrote to its standard error is kept.
const STDERR_MAX: u64 = 4_096;
/// What the allocator says before it gives up.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// A function that can be run confined, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
}

/// From the whole input to the whole output, or to a sentence for the caller that says why there is none.
pub type Function = fn(Vec<u8>) -> Result<Vec<u8>, String>;

impl Role {
    /// The role of that name, unique in the executable. `function` runs on the main thread and may start threads.
    pub const fn new(name: &'static str, function: Function) -> Self {
        Self { name, function }
    }
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum ConfinedError {
    /// The function says so.
    #[error("{0}")]
    Refused(String),
    /// The input is larger than it may be; nothing was started.
    #[error("the input has {bytes} bytes, {max} are allowed")]
    InputTooLarge {
        /// Its size.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// It needed more of the processor than it may have, in seconds, and was killed.
    #[error("it needed more than {0} s of the processor")]
    OutOfTime(u64),
    /// It took too long by the clock and was killed: it waited, or the machine had no time for it.
    #[error("it did not end within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Something else killed it: the kernel, mostly, when the machine or the container has no memory left.
    #[error("it was killed from outside, as by a kernel that has no memory left")]
    Killed,
    /// It needed more memory than it may have.
    #[error("it needed more than {0} bytes of memory")]
    OutOfMemory(u64),
    /// It wrote more than it may, and was killed.
    #[error("its output is larger than {0} bytes")]
    OutputTooLarge(usize),
    /// It ended without an output: a panic, a stack overflow, a signal. The text says how.
    #[error("{0}")]
    Crashed(String),
    /// It could not be started or boxed in.
    #[error("it could not be started: {0}")]
    NotStarted(String),
}

/// How to run a role: with which bounds. The defaults are meant for a second of work.
#[derive(Clone, Debug)]
pub struct Confined {
    role: &'static str,
    executable: PathBuf,
    input_bytes: usize,
    output_bytes: usize,
    wall_clock: Duration,
    confinement: Confinement,
}

impl Confined {
    /// Runs `role` by this very executable, whose `main` must call [`run_if_requested`] with it.
    pub fn new(role: &Role) -> Self {
        Self {
            role: role.name,
            executable: "/proc/self/exe".into(),
            input_bytes: 16 << 20,
            output_bytes: 16 << 20,
            wall_clock: Duration::from_secs(10),
            confinement: Confinement {
                layers: Layer::ALL.into(),
                require: false,
                run_as: None,
                reach: Reach::default(),
                resources: Resources {
                    memory_bytes: 256 << 20,
                    processes: 64,
                    cpu_seconds: 10,
                    open_files: 64,
                    file_bytes: 0,
                },
            },
        }
    }

    /// Another executable, for tests: their own has no `main` of ours.
    #[must_use]
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = path.into();
        self
    }

    /// Largest input (16 MiB).
    #[must_use]
    pub fn input_bytes(mut self, max: usize) -> Self {
        self.input_bytes = max;
        self
    }

    /// Largest output (16 MiB).
    #[must_use]
    pub fn output_bytes(mut self, max: usize) -> Self {
        self.output_bytes = max;
        self
    }

    /// Memory that it may have beyond that of its code (256 MiB).
    #[must_use]
    pub fn memory_bytes(mut self, max: u64) -> Self {
        self.confinement.resources.memory_bytes = max;
        self
    }

    /// Time by the clock (10 s), from its start to the end of its output.
    #[must_use]
    pub fn wall_clock(mut self, max: Duration) -> Self {
        self.wall_clock = max;
        self
    }

    /// Time of the processor, in seconds (10).
    #[must_use]
    pub fn cpu_seconds(mut self, max: u64) -> Self {
        self.confinement.resources.cpu_seconds = max;
        self
    }

    /// Files and folders that it may read (none).
    #[must_use]
    pub fn read(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.confinement.reach.read = paths.into_iter().collect();
        self
    }

    /// Whether it must not run where the kernel lacks a layer that nothing else makes up for (no).
    #[must_use]
    pub fn require_layers(mut self, require: bool) -> Self {
        self.confinement.require = require;
        self
    }

    /// Runs the role on `input`. Nothing of the process is left when this returns; when it is dropped, the process is
    /// killed, and reaped by the runtime.
    ///
    /// # Errors
    /// [`ConfinedError`], one for each way to fail.
    pub async fn run(&self, input: &[u8]) -> Result<Vec<u8>, ConfinedError> {
        if input.len() > self.input_bytes {
            return Err(ConfinedError::InputTooLarge {
                bytes: input.len(),
                max: self.input_bytes,
            });
        }
        let not_started =
            |error: &dyn std::fmt::Display| ConfinedError::NotStarted(error.to_string());
        let confinement =
            serde_json::to_string(&self.confinement).map_err(|error| not_started(&error))?;
        let deadline = Instant::now() + self.wall_clock;
        let mut child = Command::new(&self.executable)
            .arg0(self.role)
            .args([ARGUMENT, self.role, &confinement])
            .env_clear()
            // mimalloc, which our executables use, makes a gibibyte writable at its start otherwise: more than the limit.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal is for the server, which ends its work itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(&error))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were asked for as pipes");
        };
        let work = async {
            let write = async {
                // It may end before it has read all: how it ended says more than the broken pipe.
                let _ = stdin.write_all(input).await;
                drop(stdin);
            };
            // One more than allowed tells too much from just enough.
            let output = read(stdout, self.output_bytes as u64 + 1);
            let ((), output, said) = tokio::join!(write, output, read(stderr, STDERR_MAX));
            (output, said)
        };
        let outcome = timeout_at(deadline, async {
            let (output, said) = work.await;
            if output.len() > self.output_bytes {
                return Err(ConfinedError::OutputTooLarge(self.output_bytes));
            }
            let status = child.wait().await.map_err(|error| not_started(&error))?;
            Ok((status, output, said))
        })
        .await;
        let (status, output, said) = match outcome {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => {
                let _ = child.kill().await;
                return Err(error);
            }
            Err(_) => {
                let _ = child.kill().await;
                return Err(ConfinedError::Timeout(self.wall_clock));
            }
        };
        let said = String::from_utf8_lossy(&said);
        match status.code() {
            Some(0) => Ok(output),
            Some(REFUSED) => Err(ConfinedError::Refused(
                String::from_utf8_lossy(&output).into_owned(),
            )),
            Some(child::NOT_CONFINED) => Err(ConfinedError::NotStarted(said.trim().to_owned())),
            _ => Err(self.crashed(status, said.trim())),
        }
    }

    fn crashed(&self, status: std::process::ExitStatus, said: &str) -> ConfinedError {
        use std::os::unix::process::ExitStatusExt as _;
        if said.contains(OUT_OF_MEMORY) {
            return ConfinedError::OutOfMemory(self.confinement.resources.memory_bytes);
        }
        match status.signal() {
            Some(libc::SIGXCPU) => {
                return ConfinedError::OutOfTime(self.confinement.resources.cpu_seconds);
            }
            Some(libc::SIGKILL) => return ConfinedError::Killed,
            _ => {}
        }
        let colon = if said.is_empty() { "" } else { ": " };
        ConfinedError::Crashed(format!("it ended with {status}{colon}{said}"))
    }
}

/// All of `stream`, up to `max` bytes. A longer one is not read on, and its writer learns that when this returns.
async fn read(stream: impl AsyncRead + Unpin, max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An error of a pipe means the same as its end.
    let _ = stream.take(max).read_to_end(&mut bytes).await;
    bytes
}
