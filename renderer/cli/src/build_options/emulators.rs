//! Systems whose programs run on this machine though it is another: by handlers of `binfmt_misc`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// A handler's file has no more bytes of interest than this.
const MOST: usize = 4096;

/// The systems that handlers of this machine are for, which work in sandboxes: the kernel opened their interpreters when they
/// were registered (flag F).
pub(super) fn systems() -> BTreeSet<String> {
    systems_in(Path::new(FOLDER))
}

fn systems_in(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeSet::new();
    };
    let texts = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        // These two are no handlers, and one of them cannot be read.
        let is_handler = entry.file_name() != "register" && entry.file_name() != "status";
        is_handler.then(|| fs::read_to_string(entry.path()).ok())?
    });
    texts
        .filter_map(|text| system(&text).map(str::to_owned))
        .collect()
}

/// The system that a handler is for.
fn system(text: &str) -> Option<&'static str> {
    let text = text.get(..MOST).unwrap_or(text);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let is_enabled = text.lines().next() == Some("enabled");
    let flags = value("flags:")?.trim();
    if !is_enabled || !flags.contains('F') || value("offset ")?.trim() != "0" {
        return None;
    }
    let magic = value("magic ")?.trim().as_bytes();
    let byte = |index: usize| {
        let digits = magic.get(2 * index..2 * index + 2)?;
        u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    if !magic.starts_with(b"7f454c46") {
        return None;
    }
    let (class, order) = (byte(4)?, byte(5)?);
    let (first, second) = (byte(18)?, byte(19)?);
    let machine = if order == 1 {
        u16::from_le_bytes([first, second])
    } else {
        u16::from_be_bytes([first, second])
    };
    Some(match (machine, class, order) {
        (0x03, 1, 1) => "i686-linux",
        (0x3e, 2, 1) => "x86_64-linux",
        (0x28, 1, 1) => "armv7l-linux",
        (0xb7, 2, 1) => "aarch64-linux",
        (0xf3, 1, 1) => "riscv32-linux",
        (0xf3, 2, 1) => "riscv64-linux",
        (0x15, 2, 1) => "powerpc64le-linux",
        (0x15, 2, 2) => "powerpc64-linux",
        (0x16, 2, 2) => "s390x-linux",
        (0x102, 2, 1) => "loongarch64-linux",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian's qemu-user-binfmt registers it.
    const AARCH64: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn handlers_count_that_work_in_sandboxes() {
        assert_eq!(system(AARCH64), Some("aarch64-linux"));
        for (from, to) in [
            ("enabled", "disabled"),
            ("POCF", "POC"),
            ("offset 0", "offset 4"),
            ("7f454c46", "7f454c45"),
            ("0200b700", "02"),
            ("b700", "ffff"),
        ] {
            assert_eq!(system(&AARCH64.replace(from, to)), None, "{to}");
        }
        let s390x = AARCH64
            .replace("0201010", "0202010")
            .replace("b700", "0016");
        assert_eq!(system(&s390x), Some("s390x-linux"));
    }

    #[test]
    fn files_that_are_no_handlers_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("status", AARCH64),
            ("register", AARCH64),
            ("jar", "enabled\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert!(systems_in(folder.path()).is_empty());
        fs::write(folder.path().join("qemu-aarch64"), AARCH64).unwrap();
        let found: Vec<String> = systems_in(folder.path()).into_iter().collect();
        assert_eq!(found, ["aarch64-linux"]);
        assert!(systems_in(&folder.path().join("none")).is_empty());
    }
}
