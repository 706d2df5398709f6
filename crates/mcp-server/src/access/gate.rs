//! What every request of MCP passes first, before its body is read.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use metrics::counter;
use rmcp::ErrorData;
use rmcp::model::{ErrorCode, RequestId};

use super::keys::{ApiKey, NoKey};
use super::scope::Scope;
use super::{Access, audit};
use crate::metric_definitions as metric;
use crate::transport::error;

/// JSON-RPC codes of refusals: the request itself is wrong, or only its time.
const NOT_ALLOWED: ErrorCode = ErrorCode::INVALID_REQUEST;
const NOT_NOW: ErrorCode = ErrorCode(-32000);
/// `Retry-After` where nothing says how long it will be.
const SHORTLY: Duration = Duration::from_secs(1);

/// Whom the gate let in: an extension of every request that passed.
#[derive(Clone)]
pub(crate) struct Principal {
    pub(crate) key: Arc<ApiKey>,
    /// Taken when the message has been read, for those that need one. What goes on after its request was answered keeps
    /// it.
    pub(crate) place: Option<Arc<Place>>,
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(&self.key.name()).finish()
    }
}

/// Where the connection comes from: an extension of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// This process has all it can do.
    Overloaded,
    /// No key.
    NoKey,
    /// A key that is not in the file, or has expired.
    WrongKey(NoKey),
    /// The key's calls a second are used up.
    RateLimited(Duration),
    /// The key's calls at once are used up.
    TooManyAtOnce,
    /// The key may not call that tool.
    Forbidden(Scope),
    /// This process has as many event streams open as it may.
    TooManyStreams,
    /// The key has.
    TooManyStreamsOfKey,
}

/// All that a refusal is called in metrics and in the audit log: those of [`Refusal`], and of requests that are none.
const REASONS: [&str; 24] = [
    "overloaded",
    "no-key",
    "unknown-key",
    "expired-key",
    "rate-limited",
    "too-many-at-once",
    "forbidden",
    "too-many-streams",
    "too-many-streams-of-key",
    "too-many-connections",
    "foreign-host",
    "foreign-origin",
    "ambiguous-host",
    "wrong-content-type",
    "body-too-large",
    "body-too-slow",
    "body-broken",
    "malformed",
    "header-mismatch",
    "unsupported-version",
    "invalid-request",
    "foreign-state",
    "unknown-session",
    "unreachable-session",
];

/// Lets every reason be seen before it has happened: what rises from nothing is no rise to those who watch.
pub(super) fn register_reasons() {
    for reason in REASONS {
        counter!(metric::REFUSED, "reason" => reason).increment(0);
    }
}

impl Refusal {
    /// Its name in the audit log and in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::NoKey => "no-key",
            Self::WrongKey(NoKey::Unknown) => "unknown-key",
            Self::WrongKey(NoKey::Expired) => "expired-key",
            Self::RateLimited(_) => "rate-limited",
            Self::TooManyAtOnce => "too-many-at-once",
            Self::Forbidden(_) => "forbidden",
            Self::TooManyStreams => "too-many-streams",
            Self::TooManyStreamsOfKey => "too-many-streams-of-key",
        }
    }

    /// The answer to the request `id`.
    pub(crate) fn response(self, id: Option<RequestId>) -> Response {
        let answer = |status, code, what: &str| {
            error(status, id, ErrorData::new(code, what.to_owned(), None))
        };
        match self {
            Self::Overloaded => retry_after(
                SHORTLY,
                answer(
                    StatusCode::SERVICE_UNAVAILABLE,
                    NOT_NOW,
                    "the server has all it can do; try again",
                ),
            ),
            Self::RateLimited(wait) => retry_after(
                wait,
                answer(
                    StatusCode::TOO_MANY_REQUESTS,
                    NOT_NOW,
                    "the API key's rate of calls is used up",
                ),
            ),
            Self::TooManyAtOnce => retry_after(
                SHORTLY,
                answer(
                    StatusCode::TOO_MANY_REQUESTS,
                    NOT_NOW,
                    "the API key has as much under way as it may",
                ),
            ),
            Self::TooManyStreams => retry_after(
                SHORTLY,
                answer(
                    StatusCode::SERVICE_UNAVAILABLE,
                    NOT_NOW,
                    "the server has as many event streams open as it may; try again",
                ),
            ),
            Self::TooManyStreamsOfKey => retry_after(
                SHORTLY,
                answer(
                    StatusCode::TOO_MANY_REQUESTS,
                    NOT_NOW,
                    "the API key has as many event streams open as it may",
                ),
            ),
            Self::NoKey => challenge(
                "Bearer",
                answer(
                    StatusCode::UNAUTHORIZED,
                    NOT_ALLOWED,
                    "an API key is needed: Authorization: Bearer KEY",
                ),
            ),
            Self::WrongKey(why) => challenge(
                "Bearer error=\"invalid_token\"",
                answer(
                    StatusCode::UNAUTHORIZED,
                    NOT_ALLOWED,
                    match why {
                        NoKey::Unknown => "the API key is not known here",
                        NoKey::Expired => "the API key has expired",
                    },
                ),
            ),
            Self::Forbidden(scope) => challenge(
                &format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
                answer(
                    StatusCode::FORBIDDEN,
                    NOT_ALLOWED,
                    &format!("the API key lacks the scope {scope}"),
                ),
            ),
        }
    }
}

/// Whole seconds, rounded up (RFC 9110 §10.2.3).
pub(crate) fn retry_after(wait: Duration, mut response: Response) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, seconds.max(1).into());
    response
}

/// RFC 6750 §3.
fn challenge(what: &str, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(what) {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// The place of a call under way, in the server and of its key; free again when this is dropped.
pub(crate) struct Place {
    access: Access,
    key: Arc<ApiKey>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.key.limits().1.leave();
        self.access.load().leave();
    }
}

/// The right to hold an event stream open, of the server and of its key; free again when this is dropped.
pub(crate) struct StreamPermit {
    access: Access,
    key: Arc<ApiKey>,
}

impl StreamPermit {
    /// Whether its key still is one: a stream may last for longer.
    pub(crate) fn is_in_force(&self) -> bool {
        self.access.is_in_force(&self.key)
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.key.limits().1.leave_stream();
        self.access.load().leave_stream();
    }
}

impl Access {
    /// Marks a request with who sent it.
    ///
    /// # Errors
    /// The answer to one that may not pass.
    pub(crate) fn let_in(&self, request: &mut Request) -> Result<(), Box<Response>> {
        match self.admit(request.headers()) {
            Ok(key) => {
                let principal = Principal { key, place: None };
                request.extensions_mut().insert(principal);
                Ok(())
            }
            Err((refusal, key)) => {
                let peer = request.extensions().get().map(|PeerAddress(peer)| *peer);
                self.refused(refusal.name(), key.as_deref(), peer, None);
                Err(refusal.response(None).into())
            }
        }
    }

    /// Who calls, if its rate is not used up. It takes no place yet: what a message needs is known when it has been read.
    fn admit(&self, headers: &HeaderMap) -> Result<Arc<ApiKey>, (Refusal, Option<Arc<ApiKey>>)> {
        let key = self.caller(headers).map_err(|refusal| (refusal, None))?;
        let (limits, used) = key.limits();
        if limits.rate > 0
            && let Err(wait) = limits.take(used, self.age())
        {
            return Err((Refusal::RateLimited(wait), Some(key)));
        }
        Ok(key)
    }

    /// A place for a call of that key.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn place(&self, key: &Arc<ApiKey>) -> Result<Arc<Place>, Refusal> {
        if !self.load().enter() {
            return Err(Refusal::Overloaded);
        }
        let (limits, used) = key.limits();
        if !limits.enter(used) {
            self.load().leave();
            return Err(Refusal::TooManyAtOnce);
        }
        Ok(Arc::new(Place {
            access: self.clone(),
            key: key.clone(),
        }))
    }

    /// A stream for that key.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn stream(&self, key: &Arc<ApiKey>) -> Result<StreamPermit, Refusal> {
        if !self.load().enter_stream() {
            return Err(Refusal::TooManyStreams);
        }
        let (limits, used) = key.limits();
        if !limits.enter_stream(used) {
            self.load().leave_stream();
            return Err(Refusal::TooManyStreamsOfKey);
        }
        Ok(StreamPermit {
            access: self.clone(),
            key: Arc::clone(key),
        })
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Arc<ApiKey>, Refusal> {
        let Some(keys) = self.keyring() else {
            return Ok(self.anonymous().clone());
        };
        let key = bearer(headers).ok_or(Refusal::NoKey)?;
        keys.find(key).cloned().map_err(Refusal::WrongKey)
    }

    /// Counts and writes down a request that was refused.
    pub(crate) fn refused(
        &self,
        why: &'static str,
        caller: Option<&ApiKey>,
        peer: Option<SocketAddr>,
        tool: Option<&str>,
    ) {
        debug_assert!(REASONS.contains(&why), "{why}");
        counter!(metric::REFUSED, "reason" => why).increment(1);
        let audit: &audit::AuditLog = self.audit();
        audit.refused(caller, peer, tool, why);
    }
}

/// The key of `Authorization: Bearer KEY` (RFC 6750 §2.1). More than one such header is none.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&'static str]) -> Option<&'static [u8]> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer(&headers).map(|key| &*key.to_vec().leak())
    }

    #[test]
    fn a_key_is_what_stands_behind_bearer() {
        assert_eq!(key(&["Bearer abc"]), Some(&b"abc"[..]));
        assert_eq!(key(&["bearer  abc"]), Some(&b"abc"[..]));
        for none in [&[][..], &["abc"], &["Basic abc"], &["Bearer"]] {
            assert_eq!(key(none), None, "{none:?}");
        }
        assert_eq!(key(&["Bearer a", "Bearer b"]), None);
    }

    #[test]
    fn every_refusal_is_called_something_that_is_known() {
        for refusal in [
            Refusal::Overloaded,
            Refusal::NoKey,
            Refusal::WrongKey(NoKey::Unknown),
            Refusal::WrongKey(NoKey::Expired),
            Refusal::RateLimited(SHORTLY),
            Refusal::TooManyAtOnce,
            Refusal::Forbidden(Scope::ToolsCall),
            Refusal::TooManyStreams,
            Refusal::TooManyStreamsOfKey,
        ] {
            assert!(REASONS.contains(&refusal.name()), "{refusal:?}");
        }
    }

    #[test]
    fn seconds_to_wait_are_rounded_up() {
        for (millis, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2"), (60_000, "60")] {
            let wait = Duration::from_millis(millis);
            let response = Refusal::RateLimited(wait).response(None);
            assert_eq!(response.headers()["retry-after"], seconds);
            assert_eq!(response.status(), 429);
        }
    }
}
