//! Whether to ask once more, and when: pure, and the only place that decides.

use std::time::Duration;

use mcp_core::RetryPolicy;
use mcp_gemini::GeminiError;

/// A request and two more. Whoever calls the tool has a backoff of its own, with more room.
const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    base: Duration::from_millis(500),
    max: Duration::from_secs(4),
};

/// The least time in which a model can be expected to draw something.
const LEAST: Duration = Duration::from_secs(5);

/// How long to wait before the next request, after so many; none where it would not help, or come too late. Waits that
/// the provider asks for are kept to or left to the caller, never shortened.
pub(super) fn before_another(
    error: &GeminiError,
    attempts: u32,
    left: Duration,
) -> Option<Duration> {
    let asked = match error {
        GeminiError::Unreachable(_)
        | GeminiError::Lost(_)
        | GeminiError::Unavailable { .. }
        | GeminiError::NoOutput(_) => None,
        // Only what says when it will be better, or may be better at any time.
        GeminiError::Limited { limited, .. } if error.code().is_retryable() => limited.retry_after,
        // A timeout has used the time up. The others would be the same again.
        GeminiError::Limited { .. }
        | GeminiError::TimedOut(_)
        | GeminiError::TooLarge(_)
        | GeminiError::Unreadable(_)
        | GeminiError::Refused { .. }
        | GeminiError::Blocked { .. }
        | GeminiError::Truncated { .. } => return None,
    };
    let wait = RETRY.delay(attempts, asked);
    let in_time = wait + LEAST <= left;
    (RETRY.allows_another(attempts) && in_time).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_gemini::{Limited, Quota};

    const MINUTE: Duration = Duration::from_secs(60);

    fn limited(quota: Quota, after: Option<u64>) -> GeminiError {
        GeminiError::Limited {
            limited: Limited {
                quota,
                quota_id: None,
                retry_after: after.map(Duration::from_secs),
            },
            message: String::new(),
        }
    }

    fn overloaded() -> GeminiError {
        GeminiError::Unavailable {
            status: 503,
            message: String::new(),
        }
    }

    #[test]
    fn an_overloaded_model_is_asked_three_times_at_most() {
        for attempts in 1..=2 {
            let wait = before_another(&overloaded(), attempts, MINUTE).unwrap();
            assert!(wait <= RETRY.ceiling(attempts));
        }
        assert_eq!(before_another(&overloaded(), 3, MINUTE), None);
        assert_eq!(before_another(&overloaded(), 1, LEAST / 2), None);
    }

    #[test]
    fn a_wait_is_kept_to_if_it_fits_and_left_to_the_caller_otherwise() {
        let wait = before_another(&limited(Quota::Minute, Some(7)), 1, MINUTE).unwrap();
        assert!((Duration::from_secs(7)..=Duration::from_secs(8)).contains(&wait));
        let fifty = Duration::from_secs(50);
        assert_eq!(
            before_another(&limited(Quota::Minute, Some(46)), 1, fifty),
            None
        );
        assert!(before_another(&limited(Quota::Unnamed, None), 1, MINUTE).is_some());
    }

    #[test]
    fn what_stays_as_it_is_is_not_asked_again() {
        for error in [
            limited(Quota::Day, Some(1)),
            limited(Quota::Nothing, Some(1)),
            GeminiError::TimedOut(MINUTE),
            GeminiError::TooLarge(1),
            GeminiError::Unreadable("x".into()),
            GeminiError::Truncated {
                max_output_tokens: 1,
            },
            GeminiError::Blocked {
                what: "the prompt",
                reason: "SAFETY".into(),
            },
            GeminiError::Refused {
                status: 400,
                reason: "x".into(),
                message: "x".into(),
            },
        ] {
            assert_eq!(before_another(&error, 1, MINUTE), None, "{error}");
        }
    }
}
