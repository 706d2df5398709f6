//! A program's standard output as JSON-RPC messages, one a line, bounded each and in total.

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Lines that are no JSON-RPC before the program is taken for something else than an MCP server. Some servers greet on
/// the wrong stream, so a few are let pass.
const STRAY_MAX: usize = 100;
/// How much of the first such line is kept, in bytes: more than will be shown, for the values in it are masked before it is
/// cut to that.
const STRAY_KEPT: usize = 64 * 1024;

/// Why no further message can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("sent a message of more than {0} bytes")]
    MessageTooLong(usize),
    #[error("sent more than {0} bytes in all")]
    OutputTooLong(usize),
    #[error("wrote {STRAY_MAX} lines to its standard output that are no JSON-RPC")]
    NoJsonRpc,
    #[error("its standard output can't be read: {0}")]
    Io(#[from] std::io::Error),
}

/// The messages of a stream. Reading is cancel-safe: what was read stays in the buffer.
pub(crate) struct Lines<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Up to here the buffer is known to have no line end.
    searched: usize,
    message_max: usize,
    left: usize,
    output_max: usize,
    messages: usize,
    stray: usize,
    first_stray: Option<Vec<u8>>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(stream: R, message_max: usize, output_max: usize) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            searched: 0,
            message_max,
            left: output_max,
            output_max,
            messages: 0,
            stray: 0,
            first_stray: None,
        }
    }

    /// The next JSON object, or `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Map<String, Value>>, ReadError> {
        loop {
            while let Some(line) = self.take_line()? {
                if line.is_empty() {
                    continue;
                }
                match serde_json::from_slice(&line) {
                    Ok(Value::Object(message)) => {
                        self.messages += 1;
                        return Ok(Some(message));
                    }
                    Ok(_) | Err(_) => self.count_stray(&line)?,
                }
            }
            if self.left == 0 {
                return Err(ReadError::OutputTooLong(self.output_max));
            }
            let mut chunk = [0_u8; 16 * 1024];
            let room = self.left.min(chunk.len());
            match self.stream.read(&mut chunk[..room]).await? {
                0 => return Ok(None),
                count => {
                    self.buffer.extend_from_slice(&chunk[..count]);
                    self.left -= count;
                }
            }
        }
    }

    /// Whether the program has written anything.
    pub(crate) fn is_silent(&self) -> bool {
        self.left == self.output_max
    }

    /// Whether what it wrote was not JSON-RPC at all.
    pub(crate) fn is_only_stray(&self) -> bool {
        self.messages == 0 && (self.stray > 0 || !self.buffer.trim_ascii().is_empty())
    }

    /// The beginning of the first line that was no JSON-RPC, as it was written: with secrets, and perhaps cut in one.
    pub(crate) fn first_stray(&self) -> Option<&[u8]> {
        let unfinished = || {
            let text = kept(self.buffer.trim_ascii());
            (!text.is_empty()).then_some(text)
        };
        self.first_stray.as_deref().or_else(unfinished)
    }

    fn take_line(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let length = found.map_or(self.buffer.len(), |at| self.searched + at);
        if length > self.message_max {
            return Err(ReadError::MessageTooLong(self.message_max));
        }
        let Some(at) = found else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let mut line: Vec<u8> = self.buffer.drain(..=self.searched + at).collect();
        self.searched = 0;
        line.truncate(line.trim_ascii_end().len());
        Ok(Some(line))
    }

    fn count_stray(&mut self, line: &[u8]) -> Result<(), ReadError> {
        self.stray += 1;
        self.first_stray.get_or_insert_with(|| kept(line).to_vec());
        if self.stray >= STRAY_MAX {
            return Err(ReadError::NoJsonRpc);
        }
        Ok(())
    }
}

fn kept(line: &[u8]) -> &[u8] {
    &line[..line.len().min(STRAY_KEPT)]
}

#[cfg(test)]
mod tests {
    use super::{Lines, ReadError};

    #[tokio::test]
    async fn messages_are_read_line_by_line_and_greetings_are_let_pass() {
        let text = b"Hello!\r\n\n{\"a\":1}\r\n[1]\n{\"b\":2}\n{\"unfinished\":";
        let mut lines = Lines::new(&text[..], 100, 1_000);
        assert!(lines.is_silent());
        assert_eq!(lines.next().await.unwrap().unwrap()["a"], 1);
        assert_eq!(lines.next().await.unwrap().unwrap()["b"], 2);
        assert!(lines.next().await.unwrap().is_none());
        assert_eq!(lines.first_stray(), Some(&b"Hello!"[..]));
        assert!(!lines.is_silent() && !lines.is_only_stray());
    }

    #[tokio::test]
    async fn a_message_and_the_whole_output_are_bounded() {
        let long = [b'x'; 50];
        let error = Lines::new(&long[..], 20, 1_000).next().await.unwrap_err();
        assert!(matches!(error, ReadError::MessageTooLong(20)), "{error}");
        let many = b"{}\n".repeat(20);
        let mut lines = Lines::new(&many[..], 20, 30);
        for _ in 0..10 {
            lines.next().await.unwrap();
        }
        let error = lines.next().await.unwrap_err();
        assert!(matches!(error, ReadError::OutputTooLong(30)), "{error}");
    }

    #[tokio::test]
    async fn a_flood_of_other_text_is_no_server() {
        let text = b"tick\n".repeat(1_000);
        let error = Lines::new(&text[..], 100, 10_000).next().await.unwrap_err();
        assert!(matches!(error, ReadError::NoJsonRpc), "{error}");
    }
}
