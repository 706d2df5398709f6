//! The tables, in Markdown, and the bars.

use std::fmt::Write as _;

use crate::{machine::Machine, measure::Row};

/// How many of the most expensive files are shown.
const SHOWN: usize = 25;

/// A bar, with what was measured against it.
pub(crate) struct Bar {
    what: &'static str,
    bar: &'static str,
    measured: String,
    pub(crate) met: bool,
}

/// All bars.
pub(crate) fn bars(rows: &[Row]) -> Vec<Bar> {
    let most = |value: fn(&Row) -> f64| rows.iter().max_by(|a, b| value(a).total_cmp(&value(b)));
    let mut bars = Vec::new();
    if let Some(row) = most(|row| row.ms) {
        bars.push(Bar {
            what: "processor time of a file",
            bar: "≤ 200 ms",
            measured: format!("{:.1} ms ({})", row.ms, row.name),
            met: row.ms <= 200.0,
        });
    }
    if let Some(row) = most(|row| row.mib) {
        bars.push(Bar {
            what: "memory allocated for a file",
            bar: "≤ 64 MiB",
            measured: format!("{:.1} MiB ({})", row.mib, row.name),
            met: row.mib <= 64.0,
        });
    }
    let failed = rows
        .iter()
        .filter(|row| row.outcome == "renderer-failed")
        .count();
    bars.push(Bar {
        what: "failures of the renderer",
        bar: "0",
        measured: failed.to_string(),
        met: failed == 0,
    });
    let refused = rows
        .iter()
        .filter(|row| row.set == "ordinary" && row.outcome != "drawn")
        .count();
    bars.push(Bar {
        what: "ordinary files refused",
        bar: "0",
        measured: refused.to_string(),
        met: refused == 0,
    });
    bars
}

/// The whole report.
pub(crate) fn markdown(rows: &[Row], bars: &[Bar], machine: &Machine, all: bool) -> String {
    let mut text = format!(
        "# Results of bench/svg\n\n\
         Written by `scripts/bench svg` at commit {}.\n\n\
         - {}\n- load of the machine before the run: {}\n\n\
         What each column means: README.md.\n\n## The bars\n\n\
         | what | bar | measured, worst file | |\n|---|---|---|---|\n",
        machine.commit, machine.hardware, machine.load
    );
    for bar in bars {
        let verdict = if bar.met { "met" } else { "**not met**" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {verdict} |",
            bar.what, bar.bar, bar.measured
        );
    }
    text.push_str("\n## The corpora\n\n| set | files | drawn | median ms | worst ms | worst MiB |\n|---|---:|---:|---:|---:|---:|\n");
    for set in ["hostile", "made", "ordinary"] {
        let mut own: Vec<&Row> = rows.iter().filter(|row| row.set == set).collect();
        own.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        let (Some(middle), Some(last)) = (own.get(own.len() / 2), own.last()) else {
            continue;
        };
        let drawn = own.iter().filter(|row| row.outcome == "drawn").count();
        let mib = own.iter().map(|row| row.mib).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "| {set} | {} | {drawn} | {:.1} | {:.1} | {mib:.1} |",
            own.len(),
            middle.ms,
            last.ms
        );
    }
    let mut sorted: Vec<&Row> = rows.iter().collect();
    if all {
        text.push_str("\n## All files\n");
    } else {
        sorted.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        sorted.truncate(SHOWN);
        let _ = writeln!(text, "\n## The {} slowest files", sorted.len());
    }
    table(&mut text, &sorted);
    if !all {
        let mut sorted: Vec<&Row> = rows.iter().collect();
        sorted.sort_by(|a, b| b.mib.total_cmp(&a.mib));
        sorted.truncate(SHOWN);
        let _ = writeln!(text, "\n## The {} largest in memory", sorted.len());
        table(&mut text, &sorted);
    }
    text
}

fn table(text: &mut String, rows: &[&Row]) {
    text.push_str("\n| set | file | bytes | ms | MiB | came to |\n|---|---|---:|---:|---:|---|\n");
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} | {:.1} | {} |",
            row.set, row.name, row.bytes, row.ms, row.mib, row.outcome
        );
    }
}
