//! `mcp-server health`: asks the server that runs on this machine with the same variables.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use mcp_runtime::Vars;
use mcp_runtime::probe::{Probe, connect};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::tls;

/// What the server answers when it is well. Under mutual TLS, where no question gets past the handshake without a
/// certificate, that it takes connections: it stops taking them when it stops taking work.
///
/// # Errors
/// When it does not answer, or is not well: its reasons.
pub async fn health(probe: Probe, vars: &Vars) -> anyhow::Result<String> {
    let bind = vars.parse("BIND", IpAddr::V4(Ipv4Addr::LOCALHOST), "an IP address")?;
    let port = vars.number("PORT", 8080, 0, u16::MAX)?;
    if vars.get(tls::CERT).is_none() {
        return probe.ask(connect(bind, port)).await;
    }
    if vars.get(tls::CLIENT_CA).is_some() {
        connect(bind, port).await?;
        return Ok("it takes connections; more is said only to those with a certificate".into());
    }
    probe
        .ask(async { encrypted(connect(bind, port).await?).await })
        .await
}

/// TLS without a look at the certificate: it names the service and not loopback, and what is asked is no secret.
async fn encrypted(stream: TcpStream) -> anyhow::Result<SslStream<TcpStream>> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_verify(SslVerifyMode::NONE);
    let ssl = connector
        .build()
        .configure()?
        .verify_hostname(false)
        .into_ssl("localhost")?;
    let mut stream = SslStream::new(ssl, stream)?;
    Pin::new(&mut stream).connect().await?;
    Ok(stream)
}
