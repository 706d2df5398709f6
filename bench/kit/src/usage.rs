//! What a process has used, from `/proc`.

use anyhow::Context as _;

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// User and system time, in microseconds.
    pub cpu_us: f64,
    /// Peak resident set, in MiB.
    pub peak_mib: f64,
    /// Resident set of this moment, in MiB.
    pub resident_mib: f64,
}

impl Usage {
    /// Of a running process.
    pub fn of(process: u32) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("{path} can't be read"))
        };
        let ticks = cpu_ticks(&read("stat")?).context("/proc/…/stat has no CPU times")?;
        let status = read("status")?;
        let memory = |name| {
            let kib = kib(&status, name).with_context(|| format!("/proc/…/status has no {name}"));
            kib.map(|kib| kib / 1024.0)
        };
        let tick_us = 1e6 / rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            cpu_us: ticks * tick_us,
            peak_mib: memory("VmHWM:")?,
            resident_mib: memory("VmRSS:")?,
        })
    }
}

/// The 14th and 15th field. The second is the program's name in brackets, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_found_behind_any_program_name() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 200";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(cpu_ticks("12 (a"), None);
    }

    #[test]
    fn memory_is_found_in_the_status() {
        let status = "Name:\ta\nVmHWM:\t   20480 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(kib(status, "VmHWM:"), Some(20480.0));
        assert_eq!(kib(status, "VmRSS:"), Some(100.0));
        assert_eq!(kib("Name:\ta\n", "VmHWM:"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.peak_mib >= usage.resident_mib && usage.cpu_us >= 0.0);
    }
}
