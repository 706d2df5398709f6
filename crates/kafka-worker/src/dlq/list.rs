//! `dlq list`.

use std::io::{BufWriter, ErrorKind, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::filter::Filter;
use super::ledger::Ledger;
use super::letter::Letter;
use super::mask::Mask;
use super::options::ListOptions;
use super::progress::Progress;
use super::reader::{Range, Reader};
use super::table::{Table, age, row};
use super::{Session, letters, note};

pub(super) fn run(options: &ListOptions, session: &Session) -> anyhow::Result<ExitCode> {
    let target = options.target.resolve(&session.vars)?;
    let now = session.clock.now();
    let filter = Filter::new(&options.filter, now);
    let reader = Reader::new(&target)?;
    let mut sheet = Sheet::new();
    let (mut shown, mut hidden) = (0, 0);
    for dead in &target.dead {
        let ranges = ranges(&reader, dead, &filter)?;
        let ledger = Ledger::glance(&reader, dead)?;
        let progress = Progress::reading(&ranges, !std::io::stdout().is_terminal());
        let flow = reader.scan(dead, &ranges, &mut |letter| {
            progress.read(1);
            if !filter.fits(&letter) {
                return Ok(ControlFlow::Continue(()));
            }
            let redriven = ledger.redriven(&letter);
            if redriven.is_some() && !options.all {
                hidden += 1;
                return Ok(ControlFlow::Continue(()));
            }
            shown += 1;
            let message = message(&letter);
            let lines = match options.json {
                true => vec![letter.summary(redriven, &message).to_string()],
                false => {
                    let message = match redriven {
                        Some(at) => format!("(redriven {} ago) {message}", age(now - at)),
                        None => message,
                    };
                    let row = row(&letter, &message, target.dead.len() > 1, now);
                    sheet.table.push(row)
                }
            };
            let full = options.limit.is_some_and(|limit| shown >= limit);
            match sheet.print(&lines)?.is_break() || full {
                true => Ok(ControlFlow::Break(())),
                false => Ok(ControlFlow::Continue(())),
            }
        })?;
        drop(progress);
        if flow.is_break() {
            break;
        }
    }
    let rest = sheet.table.flush();
    let _ = sheet.print(&rest)?;
    let _ = sheet.flush()?;
    let hint = match hidden {
        0 => String::new(),
        1 => "; 1 that was redriven already is hidden, --all shows it".to_owned(),
        hidden => format!("; {hidden} that were redriven already are hidden, --all shows them"),
    };
    note(&format!("{}{hint}", letters(shown)));
    Ok(ExitCode::SUCCESS)
}

/// The letter's message without secrets: a worker masks what it knows, other writers may not.
fn message(letter: &Letter) -> String {
    let mut mask = Mask::default();
    let _ = letter.value.as_deref().map(|value| mask.value(value));
    mask.learn(&letter.headers);
    mask.text(letter.message().unwrap_or_default())
}

/// The part of the topic in which letters may fit.
pub(super) fn ranges(reader: &Reader, dead: &str, filter: &Filter) -> anyhow::Result<Vec<Range>> {
    let mut ranges = reader.extent(dead, &reader.existing(dead)?)?;
    for range in ranges.iter_mut().filter(|range| range.len() > 0) {
        if let Some(since) = filter.since {
            // No record of that time or later: nothing to read.
            range.from = reader
                .offset_at(dead, range.partition, since)?
                .map_or(range.to, |offset| offset.max(range.from));
        }
        if let Some(end) = filter.give_up_at()
            && let Some(offset) = reader.offset_at(dead, range.partition, end)?
        {
            range.to = offset.min(range.to);
        }
    }
    Ok(ranges)
}

/// The letters that fit, without the rest of what is read, for `show`.
pub(super) fn all_of(
    reader: &Reader,
    dead: &str,
    filter: &Filter,
    most: usize,
) -> anyhow::Result<Vec<Letter>> {
    let mut found = Vec::new();
    let _ = reader.scan(dead, &ranges(reader, dead, filter)?, &mut |letter| {
        if filter.fits(&letter) {
            found.push(letter);
        }
        Ok(match found.len() < most {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })?;
    Ok(found)
}

/// Standard output.
struct Sheet {
    out: BufWriter<std::io::Stdout>,
    table: Table,
}

impl Sheet {
    fn new() -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let width = || {
            console::Term::stdout()
                .size_checked()
                .map(|(_, width)| usize::from(width))
        };
        Self {
            out: BufWriter::new(stdout),
            table: Table::new(terminal.then(width).flatten()),
        }
    }

    /// A reader that has gone away (`| head`) breaks off, and is no error.
    fn print(&mut self, lines: &[String]) -> std::io::Result<ControlFlow<()>> {
        for line in lines {
            if let Err(error) = writeln!(self.out, "{line}") {
                return gone(error);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> std::io::Result<ControlFlow<()>> {
        match self.out.flush() {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) => gone(error),
        }
    }
}

fn gone(error: std::io::Error) -> std::io::Result<ControlFlow<()>> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        _ => Err(error),
    }
}
