//! What a service that was killed left in the folders of sources.

use std::path::Path;
use std::{fs, io};

/// Where fetches work, below the folder of a source: for its branch, and for pull requests.
const SCRATCH: [&str; 2] = ["fetched/tmp", "pull-requests/fetched/tmp"];

/// Removes what fetches of an earlier service left: as much as is fetched at once, each time that it is killed. Gives how many there
/// were. Nothing may be fetched meanwhile. Blocks.
pub(crate) fn remove(sources: &Path) -> io::Result<usize> {
    let mut count = 0;
    for source in entries(sources)? {
        let source = source?;
        // Never through a link.
        if !source.file_type()?.is_dir() {
            continue;
        }
        for scratch in SCRATCH {
            for left in entries(&source.path().join(scratch))? {
                let left = left?;
                if left.file_type()?.is_dir() {
                    fs::remove_dir_all(left.path())?;
                } else {
                    fs::remove_file(left.path())?;
                }
                count += 1;
            }
        }
    }
    Ok(count)
}

fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_folders_are_emptied_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(remove(&folder.path().join("none")).unwrap(), 0);
        let source = folder.path().join("8eb8900e");
        for scratch in SCRATCH {
            fs::create_dir_all(source.join(scratch).join(".tmpX/tree")).unwrap();
            fs::write(source.join(scratch).join("file"), "").unwrap();
        }
        fs::create_dir_all(source.join("fetched/trees/x")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let kept = elsewhere.path().join("fetched/tmp/kept");
        fs::create_dir_all(&kept).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link")).unwrap();
        assert_eq!(remove(folder.path()).unwrap(), 4);
        assert!(source.join("fetched/trees/x").is_dir() && kept.is_dir());
        assert_eq!(remove(folder.path()).unwrap(), 0);
    }
}
