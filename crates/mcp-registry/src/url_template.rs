//! URLs with `{variables}`, as transports have them.

use std::net::IpAddr;

use url::{Host, Url};

use crate::server::is_no_uri;

/// What stands for a variable while the URL is parsed: a port number behind a colon, a name elsewhere.
const PORT: &str = "8080";
const NAME: &str = "placeholder";

/// A URL template that is an http or https URL once its variables are filled in.
pub(crate) struct UrlTemplate<'a> {
    /// The names of its variables, in their order.
    pub(crate) variables: Vec<&'a str>,
    /// It, with something in the place of each variable.
    filled: Url,
}

impl<'a> UrlTemplate<'a> {
    /// Reads one; nothing for what is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (variables, filled) = fill(text);
        // The URL standard takes them out or encodes them; what is stored and compared is the text.
        if filled.contains(is_no_uri) || text.contains(char::is_control) {
            return None;
        }
        // The URL standard skips what does not belong before a host, so that `https:///path` would have the host `path`.
        let behind = filled
            .strip_prefix("https://")
            .or_else(|| filled.strip_prefix("http://"))?;
        if behind.starts_with(['/', '\\', '?', '#']) {
            return None;
        }
        let filled = Url::parse(&filled).ok()?;
        filled.has_host().then_some(Self { variables, filled })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.filled.scheme() == "https"
    }

    /// Whether it holds a user name or a password.
    pub(crate) fn has_credentials(&self) -> bool {
        !self.filled.username().is_empty() || self.filled.password().is_some()
    }

    /// Whether it can only be reached from the machine that it is on.
    pub(crate) fn is_local(&self) -> bool {
        match self.filled.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
            Some(Host::Ipv6(address)) => {
                let address = IpAddr::V6(address).to_canonical();
                address.is_loopback() || address.is_unspecified()
            }
            None => false,
        }
    }
}

/// The variables, and the text with something in the place of each.
fn fill(text: &str) -> (Vec<&str>, String) {
    let (mut variables, mut filled) = (Vec::new(), String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start + 1..].find('}').filter(|&length| length > 0) else {
            break;
        };
        let (before, name) = (&rest[..start], &rest[start + 1..start + 1 + length]);
        rest = &rest[start + length + 2..];
        filled.push_str(before);
        let ends = rest.is_empty() || rest.starts_with('/');
        filled.push_str(match name {
            "scheme" | "protocol" if filled.is_empty() => "http",
            _ if filled.ends_with(':') && ends => PORT,
            _ => NAME,
        });
        variables.push(name);
    }
    filled.push_str(rest);
    (variables, filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::UrlTemplate;

    #[test]
    fn variables_are_found_and_filled_in() {
        let template =
            UrlTemplate::parse("https://{tenant}.example.com:{port}/{path}?a={b}").unwrap();
        assert_eq!(template.variables, ["tenant", "port", "path", "b"]);
        assert!(template.is_https() && !template.is_local());
        for text in [
            "{scheme}://h/",
            "https://h",
            "http://h:{p}",
            "https://{h}/{}",
        ] {
            assert!(UrlTemplate::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "ftp://h/",
            "https://",
            "https:///path",
            "https:h",
            "//h/",
            "https://h:x/",
            "https://?q",
            "mcp",
            "{url}",
            "https://h/a\0",
            "https://h/\u{7f}",
            "https://h/{a\0}",
            "https://h/ ",
            "https://h/<a>",
            "https://h/\u{202e}a",
        ] {
            assert!(UrlTemplate::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_way_to_write_this_machine_is_seen() {
        for host in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "localhost.",
            "127.0.0.1",
            "127.1",
            "127.9.9.9",
            "2130706433",
            "0x7f.1",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::]",
        ] {
            let url = format!("https://{host}:1/mcp");
            assert!(UrlTemplate::parse(&url).unwrap().is_local(), "{host}");
        }
        for host in [
            "localhost.example.com",
            "notlocalhost",
            "10.0.0.1",
            "[2001:db8::1]",
        ] {
            let url = format!("https://{host}/mcp");
            assert!(!UrlTemplate::parse(&url).unwrap().is_local(), "{host}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "(https?://)?[a-z{}:/.@?#%\\[\\]\\\\0-9 ]{0,40}|\\PC*") {
            if let Some(template) = UrlTemplate::parse(&text) {
                for name in &template.variables {
                    let written = format!("{{{name}}}");
                    prop_assert!(text.contains(&written));
                }
            }
        }
    }
}
