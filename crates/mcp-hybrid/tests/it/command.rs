//! `mcp-hybrid`, run to its end.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tokio::task::spawn_blocking;

/// How a run ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs it with these arguments, these variables and no others, and this standard input.
pub(crate) async fn mcp_hybrid(
    arguments: &[&str],
    variables: &[(&str, &str)],
    input: impl Into<Vec<u8>>,
) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-hybrid"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.into();
    let output = spawn_blocking(move || {
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        // A run that needs no input may end before it is written.
        let _ = stdin.write_all(&input);
        drop(stdin);
        child.wait_with_output().expect("its output is read")
    });
    let output = output.await.expect("the thread ends");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Ran {
    /// Asserts that it ended with `code`, and returns the one line that it printed, on standard error.
    pub(crate) fn refusal(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let line = self.stderr.strip_suffix('\n').expect("a whole line");
        assert!(!line.contains('\n'), "one line: {self:?}");
        line.strip_prefix("mcp-hybrid: ")
            .expect("it says who speaks")
    }

    /// Asserts that it ended with `code` and said nothing on standard error; standard output as JSON, line by line.
    pub(crate) fn json_lines(&self, code: i32) -> Vec<serde_json::Value> {
        assert_eq!((self.code, &*self.stderr), (Some(code), ""), "{self:?}");
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }
}
