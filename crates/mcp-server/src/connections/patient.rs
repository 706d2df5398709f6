//! A connection whose writes must not stand still.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes a second that a client must take of an answer, once it has kept the server waiting.
const RATE: usize = 16 * 1024;
/// Most bytes of one record of TLS (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// A stream that fails when its peer takes too little for too long. Whoever reads an answer slowly would otherwise hold it
/// in memory for as long as it likes.
pub(super) struct Patient<S> {
    stream: S,
    /// How long the peer may be behind.
    patience: Duration,
    /// From the first write that had to wait until all is written. What the peer takes buys it time, at [`RATE`].
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            stalled: None,
        }
    }

    /// A write's outcome, or its failure when it has waited for too long.
    fn bounded<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            return outcome;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => {
                let what = "the client has read too little for too long";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn written(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let (Some(stalled), Poll::Ready(Ok(bytes))) = (&mut self.stalled, &outcome) {
            let bytes = u32::try_from(*bytes).unwrap_or(u32::MAX);
            let bought = Duration::from_secs(1) * bytes / (RATE as u32);
            let latest = Instant::now() + self.patience;
            let until = (stalled.deadline() + bought).min(latest);
            stalled.as_mut().reset(until);
        }
        self.bounded(outcome, context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.stream.is_write_vectored() {
            return match slices {
                [first, _, ..] if first.len() < RECORD => {
                    let mut record = [0; RECORD];
                    let bytes = gathered(slices, &mut record);
                    self.poll_write(context, bytes)
                }
                _ => self.poll_write(context, slices.first().map_or(&[][..], |first| &**first)),
            };
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(outcome, context)
    }

    /// Always: what is written in slices is not copied before, so it is known what waits.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// HTTP flushes when it has written all.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        if outcome.is_ready() {
            self.stalled = None;
        }
        self.bounded(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(outcome, context)
    }
}

/// The beginning of the slices in one piece: an answer's head and body are one record, not two.
fn gathered<'a>(slices: &[io::IoSlice<'_>], record: &'a mut [u8; RECORD]) -> &'a [u8] {
    let mut length = 0;
    for slice in slices {
        let part = slice.len().min(RECORD - length);
        record[length..length + part].copy_from_slice(&slice[..part]);
        length += part;
    }
    &record[..length]
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_loses_the_connection() {
        let (ours, theirs) = duplex(16);
        let mut ours = Patient::new(ours, PATIENCE);
        let error = ours.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }

    /// Reads so many bytes after each pause, for as long as there are any.
    async fn read_slowly(pause: Duration, bytes: usize) -> io::Result<()> {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Patient::new(ours, PATIENCE);
        let reads = tokio::spawn(async move {
            let mut buffer = vec![0; bytes];
            loop {
                sleep(pause).await;
                if theirs.read_exact(&mut buffer).await.is_err() {
                    return;
                }
            }
        });
        let written = ours.write_all(&vec![0; 4 * 1024 * 1024]).await;
        drop(ours);
        reads.await.unwrap();
        written
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_keeps_it() {
        let all = read_slowly(Duration::from_secs(4), 4 * RATE).await;
        all.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_only_pretends_to_read_does_not() {
        let all = read_slowly(Duration::from_secs(9), 8 * 1024).await;
        assert_eq!(all.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_read_all_has_time_again() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Patient::new(ours, PATIENCE);
        let reads = tokio::spawn(async move {
            let mut buffer = [0; 32];
            for _ in 0..4 {
                sleep(PATIENCE / 2).await;
                theirs.read_exact(&mut buffer).await.unwrap();
            }
        });
        for _ in 0..4 {
            ours.write_all(&[0; 32]).await.unwrap();
            ours.flush().await.unwrap();
        }
        reads.await.unwrap();
    }

    /// Takes one slice at a time, as TLS does.
    struct Plain(DuplexStream);

    impl AsyncWrite for Plain {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    #[tokio::test]
    async fn slices_go_out_together_where_the_stream_takes_only_one() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Patient::new(Plain(ours), PATIENCE);
        let slices = [io::IoSlice::new(b"head "), io::IoSlice::new(b"body")];
        assert_eq!(ours.write_vectored(&slices).await.unwrap(), 9);
        let mut got = [0; 9];
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"head body");
    }
}
