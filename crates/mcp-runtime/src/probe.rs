//! A process asked from beside it, over its own port: what an image's health check runs, and who has no curl there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the whole question may take: less than the time that a health check has for it.
const PATIENCE: Duration = Duration::from_secs(4);
/// As much of the answer as is read, in bytes: reasons are short.
const ANSWER_MAX: u64 = 64 * 1024;

/// Which of the two questions is asked.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Probe {
    /// Ask whether it takes work (/ready), not only whether it is alive (/health)
    #[arg(long)]
    pub ready: bool,
}

/// A connection to the process that is bound to `bind` on this machine.
///
/// # Errors
/// When there is none at that port.
pub async fn connect(bind: IpAddr, port: u16) -> anyhow::Result<TcpStream> {
    let address = SocketAddr::new(reached_at(bind), port);
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await;
    stream
        .map_err(anyhow::Error::from)
        .and_then(|stream| Ok(stream?))
        .with_context(|| format!("nothing answers at {address}"))
}

fn reached_at(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

impl Probe {
    /// Asks over the stream that `connect` makes: the answer's body, when it is 200.
    ///
    /// # Errors
    /// The answer's body when it is anything else; and when there is no answer within four seconds.
    pub async fn ask<S>(
        self,
        connect: impl Future<Output = anyhow::Result<S>>,
    ) -> anyhow::Result<String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let path = if self.ready { "/ready" } else { "/health" };
        let exchange = async {
            let mut stream = connect.await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{path}: no answer within {} s", PATIENCE.as_secs()))?
            .with_context(|| path.to_owned())?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .with_context(|| format!("{path}: what answers is no HTTP server"))?;
        if head.split(' ').nth(1) != Some("200") {
            let status = head.lines().next().unwrap_or_default();
            bail!("{path}: {status}: {body}");
        }
        Ok(body.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// What the probe says of a process that answers so.
    async fn said(probe: Probe, answer: &'static str) -> (String, anyhow::Result<String>) {
        let (near, mut far): (DuplexStream, DuplexStream) = duplex(1024);
        let process = tokio::spawn(async move {
            let mut request = vec![0; 1024];
            let length = far.read(&mut request).await.unwrap();
            far.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let said = probe.ask(async { Ok(near) }).await;
        (process.await.unwrap(), said)
    }

    #[tokio::test]
    async fn only_200_is_well_and_a_refusal_gives_its_reason() {
        let (asked, said_well) = said(
            Probe::default(),
            "HTTP/1.1 200 OK\r\n\r\n{\"status\":\"ok\"}",
        )
        .await;
        assert!(asked.starts_with("GET /health HTTP/1.1\r\n"), "{asked}");
        assert_eq!(said_well.unwrap(), "{\"status\":\"ok\"}");

        let (asked, refused) = said(
            Probe { ready: true },
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"stopping\":\"…\"}",
        )
        .await;
        assert!(asked.starts_with("GET /ready HTTP/1.1\r\n"), "{asked}");
        let refused = refused.unwrap_err().to_string();
        assert_eq!(
            refused,
            "/ready: HTTP/1.1 503 Service Unavailable: {\"stopping\":\"…\"}"
        );

        let (_, foreign) = said(Probe::default(), "SSH-2.0-OpenSSH_9.2\r\n").await;
        assert!(foreign.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        let (near, _far) = duplex(1024);
        let said = Probe::default().ask(async { Ok(near) }).await;
        assert!(said.unwrap_err().to_string().contains("no answer within"));
    }

    #[test]
    fn every_address_is_reached_on_loopback() {
        let reached = |bind: &str| reached_at(bind.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0"), "127.0.0.1");
        assert_eq!(reached("::"), "::1");
        assert_eq!(reached("10.0.0.7"), "10.0.0.7");
    }
}
