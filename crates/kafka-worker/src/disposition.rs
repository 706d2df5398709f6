//! What becomes of a job after an attempt failed: one pure function.

use std::time::Duration;

use mcp_core::{Blame, Class, Failure, RetryPolicy};

/// What is known of the job when the attempt has failed.
#[derive(Clone, Copy, Debug)]
pub struct Attempted {
    /// Attempts that count, this one included.
    pub attempts: u32,
    /// Time since the first attempt began.
    pub age: Duration,
    /// Whether the server counts as down.
    pub breaker_open: bool,
}

/// What to do with the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try again after that time; the attempt counts.
    Retry(Duration),
    /// Try again once the server is back; the attempt does not count.
    Hold(Duration),
    /// Put it into the dead-letter topic, with that class.
    DeadLetter(Class),
}

/// How long a held job waits before it asks the breaker again.
const HOLD: Duration = Duration::from_millis(100);

/// Decides by the failure's class, the attempts and the time used up, and the state of the server.
pub fn decide(
    failure: &Failure,
    attempted: Attempted,
    policy: &RetryPolicy,
    deadline: Duration,
) -> Disposition {
    let blames_server = match failure.code.blame() {
        Blame::Server => true,
        Blame::Suspect => attempted.breaker_open,
        Blame::Job => false,
    };
    if blames_server {
        return Disposition::Hold(HOLD);
    }
    match failure.class() {
        class @ (Class::Permanent | Class::Exhausted | Class::Fatal) => {
            Disposition::DeadLetter(class)
        }
        Class::Transient => {
            let delay = policy.delay(attempted.attempts, failure.retry_after);
            if !policy.allows_another(attempted.attempts) || attempted.age + delay >= deadline {
                Disposition::DeadLetter(Class::Exhausted)
            } else {
                Disposition::Retry(delay)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_core::ErrorCode;

    const DEADLINE: Duration = Duration::from_secs(900);

    fn after(code: ErrorCode, attempts: u32, age_s: u64, breaker_open: bool) -> Disposition {
        let attempted = Attempted {
            attempts,
            age: Duration::from_secs(age_s),
            breaker_open,
        };
        decide(
            &Failure::new(code, "x"),
            attempted,
            &RetryPolicy::default(),
            DEADLINE,
        )
    }

    #[test]
    fn every_code_ends_where_its_class_says() {
        for code in ErrorCode::ALL {
            let disposition = after(*code, 1, 0, false);
            match (code.blame(), code.class()) {
                (Blame::Server, _) => assert!(matches!(disposition, Disposition::Hold(_))),
                (_, Class::Transient) => assert!(matches!(disposition, Disposition::Retry(_))),
                (_, class) => assert_eq!(disposition, Disposition::DeadLetter(class)),
            }
        }
    }

    #[test]
    fn attempts_or_deadline_used_up_is_exhausted() {
        let exhausted = Disposition::DeadLetter(Class::Exhausted);
        assert_eq!(after(ErrorCode::ServerError, 8, 0, false), exhausted);
        assert_eq!(after(ErrorCode::ServerError, 1, 900, false), exhausted);
    }

    #[test]
    fn while_the_server_is_down_nothing_is_dead_lettered_for_it() {
        for code in [
            ErrorCode::ServerUnavailable,
            ErrorCode::Unauthorized,
            ErrorCode::ServerUnreachable,
        ] {
            assert!(matches!(after(code, 8, 900, true), Disposition::Hold(_)));
        }
        let permanent = Disposition::DeadLetter(Class::Permanent);
        assert_eq!(after(ErrorCode::InvalidPayload, 1, 0, true), permanent);
    }
}
