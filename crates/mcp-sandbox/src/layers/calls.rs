//! The seccomp filter: system calls that a tool server has no use for, and that have been the way out of many a box.
//!
//! What is refused is listed, and not what is allowed: the programs are of all kinds, and what they may do to files and
//! network is Landlock's to say. Three filters are stacked, for each refusal has an answer that programs understand.

use std::collections::BTreeMap;

use libc::{EACCES, ENOSYS, EPERM};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use super::files::Reach;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Error = seccompiler::BackendError;

/// `EPERM`: administration, other processes, the kernel's insides, and what outlives a process.
const FORBIDDEN: &[libc::c_long] = &[
    // File systems.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_fanotify_init,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_process_mrelease,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // The clock.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    // Keys.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // What Landlock's rules of files do not cover.
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
    // What stays when the process is gone.
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

/// Newer than the C library's list, and the same on all architectures (asm-generic/unistd.h, Linux 6.13 to 6.17).
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_REMOVEXATTRAT: libc::c_long = 466;
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
const SYS_FILE_SETATTR: libc::c_long = 469;
/// As [`FORBIDDEN`], for programs without network: what installs other programs changes modes, and needs the network.
const MODES: &[libc::c_long] = &[libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchmodat2];

/// As [`FORBIDDEN`], where this argument is another one than the caller itself (0): what a user's processes may do to each
/// other, and what Landlock does not scope.
const OF_OTHERS: &[(libc::c_long, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
];

/// The same, on this architecture alone.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[libc::c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS__sysctl,
    libc::SYS_chown,
    libc::SYS_lchown,
];
#[cfg(target_arch = "aarch64")]
const FORBIDDEN_HERE: &[libc::c_long] = &[libc::SYS_kexec_file_load];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FORBIDDEN_HERE: &[libc::c_long] = &[];
#[cfg(target_arch = "x86_64")]
const MODES_HERE: &[libc::c_long] = &[libc::SYS_chmod];
#[cfg(not(target_arch = "x86_64"))]
const MODES_HERE: &[libc::c_long] = &[];

/// `ENOSYS`: what runtimes try and go without. The flags of `clone3` lie in memory, where no filter sees them, so that
/// `clone` must do; `io_uring` goes past every filter; a `memfd` is memory that nobody counts.
const UNKNOWN: &[libc::c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
];

/// Done without effect: the tree of processes stays one group, which can be ended in one stroke, however it forks.
const IN_VAIN: &[libc::c_long] = &[libc::SYS_setsid, libc::SYS_setpgid];

/// Flags of `clone` that make namespaces.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// `linux/resource.h` and `linux/ioprio.h`: whom a priority is for.
const PRIO_PROCESS: u64 = 0;
const IOPRIO_WHO_PROCESS: u64 = 1;

/// `linux/fs.h`: the older ways to do what `file_setattr` does.
const FS_IOC_SETFLAGS: u64 = 0x4008_6602;
const FS_IOC32_SETFLAGS: u64 = 0x4004_6602;
const FS_IOC_FSSETXATTR: u64 = 0x401c_5820;

/// Behind a socket's type stand flags.
const TYPE_MASK: u64 = 0xf;

/// Filters the calls of this process (more exactly, its calling thread) for good. The error says why there is no filter.
pub(crate) fn filter(reach: &Reach) -> Result<(), String> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Err(format!(
            "there is none for {} processors",
            std::env::consts::ARCH
        ));
    };
    let programs = programs(reach, arch).map_err(|error| error.to_string())?;
    for program in &programs {
        apply_filter(program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The filters, in the order in which they are to be installed.
fn programs(reach: &Reach, arch: TargetArch) -> Result<Vec<BpfProgram>, Error> {
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    let mut filters = vec![
        (refused_as_denied(reach)?, errno(EACCES)),
        (refused_as_unknown(), errno(ENOSYS)),
        (done_in_vain(), errno(0)),
        // The last one: what comes before needs none of these, but it may do.
        (forbidden(reach)?, errno(EPERM)),
    ];
    let mut programs = foreign_numbers().into_iter().collect::<Vec<_>>();
    for (rules, action) in filters.drain(..) {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?;
        programs.push(filter.try_into()?);
    }
    Ok(programs)
}

fn forbidden(reach: &Reach) -> Result<Rules, Error> {
    let mut rules = whole(FORBIDDEN);
    rules.extend(whole(FORBIDDEN_HERE));
    if !reach.network {
        rules.extend(whole(MODES));
        rules.extend(whole(MODES_HERE));
    }
    for (call, place) in OF_OTHERS {
        rules.insert(*call, vec![rule(&[(*place, SeccompCmpOp::Ne, 0)])?]);
    }
    for (call, own) in [
        (libc::SYS_setpriority, PRIO_PROCESS),
        (libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS),
    ] {
        // A group, or all processes of a user.
        let others = rule(&[(0, SeccompCmpOp::Ne, own)])?;
        rules.entry(call).or_default().push(others);
    }
    let mut clone = Vec::new();
    if reach.programs {
        for flag in NAMESPACES {
            let flag = u64::from(flag.unsigned_abs());
            clone.push(rule(&[(0, SeccompCmpOp::MaskedEq(flag), flag)])?);
        }
    } else {
        let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
        clone.push(rule(&[(0, SeccompCmpOp::MaskedEq(thread), 0)])?);
        rules.extend(whole(&[libc::SYS_execve, libc::SYS_execveat]));
        #[cfg(target_arch = "x86_64")]
        rules.extend(whole(&[libc::SYS_fork, libc::SYS_vfork]));
    }
    rules.insert(libc::SYS_clone, clone);
    // Typing into the terminal of who started the server; the flags of files that may only be read.
    let requests = [
        libc::TIOCSTI,
        libc::TIOCLINUX,
        FS_IOC_SETFLAGS,
        FS_IOC32_SETFLAGS,
        FS_IOC_FSSETXATTR,
    ];
    let requests = requests.map(|request| rule(&[(1, SeccompCmpOp::Eq, request)]));
    rules.insert(
        libc::SYS_ioctl,
        requests.into_iter().collect::<Result<_, _>>()?,
    );
    Ok(rules)
}

/// `EACCES`: sockets of other kinds than those that `reach` has.
fn refused_as_denied(reach: &Reach) -> Result<Rules, Error> {
    let family = |family: i32| u64::from(family.unsigned_abs());
    let (unix, inet, inet6) = (
        family(libc::AF_UNIX),
        family(libc::AF_INET),
        family(libc::AF_INET6),
    );
    let netlink = family(libc::AF_NETLINK);
    let kind = |kind: i32| (1, SeccompCmpOp::MaskedEq(TYPE_MASK), family(kind));
    let mut socket = Vec::new();
    let mut other_families = Vec::new();
    let mut allow = |allowed: u64| other_families.push((0, SeccompCmpOp::Ne, allowed));
    if reach.unix_sockets {
        allow(unix);
    }
    if reach.network {
        for family in [inet, inet6] {
            allow(family);
            socket.push(rule(&[
                (0, SeccompCmpOp::Eq, family),
                kind(libc::SOCK_RAW),
            ])?);
        }
        // Which addresses this machine has; nothing else that is asked there.
        allow(netlink);
        let route = u64::from(libc::NETLINK_ROUTE.unsigned_abs());
        socket.push(rule(&[
            (0, SeccompCmpOp::Eq, netlink),
            (2, SeccompCmpOp::Ne, route),
        ])?);
    }
    let mut rules = Rules::new();
    // Memory that is shared and has no file is nobody's once it is not mapped any more, and no limit counts it.
    let shared = u64::from((libc::MAP_SHARED | libc::MAP_ANONYMOUS).unsigned_abs());
    let mapped = rule(&[(3, SeccompCmpOp::MaskedEq(shared), shared)])?;
    rules.insert(libc::SYS_mmap, vec![mapped]);
    if other_families.is_empty() {
        rules.extend(whole(&[libc::SYS_socket]));
    } else {
        socket.push(rule(&other_families)?);
        rules.insert(libc::SYS_socket, socket);
    }
    if !reach.unix_sockets {
        // A pair is for a process and its children. One of datagrams could be connected to any path afterwards, and for
        // this family the kernel takes raw for datagrams.
        let pairs = [kind(libc::SOCK_DGRAM), kind(libc::SOCK_RAW)];
        let pairs = pairs.map(|pair| rule(&[pair]));
        rules.insert(
            libc::SYS_socketpair,
            pairs.into_iter().collect::<Result<_, _>>()?,
        );
    }
    if !reach.programs {
        rules.extend(whole(&[libc::SYS_socketpair]));
    }
    Ok(rules)
}

fn refused_as_unknown() -> Rules {
    whole(UNKNOWN)
}

fn done_in_vain() -> Rules {
    whole(IN_VAIN)
}

/// Rules without a condition.
fn whole(calls: &[libc::c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// A rule of conditions that all must hold: the argument's place, how it is compared, and with what. What is compared
/// here are numbers of 32 bits, of which the kernel reads no more.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, Error> {
    let conditions = conditions.iter().map(|(place, compare, value)| {
        SeccompCondition::new(*place, SeccompCmpArgLen::Dword, compare.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// On x86-64 a bit in its number makes a call one of another interface (x32) with the same effect, which the other
/// filters would not know: `ENOSYS` for all of those.
#[cfg(target_arch = "x86_64")]
fn foreign_numbers() -> Option<BpfProgram> {
    const X32: u32 = 0x4000_0000;
    // From linux/bpf_common.h and linux/seccomp.h.
    const LOAD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    Some(vec![
        line(LOAD, 0, 0, 0),
        line(JUMP_IF_AT_LEAST, 0, 1, X32),
        line(RETURN, 0, 0, ERRNO | ENOSYS.unsigned_abs()),
        line(RETURN, 0, 0, ALLOW),
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_numbers() -> Option<BpfProgram> {
    None
}
