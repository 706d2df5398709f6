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
    /// Whether the server counts as down, or did while the attempt was made.
    pub in_outage: bool,
    /// Whether it was refused before, and others have had their time to be refused too.
    pub doubted: bool,
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
    /// Try once more after that time, unless the breaker has opened meanwhile: a refusal that everybody gets is not the
    /// job's.
    Doubt(Duration),
    /// Put it into the dead-letter topic, with that class, unless the server says that it is not ready: then its
    /// failures were not the job's, and it is held.
    DeadLetterIfReady(Class),
}

/// How long a refused job waits for others to be refused.
pub const DOUBT: Duration = Duration::from_secs(1);

/// How long a held job waits before it asks the breaker again.
pub const HOLD: Duration = Duration::from_millis(100);

/// Decides by the failure's class, the attempts and the time used up, and the state of the server.
pub fn decide(
    failure: &Failure,
    attempted: Attempted,
    policy: &RetryPolicy,
    deadline: Duration,
) -> Disposition {
    let blames_server = match failure.code.blame() {
        Blame::Server => true,
        Blame::Suspect => attempted.in_outage,
        Blame::Job => false,
    };
    if blames_server {
        return Disposition::Hold(HOLD);
    }
    match failure.class() {
        Class::Permanent if failure.code.blame() == Blame::Suspect => match attempted.doubted {
            true => Disposition::DeadLetterIfReady(Class::Permanent),
            false => Disposition::Doubt(DOUBT),
        },
        class @ (Class::Permanent | Class::Exhausted | Class::Fatal) => {
            Disposition::DeadLetter(class)
        }
        Class::Transient => {
            let delay = policy.delay(attempted.attempts, failure.retry_after);
            let used_up =
                !policy.allows_another(attempted.attempts) || attempted.age + delay >= deadline;
            if used_up && failure.code.blame() == Blame::Suspect {
                Disposition::DeadLetterIfReady(Class::Exhausted)
            } else if used_up {
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

    fn after(code: ErrorCode, attempts: u32, age_s: u64, in_outage: bool) -> Disposition {
        let attempted = Attempted {
            attempts,
            age: Duration::from_secs(age_s),
            in_outage,
            doubted: attempts > 1,
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
                (Blame::Suspect, _) => {
                    assert_eq!(disposition, Disposition::Doubt(DOUBT));
                    let again = after(*code, 2, 0, false);
                    assert_eq!(again, Disposition::DeadLetterIfReady(Class::Permanent));
                }
                (_, class) => assert_eq!(disposition, Disposition::DeadLetter(class)),
            }
        }
    }

    #[test]
    fn attempts_or_deadline_used_up_is_exhausted() {
        let exhausted = Disposition::DeadLetter(Class::Exhausted);
        assert_eq!(after(ErrorCode::ToolUnavailable, 8, 0, false), exhausted);
        assert_eq!(after(ErrorCode::ToolUnavailable, 1, 900, false), exhausted);
    }

    #[test]
    fn what_may_be_the_servers_trouble_is_exhausted_only_if_it_is_ready() {
        for (attempts, age) in [(8, 0), (1, 900)] {
            let disposition = after(ErrorCode::ServerError, attempts, age, false);
            assert_eq!(
                disposition,
                Disposition::DeadLetterIfReady(Class::Exhausted)
            );
        }
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
