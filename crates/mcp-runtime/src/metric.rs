//! Metrics as data. A crate has one table of them, in its `metric_definitions.rs`; from it come the constants that code
//! counts with, what the recorder is told, and `docs/metrics.md`.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that grows; its name ends in `_total`.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution in buckets: `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// The word after `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric of a table, see [`metric_definitions!`](crate::metric_definitions).
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, with the unit at its end.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Lines of the help text, as they stand in the table.
    pub lines: &'static [&'static str],
    /// The situation in which it appears, where it is not there all the time.
    pub when: Option<&'static str>,
}

impl Metric {
    /// The help text, on one line.
    pub fn help(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|line| line.trim()).collect();
        lines.join(" ")
    }

    /// The unit, which is the end of the name (before `_total`); none for a count.
    pub fn unit(&self) -> Option<Unit> {
        let name = self.name.trim_end_matches("_total");
        match name.rsplit('_').next() {
            Some("seconds") => Some(Unit::Seconds),
            Some("bytes") => Some(Unit::Bytes),
            _ => None,
        }
    }

    /// Tells the recorder what it is. One that is there all the time and has no labels shows as 0 from now on: a number
    /// that first appears when something has happened can't be told from one that nobody measures, and its first step
    /// is no increase to Prometheus.
    pub fn describe(&self) {
        let unit = self.unit().unwrap_or(Unit::Count);
        let help = self.help();
        let is_single = self.labels.is_empty() && self.when.is_none();
        match self.kind {
            Kind::Counter => {
                describe_counter!(self.name, unit, help);
                if is_single {
                    counter!(self.name).increment(0);
                }
            }
            Kind::Gauge => {
                describe_gauge!(self.name, unit, help);
                if is_single {
                    gauge!(self.name).increment(0.0);
                }
            }
            Kind::Histogram => describe_histogram!(self.name, unit, help),
        }
    }
}

/// A crate's table of metrics.
///
/// ```
/// mcp_runtime::metric_definitions! {
///     /// Letters sent; `kind` is `plain` or `registered`.
///     LETTERS: Counter = "post_letters_total" [kind];
///     /// 1 while the van answers.
///     VAN_UP: Gauge = "post_van_up" [] when "there is a van";
/// }
/// assert_eq!((LETTERS, ALL.len()), ("post_letters_total", 2));
/// assert_eq!(ALL[0].labels, ["kind"]);
/// ```
///
/// It makes a constant for each name; `ALL`; and `describe`, which a crate calls when it starts.
#[macro_export]
macro_rules! metric_definitions {
    ($(
        $(#[doc = $line:literal])+
        $constant:ident: $kind:ident = $name:literal [$($label:ident),*] $(when $when:literal)?;
    )+) => {
        $(
            $(#[doc = $line])+
            pub const $constant: &str = $name;
        )+

        /// All of them.
        pub const ALL: &[$crate::metric::Metric] = &[$(
            $crate::metric::Metric {
                name: $name,
                kind: $crate::metric::Kind::$kind,
                labels: &[$(stringify!($label)),*],
                lines: &[$($line),+],
                when: $crate::metric_definitions!(@when $($when)?),
            }
        ),+];

        /// Tells the recorder what they are.
        pub fn describe() {
            ALL.iter().for_each($crate::metric::Metric::describe);
        }
    };
    (@when) => { None };
    (@when $when:literal) => { Some($when) };
}

/// The tables' page for people: a heading and a table for each of `programs`.
pub fn page(programs: &[(&str, &[Metric])]) -> String {
    let mut page = String::from(PAGE);
    for (program, metrics) in programs {
        page.push_str(&format!(
            "\n## {program}\n\n| Metric | Kind | Labels | What |\n|---|---|---|---|\n"
        ));
        for metric in *metrics {
            let labels: Vec<_> = metric
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let mut help = metric.help();
            if let Some(when) = metric.when {
                help.push_str(&format!(" Appears when {when}."));
            }
            page.push_str(&format!(
                "| `{}` | {} | {} | {} |\n",
                metric.name,
                metric.kind.as_str(),
                labels.join(", "),
                help.replace('|', "\\|")
            ));
        }
    }
    page
}

const PAGE: &str = "\
# Metrics

Made by `cargo xtask docs` from the programs' own definitions (`metric_definitions.rs` of each crate): change those, not this page. A test
compares it with what running programs expose.

`GET /metrics` answers in Prometheus' text format: `kafka-worker` on `ADMIN_PORT` (9090), `mcp-server` on `PORT` (8080). Names follow
OpenTelemetry's semantic conventions where there is one, with `_` for `.` and the unit at the end. A counter or gauge without labels is there from
the start; a series with labels when it first has a value, unless its description says otherwise. A histogram has `_bucket`, `_sum` and
`_count`; its buckets go from half a millisecond to a minute. What to watch and what to do about it: [runbook.md](runbook.md).
";

#[cfg(test)]
#[expect(
    unreachable_pub,
    reason = "what the macro makes is public, as a crate's definitions are"
)]
mod tests {
    use super::{Kind, Metric, page};

    crate::metric_definitions! {
        /// How long it took. The label is
        /// empty on success.
        TOOK: Histogram = "t_took_seconds" [error_type];
        /// Bytes read.
        READ: Counter = "t_read_bytes_total" [];
        /// 1 or 2 | 3.
        LEFT: Gauge = "t_left" [] when "there is a limit";
    }

    #[test]
    fn a_table_gives_constants_data_and_a_page() {
        assert_eq!((TOOK, READ, LEFT), (ALL[0].name, ALL[1].name, ALL[2].name));
        let units = [0, 1, 2].map(|at: usize| ALL[at].unit().map(|unit| unit.as_str()));
        assert_eq!(units, [Some("seconds"), Some("bytes"), None]);
        let kinds: Vec<_> = ALL.iter().map(|metric: &Metric| metric.kind).collect();
        assert_eq!(kinds, [Kind::Histogram, Kind::Counter, Kind::Gauge]);
        let page = page(&[("program", ALL)]);
        for row in [
            "| `t_took_seconds` | histogram | `error_type` | How long it took. The label is empty on success. |",
            "| `t_left` | gauge |  | 1 or 2 \\| 3. Appears when there is a limit. |",
        ] {
            assert!(page.contains(row), "{page}");
        }
        // There is no recorder here: it must not be needed.
        describe();
    }
}
