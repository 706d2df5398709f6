//! Who may call: the `Host` header, so that no page can reach a local server by rebinding a name, and the `Origin` header of
//! browsers, with the answers that make them let a listed page in (CORS).

use std::sync::Arc;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rmcp::ErrorData;

use crate::config::ServerConfig;

/// Seconds for which a browser may remember what it was allowed.
const PREFLIGHT_AGE: &str = "7200";
const METHODS: &str = "GET, POST, OPTIONS";
/// What pages may read of an answer.
const EXPOSED: &str = "mcp-session-id, www-authenticate, retry-after";

/// The lists, parsed once.
#[derive(Clone)]
pub(super) struct Guard(Arc<Lists>);

struct Lists {
    /// `None` is any.
    hosts: Option<Vec<Host>>,
    origins: Option<Vec<Origin>>,
}

#[derive(Debug, PartialEq)]
struct Host {
    name: String,
    /// `None` in a list is any.
    port: Option<u16>,
}

#[derive(Debug, PartialEq)]
enum Origin {
    Null,
    /// Without a port: any, in a list; the scheme's own, in a request.
    Page {
        scheme: String,
        host: Host,
    },
}

impl Guard {
    /// The guard of the configured lists.
    pub(super) fn new(config: &ServerConfig) -> Self {
        let any = |list: &[String]| list.iter().any(|entry| entry == "*");
        let (hosts, origins) = (&config.allowed_hosts, &config.allowed_origins);
        Self(Arc::new(Lists {
            hosts: (!any(hosts)).then(|| hosts.iter().filter_map(|host| authority(host)).collect()),
            origins: (!any(origins))
                .then(|| origins.iter().filter_map(|origin| page(origin)).collect()),
        }))
    }

    fn host_is_allowed(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(allowed) = &self.0.hosts else {
            return true;
        };
        let named = match headers.get(header::HOST) {
            Some(host) => host.to_str().ok().and_then(authority),
            None => uri.authority().map(host),
        };
        named.is_some_and(|named| allowed.iter().any(|allowed| allowed.covers(&named)))
    }

    fn origin_is_allowed(&self, origin: &HeaderValue) -> bool {
        let Some(allowed) = &self.0.origins else {
            return true;
        };
        let named = origin.to_str().ok().and_then(page);
        named.is_some_and(|named| allowed.iter().any(|allowed| allowed.covers(&named)))
    }
}

impl Host {
    fn covers(&self, named: &Self) -> bool {
        self.name == named.name && (self.port.is_none() || self.port == named.port)
    }
}

impl Origin {
    fn covers(&self, named: &Self) -> bool {
        match (self, named) {
            (Self::Null, Self::Null) => true,
            (
                Self::Page { scheme, host },
                Self::Page {
                    scheme: named_scheme,
                    host: named,
                },
            ) => {
                let port = named.port.or(match &**named_scheme {
                    "http" => Some(80),
                    "https" => Some(443),
                    _ => None,
                });
                scheme == named_scheme
                    && host.name == named.name
                    && (host.port.is_none() || host.port == port)
            }
            _ => false,
        }
    }
}

impl Guard {
    /// The page that asks, if it is one that may.
    ///
    /// # Errors
    /// Foreign callers are refused, preflight requests are answered.
    pub(super) fn check(&self, request: &Request) -> Result<Option<Listed>, Stopped> {
        let headers = request.headers();
        if headers.get_all(header::HOST).iter().nth(1).is_some() {
            let what = "there must be one `Host` header (RFC 9112 §3.2)";
            let error = ErrorData::invalid_request(what, None);
            let response = super::error(StatusCode::BAD_REQUEST, None, error);
            return Err(Stopped::refused("ambiguous-host", response));
        }
        if !self.host_is_allowed(request.uri(), headers) {
            let what = "the `Host` header names none of this server's (MCP_ALLOWED_HOSTS)";
            return Err(Stopped::refused("foreign-host", forbidden(what)));
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(None);
        };
        if !self.origin_is_allowed(origin) {
            let what = "the page's origin may not call this server (MCP_ALLOWED_ORIGINS)";
            return Err(Stopped::refused("foreign-origin", forbidden(what)));
        }
        let listed = Listed(origin.clone());
        let is_preflight = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return Ok(Some(listed));
        }
        let mut response = listed.named(StatusCode::NO_CONTENT.into_response());
        let says = response.headers_mut();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE),
        ] {
            says.insert(name, HeaderValue::from_static(value));
        }
        if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            // Tools give names to headers of their own, so no list of them would be complete.
            says.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        Err(Stopped {
            why: None,
            response: response.into(),
        })
    }
}

/// A request that gets no further.
pub(super) struct Stopped {
    /// Why it was refused; a preflight request was not.
    pub(super) why: Option<&'static str>,
    pub(super) response: Box<Response>,
}

impl Stopped {
    fn refused(why: &'static str, response: Response) -> Self {
        Self {
            why: Some(why),
            response: response.into(),
        }
    }
}

/// A page of the list.
pub(super) struct Listed(HeaderValue);

impl Listed {
    /// Lets the page read the answer.
    pub(super) fn may_read(self, response: Response) -> Response {
        let mut response = self.named(response);
        let exposed = HeaderValue::from_static(EXPOSED);
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        response
    }

    fn named(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.0);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        response
    }
}

fn forbidden(what: &'static str) -> Response {
    let error = ErrorData::invalid_request(what, None);
    super::error(StatusCode::FORBIDDEN, None, error)
}

fn authority(text: &str) -> Option<Host> {
    Some(host(&Authority::try_from(text.trim()).ok()?))
}

fn host(authority: &Authority) -> Host {
    Host {
        name: authority.host().to_ascii_lowercase(),
        port: authority.port_u16(),
    }
}

fn page(text: &str) -> Option<Origin> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("null") {
        return Some(Origin::Null);
    }
    let (scheme, rest) = text.split_once("://")?;
    Some(Origin::Page {
        scheme: scheme.to_ascii_lowercase(),
        host: authority(rest.strip_suffix(":*").unwrap_or(rest))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, origin: &str) -> bool {
        page(entry).unwrap().covers(&page(origin).unwrap())
    }

    #[test]
    fn an_origin_is_its_scheme_host_and_port() {
        assert!(allows("https://a.example", "https://A.example"));
        assert!(allows("https://a.example:443", "https://a.example"));
        assert!(allows("http://localhost:*", "http://localhost:3000"));
        assert!(allows("http://[::1]:*", "http://[::1]:3000"));
        assert!(allows("null", "null"));
        assert!(!allows("https://a.example", "http://a.example"));
        assert!(!allows("https://a.example:443", "https://a.example:444"));
        assert!(!allows("https://a.example", "https://a.example.evil"));
        assert!(!allows("https://a.example", "null"));
    }

    #[test]
    fn what_is_no_host_is_none() {
        assert_eq!(authority("a b"), None);
        assert_eq!(page("a.example"), None);
        assert_eq!(authority("Mcp-Server:8080").unwrap().name, "mcp-server");
    }
}
