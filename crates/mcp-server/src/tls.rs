//! TLS of the listener, with the system's OpenSSL; mutual TLS where a client CA is named.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mcp_runtime::vars::{ConfigError, Vars, invalid, read_bounded};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, SslMethod, SslVerifyMode, select_next_proto};
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use tokio_util::sync::CancellationToken;

use crate::access::reload;
use crate::connections::Wire;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The one protocol that the server speaks, as ALPN names it (RFC 7301).
const ALPN: &[u8] = b"\x08http/1.1";

pub(crate) const CERT: &str = "MCP_TLS_CERT_FILE";
const KEY: &str = "MCP_TLS_KEY_FILE";
pub(crate) const CLIENT_CA: &str = "MCP_TLS_CLIENT_CA_FILE";

/// `MCP_TLS_CERT_FILE`, `MCP_TLS_KEY_FILE`, `MCP_TLS_CLIENT_CA_FILE`: read, checked, and followed when they change.
#[derive(Clone)]
pub(crate) struct Tls {
    files: Vec<PathBuf>,
    acceptor: Arc<RwLock<SslAcceptor>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish()
    }
}

impl Tls {
    /// Reads the variables and the files; None where there is no TLS.
    ///
    /// # Errors
    /// When one file is named without the other, or one can't be used.
    pub(crate) fn from_vars(vars: &Vars) -> Result<Option<Self>, ConfigError> {
        let (cert, key) = match (vars.get(CERT), vars.get(KEY)) {
            (Some(cert), Some(key)) => (cert, key),
            (Some(cert), None) => return Err(invalid(CERT, cert, format!("it with {KEY}"))),
            (None, Some(key)) => return Err(invalid(KEY, key, format!("it with {CERT}"))),
            (None, None) => {
                return match vars.get(CLIENT_CA) {
                    None => Ok(None),
                    Some(ca) => {
                        let allowed = format!("it with {CERT} and {KEY}");
                        Err(invalid(CLIENT_CA, ca, allowed))
                    }
                };
            }
        };
        let named: Vec<(&str, &str)> = [(CERT, cert), (KEY, key)]
            .into_iter()
            .chain(vars.get(CLIENT_CA).map(|ca| (CLIENT_CA, ca)))
            .collect();
        let mut texts = Vec::new();
        for (name, file) in &named {
            let text = read_bounded(file.as_ref());
            texts.push(
                text.map_err(|error| invalid(name, file, format!("a readable file ({error})")))?,
            );
        }
        let acceptor = acceptor(&texts).map_err(|bad| {
            let (name, file) = named[bad.file];
            invalid(name, file, bad.allowed)
        })?;
        Ok(Some(Self {
            files: named.iter().map(|(_, file)| file.into()).collect(),
            acceptor: Arc::new(RwLock::new(acceptor)),
        }))
    }

    /// Takes up changes of the files until `stop`: a certificate that is renewed needs no restart.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        let apply = |texts: &[String]| {
            let new = acceptor(texts).map_err(|bad| {
                let file = self.files[bad.file].display();
                format!("{file}: allowed is {}", bad.allowed)
            })?;
            let mut acceptor = self
                .acceptor
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            *acceptor = new;
            Ok("the certificate was read anew".to_owned())
        };
        reload::watch("TLS", self.files.clone(), apply, stop).await;
    }

    /// The connection, after its handshake.
    ///
    /// # Errors
    /// A sentence, for the log.
    pub(crate) async fn accept(&self, stream: Wire) -> Result<SslStream<Wire>, String> {
        let ssl = {
            let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner);
            Ssl::new(acceptor.context())
        };
        let stream = ssl.and_then(|ssl| SslStream::new(ssl, stream));
        let mut stream = stream.map_err(|error| error.to_string())?;
        match timeout(HANDSHAKE, std::pin::Pin::new(&mut stream).accept()).await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no handshake within {} s", HANDSHAKE.as_secs())),
        }
    }
}

/// Which of the files can't be used.
struct BadFile {
    file: usize,
    allowed: &'static str,
}

/// From certificate chain, key and, for mutual TLS, the authorities of clients; all PEM. TLS 1.2 and 1.3, with Mozilla's
/// intermediate settings.
fn acceptor(texts: &[String]) -> Result<SslAcceptor, BadFile> {
    let bad = |file, allowed| move |_: ErrorStack| BadFile { file, allowed };
    let chain_error = "a certificate in PEM, the server's own first";
    let chain = X509::stack_from_pem(texts[0].as_bytes()).map_err(bad(0, chain_error))?;
    let mut chain = chain.into_iter();
    let own = chain.next().ok_or(BadFile {
        file: 0,
        allowed: chain_error,
    })?;
    let key_error = "the certificate's private key in PEM, without a passphrase";
    // Without the callback OpenSSL would ask the terminal for a passphrase.
    let key = PKey::private_key_from_pem_callback(texts[1].as_bytes(), |_| Ok(0))
        .map_err(bad(1, key_error))?;
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())
        .map_err(bad(0, chain_error))?;
    builder.set_certificate(&own).map_err(bad(0, chain_error))?;
    for link in chain {
        builder
            .add_extra_chain_cert(link)
            .map_err(bad(0, chain_error))?;
    }
    builder.set_private_key(&key).map_err(bad(1, key_error))?;
    builder.check_private_key().map_err(bad(1, key_error))?;
    builder.set_alpn_select_callback(|_, client| {
        select_next_proto(ALPN, client).ok_or(AlpnError::ALERT_FATAL)
    });
    if let Some(authorities) = texts.get(2) {
        let ca_error = "certificates of authorities in PEM";
        let authorities = X509::stack_from_pem(authorities.as_bytes()).map_err(bad(2, ca_error))?;
        if authorities.is_empty() {
            return Err(BadFile {
                file: 2,
                allowed: ca_error,
            });
        }
        let mut store = X509StoreBuilder::new().map_err(bad(2, ca_error))?;
        let mut names = Stack::new().map_err(bad(2, ca_error))?;
        for authority in authorities {
            let name = authority.subject_name().to_owned();
            names
                .push(name.map_err(bad(2, ca_error))?)
                .map_err(bad(2, ca_error))?;
            store.add_cert(authority).map_err(bad(2, ca_error))?;
        }
        builder
            .set_verify_cert_store(store.build())
            .map_err(bad(2, ca_error))?;
        builder.set_client_ca_list(names);
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        // With client certificates OpenSSL resumes sessions only where they are bound to a context.
        builder
            .set_session_id_context(b"mcp-server")
            .map_err(bad(2, ca_error))?;
    }
    Ok(builder.build())
}
