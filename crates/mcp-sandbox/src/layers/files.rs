//! Landlock: which files a process reaches, and whether it reaches other processes and TCP.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};
use serde::{Deserialize, Serialize};

use super::{Confinement, Layer, LayerError, Missing};

/// What this was written for and tested with; an older kernel gives as much of it as it has.
const ABI_TESTED: ABI = ABI::V7;
/// Since when the rules of files cover all that changes a file.
const ABI_FILES: ABI = ABI::V3;
const ABI_NETWORK: ABI = ABI::V4;
const ABI_SCOPES: ABI = ABI::V6;

/// What every program may read and execute: what the system consists of, and nothing that is someone's.
const SYSTEM: &[&str] = &[
    "/bin",
    "/gnu/store",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/sbin",
    "/usr",
];

/// What every program may read: how the system is set up, without the files that hold secrets.
const SETTINGS: &[&str] = &[
    "/etc/alpine-release",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    // Of other processes nothing, of itself everything, and what runtimes ask about the machine.
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/vm/overcommit_memory",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/dev/random",
    "/dev/urandom",
    // Written to and mapped for several, it would be memory that nobody counts.
    "/dev/zero",
];

/// What every program may read and write, for nothing stays in there.
const SINKS: &[&str] = &["/dev/full", "/dev/null"];

/// What a process reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// Whether it may use what every program may: [`SYSTEM`] and the like.
    pub(crate) system: bool,
    /// Files and folders that it may read and execute.
    pub(crate) read: Vec<PathBuf>,
    /// Files and folders that it may write to as well.
    pub(crate) write: Vec<PathBuf>,
    /// Whether it may use TCP and UDP.
    pub(crate) network: bool,
    /// Whether it may use sockets that have a path: those of databases, and of everything else.
    pub(crate) unix_sockets: bool,
    /// Whether it may start other programs, and processes.
    pub(crate) programs: bool,
}

/// Restricts this process (more exactly, its calling thread) for good. What the kernel lacks of it.
pub(crate) fn restrict(confinement: &Confinement) -> Result<Vec<Missing>, LayerError> {
    let has = |layer| confinement.has(layer);
    let reach = &confinement.reach;
    let failed = |error: &dyn std::fmt::Display| {
        let source = io::Error::other(error.to_string());
        LayerError::of(Layer::Files)(source)
    };
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let mut asked = Vec::new();
    if has(Layer::Files) {
        let all = AccessFs::from_all(ABI_TESTED);
        ruleset = ruleset.handle_access(all).map_err(|error| failed(&error))?;
        asked.push((Layer::Files, ABI_FILES));
    }
    if has(Layer::Network) {
        if !reach.network {
            let all = AccessNet::from_all(ABI_TESTED);
            ruleset = ruleset.handle_access(all).map_err(|error| failed(&error))?;
        }
        asked.push((Layer::Network, ABI_NETWORK));
    }
    if has(Layer::Scopes) {
        let all = Scope::from_all(ABI_TESTED);
        ruleset = ruleset.scope(all).map_err(|error| failed(&error))?;
        asked.push((Layer::Scopes, ABI_SCOPES));
    }
    let handles_none = !has(Layer::Files) && !has(Layer::Scopes) && reach.network;
    if asked.is_empty() || handles_none {
        return Ok(Vec::new());
    }
    let mut created = ruleset.create().map_err(|error| failed(&error))?;
    if has(Layer::Files) {
        created = reachable(created, reach).map_err(|error| failed(&error))?;
    }
    let status = created.restrict_self().map_err(|error| failed(&error))?;
    let (kernel, why) = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => (
            effective_abi,
            format!("the kernel's Landlock has ABI {}", effective_abi as i32),
        ),
        LandlockStatus::NotEnabled => (ABI::Unsupported, "the kernel's Landlock is off".into()),
        LandlockStatus::NotImplemented => (ABI::Unsupported, "the kernel has no Landlock".into()),
    };
    Ok(asked
        .into_iter()
        .filter(|(_, least)| kernel < *least)
        .map(|(layer, least)| Missing {
            layer,
            why: format!("{why}, this needs {}", least as i32),
        })
        .collect())
}

fn reachable(
    mut ruleset: RulesetCreated,
    reach: &Reach,
) -> Result<RulesetCreated, landlock::RulesetError> {
    use AccessFs::{Execute, ReadDir, ReadFile, Truncate, WriteFile};
    let read = ReadFile | ReadDir;
    let special = AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev;
    let all = AccessFs::from_all(ABI_TESTED) & !special;
    let mut groups: Vec<(Vec<&Path>, BitFlags<AccessFs>)> = Vec::new();
    if reach.system {
        groups.push((paths(SYSTEM), read | Execute));
        groups.push((paths(SETTINGS), read));
        groups.push((paths(SINKS), ReadFile | WriteFile | Truncate));
    }
    groups.push((own(&reach.read), read | Execute));
    groups.push((own(&reach.write), all));
    for (paths, access) in groups {
        for path in paths {
            // What is not there, or not for this user, can't be reached anyway.
            let Ok(opened) = PathFd::new(path) else {
                continue;
            };
            let access = if path.is_dir() {
                access
            } else {
                access & AccessFs::from_file(ABI_TESTED)
            };
            ruleset = ruleset.add_rule(PathBeneath::new(opened, access))?;
        }
    }
    Ok(ruleset)
}

fn paths(list: &'static [&'static str]) -> Vec<&'static Path> {
    list.iter().map(Path::new).collect()
}

fn own(list: &[PathBuf]) -> Vec<&Path> {
    list.iter().map(PathBuf::as_path).collect()
}
