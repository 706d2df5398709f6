//! The one place that reads the wall clock. Durations are measured with tokio's clock, never with this one.

use chrono::{DateTime, Utc};

/// Where the time of day comes from: the machine, or a fixed instant in tests.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The machine's wall clock, in UTC.
    #[default]
    System,
    /// Always the same instant.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The time now, in UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the wall clock's one home"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Fixed(at) => *at,
        }
    }
}

/// RFC 3339 with milliseconds and `Z`, as every timestamp we write.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
