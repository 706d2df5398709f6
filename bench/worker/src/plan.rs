//! What is measured: rows, systems, and how long.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Partitions of every topic.
pub(crate) const PARTITIONS: i32 = 8;
/// Jobs that wait in the row `backlog`.
pub(crate) const BACKLOG: usize = 200_000;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum System {
    /// The release binary of kafka-worker
    Ours,
    /// Confluent Parallel Consumer with Java's HttpClient
    Pc,
    /// A plain rdkafka and reqwest loop, without order and without care
    Floor,
}

impl System {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Pc, Self::Floor];

    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "kafka-worker",
            Self::Pc => "Parallel Consumer",
            Self::Floor => "floor",
        }
    }
}

/// Which jobs may run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ordering {
    Key,
    Unordered,
}

/// A row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// Full load: more jobs wait than can be done.
    Load {
        latency_ms: u64,
        concurrency: usize,
        ordering: Ordering,
    },
    /// 100 jobs a second, and how long each takes from the producer to the server.
    Latency,
    /// 200,000 jobs wait, and the memory it takes.
    Backlog,
    /// SIGKILL under load, and a second process that goes on.
    Kill,
}

impl Row {
    /// All rows, in the order of the tables.
    pub(crate) fn all() -> Vec<Self> {
        let mut rows = Vec::new();
        for latency_ms in [0, 10, 100] {
            for concurrency in [100, 1000] {
                for ordering in [Ordering::Key, Ordering::Unordered] {
                    rows.push(Self::Load {
                        latency_ms,
                        concurrency,
                        ordering,
                    });
                }
            }
        }
        rows.extend([Self::Latency, Self::Backlog, Self::Kill]);
        rows
    }

    /// The load of the row.
    pub(crate) fn load(self) -> (u64, usize, Ordering) {
        match self {
            Self::Load {
                latency_ms,
                concurrency,
                ordering,
            } => (latency_ms, concurrency, ordering),
            Self::Latency => (0, 100, Ordering::Key),
            Self::Backlog => (100, 1000, Ordering::Key),
            Self::Kill => (100, 100, Ordering::Key),
        }
    }

    /// Whether the system can be measured in it: the floor knows no order.
    pub(crate) fn is_for(self, system: System) -> bool {
        let ordered = matches!(
            self,
            Self::Load {
                ordering: Ordering::Key,
                ..
            }
        );
        system != System::Floor || !ordered
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load {
                latency_ms,
                concurrency,
                ordering,
            } => {
                let ordering = match ordering {
                    Ordering::Key => "key",
                    Ordering::Unordered => "unordered",
                };
                write!(f, "L{latency_ms}-C{concurrency}-{ordering}")
            }
            Self::Latency => f.write_str("latency"),
            Self::Backlog => f.write_str("backlog"),
            Self::Kill => f.write_str("kill"),
        }
    }
}

/// Chooses the rows whose names have all its parts.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Vec<String>);

impl Filter {
    pub(crate) fn fits(&self, row: Row) -> bool {
        let name = row.to_string();
        let parts: Vec<&str> = name.split('-').collect();
        self.0.iter().all(|part| parts.contains(&part.as_str()))
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let filter = Self(text.split('-').map(str::to_owned).collect());
        if Row::all().into_iter().any(|row| filter.fits(row)) {
            return Ok(filter);
        }
        let names: Vec<String> = Row::all().iter().map(Row::to_string).collect();
        Err(format!("no row fits it; there are {}", names.join(", ")))
    }
}

/// How long a cell is warmed up and measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    warm_up: Duration,
    warm_up_java: Duration,
    window: Duration,
    /// Jobs of 100 ms come in waves of that length, so that a short window would cut off a part that counts.
    window_of_waves: Duration,
    /// Jobs of the row `latency` that count.
    pub(crate) trickle: usize,
}

impl Pace {
    pub(crate) const FULL: Self = Self {
        warm_up: Duration::from_secs(2),
        warm_up_java: Duration::from_secs(7),
        window: Duration::from_secs(5),
        window_of_waves: Duration::from_secs(8),
        trickle: 1000,
    };
    pub(crate) const QUICK: Self = Self {
        warm_up: Duration::from_secs(1),
        warm_up_java: Duration::from_secs(4),
        window: Duration::from_secs(2),
        window_of_waves: Duration::from_secs(4),
        trickle: 300,
    };

    /// What is measured, at this latency.
    pub(crate) fn window(&self, latency_ms: u64) -> Duration {
        if latency_ms < 100 {
            self.window
        } else {
            self.window_of_waves
        }
    }

    /// What passes between a system's first job and the window. The JVM compiles what is hot as it runs.
    pub(crate) fn warm_up(&self, system: System) -> Duration {
        match system {
            System::Ours | System::Floor => self.warm_up,
            System::Pc => self.warm_up_java,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(filter: &str) -> Vec<String> {
        let filter: Filter = filter.parse().unwrap();
        let rows = Row::all().into_iter().filter(|row| filter.fits(*row));
        rows.map(|row| row.to_string()).collect()
    }

    #[test]
    fn a_filter_chooses_rows_by_parts_of_their_names() {
        assert_eq!(chosen("L10-C100-key"), ["L10-C100-key"]);
        assert_eq!(chosen("L0-key"), ["L0-C100-key", "L0-C1000-key"]);
        assert_eq!(chosen("C1000").len(), 6);
        assert_eq!(chosen("kill"), ["kill"]);
        assert!("L1".parse::<Filter>().unwrap_err().contains("L0-C100-key"));
    }

    #[test]
    fn the_floor_is_measured_only_without_order() {
        let rows = Row::all().into_iter();
        let names: Vec<String> = rows
            .filter(|row| row.is_for(System::Floor))
            .map(|row| row.to_string())
            .collect();
        assert_eq!(names.len(), 9);
        assert!(names.iter().all(|name| !name.contains("key")));
    }
}
