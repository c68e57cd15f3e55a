//! Whether the kernel ended processes of this pod, since it had no memory left.

use std::path::Path;

/// Where control groups of version 2 and of version 1 count that.
const COUNTERS: [&str; 2] = [
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
];

/// How many processes the kernel ended so far; 0 where it does not say.
pub(super) fn killed_processes() -> u64 {
    let counters = COUNTERS.iter().find_map(|file| count_in(Path::new(file)));
    counters.unwrap_or_default()
}

fn count_in(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::count_in;

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for (text, count) in [
            (
                "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
                Some(2),
            ),
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", Some(5)),
            ("low 0\n", None),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(count_in(&file), count);
        }
        assert_eq!(count_in(&folder.path().join("none")), None);
    }
}
