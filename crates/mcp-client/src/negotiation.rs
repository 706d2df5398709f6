//! Which era a server speaks, decided from how it refuses. Pure: the client does the talking.
//!
//! A modern server (2026-07-28) refuses with codes of its own. Anything else on a 4xx status comes from a server that
//! wants the `initialize` handshake first, or from one that simply refuses the request; the words tell which. Words
//! seen from servers in use: "Server not initialized", "Mcp-Session-Id header is required", "No valid session ID
//! provided", "Missing session ID", "Session not found", "Unexpected message, expect initialize request",
//! "Unsupported protocol version", "Unknown MCP-Protocol-Version".

use crate::json_rpc::{LEGACY, MODERN};
use crate::refusal::Refusal;

const HEADER_MISMATCH: i64 = -32020;
const MISSING_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;
const INVALID_PARAMS: i64 = -32602;
const METHOD_NOT_FOUND: i64 = -32601;

/// What follows the refusal of a request in the form of 2026-07-28.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterModern {
    /// It is the answer.
    Final,
    /// The server offers this very version: ask once more.
    Repeat,
    /// Headers for arguments are missing: learn them from the tool list, then ask once more.
    MirrorArguments,
    /// Try the handshake of the versions before. When that fails, or the request is refused again, the refusal was the
    /// answer after all.
    Handshake,
}

/// What follows the refusal of a request in the form of the versions before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterLegacy {
    /// It is the answer.
    Final,
    /// The session is gone, or the server wants one now: shake hands again.
    NewSession,
    /// The server no longer speaks this era: start over with 2026-07-28.
    StartOver,
}

/// `era_known`: this server has answered a modern request before.
pub(crate) fn after_modern(refusal: &Refusal, era_known: bool) -> AfterModern {
    let rpc = refusal.rpc.as_ref().map(|rpc| rpc.code);
    match rpc {
        Some(UNSUPPORTED_VERSION) => {
            let supported: Vec<_> = refusal.supported().collect();
            if supported.contains(&MODERN) {
                AfterModern::Repeat
            } else if supported.is_empty() || supported.iter().any(|v| LEGACY.contains(v)) {
                AfterModern::Handshake
            } else {
                AfterModern::Final
            }
        }
        Some(HEADER_MISMATCH) => AfterModern::MirrorArguments,
        Some(MISSING_CAPABILITY) => AfterModern::Final,
        Some(METHOD_NOT_FOUND) if refusal.status == 404 => AfterModern::Final,
        _ if speaks_of_a_handshake(refusal) => AfterModern::Handshake,
        // JSON-RPC's "invalid request" and its range for implementations say nothing that a modern server would.
        None | Some(-32600 | -32099..=-32000) if refusal.status == 400 && !era_known => {
            AfterModern::Handshake
        }
        _ => AfterModern::Final,
    }
}

/// `in_session`: the request carried a session id.
pub(crate) fn after_legacy(refusal: &Refusal, in_session: bool) -> AfterLegacy {
    let rpc = refusal.rpc.as_ref().map(|rpc| rpc.code);
    if matches!(rpc, Some(UNSUPPORTED_VERSION | HEADER_MISMATCH)) {
        return AfterLegacy::StartOver;
    }
    if !is_refused_unread(refusal.status) {
        // A session that is unknown is answered with 401 by some.
        let lost = in_session && refusal.status == 401 && refusal.mentions(&["session not found"]);
        return if lost {
            AfterLegacy::NewSession
        } else {
            AfterLegacy::Final
        };
    }
    if refusal.mentions(&VERSION_WORDS) {
        AfterLegacy::StartOver
    } else if in_session && refusal.status == 404 || refusal.mentions(&SESSION_WORDS) {
        AfterLegacy::NewSession
    } else {
        AfterLegacy::Final
    }
}

const VERSION_WORDS: [&str; 3] = ["protocol version", "protocol-version", "protocolversion"];
const SESSION_WORDS: [&str; 3] = ["session", "initializ", "initialis"];

/// Where the refusal may be about the arguments, or the request may have been read, only unmistakable words count.
fn speaks_of_a_handshake(refusal: &Refusal) -> bool {
    let rpc = refusal.rpc.as_ref().map(|rpc| rpc.code);
    match (rpc, refusal.status) {
        (Some(INVALID_PARAMS), 200 | 400) | (Some(-32600 | -32099..=-32000), 200) => refusal
            .mentions(&[
                "not initialized",
                "before initialization",
                "initialization was complete",
            ]),
        (_, status) => {
            is_refused_unread(status)
                && (refusal.mentions(&VERSION_WORDS) || refusal.mentions(&SESSION_WORDS))
        }
    }
}

/// Statuses by which a server says that it has not done what it was asked, for reasons of form.
fn is_refused_unread(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 406 | 409 | 415 | 422)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_rpc::RpcError;
    use serde_json::{Value, json};

    fn refusal(status: u16, rpc: Option<(i64, Value)>, text: &str) -> Refusal {
        Refusal {
            status,
            rpc: rpc.map(|(code, data)| RpcError {
                code,
                message: text.into(),
                data,
            }),
            text: text.into(),
            retry_after: None,
        }
    }

    #[test]
    fn servers_in_use_are_recognised_by_their_refusals() {
        for (status, code, text) in [
            (
                400,
                Some(-32000),
                "Bad Request: Unsupported protocol version: 2026-07-28 (supported versions: 2025-11-25)",
            ),
            (400, Some(-32000), "Bad Request: Server not initialized"),
            (
                400,
                Some(-32000),
                "Bad Request: No valid session ID provided",
            ),
            (400, Some(-32600), "Bad Request: Missing session ID"),
            (404, Some(-32001), "Session not found"),
            (
                400,
                None,
                "Bad Request: Unknown MCP-Protocol-Version 2026-07-28",
            ),
            (422, None, "Unexpected message, expect initialize request"),
            (
                200,
                Some(-32602),
                "Received request before initialization was complete",
            ),
        ] {
            let refusal = refusal(status, code.map(|code| (code, Value::Null)), text);
            for known in [false, true] {
                assert_eq!(
                    after_modern(&refusal, known),
                    AfterModern::Handshake,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn the_codes_of_the_modern_era_are_understood() {
        let unsupported = |versions: Value| {
            let data = json!({"supported": versions});
            after_modern(&refusal(400, Some((-32022, data)), "Unsupported"), false)
        };
        assert_eq!(unsupported(json!(["2025-11-25"])), AfterModern::Handshake);
        assert_eq!(
            unsupported(json!(["2026-07-28", "2025-11-25"])),
            AfterModern::Repeat
        );
        assert_eq!(unsupported(json!(["2031-01-01"])), AfterModern::Final);
        assert_eq!(unsupported(Value::Null), AfterModern::Handshake);
        let after =
            |status, code| after_modern(&refusal(status, Some((code, Value::Null)), ""), false);
        assert_eq!(after(400, -32020), AfterModern::MirrorArguments);
        assert_eq!(after(400, -32021), AfterModern::Final);
        assert_eq!(after(404, -32601), AfterModern::Final);
        assert_eq!(after(400, -32602), AfterModern::Final);
        let arguments = refusal(400, Some((-32602, Value::Null)), "`session_id` is missing");
        assert_eq!(after_modern(&arguments, false), AfterModern::Final);
    }

    #[test]
    fn a_bare_400_is_a_hunch_only_while_the_era_is_unknown() {
        for bare in [
            refusal(400, None, ""),
            refusal(400, None, "no"),
            refusal(400, Some((-32600, Value::Null)), "no"),
        ] {
            assert_eq!(after_modern(&bare, false), AfterModern::Handshake);
            assert_eq!(after_modern(&bare, true), AfterModern::Final);
        }
    }

    #[test]
    fn what_may_have_run_is_never_repeated() {
        for (status, code) in [
            (200, Some(-32603)),
            (500, None),
            (503, None),
            (403, None),
            (307, None),
        ] {
            let refusal = refusal(
                status,
                code.map(|code| (code, Value::Null)),
                "database session lost",
            );
            assert_eq!(
                after_modern(&refusal, false),
                AfterModern::Final,
                "{status}"
            );
            assert_eq!(after_legacy(&refusal, true), AfterLegacy::Final, "{status}");
        }
    }

    #[test]
    fn a_lost_session_and_a_changed_server_are_noticed() {
        let after =
            |status, text, in_session| after_legacy(&refusal(status, None, text), in_session);
        assert_eq!(after(404, "", true), AfterLegacy::NewSession);
        assert_eq!(after(404, "", false), AfterLegacy::Final);
        assert_eq!(
            after(401, "Unauthorized: Session not found", true),
            AfterLegacy::NewSession
        );
        assert_eq!(
            after(400, "Mcp-Session-Id header is required", false),
            AfterLegacy::NewSession
        );
        assert_eq!(
            after(400, "Unsupported protocol version", true),
            AfterLegacy::StartOver
        );
        assert_eq!(after(400, "no", true), AfterLegacy::Final);
        let modern_only = refusal(400, Some((-32022, Value::Null)), "");
        assert_eq!(after_legacy(&modern_only, false), AfterLegacy::StartOver);
    }
}
