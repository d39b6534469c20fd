//! System calls that the process gives up, and so whoever takes it over: those of debuggers, container
//! engines and administrators, which no gateway makes.
//!
//! A list of what is denied, and not of what is allowed: plugins are foreign code, the C library, the
//! resolver and the allocator change their calls with every release, and a call that is missing from an
//! allow list is found by somebody in production. What is denied here fails with EPERM, as it does for
//! most users anyway, and kills nobody.
//!
//! * The filter looks at the number of a call alone, but for `clone`. The kernel (5.11 and later)
//!   remembers for which numbers it says yes, and does not ask it again: 8 ns a call, however long the list.
//! * Calls of another ABI of the same machine do not get around it: those of x32 are denied by their own
//!   numbers, those of 32 bits end the process.
//! * Programs that are started inherit it, for good. A successor that would deny the same is told so and
//!   leaves it at that: filters are never taken away, and each more is walked through.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

use super::confinement::Confinement;

/// What is denied on every machine.
const DENIED: &[i64] = &[
    // The kernel: its modules, its replacement, its log, programs in it, its counters.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_vhangup,
    // Other processes, and ourselves from outside.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_personality,
    // Namespaces, mounts, and files without a path.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // Keys of the kernel.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // What exploits of the kernel like to begin with, and nothing here uses.
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // The machine's clock and name.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Linux 6.15, the same number on every machine.
const OPEN_TREE_ATTR: i64 = 467;

/// The same, where there is such a call.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[i64] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_lookup_dcookie,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_nfsservctl,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[i64] = &[];

/// x32: the numbers of x86-64 with this bit, and some of its own.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
/// Its `ptrace`, `kexec_load`, `process_vm_readv` and `process_vm_writev`.
#[cfg(target_arch = "x86_64")]
const X32_OWN: &[i64] = &[X32 + 521, X32 + 528, X32 + 539, X32 + 540];

/// Flags of `clone` that make namespaces: mounts, cgroups, names, IPC, users, processes, network.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Tells a successor which filter it has.
pub(super) const VARIABLE: &str = "SLUICEGATE_SECCOMP";
static IN_FORCE: OnceLock<String> = OnceLock::new();

/// Denies them to every thread, and to all that comes of them. Takes new privileges away with it: without
/// that only root may filter.
pub fn deny_system_calls() -> Result<(), String> {
    let programs = programs().map_err(|error| error.to_string())?;
    let name = name(&programs);
    let inherited = std::env::var(VARIABLE).is_ok_and(|told| told == name);
    if !(inherited && Confinement::now().filters_calls) {
        for program in programs {
            apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
        }
    }
    let _ = IN_FORCE.set(name);
    Ok(())
}

/// The name of the filter of ours that is in force.
pub(super) fn filter_in_force() -> Option<&'static str> {
    IN_FORCE.get().map(String::as_str)
}

fn name(programs: &[BpfProgram]) -> String {
    let mut hasher = DefaultHasher::new();
    for step in programs.iter().flatten() {
        (step.code, step.jt, step.jf, step.k).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// How many are denied.
pub fn denied_system_calls() -> usize {
    DENIED.len() + DENIED_HERE.len()
}

fn programs() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let target = std::env::consts::ARCH.try_into()?;
    let denied = DENIED.iter().chain(DENIED_HERE).copied();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        denied.map(|number| (number, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    {
        let same: Vec<i64> = rules.keys().map(|number| number | X32).collect();
        rules.extend(same.iter().chain(X32_OWN).map(|number| (*number, Vec::new())));
    }
    let mut namespaces = Vec::new();
    for flag in NAMESPACES {
        // The flags of the lowest 32 bits: the sign of a C int says nothing.
        let flag = u64::from(flag.cast_unsigned());
        let is_set = SeccompCmpOp::MaskedEq(flag);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, is_set, flag)?;
        namespaces.push(SeccompRule::new(vec![condition])?);
    }
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_clone | X32, namespaces.clone());
    rules.insert(libc::SYS_clone, namespaces);
    let errno = |number: i32| SeccompAction::Errno(number.cast_unsigned());
    // `clone3` has its flags in memory, where no filter sees them. Without it everybody takes `clone`.
    let clone3 = BTreeMap::from([
        (libc::SYS_clone3, Vec::new()),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_clone3 | X32, Vec::new()),
    ]);
    let filter = |rules, action| SeccompFilter::new(rules, SeccompAction::Allow, action, target);
    Ok([
        filter(clone3, errno(libc::ENOSYS))?.try_into()?,
        filter(rules, errno(libc::EPERM))?.try_into()?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_compiles_and_a_call_stands_in_it_once() {
        let all: std::collections::BTreeSet<i64> =
            DENIED.iter().chain(DENIED_HERE).copied().collect();
        assert_eq!(all.len(), denied_system_calls());
        let [clone3, denied] = programs().expect("a filter");
        assert!(clone3.len() < 16);
        // What a call that is not cached has to walk through, twice in a successor.
        assert!((all.len()..1_000).contains(&denied.len()), "{}", denied.len());
    }
}
