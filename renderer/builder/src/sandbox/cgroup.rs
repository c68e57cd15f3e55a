//! The cgroup of a builder, which limits it: one of version 2, beside this program's or below it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::message::{Fault, Job, Part, fault, fault_at};
use super::outcome::Usage;

/// What the names of these cgroups begin with: a later run removes those that a killed one left.
const PREFIX: &str = "niphas-build-";
const CONTROLLER: &str = "memory";

/// A cgroup of one builder. It is removed when the value is dropped, once its processes have ended.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
    /// Open, and locked, so that no other run takes it for one that was left.
    folder: File,
}

impl Cgroup {
    /// Makes one with the limit of `job`.
    pub(super) fn new(job: &Job) -> Result<Self, Fault> {
        let mut reason = Fault::new(
            Part::Cgroups,
            "find a cgroup of version 2 that this program is in",
            Errno::NOENT,
        );
        for parent in parents().map_err(fault(Part::Cgroups, "read the cgroup of this program"))? {
            match Self::below(&parent) {
                Ok(cgroup) => {
                    cgroup.limit(job)?;
                    return Ok(cgroup);
                }
                Err(fault) => reason = fault,
            }
        }
        Err(reason)
    }

    fn below(parent: &Path) -> Result<Self, Fault> {
        sweep(parent);
        // It is on already, or not this program's to switch on: which of both is seen below.
        let _ = fs::write(
            parent.join("cgroup.subtree_control"),
            format!("+{CONTROLLER}"),
        );
        let link = fs::read_link("/proc/self").map_err(fault(Part::Proc, "read '/proc/self'"))?;
        let path = parent.join(format!("{PREFIX}{}", link.display()));
        fs::create_dir(&path).map_err(fault_at(Part::Cgroups, "create the cgroup", &path))?;
        let folder = File::open(&path).and_then(|folder| {
            flock(&folder, FlockOperation::LockShared)?;
            Ok(folder)
        });
        let folder = folder.map_err(fault_at(Part::Cgroups, "open the cgroup", &path))?;
        let cgroup = Self { path, folder };
        let there = cgroup.read("cgroup.controllers");
        if there.split_whitespace().any(|name| name == CONTROLLER) {
            return Ok(cgroup);
        }
        let action = format!(
            "get the controller '{CONTROLLER}' for the cgroup '{}'",
            cgroup.path.display()
        );
        Err(Fault::new(Part::Cgroups, action, Errno::OPNOTSUPP))
    }

    fn limit(&self, job: &Job) -> Result<(), Fault> {
        let write = |file: &str, value: &str| {
            let path = self.path.join(file);
            fs::write(&path, value).map_err(fault_at(Part::Cgroups, "write", &path))
        };
        if let Some(bytes) = job.memory {
            write("memory.max", &bytes.to_string())?;
            // Else the limit would be one of what is in memory just now. Not there without swap.
            let _ = write("memory.swap.max", "0");
            // A build that lost one of its processes is none.
            write("memory.oom.group", "1")?;
        }
        Ok(())
    }

    /// The open folder: a process can be started in it.
    pub(super) fn folder(&self) -> &File {
        &self.folder
    }

    /// Whether the kernel killed processes for want of memory.
    pub(super) fn is_out_of_memory(&self) -> bool {
        number(&self.read("memory.events"), "oom_kill").is_some_and(|count| count > 0)
    }

    /// What its processes used.
    pub(super) fn usage(&self) -> Usage {
        let cpu = self.read("cpu.stat");
        let time = |name| Duration::from_micros(number(&cpu, name).unwrap_or_default());
        Usage {
            user: time("user_usec"),
            system: time("system_usec"),
            memory: self.read("memory.peak").trim().parse().unwrap_or_default(),
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process leaves it a moment after it has been waited for.
        for _ in 0..100 {
            match fs::remove_dir(&self.path) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => return,
            }
        }
    }
}

/// A number by its name, of lines of `NAME NUMBER`.
fn number(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name)?.1.parse().ok()
}

/// Removes what killed runs left. What cannot be removed is in use.
fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
    }) {
        let path = entry.path();
        let is_left = File::open(&path)
            .is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok());
        if is_left {
            let _ = fs::write(path.join("cgroup.kill"), "1");
            let _ = fs::remove_dir(&path);
        }
    }
}

/// The folders in which a cgroup may be made: that of this program's own, and the one it is in. A cgroup with processes gives
/// its controllers to none below it, but if it is the first of all.
fn parents() -> io::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    Ok(parents_of(&mounts, &own))
}

fn parents_of(mounts: &str, own: &str) -> Vec<PathBuf> {
    let mount = mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        filesystem.starts_with("cgroup2 ").then_some((root, place))
    });
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    let (Some((root, place)), Some(path)) = (mount, path) else {
        return Vec::new();
    };
    // What is mounted may be a part of the tree only.
    let Ok(inner) = Path::new(path).strip_prefix(root) else {
        return Vec::new();
    };
    let own = Path::new(place).join(inner);
    let outer = inner.parent().map(|outer| Path::new(place).join(outer));
    [own].into_iter().chain(outer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n31 23 0:27 / /proc rw - proc proc rw\n";

    #[test]
    fn a_cgroup_is_made_below_or_beside_that_of_the_program() {
        let found = parents_of(MOUNTS, "0::/system.slice/ci.service\n");
        let expected = [
            "/sys/fs/cgroup/system.slice/ci.service",
            "/sys/fs/cgroup/system.slice",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(
            parents_of(MOUNTS, "4:memory:/x\n0::/\n"),
            [PathBuf::from("/sys/fs/cgroup/")]
        );
    }

    #[test]
    fn without_version_2_there_is_none() {
        assert!(
            parents_of(
                "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                "4:memory:/x\n"
            )
            .is_empty()
        );
        assert!(parents_of(MOUNTS, "4:memory:/x\n").is_empty());
    }

    #[test]
    fn numbers_are_found_by_their_names() {
        assert_eq!(number("oom 1\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(number("oom 1\n", "oom_kill"), None);
    }
}
