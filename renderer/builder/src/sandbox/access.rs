//! What this process may do, and so whose files and processes those of a builder are.

use std::{fs, io};

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use super::message::{Fault, Part, fault};
use super::users;

/// How a builder gets a user of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// As root: it is one of a range of users that nothing else on the machine has.
    BuildUsers,
    /// It is the calling user, as seen from outside.
    Own,
}

/// What starting a builder as another user takes.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::KILL);

impl Access {
    pub(super) fn of_this_process() -> Result<Self, Fault> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let held = capabilities(None)
            .map_err(fault(Part::Other, "read the capabilities of this process"))?;
        let map = fs::read_to_string("/proc/self/uid_map")
            .map_err(fault(Part::Proc, "read '/proc/self/uid_map'"))?;
        if !covers(&map, users::FIRST, users::COUNT) {
            // Root of a container's user namespace, which is no root outside.
            return Ok(Self::Own);
        }
        if held.effective.contains(NEEDED) {
            Ok(Self::BuildUsers)
        } else {
            let lacking = "start a builder as root without the capabilities for it: add SYS_ADMIN, SETUID, SETGID, CHOWN, \
                 DAC_OVERRIDE, FOWNER and KILL, or run as another user than root";
            Err(Fault::new(
                Part::Users,
                lacking,
                io::Error::from_raw_os_error(libc::EPERM),
            ))
        }
    }
}

/// Whether a map of IDs has all of `count` IDs from `first` in one line.
fn covers(map: &str, first: u32, count: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line
            .split_whitespace()
            .filter_map(|number| number.parse::<u64>().ok());
        let (Some(inside), Some(_), Some(length)) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        inside <= first.into() && u64::from(first) + u64::from(count) <= inside + length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_of_the_first_user_namespace_covers_all_ids() {
        let all = "         0          0 4294967295\n";
        assert!(covers(all, users::FIRST, users::COUNT));
    }

    #[test]
    fn the_map_of_a_container_covers_only_its_own_ids() {
        let container = "         0     165536      65536\n";
        assert!(covers(container, 0, 65536));
        assert!(!covers(container, 0, 65537));
        assert!(!covers(container, users::FIRST, users::COUNT));
        assert!(!covers("", 0, 1));
    }
}
