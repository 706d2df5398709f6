//! What happens to each job, as it happens: one line an event.

use std::collections::BTreeMap;

use kafka_worker::{JobEvent, JobEventKind};
use tokio::time::Instant;

use super::plan::{DemoJob, Expected};
use crate::style::{Style, Tone, say};

/// Prints events and remembers how each job ended.
pub(super) struct Timeline {
    style: Style,
    began: Instant,
    /// By partition and offset: a poison record has no job id.
    names: BTreeMap<(i32, i64), &'static str>,
    ended: BTreeMap<&'static str, Ended>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Success { attempts: u32 },
    DeadLetter { code: String, class: String },
}

impl Ended {
    pub(super) fn is(&self, expected: Expected) -> bool {
        match (self, expected) {
            (Self::Success { attempts }, Expected::Success { attempts: wanted }) => {
                *attempts == wanted
            }
            (Self::Success { .. }, Expected::AnySuccess) => true,
            (Self::DeadLetter { code, class }, Expected::DeadLetter { code: c, class: k }) => {
                code == c && class == k
            }
            _ => false,
        }
    }
}

impl Timeline {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            began: Instant::now(),
            names: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// A record was produced.
    pub(super) fn produced(&mut self, job: &DemoJob, partition: i32, offset: i64) {
        self.names.insert((partition, offset), job.id);
        let what = format!(
            "produced   to partition {partition}, offset {offset}: {}",
            job.shows
        );
        self.line(job.id, Tone::Dim, "producer", &what);
    }

    /// Something happened to a job.
    pub(super) fn event(&mut self, event: &JobEvent) {
        let Some(name) = self.names.get(&(event.partition, event.offset)).copied() else {
            return;
        };
        let (tone, what) = match &event.kind {
            JobEventKind::Started => (Tone::Dim, format!("attempt {}", event.attempts)),
            JobEventKind::Retrying(failure, delay) => {
                let millis = delay.as_millis();
                (
                    Tone::Waiting,
                    format!("retry      in {millis} ms: {}", failure.message),
                )
            }
            JobEventKind::Held(failure) => {
                (Tone::Waiting, format!("held       {}", failure.message))
            }
            JobEventKind::Succeeded => {
                let attempts = event.attempts;
                self.ended.insert(name, Ended::Success { attempts });
                let times = if attempts == 1 { "attempt" } else { "attempts" };
                (Tone::Good, format!("succeeded  after {attempts} {times}"))
            }
            JobEventKind::DeadLettered(code, class, message) => {
                let ended = Ended::DeadLetter {
                    code: code.to_string(),
                    class: class.to_string(),
                };
                self.ended.insert(name, ended);
                (
                    Tone::Bad,
                    format!("dead letter  {code} ({class}): {message}"),
                )
            }
        };
        let worker = event.worker.clone();
        self.line(name, tone, &worker, &what);
    }

    /// How the jobs ended so far.
    pub(super) fn ended(&self) -> &BTreeMap<&'static str, Ended> {
        &self.ended
    }

    fn line(&self, job: &str, tone: Tone, who: &str, what: &str) {
        let time = format!("{:>7.3} s", self.began.elapsed().as_secs_f64());
        let time = self.style.paint(Tone::Dim, time);
        let job = self.style.paint(Tone::Bold, format!("{job:<14}"));
        say(format!(
            "{time}  {job} {who:<9} {}",
            self.style.paint(tone, what)
        ));
    }
}
