//! What a machine lacks when a part of the isolation cannot be set up, and how to get it.

use std::fs;

use super::message::Part;

/// What is known of this machine, and of the container that this program may be in.
#[derive(Debug, Default)]
struct Machine {
    /// The settings of the kernel that turn user namespaces off, where they are there.
    users_for_all: Option<String>,
    max_users: Option<String>,
    apparmor_restricts_users: Option<String>,
    /// A filter of system calls holds for this process.
    is_filtered: bool,
    /// The `AppArmor` profile of this process, if there is one.
    profile: Option<String>,
    is_root: bool,
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| {
            let text = fs::read_to_string(path).ok()?;
            Some(text.trim_end_matches(['\n', '\0']).to_owned())
        };
        let status = read("/proc/self/status").unwrap_or_default();
        Self {
            users_for_all: read("/proc/sys/kernel/unprivileged_userns_clone"),
            max_users: read("/proc/sys/user/max_user_namespaces"),
            apparmor_restricts_users: read(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            ),
            is_filtered: status.lines().any(|line| line == "Seccomp:\t2"),
            profile: read("/proc/self/attr/apparmor/current")
                .filter(|profile| !profile.starts_with("unconfined")),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    fn hint(&self, part: Part, errno: Option<i32>) -> Option<String> {
        let is_refused = matches!(errno, Some(libc::EPERM | libc::EACCES));
        match part {
            Part::Users | Part::Namespaces => self.of_namespaces(errno, is_refused),
            Part::Proc if is_refused => Some(
                "parts of /proc are masked in this container, and then the kernel allows no other /proc: give the container \
                 an unmasked one (Kubernetes: procMount: Unmasked with hostUsers: false; podman: --security-opt \
                 unmask=ALL; docker: --security-opt systempaths=unconfined)"
                    .to_owned(),
            ),
            Part::Mounts | Part::Devices | Part::Proc if is_refused => self.of_refusal(),
            Part::Devices => Some("the machine, or the container, has no such device".to_owned()),
            Part::Images if is_refused => Some(
                "only root of the machine may mount closure images: have the inputs as files in a folder".to_owned(),
            ),
            Part::Images => Some("closure images need Linux 6.12 with EROFS, or loop devices: have the inputs as files in a folder".to_owned()),
            Part::Cgroups => Some(
                "a limit of memory needs cgroups of version 2, and a cgroup whose controller 'memory' this program may pass \
                 on (a systemd unit with Delegate=yes): or build without this limit"
                    .to_owned(),
            ),
            Part::Filter if is_refused && self.is_filtered => self.of_refusal(),
            Part::Filter => Some(
                "a kernel with CONFIG_SECCOMP_FILTER is needed, and a container must allow seccomp()".to_owned(),
            ),
            _ => None,
        }
    }

    fn of_namespaces(&self, errno: Option<i32>, is_refused: bool) -> Option<String> {
        let is_off = |setting: &Option<String>| setting.as_deref() == Some("0");
        if !self.is_root && is_off(&self.users_for_all) {
            return Some("only root may make user namespaces here: sysctl kernel.unprivileged_userns_clone=1".to_owned());
        }
        if is_off(&self.max_users) || errno == Some(libc::ENOSPC) {
            return Some(
                "no more user namespaces may be made here: sysctl user.max_user_namespaces=65536"
                    .to_owned(),
            );
        }
        if errno == Some(libc::EINVAL) && self.max_users.is_none() {
            return Some(
                "this kernel has no user namespaces: one with CONFIG_USER_NS is needed".to_owned(),
            );
        }
        if !is_refused {
            return None;
        }
        if !self.is_root && self.apparmor_restricts_users.as_deref() == Some("1") {
            return Some(
                "AppArmor keeps users' programs from user namespaces here: sysctl \
                 kernel.apparmor_restrict_unprivileged_userns=0, or a profile with 'userns,' for this program"
                    .to_owned(),
            );
        }
        let of_root = "root of a container may not map its own user: run as another user (Kubernetes: runAsUser and \
             runAsNonRoot), or add the capability SETFCAP";
        self.of_refusal()
            .or_else(|| self.is_root.then(|| of_root.to_owned()))
    }

    /// What may keep system calls from a process.
    fn of_refusal(&self) -> Option<String> {
        if self.is_filtered {
            return Some(
                "the seccomp profile of this container may refuse it: use that of deploy/seccomp, which allows unshare, clone, \
                 clone3, mount, umount2, pivot_root, chroot, open_tree, move_mount, mount_setattr, fsopen, fsconfig, fsmount, \
                 sethostname, setdomainname, personality, pidfd_getfd and seccomp, or Unconfined"
                    .to_owned(),
            );
        }
        let profile = self.profile.as_ref()?;
        Some(format!(
            "the AppArmor profile '{profile}' may refuse it: use one that allows mounts and user namespaces, or Unconfined"
        ))
    }
}

/// What is missing when a step of this part failed with this error, if that is known.
pub(super) fn hint(part: Part, errno: Option<i32>) -> Option<String> {
    Machine::this().hint(part, errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(machine: &Machine, part: Part, errno: i32) -> String {
        machine.hint(part, Some(errno)).unwrap_or_default()
    }

    #[test]
    fn what_turns_user_namespaces_off_is_named() {
        let off = |name: &str| {
            let mut machine = Machine {
                max_users: Some("100".to_owned()),
                ..Machine::default()
            };
            match name {
                "clone" => machine.users_for_all = Some("0".to_owned()),
                "max" => machine.max_users = Some("0".to_owned()),
                _ => machine.apparmor_restricts_users = Some("1".to_owned()),
            }
            hint_of(&machine, Part::Users, libc::EPERM)
        };
        assert!(off("clone").contains("kernel.unprivileged_userns_clone=1"));
        assert!(off("max").contains("user.max_user_namespaces=65536"));
        assert!(off("apparmor").contains("kernel.apparmor_restrict_unprivileged_userns=0"));
        assert!(hint_of(&Machine::default(), Part::Users, libc::EINVAL).contains("CONFIG_USER_NS"));
    }

    #[test]
    fn what_a_container_refuses_is_named() {
        let filtered = Machine {
            is_filtered: true,
            ..Machine::default()
        };
        assert!(hint_of(&filtered, Part::Namespaces, libc::EPERM).contains("seccomp profile"));
        assert!(hint_of(&filtered, Part::Filter, libc::EPERM).contains("seccomp profile"));
        assert!(
            hint_of(&Machine::default(), Part::Filter, libc::EINVAL)
                .contains("CONFIG_SECCOMP_FILTER")
        );
        assert!(hint_of(&filtered, Part::Proc, libc::EPERM).contains("procMount: Unmasked"));
        let profiled = Machine {
            profile: Some("docker-default (enforce)".to_owned()),
            ..Machine::default()
        };
        assert!(
            hint_of(&profiled, Part::Mounts, libc::EACCES).contains("'docker-default (enforce)'")
        );
        let root = Machine {
            is_root: true,
            ..Machine::default()
        };
        assert!(hint_of(&root, Part::Users, libc::EPERM).contains("runAsNonRoot"));
        assert_eq!(hint_of(&Machine::default(), Part::Other, libc::EPERM), "");
    }
}
