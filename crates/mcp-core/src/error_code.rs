//! Every way a job can fail, and what each one means: its class (retry or dead-letter), whom it speaks against
//! (job or server), and how it maps to and from HTTP statuses and JSON-RPC codes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the worker does with a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Trying again may help: retried with backoff.
    Transient,
    /// Transient, but attempts or deadline are used up while the server is otherwise healthy: dead-lettered.
    Exhausted,
    /// Trying again cannot help: dead-lettered at once.
    Permanent,
    /// The worker itself cannot go on: nothing more is committed.
    Fatal,
}

impl Class {
    /// The name in `mcp.error.class`, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Exhausted => "exhausted",
            Self::Permanent => "permanent",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a failure speaks against. The worker's circuit breaker listens to this, not to single codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The server answered and works; this job (or this call) is the trouble.
    Job,
    /// May be the job, may be a server in trouble or misconfigured: it counts when several jobs see it in a row.
    Suspect,
    /// The call never reached the server. Never the job's fault, so it spends no attempt.
    Server,
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A failure's stable name. The wire form (`mcp.error.code`, `_meta["io.mcp-hybrid/error"].code`) is
        /// [`ErrorCode::as_str`]; codes are added, never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            /// All codes, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

error_codes! {
    /// The record's value is no job envelope: not JSON, another shape, empty, null.
    InvalidRecord = "invalid-record",
    /// `jobType` names no type that this worker knows.
    UnknownJobType = "unknown-job-type",
    /// The payload does not fit the job type.
    InvalidPayload = "invalid-payload",
    /// `expiresAt` has passed before the job could run.
    JobExpired = "job-expired",
    /// No connection to the server: refused, no such host, TLS failure, connect timeout.
    ServerUnreachable = "server-unreachable",
    /// The connection broke after the call was sent.
    ConnectionLost = "connection-lost",
    /// No answer within the time allowed for one call.
    CallTimeout = "call-timeout",
    /// HTTP 429: too many requests.
    RateLimited = "rate-limited",
    /// HTTP 408 or 425: the server asks to send it again.
    TryAgain = "try-again",
    /// HTTP 500 or JSON-RPC -32603: the server failed on this call.
    ServerError = "server-error",
    /// HTTP 502, 503 or 504: no server behind the gateway, or none that takes calls now.
    ServerUnavailable = "server-unavailable",
    /// The answer is not MCP: neither JSON-RPC nor an event stream that holds the response.
    InvalidAnswer = "invalid-answer",
    /// The answer is larger than the caller takes.
    AnswerTooLarge = "answer-too-large",
    /// HTTP 401: the API key is missing or wrong.
    Unauthorized = "unauthorized",
    /// HTTP 403: the key may not do this.
    Forbidden = "forbidden",
    /// HTTP 404 or 405: no MCP endpoint at that path.
    EndpointNotFound = "endpoint-not-found",
    /// Any other refusal of the request: HTTP 400, 413, 415, 422, JSON-RPC -32700, -32600 to -32602.
    RequestRejected = "request-rejected",
    /// Neither side speaks a protocol version of the other.
    UnsupportedVersion = "unsupported-version",
    /// The tool asks for input that a job cannot give.
    InputRequired = "input-required",
    /// The tool reported an error and did not ask for a retry.
    ToolFailed = "tool-failed",
    /// The tool reported an error that a retry may cure.
    ToolUnavailable = "tool-unavailable",
    /// The tool's arguments do not fit its input schema.
    InvalidArguments = "invalid-arguments",
    /// That version of the server is published, with another content.
    VersionConflict = "version-conflict",
    /// The launch policy does not allow that command, URL, environment file or variable.
    LaunchDenied = "launch-denied",
    /// The program could not be started or ended before the handshake was complete.
    LaunchFailed = "launch-failed",
    /// Too many launches at once.
    LaunchBusy = "launch-busy",
    /// The started program used more memory, processes or processor time than the launch policy gives it.
    LaunchLimit = "launch-limit",
    /// The started or connected server broke the protocol during the handshake.
    HandshakeFailed = "handshake-failed",
    /// The started or connected server did not finish the handshake in time.
    HandshakeTimeout = "handshake-timeout",
    /// The started or connected server sent more than is allowed.
    HandshakeTooLarge = "handshake-too-large",
    /// The server was not given what it needs to ask the model's provider: a key.
    ProviderUnconfigured = "provider-unconfigured",
    /// The provider refuses the request or the key, and will refuse it again.
    ProviderRefused = "provider-refused",
    /// The provider's quota a minute is used up, or as many calls as may be are under way to it.
    ProviderBusy = "provider-busy",
    /// The provider's quota of the day is used up. It comes back after hours, longer than any job is tried.
    ProviderQuota = "provider-quota",
    /// The provider gives this project no quota for the model.
    ProviderNoQuota = "provider-no-quota",
    /// The provider can't be reached, is overloaded, or does not answer in time.
    ProviderUnavailable = "provider-unavailable",
    /// The provider's filters stopped the prompt or the answer.
    ContentBlocked = "content-blocked",
    /// The model's answer was cut off at its limit.
    OutputTruncated = "output-truncated",
    /// The model gave no output, or none that can be read.
    OutputMissing = "output-missing",
    /// The model's SVG is not acceptable, even after it was told why.
    SvgRejected = "svg-rejected",
    /// A tool ended with a defect in the server's code.
    Internal = "internal",
    /// The broker refuses this client: authentication or authorisation.
    BrokerUnauthorized = "broker-unauthorized",
    /// The broker fenced this client: another one has its identity.
    BrokerFenced = "broker-fenced",
    /// The dead-letter or result topic cannot be written.
    TopicNotWritable = "topic-not-writable",
}

impl ErrorCode {
    /// Retry, dead-letter or stop.
    pub fn class(self) -> Class {
        match self {
            Self::ServerUnreachable
            | Self::ConnectionLost
            | Self::CallTimeout
            | Self::RateLimited
            | Self::TryAgain
            | Self::ServerError
            | Self::ServerUnavailable
            | Self::InvalidAnswer
            | Self::ToolUnavailable
            | Self::LaunchFailed
            | Self::LaunchBusy
            | Self::HandshakeTimeout
            | Self::ProviderBusy
            | Self::ProviderUnavailable
            | Self::OutputMissing
            | Self::Internal => Class::Transient,
            Self::InvalidRecord
            | Self::UnknownJobType
            | Self::InvalidPayload
            | Self::JobExpired
            | Self::AnswerTooLarge
            | Self::Unauthorized
            | Self::Forbidden
            | Self::EndpointNotFound
            | Self::RequestRejected
            | Self::UnsupportedVersion
            | Self::InputRequired
            | Self::ToolFailed
            | Self::InvalidArguments
            | Self::VersionConflict
            | Self::LaunchDenied
            | Self::LaunchLimit
            | Self::HandshakeFailed
            | Self::HandshakeTooLarge
            | Self::ProviderUnconfigured
            | Self::ProviderRefused
            | Self::ProviderQuota
            | Self::ProviderNoQuota
            | Self::ContentBlocked
            | Self::OutputTruncated
            | Self::SvgRejected => Class::Permanent,
            Self::BrokerUnauthorized | Self::BrokerFenced | Self::TopicNotWritable => Class::Fatal,
        }
    }

    /// Whether another attempt may help.
    pub fn is_retryable(self) -> bool {
        match self.class() {
            Class::Transient => true,
            Class::Exhausted | Class::Permanent | Class::Fatal => false,
        }
    }

    /// Whom the failure speaks against.
    pub fn blame(self) -> Blame {
        match self {
            Self::ServerUnreachable => Blame::Server,
            Self::ConnectionLost
            | Self::CallTimeout
            | Self::RateLimited
            | Self::TryAgain
            | Self::ServerError
            | Self::ServerUnavailable
            | Self::InvalidAnswer
            | Self::Unauthorized
            | Self::Forbidden
            | Self::EndpointNotFound => Blame::Suspect,
            Self::InvalidRecord
            | Self::UnknownJobType
            | Self::InvalidPayload
            | Self::JobExpired
            | Self::AnswerTooLarge
            | Self::RequestRejected
            | Self::UnsupportedVersion
            | Self::InputRequired
            | Self::ToolFailed
            | Self::ToolUnavailable
            | Self::InvalidArguments
            | Self::VersionConflict
            | Self::LaunchDenied
            | Self::LaunchFailed
            | Self::LaunchBusy
            | Self::LaunchLimit
            | Self::HandshakeFailed
            | Self::HandshakeTimeout
            | Self::HandshakeTooLarge
            | Self::ProviderUnconfigured
            | Self::ProviderRefused
            | Self::ProviderBusy
            | Self::ProviderQuota
            | Self::ProviderNoQuota
            | Self::ProviderUnavailable
            | Self::ContentBlocked
            | Self::OutputTruncated
            | Self::OutputMissing
            | Self::SvgRejected
            | Self::Internal
            | Self::BrokerUnauthorized
            | Self::BrokerFenced
            | Self::TopicNotWritable => Blame::Job,
        }
    }

    /// The code for an HTTP status that is no success (RFC 9110 §15, RFC 6585, RFC 8470).
    pub fn from_http_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 | 405 => Self::EndpointNotFound,
            408 | 425 => Self::TryAgain,
            429 => Self::RateLimited,
            502..=504 => Self::ServerUnavailable,
            500..=599 => Self::ServerError,
            _ => Self::RequestRejected,
        }
    }

    /// The code for a JSON-RPC error (JSON-RPC 2.0 §5.1; MCP 2026-07-28 for -32020 to -32022).
    pub fn from_json_rpc(code: i64) -> Self {
        match code {
            -32603 => Self::ServerError,
            -32602 => Self::InvalidArguments,
            -32022 => Self::UnsupportedVersion,
            _ => Self::RequestRejected,
        }
    }

    /// The code with that name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Blame, Class, ErrorCode};

    #[test]
    fn http_statuses_have_the_classes_of_the_contract() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(
                ErrorCode::from_http_status(status).class(),
                Class::Transient,
                "{status}"
            );
        }
        for status in [400, 401, 403, 404, 405, 413, 415, 422] {
            assert_eq!(
                ErrorCode::from_http_status(status).class(),
                Class::Permanent,
                "{status}"
            );
        }
    }

    #[test]
    fn json_rpc_codes_have_the_classes_of_the_contract() {
        assert_eq!(ErrorCode::from_json_rpc(-32603).class(), Class::Transient);
        for code in [-32700, -32600, -32601, -32602, -32022] {
            assert_eq!(
                ErrorCode::from_json_rpc(code).class(),
                Class::Permanent,
                "{code}"
            );
        }
    }

    #[test]
    fn names_are_unique_and_read_back() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
        }
        assert_eq!(ErrorCode::parse("no-such-code"), None);
    }

    #[test]
    fn only_a_call_that_never_arrived_blames_the_server_alone() {
        let blamed: Vec<_> = ErrorCode::ALL
            .iter()
            .filter(|code| code.blame() == Blame::Server)
            .collect();
        assert_eq!(blamed, [&ErrorCode::ServerUnreachable]);
    }
}
