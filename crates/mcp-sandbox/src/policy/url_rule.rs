//! Which URLs may be connected to: scheme, host and port are compared as parsed, the path by whole segments.

use url::Url;

/// One allowed beginning of URLs.
#[derive(Clone, Debug)]
pub(crate) struct UrlRule(Url);

impl UrlRule {
    /// Reads a prefix, or says what is wrong with it.
    pub(crate) fn parse(prefix: &str) -> Result<Self, String> {
        let url = parse(prefix)?;
        if url.query().is_some() {
            return Err("a prefix has no query".into());
        }
        Ok(Self(url))
    }

    /// Whether `url` (from [`parse`]) lies below this prefix.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        let same_origin = self.0.scheme() == url.scheme()
            && self.0.host() == url.host()
            && self.0.port_or_known_default() == url.port_or_known_default();
        same_origin && path_below(self.0.path(), url.path())
    }
}

/// The parser has resolved `.` and `..` in both paths. Encoded separators stay as they are, and a server may decode
/// them, so below a prefix with a path they are refused.
fn path_below(prefix: &str, path: &str) -> bool {
    if prefix == "/" {
        return true;
    }
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    let lower = rest.to_ascii_lowercase();
    let encoded = ["%2f", "%5c", "%2e"]
        .iter()
        .any(|code| lower.contains(code));
    !encoded && (rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// Reads an `http` or `https` URL without credentials. The error does not repeat the URL: it may hold a secret.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "its scheme is {:?}, http and https are allowed",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds credentials: send them as headers".into());
    }
    match url.host() {
        Some(_) => Ok(url),
        None => Err("it has no host".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{UrlRule, parse};

    fn covers(prefix: &str, url: &str) -> bool {
        UrlRule::parse(prefix).unwrap().covers(&parse(url).unwrap())
    }

    #[test]
    fn a_url_below_the_prefix_is_covered() {
        for (prefix, url) in [
            ("https://mcp.example.com/", "https://mcp.example.com/mcp"),
            (
                "https://mcp.example.com",
                "https://MCP.example.com:443/a?b=c",
            ),
            ("http://h:8080/tools", "http://h:8080/tools"),
            ("http://h:8080/tools", "http://h:8080/tools/mcp"),
        ] {
            assert!(covers(prefix, url), "{prefix} {url}");
        }
    }

    #[test]
    fn a_url_that_only_looks_alike_is_not() {
        for (prefix, url) in [
            (
                "https://mcp.example.com/",
                "https://mcp.example.com.evil.org/",
            ),
            ("https://mcp.example.com/", "http://mcp.example.com/"),
            ("https://mcp.example.com/", "https://mcp.example.com:8443/"),
            ("http://h/tools", "http://h/toolsmith"),
            ("http://h/tools/", "http://h/tools/../admin"),
            ("http://h/tools/", "http://h/tools/%2e%2e/admin"),
            ("http://h/tools/", "http://h/tools/..%2fadmin"),
        ] {
            assert!(!covers(prefix, url), "{prefix} {url}");
        }
        assert!(parse("https://mcp.example.com@evil.org/").is_err());
        assert!(parse("file:///etc/passwd").is_err());
        assert!(
            !parse("http://u:hunter2@h/")
                .unwrap_err()
                .contains("hunter2")
        );
    }
}
