//! TLS and mutual TLS, with certificates made for the test.

use std::path::{Path, PathBuf};

use mcp_testkit::eventually;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use serde_json::json;

use crate::health::health;
use crate::server::{PATIENCE, Server};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

struct Certified {
    cert: X509,
    key: PKey<Private>,
}

impl Certified {
    /// An authority, or what one vouches for at 127.0.0.1.
    fn new(name: &str, by: Option<&Self>) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut cert = X509::builder().unwrap();
        cert.set_version(2).unwrap();
        let mut serial = [0; 16];
        openssl::rand::rand_bytes(&mut serial[1..]).unwrap();
        let serial = BigNum::from_slice(&serial).unwrap().to_asn1_integer();
        cert.set_serial_number(&serial.unwrap()).unwrap();
        cert.set_subject_name(&subject).unwrap();
        let issuer = by.map_or(&*subject, |by| by.cert.subject_name());
        cert.set_issuer_name(issuer).unwrap();
        cert.set_pubkey(&key).unwrap();
        let (from, to) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(2));
        cert.set_not_before(&from.unwrap()).unwrap();
        cert.set_not_after(&to.unwrap()).unwrap();
        let constraints = match by {
            None => BasicConstraints::new().critical().ca().build(),
            Some(_) => BasicConstraints::new().build(),
        };
        cert.append_extension(constraints.unwrap()).unwrap();
        let names = SubjectAlternativeName::new()
            .ip("127.0.0.1")
            .build(&cert.x509v3_context(None, None))
            .unwrap();
        cert.append_extension(names).unwrap();
        let signer = by.map_or(&key, |by| &by.key);
        cert.sign(signer, MessageDigest::sha256()).unwrap();
        Self {
            cert: cert.build(),
            key,
        }
    }

    fn cert_pem(&self) -> Vec<u8> {
        self.cert.to_pem().unwrap()
    }

    fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, self.cert_pem()).unwrap();
        std::fs::write(&key, self.key_pem()).unwrap();
        (cert, key)
    }
}

/// A client that trusts `authority`, and shows `own` if it has one.
fn client(authority: &Certified, own: Option<&Certified>) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(&authority.cert_pem()).unwrap();
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([root])
        .timeout(PATIENCE);
    if let Some(own) = own {
        let identity = reqwest::Identity::from_pkcs8_pem(&own.cert_pem(), &own.key_pem());
        builder = builder.identity(identity.unwrap());
    }
    builder.build().unwrap()
}

async fn ping(server: &Server, client: &reqwest::Client) -> Result<serde_json::Value, String> {
    let url = format!("{}/mcp", server.url.replace("http://", "https://"));
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .body(PING);
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_nothing_else_and_takes_up_a_renewed_one() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Certified::new("old", None), Certified::new("new", None));
    let own = Certified::new("server", Some(&old));
    let (cert, key) = own.write(folder.path());
    let variables = [
        ("MCP_TLS_CERT_FILE", cert.to_str().unwrap()),
        ("MCP_TLS_KEY_FILE", key.to_str().unwrap()),
    ];
    let mut server = Server::with("", &variables).await;
    let trusting = client(&old, None);
    assert_eq!(ping(&server, &trusting).await.unwrap()["result"], json!({}));
    assert!(ping(&server, &client(&new, None)).await.is_err());
    let plain = reqwest::get(format!("{}/health", server.url)).await;
    assert!(plain.is_err(), "{plain:?}");
    let (code, said) = health(&server, &variables).await;
    assert_eq!((code, &*said), (Some(0), r#"{"status":"ok"}"#));
    // The certificate alone does not fit the key: the old pair stays.
    let renewed = Certified::new("server", Some(&new));
    std::fs::write(&cert, renewed.cert_pem()).unwrap();
    server.process.wait_for_line("stays", PATIENCE).await;
    assert!(ping(&server, &client(&old, None)).await.is_ok());
    renewed.write(folder.path());
    eventually(PATIENCE, async || ping(&server, &client(&new, None)).await).await;
    let printed = server.process.output().join("\n");
    assert!(!printed.contains("PRIVATE KEY"), "{printed}");
}

#[tokio::test]
async fn with_an_authority_for_clients_only_those_with_its_certificate_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Certified::new("ours", None), Certified::new("theirs", None));
    let (cert, key) = Certified::new("server", Some(&ours)).write(folder.path());
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, ours.cert_pem()).unwrap();
    let variables = [
        ("MCP_TLS_CERT_FILE", cert.to_str().unwrap()),
        ("MCP_TLS_KEY_FILE", key.to_str().unwrap()),
        ("MCP_TLS_CLIENT_CA_FILE", ca.to_str().unwrap()),
    ];
    let server = Server::with("", &variables).await;
    let known = Certified::new("client", Some(&ours));
    let foreign = Certified::new("client", Some(&theirs));
    let probe = |client: &reqwest::Client, path: &str| {
        let url = format!("{}{path}", server.url.replace("http://", "https://"));
        client.get(url).send()
    };
    for refused in [None, Some(&foreign)] {
        let refused = client(&ours, refused);
        assert!(ping(&server, &refused).await.is_err());
        assert!(probe(&refused, "/ready").await.is_err());
    }
    let known = client(&ours, Some(&known));
    for path in ["/health", "/ready", "/metrics"] {
        let seen = probe(&known, path).await.unwrap();
        assert_eq!(seen.status(), 200, "{path}");
    }
    let (code, said) = health(&server, &variables).await;
    assert_eq!(code, Some(0), "{said}");
    for _ in 0..2 {
        assert_eq!(ping(&server, &known).await.unwrap()["result"], json!({}));
    }
}

#[tokio::test]
async fn files_that_do_not_fit_stop_the_start_with_the_variables_name() {
    let folder = tempfile::tempdir().unwrap();
    let own = Certified::new("server", None);
    let (cert, key) = own.write(folder.path());
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let (_, another_key) = Certified::new("another", None).write(&other);
    let locked = folder.path().join("locked.pem");
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let pem = own.key.private_key_to_pem_pkcs8_passphrase(cipher, b"x");
    std::fs::write(&locked, pem.unwrap()).unwrap();
    for (cert, key, ca, name) in [
        (&empty, &key, &cert, "MCP_TLS_CERT_FILE"),
        (&key, &key, &cert, "MCP_TLS_CERT_FILE"),
        (&cert, &cert, &cert, "MCP_TLS_KEY_FILE"),
        (&cert, &another_key, &cert, "MCP_TLS_KEY_FILE"),
        (&cert, &locked, &cert, "MCP_TLS_KEY_FILE"),
        (&cert, &key, &empty, "MCP_TLS_CLIENT_CA_FILE"),
    ] {
        let mut process = Server::builder()
            .env("PORT", 0)
            .env("MCP_TLS_CERT_FILE", cert.display())
            .env("MCP_TLS_KEY_FILE", key.display())
            .env("MCP_TLS_CLIENT_CA_FILE", ca.display())
            .start();
        assert_eq!(process.wait_exit(PATIENCE).await.code(), Some(1), "{name}");
        let line = process.wait_for_line("mcp-server: ", PATIENCE).await;
        assert!(line.contains(name), "{line}");
    }
}
