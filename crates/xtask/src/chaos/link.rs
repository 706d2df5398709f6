//! A TCP proxy whose connections can be cut.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::plan::Passage;

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A proxy on loopback. It ends, with all of its connections, when this is dropped.
pub(crate) struct Link {
    port: u16,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    passage: Passage,
    /// Where to; not known at first.
    target: Option<u16>,
}

impl Link {
    /// Listens on that port; connections go nowhere until there is a target.
    pub(crate) async fn start(port: u16, target: Option<u16>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((LOOPBACK, port)).await?;
        let port = listener.local_addr()?.port();
        let (state, seen) = watch::channel(State {
            passage: Passage::Open,
            target,
        });
        tokio::spawn(serve(listener, port, seen));
        Ok(Self { port, state })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn forward_to(&self, target: u16) {
        self.state.send_modify(|state| state.target = Some(target));
    }

    pub(crate) fn set(&self, passage: Passage) {
        self.state.send_modify(|state| state.passage = passage);
    }
}

/// Ends when the link is dropped.
async fn serve(listener: TcpListener, port: u16, mut state: watch::Receiver<State>) {
    let mut listener = Some(listener);
    loop {
        let now = *state.borrow_and_update();
        match (now.passage, &listener) {
            (Passage::Closed, Some(_)) => listener = None,
            (Passage::Open | Passage::Silent, None) => {
                // Below the range of outgoing connections, so nobody else has taken it.
                match TcpListener::bind((LOOPBACK, port)).await {
                    Ok(again) => listener = Some(again),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            (_, Some(open)) => tokio::select! {
                accepted = open.accept() => if let (Ok((client, _)), Some(target)) = (accepted, now.target) {
                    tokio::spawn(connect(client, target, state.clone()));
                },
                changed = state.changed() => if changed.is_err() { return },
            },
            (Passage::Closed, None) => {
                if state.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn connect(client: TcpStream, target: u16, state: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect((LOOPBACK, target)).await else {
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
        // Closing then sends a reset, so that neither side waits for the other.
        let _ = stream.set_zero_linger();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // When one direction ends, both do.
    tokio::select! {
        () = pump(from_client, to_server, state.clone()) => {}
        () = pump(from_server, to_client, state) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let passage = state.borrow_and_update().passage;
        match passage {
            Passage::Closed => return,
            Passage::Silent => {
                if state.changed().await.is_err() {
                    return;
                }
            }
            Passage::Open => tokio::select! {
                read = from.read(&mut buffer) => {
                    let Ok(count @ 1..) = read else { return };
                    if to.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
                changed = state.changed() => if changed.is_err() { return },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> u16 {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        port
    }

    #[tokio::test]
    async fn a_link_forwards_and_a_closed_one_resets_until_it_is_open_again() {
        let link = Link::start(0, Some(echo().await)).await.unwrap();
        let mut client = TcpStream::connect((LOOPBACK, link.port())).await.unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');

        link.set(Passage::Closed);
        assert!(client.read_u8().await.is_err());
        link.set(Passage::Open);
        let again = mcp_testkit::eventually(Duration::from_secs(10), async || {
            TcpStream::connect((LOOPBACK, link.port())).await
        });
        let mut client = again.await;
        client.write_all(b"y").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'y');
    }
}
