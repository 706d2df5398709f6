//! The command line of `dlq`.

use clap::{Args, Subcommand};

use super::filter::{FilterOptions, When, parse_when};
use super::selection::{Place, parse_place};
use super::target::TargetOptions;

/// Work with dead letters: look at them, send them back, clear them away.
#[derive(Clone, Debug, Subcommand)]
pub enum DlqCommand {
    /// List dead letters, those that were not redriven yet.
    List(ListOptions),
    /// Show one dead letter whole: headers decoded, value pretty-printed, secrets masked.
    Show(ShowOptions),
    /// Send dead letters back to the topic that they came from, each once.
    Redrive(RedriveOptions),
    /// Delete dead letters for good, up to the present end of the topic.
    Purge(PurgeOptions),
}

/// Options of `list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  kafka-worker dlq list
  kafka-worker dlq list --since 2h --code request-rejected
  kafka-worker dlq list --class exhausted --json | jq -r .jobID

The table goes to standard output, with --json one object a line; the summary goes to standard \
error. Letters are in order within a partition, one partition after the other.")]
pub struct ListOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,
    #[command(flatten)]
    pub(crate) filter: FilterOptions,
    /// At most so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Those that were redriven already, too.
    #[arg(long)]
    pub(crate) all: bool,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `show`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  kafka-worker dlq show 0:12
  kafka-worker dlq show job-123 --json | jq .value

Masked are environment values and headers of servers, everything under a name that looks like a \
password, token, secret, credential, authorization, cookie or API key, and credentials in URLs. What is no \
JSON and may hold such things is not shown.")]
pub struct ShowOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,
    /// A position as `list` prints it (partition:offset), or a jobID; a job may have several letters.
    #[arg(value_name = "PARTITION:OFFSET|JOBID")]
    pub(crate) letter: String,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `redrive`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  kafka-worker dlq redrive --dry-run
  kafka-worker dlq redrive --code server-unavailable --since 3h
  kafka-worker dlq redrive 0:12 0:17 2:3
  kafka-worker dlq redrive --limit 10 --rate 1

Without positions and filters all letters are sent that were not redriven yet. Key, value and the \
record's own headers are those of the letter, `mcp.redrive.count` is one more, and the partition is \
the one that the record came from. A value that did not fit into the dead-letter topic is read from \
the record's first place while retention holds.

Each letter is sent once, even if the command is killed and run again: the job and a record in the \
ledger topic ({dead-letter topic}-redriven, compacted, made at first use) are one Kafka transaction. \
A second redrive of the same dead-letter topic takes over from the first. Consumers must read \
committed records only, as the worker does.

Exits with 0 if all letters were redriven, 1 if some could not be (each is named with its reason), \
2 for a wrong command line. Ctrl-C ends it after the present transaction; run it again to go on.")]
pub struct RedriveOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,
    #[command(flatten)]
    pub(crate) filter: FilterOptions,
    /// Only these letters, by their positions as `list` prints them.
    #[arg(value_name = "PARTITION:OFFSET", value_parser = parse_place, conflicts_with_all = ["code", "class", "job_type", "job", "since", "until"])]
    pub(crate) positions: Vec<Place>,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// At most so many a second.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// At most so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// A job that was redriven so often is skipped: it would only come back.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) max_redrives: u32,
}

/// Options of `purge`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  kafka-worker dlq purge
  kafka-worker dlq purge --before 30d --yes

Says how many letters each partition holds and how many of them were never redriven, and asks. \
What comes after it has begun stays. Purged letters can't be brought back.")]
pub struct PurgeOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,
    /// Only letters before this time: RFC 3339, or an age such as 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    pub(crate) before: Option<When>,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}
