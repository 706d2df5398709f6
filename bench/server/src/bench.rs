//! The whole run: every cell as often as asked, then the tables.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bench_kit::clock::pause;
use bench_kit::machine::{Machine, allow_connections};
use bench_kit::progress::{deliver, say};
use bench_kit::statistics::Spread;
use bench_kit::usage::Usage;
use mcp_testkit::fetched::repository;

use crate::cli::Settings;
use crate::everything::Everything;
use crate::measure::{calls, more_calls};
use crate::plan::{Plan, Row, System};
use crate::results::{Column, Results, Sample};
use crate::streams::streams;
use crate::systems::{Programs, Running};
use crate::{bars, report};

/// How often a process is started for one number.
const STARTS: u32 = 3;
/// How long a process is left alone before its idle memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// What a run needs and leaves.
struct Bench {
    plan: Plan,
    programs: Programs,
    on: Everything,
    results: Results,
    notes: Vec<String>,
}

/// Measures, and writes the tables.
pub(crate) fn run(settings: &Settings, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let mut plan = Plan::new(settings);
    allow_connections();
    let programs = Programs::find()?;
    let machine = Machine::read("server", programs.versions());
    machine.warn_if_busy();
    let mut notes = Vec::new();
    plan.systems.retain(|system| {
        let missing = programs.missing(*system);
        notes.extend(missing.clone());
        missing.is_none()
    });
    notes.iter().for_each(say);
    let on = Everything::prepare(&programs.server(), &settings.without, runtime)?;
    let mut bench = Bench {
        plan,
        programs,
        on,
        results: Results::default(),
        notes,
    };
    for run in 1..=bench.plan.runs {
        bench.one_run(run)?;
    }
    let Bench {
        plan,
        results,
        notes,
        ..
    } = bench;
    let text = report::markdown(
        &results,
        &bars::judge(&results),
        &machine,
        &notes,
        plan.runs,
    );
    let file = settings.out.clone().or(plan.full.then(results_file));
    deliver(&text, file.as_deref())
}

fn results_file() -> PathBuf {
    repository().join("bench/server/RESULTS.md")
}

impl Bench {
    /// All systems run at the same time, and each cell is measured in one after the other: what the machine does in a minute
    /// meets all of them.
    fn one_run(&mut self, run: u32) -> anyhow::Result<()> {
        self.on.begin();
        let mut systems = self.plan.systems.clone();
        // Nobody is always the first.
        let first = (run - 1) as usize % systems.len().max(1);
        systems.rotate_left(first);
        if systems.contains(&System::Ours) {
            let (_, values) = self.start(System::Shipped)?;
            self.add(run, Row::Process, System::Shipped, values);
        }
        let mut all = Vec::new();
        for system in systems {
            let (running, values) = self.start(system)?;
            all.push((running, values, 0));
        }
        for (era, connections) in self.plan.rows.clone() {
            let row = Row::Calls { era, connections };
            for (running, _, made) in &mut all {
                let cell = calls(running, era, connections, self.on.key(), &self.plan);
                let (values, more) = cell.with_context(|| at(row, running.system))?;
                *made += more;
                self.add(run, row, running.system, values);
            }
        }
        for (running, mut values, mut made) in all {
            let system = running.system;
            if self.plan.calls > 0 {
                let wanted = self.plan.calls.saturating_sub(made);
                let patience = self.plan.patience(system);
                let more = more_calls(&running, self.on.key(), wanted, patience);
                made += more.with_context(|| at(Row::Process, system))?;
                let resident = Usage::of(running.process.id())?.resident_mib;
                values.push((Column::AfterMib, resident));
                values.push((Column::Calls, made as f64));
            }
            self.add(run, Row::Process, system, values);
            if system == System::Ours {
                self.on.check(running.address, made)?;
            }
        }
        if self.plan.streams > 0 && self.plan.systems.contains(&System::Ours) {
            self.streams(run)?;
        }
        Ok(())
    }

    /// A process, and what its start took and its rest takes.
    fn start(&self, system: System) -> anyhow::Result<(Running, Vec<(Column, f64)>)> {
        let mut took = Vec::new();
        loop {
            let running = self.programs.start(system, &self.on);
            let running = running.with_context(|| at(Row::Process, system))?;
            took.push(running.start_ms);
            if took.len() < STARTS as usize {
                continue;
            }
            pause(SETTLE);
            let idle = Usage::of(running.process.id())?.resident_mib;
            let start = Spread::of(&took).map(|took| (Column::StartMs, took.median));
            let values = start.into_iter().chain([(Column::IdleMib, idle)]);
            return Ok((running, values.collect()));
        }
    }

    fn streams(&mut self, run: u32) -> anyhow::Result<()> {
        let running = self.programs.start(System::Ours, &self.on)?;
        let measured = streams(&running, self.on.key(), &self.plan);
        match measured.with_context(|| at(Row::Streams, System::Ours))? {
            Some(values) => self.add(run, Row::Streams, System::Ours, values),
            None => {
                let note = "event streams are not measured: this server has no GET /sse";
                say(note);
                if run == 1 {
                    self.notes.push(note.to_owned());
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, run: u32, row: Row, system: System, values: Vec<(Column, f64)>) {
        let sample = Sample {
            run,
            row,
            system,
            values,
        };
        say(format_args!(
            "run {run}/{}: {}: {}",
            self.plan.runs,
            at(row, system),
            report::summary(&sample)
        ));
        self.results.0.push(sample);
    }
}

fn at(row: Row, system: System) -> String {
    format!("{row}, {}", system.name())
}
