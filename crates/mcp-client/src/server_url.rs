//! Where a server is.

use std::fmt;

use url::Url;

/// The path of a URL that names none: the route for workers.
const DEFAULT_PATH: &str = "/message";

/// The URL of an MCP endpoint. It is printed without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Reads `http` and `https` URLs. Without a path the endpoint is `/message`.
    ///
    /// # Errors
    /// A sentence that says what does not fit. It never repeats the URL: that may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut server = Self::exact(text)?;
        if server.0.path() == "/" {
            server.0.set_path(DEFAULT_PATH);
        }
        Ok(server)
    }

    /// Reads `http` and `https` URLs and leaves the path as it is: for servers of others, which know no `/message`.
    ///
    /// # Errors
    /// As [`ServerUrl::parse`].
    pub fn exact(text: &str) -> Result<Self, String> {
        let mut url =
            Url::parse(text.trim()).map_err(|error| format!("is not a URL: {error}; {ALLOWED}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("has the scheme `{}`; {ALLOWED}", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "holds a user name or password, which would end up in logs; {ALLOWED}"
            ));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    pub(crate) fn as_url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port: what error messages may say.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

const ALLOWED: &str = "allowed is http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]";

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.0.path())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::ServerUrl;

    #[test]
    fn without_a_path_the_endpoint_is_message() {
        for (text, shown) in [
            ("http://mcp-server:8080", "http://mcp-server:8080/message"),
            ("http://mcp-server:8080/", "http://mcp-server:8080/message"),
            ("http://mcp-server:8080/mcp", "http://mcp-server:8080/mcp"),
            ("https://[::1]/a/b?key=1#f", "https://[::1]/a/b"),
        ] {
            assert_eq!(ServerUrl::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn other_schemes_and_passwords_are_refused_without_repeating_them() {
        for text in ["ftp://hunter2.example", "hunter2", "http://u:hunter2@h/"] {
            let error = ServerUrl::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("allowed is http://"), "{error}");
        }
    }

    #[test]
    fn a_query_is_kept_but_not_printed() {
        let url = ServerUrl::parse("http://h/mcp?token=hunter2").unwrap();
        assert_eq!(url.as_url().query(), Some("token=hunter2"));
        assert!(!format!("{url} {url:?}").contains("hunter2"));
    }
}
