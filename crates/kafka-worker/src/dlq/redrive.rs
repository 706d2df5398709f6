//! `dlq redrive`: letters go back to the topic that they came from, each once.

mod plan;
mod sender;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use self::plan::{Rules, Skip};
use self::sender::{NotSent, Parcel, Sender};
use super::client::wait;
use super::filter::Filter;
use super::ledger::{self, Ledger};
use super::letter::{Letter, Source};
use super::list::ranges;
use super::options::RedriveOptions;
use super::progress::Progress;
use super::reader::Reader;
use super::selection::by_topic;
use super::target::Target;
use super::{Session, letters, say};

/// Letters of one transaction.
const BATCH_LETTERS: usize = 100;
/// Bytes of one transaction, apart from its last letter.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Transactions a second, at a rate that fills them less.
const BATCHES_A_SECOND: usize = 4;

pub(super) fn run(options: &RedriveOptions, session: &Session) -> anyhow::Result<ExitCode> {
    let target = options.target.resolve(&session.vars)?;
    let chosen = by_topic(&options.positions, &target.dead)?;
    let mut tally = Tally::default();
    let mut outcome = Ok(ControlFlow::Continue(()));
    for dead in &target.dead {
        let places = chosen.iter().find(|(topic, _)| topic == dead);
        if places.is_none() && !chosen.is_empty() {
            continue;
        }
        let places = places.map(|(_, places)| &**places);
        outcome = redrive(options, session, &target, dead, places, &mut tally);
        if !matches!(outcome, Ok(ControlFlow::Continue(()))) {
            break;
        }
    }
    let stopped = session.stop.is_cancelled();
    let unfinished = stopped || outcome.is_err();
    if outcome.is_ok() || !tally.is_empty() {
        say(&tally.summary(options.dry_run, unfinished));
    }
    let _ = outcome?;
    Ok(match tally.skipped == 0 && !stopped {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    skipped: u64,
    /// Found in the ledger, or another letter of the same record was.
    before: u64,
}

impl Tally {
    fn is_empty(&self) -> bool {
        self.sent + self.skipped + self.before == 0
    }

    fn summary(&self, dry_run: bool, unfinished: bool) -> String {
        let done = if dry_run {
            "would be redriven"
        } else {
            "redriven"
        };
        let mut summary = format!("{} {done}", letters(self.sent));
        if self.skipped > 0 {
            summary.push_str(&format!(", {} skipped", self.skipped));
        }
        if self.before > 0 {
            summary.push_str(&format!(", {} redriven before", self.before));
        }
        if unfinished && !dry_run {
            summary.push_str(
                "; not finished: run the same command again to go on, no letter is sent twice",
            );
        }
        summary
    }
}

fn redrive(
    options: &RedriveOptions,
    session: &Session,
    target: &Target,
    dead: &str,
    places: Option<&[(i32, i64)]>,
    tally: &mut Tally,
) -> anyhow::Result<ControlFlow<()>> {
    let reader = Reader::new(target)?;
    let partitions = reader.existing(dead)?;
    let sender = match options.dry_run {
        true => None,
        false => {
            ledger::ensure(target, &reader, dead)?;
            Some(Sender::take_over(target, dead)?)
        }
    };
    // Not before the others are shut out: what they have sent is in the ledger now.
    let ledger = Ledger::read(&reader, dead)?;
    if let Some(sender) = &sender {
        let outlived = ledger.outlived(&reader.extent(dead, &partitions)?);
        for keys in outlived.chunks(BATCH_LETTERS * 10) {
            sender.forget(keys, session.clock.now())?;
        }
    }
    let filter = Filter::new(&options.filter, session.clock.now());
    let ranges = match places {
        Some(_) => Vec::new(),
        None => ranges(&reader, dead, &filter)?,
    };
    let total = places.map_or_else(
        || ranges.iter().map(|range| range.len()).sum(),
        |places| places.len() as u64,
    );
    let mut redrive = Redrive {
        options,
        session,
        rules: Rules {
            topics: &target.topics,
            max_redrives: options.max_redrives,
        },
        sources: Reader::new(target)?,
        sender,
        ledger,
        partitions: HashMap::new(),
        batch: Vec::new(),
        next: Instant::now(),
        progress: Progress::new(total, true),
        tally,
    };
    let flow = match places {
        Some(places) => redrive.chosen(&reader, dead, places)?,
        None => reader.scan(dead, &ranges, &mut |letter| {
            redrive.progress.read(1);
            match filter.fits(&letter) {
                true => redrive.take(letter),
                false => Ok(redrive.go_on()),
            }
        })?,
    };
    redrive.send_batch()?;
    Ok(flow)
}

/// The redrive of one dead-letter topic.
struct Redrive<'a> {
    options: &'a RedriveOptions,
    session: &'a Session,
    rules: Rules<'a>,
    /// Reads single records while another reader is in the middle of the letters.
    sources: Reader,
    /// None in a dry run.
    sender: Option<Sender>,
    ledger: Ledger,
    /// Of the topics that letters came from.
    partitions: HashMap<String, Vec<i32>>,
    batch: Vec<Parcel>,
    /// When the next batch may go.
    next: Instant,
    progress: Progress,
    tally: &'a mut Tally,
}

impl Redrive<'_> {
    fn go_on(&self) -> ControlFlow<()> {
        let taken = self.tally.sent + self.batch.len() as u64;
        let enough = self.options.limit.is_some_and(|limit| taken >= limit);
        match self.session.stop.is_cancelled() || enough {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn chosen(
        &mut self,
        reader: &Reader,
        dead: &str,
        places: &[(i32, i64)],
    ) -> anyhow::Result<ControlFlow<()>> {
        for (partition, offset) in places {
            self.progress.read(1);
            match reader.one(dead, *partition, *offset)? {
                Some(letter) => {
                    if self.take(letter)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                None => self.skip(&format!("{partition}:{offset}"), &Skip::Missing),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn skip(&mut self, name: &str, why: &Skip) {
        self.tally.skipped += 1;
        self.progress.say(&format!("skipped {name}: {why}"));
    }

    /// Puts the letter into the batch, and sends the batch when it is full.
    fn take(&mut self, letter: Letter) -> anyhow::Result<ControlFlow<()>> {
        if self.go_on().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if self.ledger.redriven(&letter).is_some() {
            self.tally.before += 1;
            return Ok(ControlFlow::Continue(()));
        }
        match self.parcel(&letter)? {
            Ok(parcel) if self.sender.is_none() => {
                self.tally.sent += 1;
                self.ledger.add(&letter, self.session.clock.now());
                let to = destination_name(&parcel);
                self.progress
                    .say(&format!("would redrive {} to {to}", letter.name()));
            }
            Ok(parcel) => {
                self.ledger.add(&letter, self.session.clock.now());
                self.batch.push(parcel);
                let bytes: usize = self.batch.iter().map(|parcel| parcel.job.size()).sum();
                if self.batch.len() >= batch_letters(self.options.rate) || bytes >= BATCH_BYTES {
                    self.send_batch()?;
                }
            }
            Err(why) => self.skip(&letter.name(), &why),
        }
        Ok(self.go_on())
    }

    fn parcel(&mut self, letter: &Letter) -> anyhow::Result<Result<Parcel, Skip>> {
        let source = match plan::destination(letter, &self.rules) {
            Ok(source) => source,
            Err(why) => return Ok(Err(why)),
        };
        let partition = self.partition(&source)?;
        let original = match plan::needs_source(letter) {
            true => self
                .sources
                .one(&source.topic, source.partition, source.offset)?,
            false => None,
        };
        Ok(
            plan::job(letter, &source, original.as_ref()).map(|job| Parcel {
                letter: letter.without_contents(),
                job,
                topic: source.topic,
                partition,
            }),
        )
    }

    /// The partition that the record came from, so that jobs of one key stay together whatever partitioner their
    /// producer uses; none if the topic does not have it any more.
    fn partition(&mut self, source: &Source) -> anyhow::Result<Option<i32>> {
        if !self.partitions.contains_key(&source.topic) {
            let found = self.sources.partitions(&source.topic)?;
            let found = found.with_context(|| format!("topic {} does not exist", source.topic))?;
            self.partitions.insert(source.topic.clone(), found);
        }
        let known = &self.partitions[&source.topic];
        Ok(known
            .contains(&source.partition)
            .then_some(source.partition))
    }

    /// Sends what is in the batch, unless it is to stop before its turn comes.
    fn send_batch(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() || !self.turn(batch.len()) {
            return Ok(());
        }
        match self.send(&batch) {
            Ok(()) => self.tally.sent += batch.len() as u64,
            Err(NotSent::Stopped(error)) => return Err(error),
            // One of them is refused, and with it all: each on its own.
            Err(NotSent::Refused(_)) => {
                for parcel in &batch {
                    match self.send(std::slice::from_ref(parcel)) {
                        Ok(()) => self.tally.sent += 1,
                        Err(NotSent::Stopped(error)) => return Err(error),
                        Err(NotSent::Refused(code)) => {
                            let why = Skip::Refused(parcel.topic.clone(), code.to_string());
                            self.skip(&parcel.letter.name(), &why);
                        }
                    }
                }
            }
        }
        self.progress
            .so_far(&format!("{} redriven", letters(self.tally.sent)));
        Ok(())
    }

    fn send(&self, batch: &[Parcel]) -> Result<(), NotSent> {
        match &self.sender {
            Some(sender) => sender.send(batch, &[], self.session.clock.now()),
            None => Ok(()),
        }
    }

    /// Waits until the rate allows so many letters; returns whether it came to that.
    fn turn(&mut self, count: usize) -> bool {
        let stopped = wait(async {
            tokio::select! {
                biased;
                () = self.session.stop.cancelled() => true,
                () = tokio::time::sleep_until(self.next) => false,
            }
        });
        self.next = self.next.max(Instant::now())
            + Duration::from_secs_f64(count as f64 / f64::from(self.options.rate));
        !stopped
    }
}

fn batch_letters(rate: u32) -> usize {
    usize::try_from(rate)
        .unwrap_or(BATCH_LETTERS)
        .div_euclid(BATCHES_A_SECOND)
        .clamp(1, BATCH_LETTERS)
}

fn destination_name(parcel: &Parcel) -> String {
    match parcel.partition {
        Some(partition) => format!("{}/{partition}", parcel.topic),
        None => parcel.topic.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_rate_makes_small_batches() {
        let sizes = [1, 4, 50, 100_000].map(batch_letters);
        assert_eq!(sizes, [1, 1, 12, 100]);
    }

    #[test]
    fn the_summary_says_how_to_go_on() {
        let tally = Tally {
            sent: 1,
            skipped: 2,
            before: 3,
        };
        assert_eq!(
            tally.summary(false, false),
            "1 letter redriven, 2 skipped, 3 redriven before"
        );
        let unfinished = tally.summary(false, true);
        assert!(
            unfinished.contains("run the same command again"),
            "{unfinished}"
        );
        let dry = Tally::default().summary(true, false);
        assert_eq!(dry, "0 letters would be redriven");
    }
}
