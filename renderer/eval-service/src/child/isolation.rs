//! What the process that evaluates gives up before it reads the first byte of a flake.
//!
//! - Files: Landlock leaves it the trees that were fetched for it, to read, and the folder of its own answers. Nothing else of the
//!   machine can be opened: no token of the pod, no other source's checkout, no `/proc`.
//! - Network: there are no sockets, of any kind; seccomp refuses them.
//! - Processes: none can be started, traced or signalled.
//! - Memory, processor time, open files and the size of files are limited by the kernel.
//!
//! None of that needs a privilege, so it holds in any pod. Where the kernel does not have it, nothing is evaluated.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, Rlimit, Signal};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::landlock;
use super::protocol::{GraphLimits, Limits, Request};

/// The largest file of answers.
const MAX_FILE: u64 = 1 << 30;

/// Address space of the stacks of evaluators, of which there are up to four: little of it is ever touched.
const STACKS: u64 = 5 << 30;

/// Calls that evaluating needs none of.
const REFUSED: [i64; 32] = [
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_io_uring_setup,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_memfd_create,
];

/// Refuses a process that was left more than its standard streams.
pub(super) fn refuse_open_files() -> anyhow::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd").context("listing the open files")? {
        let entry = entry?;
        let name = entry.file_name();
        let number: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
        // The folder that is being read is open, too.
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        ensure!(
            number.is_some_and(|number| number <= 2) || target.ends_with("fd"),
            "the process was left the open file {} ({})",
            name.display(),
            target.display()
        );
    }
    Ok(())
}

/// Gives all of it up. The process must still have one thread only.
pub(super) fn isolate(request: &Request) -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("binding the process to its parent")?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("keeping the process from being read")?;
    limit(&request.limits, request.graph)?;
    restrict_files(request)?;
    refuse_calls()
}

fn limit(limits: &Limits, graph: Option<GraphLimits>) -> anyhow::Result<()> {
    // Several threads evaluate.
    let processor = limits.time.as_secs().saturating_mul(4).max(1);
    // Of a graph, the lines between its parts need room, too.
    let file = graph.map_or(MAX_FILE, |graph| graph.bytes.saturating_mul(2));
    for (resource, limit) in [
        (Resource::As, limits.memory.saturating_add(STACKS)),
        (Resource::Cpu, processor),
        (Resource::Nofile, limits.files),
        (Resource::Fsize, file),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        rustix::process::setrlimit(resource, limit)
            .with_context(|| format!("limiting {resource:?}"))?;
    }
    Ok(())
}

fn restrict_files(request: &Request) -> anyhow::Result<()> {
    let trees = request.trees.iter().map(PathBuf::as_path);
    landlock::restrict(trees, &request.answers).context(
        "restricting files; the kernel must have Landlock, of Linux 6.2 or later, and the container must allow it",
    )
}

fn refuse_calls() -> anyhow::Result<()> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
    // A process ends itself by this; another one it must not.
    let own = u64::from(std::process::id());
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![other])?]);
    // Threads, but no processes.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let is_process = SeccompCmpOp::MaskedEq(thread);
    let process = SeccompCondition::new(0, SeccompCmpArgLen::Qword, is_process, 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![process])?]);
    #[cfg(target_arch = "x86_64")]
    for call in [libc::SYS_fork, libc::SYS_vfork] {
        rules.insert(call, Vec::new());
    }
    apply(rules, libc::EPERM)?;
    // Its arguments cannot be looked at. The C library uses the older one, then.
    apply([(libc::SYS_clone3, Vec::new())].into(), libc::ENOSYS)
}

fn apply(rules: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> anyhow::Result<()> {
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(error.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
        .context("installing the filter of system calls; the container must allow seccomp()")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use nix_flake::Attrs;

    use super::*;

    /// The folder of the test, in the process that is isolated.
    const FOLDER: &str = "NIPHAS_TEST_ISOLATED";

    fn request(folder: &Path) -> Request {
        Request {
            graph: None,
            flake: Attrs::new(),
            environments: Vec::new(),
            cache: folder.to_owned(),
            trees: vec![folder.join("ours"), folder.join("file")],
            answers: folder.join("answers"),
            limits: Limits {
                memory: 4 << 30,
                time: Duration::from_mins(1),
                files: 64,
            },
        }
    }

    /// What an isolated process cannot do, and what it can.
    fn try_everything(folder: &Path) {
        let denied = |what: &str, result: std::io::Result<()>| {
            let error = result.expect_err(what);
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{what}");
        };
        for file in [
            "/etc/passwd",
            "/proc/self/environ",
            "/proc/1/environ",
            "/dev/null",
        ] {
            denied(file, fs::read(file).map(drop));
        }
        denied(
            "another tree",
            fs::read(folder.join("theirs/file")).map(drop),
        );
        denied("a folder", fs::read_dir(folder).map(drop));
        denied("a link out", fs::read(folder.join("ours/link")).map(drop));
        denied("writing a tree", fs::write(folder.join("ours/file"), "x"));
        denied(
            "removing of a tree",
            fs::remove_file(folder.join("ours/file")),
        );
        denied("a connection", TcpStream::connect("127.0.0.1:1").map(drop));
        denied(
            "a datagram",
            std::net::UdpSocket::bind("127.0.0.1:0").map(drop),
        );
        denied("a Unix socket", UnixStream::pair().map(drop));
        denied("a program", Command::new("/bin/true").status().map(drop));
        let parent = rustix::process::getppid().expect("a parent");
        let killed = rustix::process::kill_process(parent, Signal::HUP);
        denied("a signal", killed.map_err(Into::into));

        assert_eq!(
            fs::read(folder.join("ours/file")).expect("our tree"),
            b"ours"
        );
        assert_eq!(fs::read(folder.join("file")).expect("our file"), b"file");
        fs::create_dir(folder.join("answers/more")).expect("our answers");
        fs::write(folder.join("answers/a"), "x").expect("our answers");
        fs::rename(folder.join("answers/a"), folder.join("answers/b")).expect("our answers");
        let thread = std::thread::spawn(|| 1).join();
        assert_eq!(thread.expect("a thread"), 1);
    }

    #[test]
    fn an_isolated_process_reaches_its_trees_only() {
        if let Some(folder) = std::env::var_os(FOLDER) {
            let folder = PathBuf::from(folder);
            isolate(&request(&folder)).expect("isolation");
            try_everything(&folder);
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["ours", "theirs", "answers"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
            fs::write(folder.path().join(name).join("file"), name).expect("a file");
        }
        fs::write(folder.path().join("file"), "file").expect("a file");
        let link = folder.path().join("ours/link");
        std::os::unix::fs::symlink("../theirs/file", link).expect("a link");
        let name = "child::isolation::tests::an_isolated_process_reaches_its_trees_only";
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program)
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .output()
            .expect("a process");
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
}
