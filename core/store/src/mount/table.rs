//! What is mounted where: `/proc/self/mountinfo`, as proc(5) and the kernel's `Documentation/filesystems/proc.rst` tell it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::error::MountError;
use super::loops;

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// A line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number; numbers of mounts that are gone are used again.
    pub id: u32,
    /// The number of the mount that it lies in.
    pub parent: u32,
    /// Major and minor number of its file system's device.
    pub device: (u32, u32),
    /// Which folder of the file system it shows: `/` for all of it.
    pub root: PathBuf,
    /// Where.
    pub target: PathBuf,
    /// The mount's own options, as `ro,nosuid`.
    pub options: String,
    /// Whether what is mounted in it appears in other mounts too.
    pub shared: bool,
    /// The file system's type, as `erofs`.
    pub filesystem: String,
    /// What the file system was made from, as it was named then.
    pub source: OsString,
    /// The file system's options.
    pub super_options: String,
}

impl Mount {
    /// Whether `option` is one of the mount's own options.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|known| known == option)
    }

    /// The closure image that is mounted: the file behind the file system's loop device or, without one, the source. Of an
    /// image that was deleted since, a loop device tells a name ending in ` (deleted)`.
    pub fn image(&self) -> Option<PathBuf> {
        if self.filesystem != "erofs" {
            return None;
        }
        Some(loops::backing_file(self.device).unwrap_or_else(|| PathBuf::from(&self.source)))
    }
}

/// All mounts that this process sees, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountTable {
    mounts: Vec<Mount>,
}

impl MountTable {
    /// Reads the kernel's.
    pub fn read() -> Result<Self, MountError> {
        let refused = |error| MountError::new("read", Path::new(MOUNTINFO), error);
        let text = std::fs::read(MOUNTINFO).map_err(refused)?;
        Self::parse(&text).ok_or_else(|| refused(std::io::ErrorKind::InvalidData.into()))
    }

    /// Reads `mountinfo`'s format. `None` if a line does not have it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(parse_line)
            .collect::<Option<Vec<_>>>()
            .map(|mounts| Self { mounts })
    }

    /// All mounts.
    pub fn iter(&self) -> std::slice::Iter<'_, Mount> {
        self.mounts.iter()
    }

    /// The mount that is seen at `target`: of several on top of one another the last. `target` is absolute and has neither
    /// symlinks nor `..` in it.
    pub fn at(&self, target: &Path) -> Option<&Mount> {
        self.mounts
            .iter()
            .rev()
            .find(|mount| mount.target == target)
    }

    /// The mounts in the folder `folder`, at any depth.
    pub fn below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Mount> {
        self.mounts
            .iter()
            .filter(move |mount| mount.target != folder && mount.target.starts_with(folder))
    }
}

impl<'a> IntoIterator for &'a MountTable {
    type Item = &'a Mount;
    type IntoIter = std::slice::Iter<'a, Mount>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`, with any number of fields before `-`.
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let mut device = fields.next()?.split(|byte| *byte == b':');
    let device = (number(device.next()?)?, number(device.next()?)?);
    let root = PathBuf::from(unescape(fields.next()?));
    let target = PathBuf::from(unescape(fields.next()?));
    let options = text(fields.next()?);
    let mut shared = false;
    loop {
        match fields.next()? {
            b"-" => break,
            field => shared |= field.starts_with(b"shared:"),
        }
    }
    let filesystem = text(fields.next()?);
    let source = unescape(fields.next()?);
    let super_options = text(fields.next()?);
    Some(Mount {
        id,
        parent,
        device,
        root,
        target,
        options,
        shared,
        filesystem,
        source,
        super_options,
    })
}

fn number(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.parse().ok()
}

fn text(field: &[u8]) -> String {
    unescape(field).to_string_lossy().into_owned()
}

/// Spaces, tabs, newlines, backslashes and in some fields `#` are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |place: usize| {
            after
                .get(place)
                .filter(|digit| (b'0'..=b'7').contains(digit))
                .map(|digit| digit - b'0')
        };
        if byte == b'\\'
            && let (Some(high @ 0..=3), Some(middle), Some(low)) = (digit(0), digit(1), digit(2))
        {
            bytes.push(high << 6 | middle << 3 | low);
            rest = &after[3..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const TABLE: &[u8] = br"22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
27 0 254:0 / / rw,relatime - ext4 /dev/root rw,discard
42 27 0:39 / /run/a\040b\134c\011\012 ro,nosuid,nodev,relatime shared:9 master:1 propagate_from:2 - erofs /var/store/image.erofs ro,user_xattr
43 42 0:39 /sub /run/a\040b\134c\011\012 ro - erofs none ro
44 27 0:40 / /run/abc rw - tmpfs tmp\043fs rw
";

    #[test]
    fn lines_are_read_with_their_escapes() {
        let table = MountTable::parse(TABLE).unwrap();
        let mount = table.iter().nth(2).unwrap();
        let expected = Mount {
            id: 42,
            parent: 27,
            device: (0, 39),
            root: "/".into(),
            target: "/run/a b\\c\t\n".into(),
            options: "ro,nosuid,nodev,relatime".into(),
            shared: true,
            filesystem: "erofs".into(),
            source: "/var/store/image.erofs".into(),
            super_options: "ro,user_xattr".into(),
        };
        assert_eq!(*mount, expected);
        assert!(mount.has_option("nodev") && !mount.has_option("no"));
        assert_eq!(mount.image(), Some("/var/store/image.erofs".into()));
        assert_eq!(table.iter().nth(4).unwrap().source, OsStr::new("tmp#fs"));
        assert_eq!(table.iter().nth(4).unwrap().image(), None);
    }

    #[test]
    fn the_mount_on_top_is_the_one_at_a_place() {
        let table = MountTable::parse(TABLE).unwrap();
        assert_eq!(table.at(Path::new("/run/a b\\c\t\n")).unwrap().id, 43);
        assert_eq!(table.at(Path::new("/run")), None);
    }

    #[test]
    fn below_a_folder_is_not_beside_it() {
        let table = MountTable::parse(TABLE).unwrap();
        let ids = |folder: &str| {
            table
                .below(Path::new(folder))
                .map(|mount| mount.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("/run"), [42, 43, 44]);
        assert!(ids("/run/a").is_empty());
        assert!(ids("/run/abc").is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_and_odd_backslashes_stay() {
        assert_eq!(unescape(b"a\xff\\").as_bytes(), b"a\xff\\");
        assert_eq!(
            unescape(b"\\40\\999\\777\\101").as_bytes(),
            b"\\40\\999\\777A"
        );
    }

    #[test]
    fn a_broken_line_is_no_table() {
        for line in [
            "1",
            "x 27 0:21 / / rw - proc proc rw",
            "1 2 3 / / rw - proc proc rw",
            "1 2 3:4 / / rw proc proc rw",
        ] {
            assert_eq!(MountTable::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn the_kernels_own_table_is_read() {
        assert!(MountTable::read().unwrap().at(Path::new("/proc")).is_some());
    }
}
