//! The kinds of HTTP 429. All have the same status, and mostly a `RetryInfo` each, even where no waiting helps; the details
//! and the message tell them apart.

use std::time::Duration;

use serde_json::Value;

use crate::wire::Status;

/// Longest wait that is believed: no quota takes longer to come back.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Which quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Requests or tokens a minute: free again within that.
    Minute,
    /// Requests or tokens a day: free again at midnight, Pacific time.
    Day,
    /// A limit of 0: the project has no quota for the model, and never will by waiting.
    Nothing,
    /// The answer does not say. Capacity that all share is refused so; it comes back.
    Unnamed,
}

impl Quota {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Day, Self::Nothing, Self::Unnamed];

    /// Its name in metrics and details.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Day => "day",
            Self::Nothing => "none",
            Self::Unnamed => "unnamed",
        }
    }
}

/// What a 429 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The quota that decides: of several the one that lasts longest.
    pub quota: Quota,
    /// Its name, such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier`.
    pub quota_id: Option<String>,
    /// How long to wait, by `RetryInfo`: a day at most. Nothing where waiting does not help.
    pub retry_after: Option<Duration>,
}

impl Limited {
    /// Reads an error with status 429.
    pub(crate) fn read(status: &Status) -> Self {
        let violations: Vec<&Value> = status
            .details("QuotaFailure")
            .filter_map(|failure| failure["violations"].as_array())
            .flatten()
            .collect();
        let id = |violation: &Value| violation["quotaId"].as_str().map(str::to_owned);
        let named = |what: &str| {
            let ids = violations.iter().filter_map(|violation| id(violation));
            ids.into_iter().find(|id| id.contains(what))
        };
        let any = || violations.iter().find_map(|violation| id(violation));
        let (quota, quota_id) = if is_zero(&violations, &status.message) {
            (Quota::Nothing, any())
        } else if let Some(day) = named("PerDay") {
            (Quota::Day, Some(day))
        } else if let Some(minute) = named("PerMinute") {
            (Quota::Minute, Some(minute))
        } else {
            (Quota::Unnamed, any())
        };
        let asked = status
            .details("RetryInfo")
            .find_map(|info| duration(info["retryDelay"].as_str()?));
        let retry_after = match quota {
            Quota::Minute | Quota::Unnamed => asked.map(|wait| wait.min(WAIT_MAX)),
            Quota::Day | Quota::Nothing => None,
        };
        Self {
            quota,
            quota_id,
            retry_after,
        }
    }
}

/// A limit of 0 is in the message ("limit: 0, model: …"): Protobuf's JSON leaves out a `quotaValue` of 0, and other limits are
/// left out too, so a missing one says nothing.
fn is_zero(violations: &[&Value], message: &str) -> bool {
    let stated = violations
        .iter()
        .any(|violation| violation["quotaValue"].as_str() == Some("0"));
    let said = message
        .split("limit: 0")
        .skip(1)
        .any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit() || next == '.'));
    stated || said
}

/// `google.protobuf.Duration` in JSON: seconds with up to nine decimal places and an `s`.
fn duration(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const MINUTE: &str = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
    const DAY: &str = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";

    fn limited(message: &str, violations: Value, delay: Value) -> Limited {
        let failure = "type.googleapis.com/google.rpc.QuotaFailure";
        let info = "type.googleapis.com/google.rpc.RetryInfo";
        Limited::read(&Status {
            code: 429,
            message: message.into(),
            status: "RESOURCE_EXHAUSTED".into(),
            details: vec![
                json!({"@type": "type.googleapis.com/google.rpc.Help", "links": []}),
                json!({"@type": failure, "violations": violations}),
                json!({"@type": info, "retryDelay": delay}),
            ],
        })
    }

    #[test]
    fn a_minute_waits_for_as_long_as_it_is_told() {
        let seen = limited(
            "limit: 10",
            json!([{"quotaId": MINUTE, "quotaValue": "10"}]),
            json!("46.25s"),
        );
        assert_eq!(
            seen,
            Limited {
                quota: Quota::Minute,
                quota_id: Some(MINUTE.into()),
                retry_after: Some(Duration::from_millis(46_250)),
            }
        );
    }

    #[test]
    fn nobody_is_told_to_wait_for_longer_than_a_day() {
        let day = Duration::from_secs(86_400);
        let just_less = day - Duration::from_secs(1);
        for (delay, wait) in [
            ("86399s", Some(just_less)),
            ("86400s", Some(day)),
            ("99999999s", Some(day)),
            ("1e18s", Some(day)),
            ("1e300s", None),
            ("-1s", None),
        ] {
            for violations in [json!([{"quotaId": MINUTE}]), json!([])] {
                let seen = limited("limit: 10", violations, json!(delay));
                assert_eq!(seen.retry_after, wait, "{delay}");
            }
        }
    }

    #[test]
    fn a_day_wins_over_a_minute_and_gives_no_wait() {
        let both = json!([{"quotaId": MINUTE}, {"quotaId": DAY, "quotaValue": "20"}]);
        let seen = limited("limit: 20, model: m", both, json!("46s"));
        assert_eq!((seen.quota, seen.retry_after), (Quota::Day, None));
        assert_eq!(seen.quota_id.as_deref(), Some(DAY));
    }

    #[test]
    fn a_limit_of_nothing_is_told_by_the_message_or_the_value() {
        let ids = json!([{"quotaId": DAY}, {"quotaId": MINUTE}]);
        for message in ["metric: x, limit: 0, model: m", "limit: 0", "limit: 0\n* y"] {
            let seen = limited(message, ids.clone(), json!("1s"));
            assert_eq!((seen.quota, seen.retry_after), (Quota::Nothing, None));
        }
        let valued = json!([{"quotaId": MINUTE, "quotaValue": "0"}]);
        assert_eq!(limited("", valued, json!("1s")).quota, Quota::Nothing);
        let other = limited("limit: 0.5, limit: 05", ids, json!("1s"));
        assert_eq!(other.quota, Quota::Day);
    }

    #[test]
    fn what_says_nothing_may_come_back() {
        let bare = Limited::read(&Status::default());
        assert_eq!((bare.quota, bare.retry_after), (Quota::Unnamed, None));
        let delay = limited("Resource exhausted", json!("odd"), json!("2s"));
        assert_eq!(delay.retry_after, Some(Duration::from_secs(2)));
    }

    proptest! {
        #[test]
        fn no_duration_is_a_panic(text in ".{0,20}", seconds in 0u64..1_000_000, nanos in 0u32..1_000_000_000) {
            let _ = duration(&text);
            let whole = duration(&format!("{seconds}.{nanos:09}s")).unwrap();
            prop_assert!(whole.abs_diff(Duration::new(seconds, nanos)) < Duration::from_micros(1));
        }
    }
}
