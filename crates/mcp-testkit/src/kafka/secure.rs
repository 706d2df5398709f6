//! The SASL_SSL listener: a certificate of its own, and every mechanism that the worker supports.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const USER: &str = "worker";
const PASSWORD: &str = "correct-horse-battery";
const KEYSTORE_PASSWORD: &str = "keystore";

/// A listener that wants TLS and a login. The certificate is for `localhost` and `127.0.0.1`.
pub struct SaslSsl {
    port: u16,
    keystore: PathBuf,
    certificate: PathBuf,
}

impl SaslSsl {
    /// `host:port` to connect to.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate to trust, PEM: librdkafka's `ssl.ca.location`.
    pub fn ca(&self) -> &Path {
        &self.certificate
    }

    /// The user that PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 know.
    pub fn user(&self) -> &str {
        USER
    }

    /// The password of [`user`](SaslSsl::user).
    pub fn password(&self) -> &str {
        PASSWORD
    }

    /// librdkafka's properties for a login by `mechanism`: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`
    /// (with an unsigned token that librdkafka makes itself; for one that it fetches see [`crate::TokenEndpoint`]).
    pub fn client_properties(&self, mechanism: &str) -> Vec<(String, String)> {
        let ca = self.certificate.display().to_string();
        let mut properties = vec![
            ("bootstrap.servers", self.bootstrap()),
            ("security.protocol", "SASL_SSL".to_owned()),
            ("ssl.ca.location", ca),
            ("sasl.mechanism", mechanism.to_owned()),
        ];
        if mechanism == "OAUTHBEARER" {
            properties.push(("enable.sasl.oauthbearer.unsecure.jwt", "true".to_owned()));
            properties.push(("sasl.oauthbearer.config", format!("principal={USER}")));
        } else {
            properties.push(("sasl.username", USER.to_owned()));
            properties.push(("sasl.password", PASSWORD.to_owned()));
        }
        properties
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Makes the key and the certificate with the JRE's own tool.
    pub(super) fn create(folder: &Path, port: u16) -> SaslSsl {
        let keystore = folder.join("keystore.p12");
        let certificate = folder.join("certificate.pem");
        let store = |command: &str| {
            let mut tool = Command::new("keytool");
            tool.args([command, "-alias", "broker", "-storetype", "PKCS12"])
                .args(["-storepass", KEYSTORE_PASSWORD, "-keystore"])
                .arg(&keystore);
            tool
        };
        run(store("-genkeypair")
            .args(["-keyalg", "EC", "-groupname", "secp256r1", "-validity", "7"])
            .args(["-dname", "CN=localhost"])
            .args(["-ext", "san=dns:localhost,ip:127.0.0.1"])
            .args(["-ext", "bc:c=ca:true"]));
        run(store("-exportcert")
            .arg("-rfc")
            .arg("-file")
            .arg(&certificate));
        assert!(
            fs::metadata(&certificate).is_ok_and(|file| file.len() > 0),
            "keytool wrote no certificate"
        );
        SaslSsl {
            port,
            keystore,
            certificate,
        }
    }

    /// Lines of `server.properties`.
    pub(super) fn properties(&self) -> String {
        let keystore = self.keystore.display();
        let package = "org.apache.kafka.common.security";
        let listener = "listener.name.sasl_ssl";
        format!(
            "ssl.keystore.type=PKCS12\n\
             ssl.keystore.location={keystore}\n\
             ssl.keystore.password={KEYSTORE_PASSWORD}\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
             {listener}.plain.sasl.jaas.config={package}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";\n\
             {listener}.scram-sha-256.sasl.jaas.config={package}.scram.ScramLoginModule required;\n\
             {listener}.scram-sha-512.sasl.jaas.config={package}.scram.ScramLoginModule required;\n\
             {listener}.oauthbearer.sasl.jaas.config={package}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";\n\
             {listener}.oauthbearer.sasl.login.callback.handler.class={package}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler\n\
             {listener}.oauthbearer.sasl.server.callback.handler.class={package}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler\n"
        )
    }

    /// SCRAM credentials live in the cluster's metadata, and get there when the storage is formatted.
    pub(super) fn format_arguments(&self) -> Vec<String> {
        ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .into_iter()
            .flat_map(|mechanism| {
                let credential = format!("{mechanism}=[name={USER},password={PASSWORD}]");
                ["--add-scram".to_owned(), credential]
            })
            .collect()
    }
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("keytool (part of Java) does not start: {error}"));
    assert!(
        output.status.success(),
        "keytool failed:\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
