//! Which letters are meant: pure.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;
use mcp_core::{Class, ErrorCode};

use super::letter::Letter;

/// How far a record's time may be from its place in the order: workers' clocks differ.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(15);

/// Filters; those of different kinds must all fit, of several of one kind one must.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FilterOptions {
    /// Only letters with this error code; may be given more than once.
    #[arg(long, value_name = "CODE", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(ErrorCode::ALL.iter().map(|code| code.as_str())))]
    pub(crate) code: Vec<String>,
    /// Only letters of this failure class.
    #[arg(long, value_name = "CLASS",
        value_parser = PossibleValuesParser::new([Class::Permanent.as_str(), Class::Exhausted.as_str()]))]
    pub(crate) class: Option<String>,
    /// Only jobs of this type; may be given more than once.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) job_type: Vec<String>,
    /// Only this job, by its jobID; may be given more than once.
    #[arg(long, value_name = "JOBID")]
    pub(crate) job: Vec<String>,
    /// Only letters written at this time or later: RFC 3339, or an age such as 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    pub(crate) since: Option<When>,
    /// Only letters written before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    pub(crate) until: Option<When>,
}

/// A time, or how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The time itself.
    At(DateTime<Utc>),
    /// How long before now.
    Ago(TimeDelta),
}

impl When {
    /// The time, in milliseconds since 1970.
    pub(crate) fn millis(self, now: DateTime<Utc>) -> i64 {
        match self {
            Self::At(time) => time.timestamp_millis(),
            Self::Ago(age) => now.timestamp_millis() - age.num_milliseconds(),
        }
    }
}

/// RFC 3339, or a number with s, m, h, d or w.
pub(crate) fn parse_when(text: &str) -> Result<When, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(When::At(time.to_utc()));
    }
    let allowed =
        || "allowed is RFC 3339 (2026-01-31T12:00:00Z), or an age such as 90s, 30m, 2h, 7d, 4w";
    let unit = text.chars().next_back().ok_or_else(allowed)?;
    let number: i64 = text[..text.len() - unit.len_utf8()]
        .parse()
        .map_err(|_| allowed())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(allowed().to_owned()),
    };
    // A century is more than any topic keeps.
    number
        .checked_mul(seconds)
        .filter(|seconds| (0..=3_155_760_000).contains(seconds))
        .map(|seconds| When::Ago(TimeDelta::seconds(seconds)))
        .ok_or_else(|| allowed().to_owned())
}

/// [`FilterOptions`] at a point in time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    options: FilterOptions,
    /// Milliseconds since 1970.
    pub(crate) since: Option<i64>,
    until: Option<i64>,
}

impl Filter {
    pub(crate) fn new(options: &FilterOptions, now: DateTime<Utc>) -> Self {
        Self {
            since: options.since.map(|when| when.millis(now)),
            until: options.until.map(|when| when.millis(now)),
            options: options.clone(),
        }
    }

    /// Only letters of that job.
    pub(crate) fn of_job(id: &str) -> Self {
        let options = FilterOptions {
            job: vec![id.to_owned()],
            ..FilterOptions::default()
        };
        Self {
            options,
            ..Self::default()
        }
    }

    /// From when on no letter can fit any more, in milliseconds since 1970.
    pub(crate) fn give_up_at(&self) -> Option<i64> {
        self.until
            .map(|until| until + CLOCK_SKEW.num_milliseconds())
    }

    pub(crate) fn fits(&self, letter: &Letter) -> bool {
        let one_of = |wanted: &[String], found: Option<&str>| {
            wanted.is_empty()
                || found.is_some_and(|found| wanted.iter().any(|wanted| wanted == found))
        };
        let options = &self.options;
        one_of(&options.code, letter.code())
            && one_of(options.class.as_slice(), letter.class())
            && one_of(&options.job_type, letter.job_type())
            && one_of(&options.job, letter.job_id())
            && self.since.is_none_or(|since| letter.timestamp >= since)
            && self.until.is_none_or(|until| letter.timestamp < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::letter::tests::letter;

    #[test]
    fn a_time_is_rfc_3339_or_an_age() {
        let now = DateTime::from_timestamp_millis(1_000_000_000).unwrap();
        let millis = |text: &str| parse_when(text).unwrap().millis(now);
        assert_eq!(millis("1970-01-01T00:00:01Z"), 1_000);
        assert_eq!(millis("1970-01-01T01:00:01+01:00"), 1_000);
        assert_eq!(millis("90s"), 1_000_000_000 - 90_000);
        assert_eq!(millis("2h"), 1_000_000_000 - 7_200_000);
        assert_eq!(millis("1w"), 1_000_000_000 - 604_800_000);
        for wrong in [
            "",
            "h",
            "2",
            "-2h",
            "2y",
            "2µ",
            "yesterday",
            "99999999999999w",
        ] {
            let error = parse_when(wrong).unwrap_err();
            assert!(error.contains("allowed is"), "{wrong}: {error}");
        }
    }

    #[test]
    fn kinds_must_all_fit_and_one_of_each_kind() {
        let letter = letter(&[
            ("mcp.error.code", "tool-failed"),
            ("mcp.error.class", "permanent"),
            ("mcp.job.id", "a"),
            ("mcp.job.type", "tool-call"),
        ]);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let fits =
            |options: FilterOptions| Filter::new(&options, DateTime::UNIX_EPOCH).fits(&letter);
        assert!(fits(FilterOptions::default()));
        assert!(fits(FilterOptions {
            code: texts(&["timeout", "tool-failed"]),
            class: Some("permanent".into()),
            job: texts(&["a"]),
            job_type: texts(&["tool-call"]),
            ..FilterOptions::default()
        }));
        for wrong in [
            FilterOptions {
                code: texts(&["timeout"]),
                ..FilterOptions::default()
            },
            FilterOptions {
                class: Some("exhausted".into()),
                ..FilterOptions::default()
            },
            FilterOptions {
                job: texts(&["b"]),
                ..FilterOptions::default()
            },
            FilterOptions {
                job_type: texts(&["a"]),
                ..FilterOptions::default()
            },
        ] {
            assert!(!fits(wrong.clone()), "{wrong:?}");
        }
    }

    #[test]
    fn since_is_included_and_until_is_not() {
        let letter = letter(&[]);
        let at = |millis: i64| When::At(DateTime::from_timestamp_millis(millis).unwrap());
        let fits = |since, until| {
            let options = FilterOptions {
                since,
                until,
                ..FilterOptions::default()
            };
            Filter::new(&options, DateTime::UNIX_EPOCH).fits(&letter)
        };
        let time = letter.timestamp;
        assert!(fits(Some(at(time)), Some(at(time + 1))));
        assert!(!fits(Some(at(time + 1)), None));
        assert!(!fits(None, Some(at(time))));
    }
}
