//! What the records are, and what the stub server does with each of their calls: pure functions of the seed.

use std::time::Duration;

use serde_json::json;

use super::dice::Dice;

/// Keys that the records share.
const KEYS: u64 = 200;
/// One record in so many begins a stretch that may be a transaction.
const STRETCH: u32 = 50;
/// Records of a transaction.
pub(crate) const TRANSACTION: u32 = 5;
/// Most steps of a job.
pub(crate) const STEPS_MAX: usize = 2;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A tool call that succeeds in the end.
    Good,
    /// A job of two tool calls.
    Init,
    /// A good one with the `jobID` of the record before it.
    Twin,
    /// A tool call whose tool says that a retry is useless.
    Permanent,
    /// No JSON.
    Poison,
    /// A null value.
    Null,
    /// A job of a type that no worker knows.
    UnknownType,
}

impl Kind {
    /// Whether it must succeed and never become a dead letter.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::Init | Self::Twin)
    }

    /// Whether the server must never hear of it.
    pub(crate) fn is_never_called(self) -> bool {
        matches!(self, Self::Poison | Self::Null | Self::UnknownType)
    }

    /// Calls of one attempt.
    pub(crate) fn steps(self) -> usize {
        match self {
            Self::Init => STEPS_MAX,
            Self::Good | Self::Twin | Self::Permanent => 1,
            Self::Poison | Self::Null | Self::UnknownType => 0,
        }
    }
}

/// One call's trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// HTTP 503; whether it says when to come again.
    Unavailable(bool),
    /// HTTP 429 with `Retry-After`.
    TooMany,
    /// HTTP 500.
    ServerError,
    /// No answer until the caller gives up.
    Hang,
    /// The connection is reset before the work is done.
    ResetBefore,
    /// The connection is reset after the work is done.
    ResetAfter,
    /// A tool error that a retry cures.
    ToolUnavailable,
}

const FAULTS: [Fault; 8] = [
    Fault::Unavailable(false),
    Fault::Unavailable(true),
    Fault::TooMany,
    Fault::ServerError,
    Fault::Hang,
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::ToolUnavailable,
];

/// Whether a stretch begins with a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    Plain,
    Commit,
    Abort,
}

/// A record to be produced.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) key: String,
    pub(crate) partition: i32,
    pub(crate) value: Option<Vec<u8>>,
}

/// All records of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) seed: u64,
    pub(crate) partitions: i32,
}

impl Workload {
    /// The record with that number.
    pub(crate) fn recipe(&self, number: u32) -> Recipe {
        let kind = self.kind(number);
        let mut dice = Dice::new(self.seed, "key", number.into());
        let key = dice.below(KEYS);
        let id = match kind {
            Kind::Twin => number.saturating_sub(1),
            _ => number,
        };
        let job = |job_type: &str, payload: serde_json::Value| {
            let payload = payload.to_string();
            let job =
                json!({"jobID": format!("job-{id}"), "jobType": job_type, "payload": payload});
            Some(job.to_string().into_bytes())
        };
        let call = json!({"tool": "chaos", "arguments": {"name": name(number, 0)}});
        let value = match kind {
            Kind::Good | Kind::Twin | Kind::Permanent => job("tool-call", call),
            Kind::UnknownType => job("no-such-type", call),
            Kind::Init => {
                let servers: serde_json::Map<_, _> = (0..STEPS_MAX)
                    .map(|step| (name(number, step), json!({"command": "run-it"})))
                    .collect();
                job("server-init", json!({"mcpServers": servers}))
            }
            Kind::Poison => Some(format!("{{\"jobID\": \"job-{number}\", oops").into_bytes()),
            Kind::Null => None,
        };
        Recipe {
            key: format!("key-{key}"),
            // Chosen here and not by the client, so that the ledger knows it.
            partition: (Dice::new(self.seed, "partition", key).below(self.partitions as u64))
                as i32,
            value,
        }
    }

    /// What the record with that number is.
    pub(crate) fn kind(&self, number: u32) -> Kind {
        match Dice::new(self.seed, "kind", number.into()).below(1_000) {
            0..20 => Kind::Permanent,
            20..35 => Kind::Poison,
            35..45 => Kind::Null,
            45..55 => Kind::UnknownType,
            55..70 => Kind::Twin,
            70..100 => Kind::Init,
            _ => Kind::Good,
        }
    }

    /// Whether a transaction of [`TRANSACTION`] records begins at that number.
    pub(crate) fn batch(&self, number: u32) -> Batch {
        if !number.is_multiple_of(STRETCH) {
            return Batch::Plain;
        }
        match Dice::new(self.seed, "batch", number.into()).below(4) {
            0 => Batch::Commit,
            1 => Batch::Abort,
            _ => Batch::Plain,
        }
    }

    /// What goes wrong with that call of a step: the first ones may fail, never more than three.
    pub(crate) fn fault(&self, number: u32, step: u8, call: u32) -> Option<Fault> {
        let mut dice = Dice::new(self.seed, "fault", u64::from(number) << 8 | u64::from(step));
        let faults = match dice.below(1_000) {
            0..850 => 0,
            850..950 => 1,
            950..985 => 2,
            _ => 3,
        };
        if u64::from(call) >= faults {
            return None;
        }
        let drawn = (0..=call).map(|_| dice.below(FAULTS.len() as u64) as usize);
        drawn.last().map(|fault| FAULTS[fault])
    }

    /// How long the work of that call takes: mostly tens of milliseconds, with a slow tail well below any timeout.
    pub(crate) fn latency(&self, number: u32, step: u8, call: u32) -> Duration {
        let mut dice = Dice::new(
            self.seed,
            "latency",
            u64::from(number) << 16 | u64::from(step) << 8 | u64::from(call & 0xff),
        );
        let slow = dice.per_mille(30);
        Duration::from_millis(match slow {
            true => dice.between(200, 900),
            false => dice.between(2, 50),
        })
    }
}

/// The argument `name` of a call: all that the stub has to know a call by.
fn name(number: u32, step: usize) -> String {
    format!("r{number}-{step}")
}

/// Record and step of a call's argument `name`.
pub(crate) fn parse_name(name: &str) -> Option<(u32, u8)> {
    let (number, step) = name.strip_prefix('r')?.split_once('-')?;
    Some((number.parse().ok()?, step.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_a_function_of_the_seed() {
        let load = |seed| Workload {
            seed,
            partitions: 6,
        };
        let values = |seed| {
            (0..99)
                .map(|n| load(seed).recipe(n).value)
                .collect::<Vec<_>>()
        };
        assert_eq!(values(1), values(1));
        let kinds = |seed| (0..99).map(|n| load(seed).kind(n)).collect::<Vec<_>>();
        assert_ne!(kinds(1), kinds(2));
    }

    #[test]
    fn a_key_has_one_partition_and_every_kind_occurs() {
        let load = Workload {
            seed: 5,
            partitions: 6,
        };
        let mut partitions = std::collections::HashMap::new();
        let mut kinds = Vec::new();
        for number in 0..2_000 {
            let (recipe, kind) = (load.recipe(number), load.kind(number));
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
            assert_eq!(
                *partitions.entry(recipe.key).or_insert(recipe.partition),
                recipe.partition
            );
        }
        assert_eq!(kinds.len(), 7);
    }

    #[test]
    fn a_name_tells_record_and_step_and_faults_come_to_an_end() {
        assert_eq!(parse_name(&name(12, 1)), Some((12, 1)));
        assert_eq!(parse_name("x"), None);
        let load = Workload {
            seed: 5,
            partitions: 6,
        };
        assert!((0..500).any(|number| load.fault(number, 0, 0).is_some()));
        assert!((0..500).all(|number| load.fault(number, 0, 3).is_none()));
    }
}
