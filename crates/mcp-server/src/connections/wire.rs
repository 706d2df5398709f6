//! A socket that tells whether its peer is still there, also while nobody reads from it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// One connection's socket.
pub(crate) struct Wire {
    read: OwnedReadHalf,
    write: Arc<OwnedWriteHalf>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self {
            read,
            write: Arc::new(write),
        }
    }

    /// Ends when the peer has closed its side. HTTP reads nothing while a request is under way and bytes of the next one
    /// have come, so it would not learn of it.
    pub(super) fn hung_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let socket = Arc::clone(&self.write);
        async move {
            // Asked for urgent data, which is never looked for, it tells the end alone; asked for data, it would tell of
            // what is not read yet, again and again.
            let end = (*socket).as_ref().ready(Interest::PRIORITY).await;
            // A socket that can't be asked has no peer either.
            drop(end);
        }
    }

    fn socket(&self) -> &TcpStream {
        (*self.write).as_ref()
    }

    fn poll_try(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket().poll_write_ready(context))?;
            match write(self.socket()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(context, |socket| socket.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(context, |socket| socket.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that has closed already needs to be told nothing.
        let _ = shutdown(self.socket(), Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        (Wire::new(ours.unwrap().0), theirs.unwrap())
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_is_noticed_also_when_what_it_sent_is_not_read() {
        let (mut wire, mut theirs) = pair().await;
        let hung_up = wire.hung_up();
        tokio::pin!(hung_up);
        theirs.write_all(b"abc").await.unwrap();
        let mut first = [0; 1];
        wire.read_exact(&mut first).await.unwrap();
        assert!(futures::poll!(&mut hung_up).is_pending(), "bytes wait");
        theirs.write_all(b"def").await.unwrap();
        wire.socket().readable().await.unwrap();
        assert!(futures::poll!(&mut hung_up).is_pending(), "more of them");
        drop(theirs);
        hung_up.await;
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_a_shutdown_is_seen() {
        let (mut wire, mut theirs) = pair().await;
        let big = vec![7; 4 * 1024 * 1024];
        let sent = async {
            wire.write_all(&big).await.unwrap();
            wire.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(sent, theirs.read_to_end(&mut got));
        assert_eq!(read.unwrap(), big.len());
    }
}
