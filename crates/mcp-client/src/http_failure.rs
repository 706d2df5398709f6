//! What went wrong below HTTP, as a failure.

use std::error::Error;

use mcp_core::{ErrorCode, Failure};

use crate::server_url::ServerUrl;

/// The failure for an error of the HTTP library, with its innermost causes and without the URL's path and query.
pub(crate) fn http_failure(error: reqwest::Error, server: &ServerUrl) -> Failure {
    let origin = server.origin();
    let error = error.without_url();
    let cause = causes(&error);
    if error.is_connect() {
        let message = format!("cannot connect to {origin}: {cause}");
        Failure::new(ErrorCode::ServerUnreachable, message)
    } else if error.is_timeout() {
        Failure::new(
            ErrorCode::CallTimeout,
            format!("no answer from {origin}: {cause}"),
        )
    } else if error.is_builder() {
        Failure::new(
            ErrorCode::RequestRejected,
            format!("the request cannot be sent: {cause}"),
        )
    } else {
        let message =
            format!("the connection to {origin} broke before the answer was complete: {cause}");
        Failure::new(ErrorCode::ConnectionLost, message)
    }
}

/// The chain of causes below the outermost error, which only says that sending failed.
fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    match texts.is_empty() {
        true => error.to_string(),
        false => texts.join(": "),
    }
}
