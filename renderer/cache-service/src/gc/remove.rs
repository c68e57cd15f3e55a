//! Removing what does not stay, in an order that leaves the cache whole at any moment.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix_formats::StorePath;

use super::index::{EntryFile, Index};
use super::{GcError, Options, Report};

/// Removes what does not stay.
pub(super) fn remove(
    folder: &Path,
    index: &Index,
    kept: &[bool],
    options: &Options,
    now: SystemTime,
    report: &mut Report,
) -> Result<(), GcError> {
    let removal = Removal {
        folder,
        index,
        kept,
        options,
        now,
    };
    let order = removal.order();
    if !order.is_empty() {
        removal.build_trace(report)?;
    }
    for &number in &order {
        if let Some(file) = &index.entries[number as usize].file {
            removal.unlink(&folder.join(format!("{}.narinfo", file.hash_part)), report)?;
            report.removed_paths += 1;
        }
    }
    // No narinfo comes back after what it tells of is gone.
    if !order.is_empty() {
        sync(folder)?;
    }
    for &number in &order {
        if let Some(file) = &index.entries[number as usize].file {
            removal.unlink(&folder.join(format!("{}.ls", file.hash_part)), report)?;
        }
    }
    removal.nars(report)?;
    removal.logs(report)
}

struct Removal<'a> {
    folder: &'a Path,
    index: &'a Index,
    kept: &'a [bool],
    options: &'a Options,
    now: SystemTime,
}

impl Removal<'_> {
    /// The paths that go, each before those that it refers to.
    fn order(&self) -> Vec<u32> {
        let goes = |number: &u32| {
            !self.kept[*number as usize] && self.index.entries[*number as usize].file.is_some()
        };
        let all: Vec<u32> = (0..self.kept.len() as u32).filter(goes).collect();
        let mut referrers = vec![0_u32; self.kept.len()];
        let references = |number: u32| &self.index.entries[number as usize].references;
        for &number in &all {
            for &reference in references(number) {
                referrers[reference as usize] += 1;
            }
        }
        let is_free = |number: &u32| referrers[*number as usize] == 0;
        let mut free: Vec<u32> = all.iter().copied().filter(is_free).collect();
        let mut order = Vec::with_capacity(all.len());
        while let Some(number) = free.pop() {
            order.push(number);
            for &reference in references(number) {
                let count = &mut referrers[reference as usize];
                *count -= 1;
                if *count == 0 && goes(&reference) {
                    free.push(reference);
                }
            }
        }
        // Paths that refer to each other in a circle: no store makes them.
        if order.len() < all.len() {
            let ordered: HashSet<u32> = order.iter().copied().collect();
            order.extend(all.into_iter().filter(|number| !ordered.contains(number)));
        }
        order
    }

    /// The narinfos that stay.
    fn staying(&self) -> impl Iterator<Item = &EntryFile> {
        let entries = self.index.entries.iter().zip(self.kept);
        entries.filter_map(|(entry, kept)| entry.file.as_ref().filter(|_| *kept))
    }

    /// Entries of the build trace whose path goes.
    fn build_trace(&self, report: &mut Report) -> Result<(), GcError> {
        let folder = self.folder.join("realisations");
        let mut is_changed = false;
        each(&folder, |name, path, _| {
            if name.strip_suffix(".doi").is_none() {
                return Ok(());
            }
            let text = match regular_file::read(path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(GcError::io("read", path)(error)),
            };
            #[derive(serde::Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Entry {
                out_path: String,
            }
            let entry = serde_json::from_slice::<Entry>(&text).ok();
            let became = entry.and_then(|entry| StorePath::from_base_name(entry.out_path).ok());
            let number = became.and_then(|path| self.index.find(&path));
            if number.is_some_and(|number| !self.kept[number as usize]) {
                is_changed = true;
                self.unlink(path, report)?;
            }
            Ok(())
        })?;
        if is_changed { sync(&folder) } else { Ok(()) }
    }

    /// NARs that no narinfo names, if they are not young: a push may be about to name them.
    fn nars(&self, report: &mut Report) -> Result<(), GcError> {
        let named: HashSet<&str> = self
            .staying()
            .map(|file| file.url.as_str())
            .chain(self.index.doubtful.iter().map(String::as_str))
            .collect();
        each(&self.folder.join("nar"), |name, path, modified| {
            let is_named = named.contains(format!("nar/{name}").as_str());
            if is_named || self.age(modified) < self.options.min_age {
                return Ok(());
            }
            self.unlink(path, report)
        })
    }

    /// Logs of derivations that made nothing that stays.
    fn logs(&self, report: &mut Report) -> Result<(), GcError> {
        let derivers: HashSet<&str> = self
            .staying()
            .filter_map(|file| file.deriver.as_ref().map(StorePath::base_name))
            .collect();
        each(&self.folder.join("log"), |name, path, modified| {
            let is_old = self.age(modified) >= self.options.keep_logs.max(self.options.min_age);
            if is_old && !derivers.contains(name) {
                self.unlink(path, report)?;
            }
            Ok(())
        })
    }

    fn age(&self, modified: SystemTime) -> Duration {
        self.now.duration_since(modified).unwrap_or_default()
    }

    /// Removes a file, if it is there.
    fn unlink(&self, path: &Path, report: &mut Report) -> Result<(), GcError> {
        let size = match fs::symlink_metadata(path) {
            Ok(about) if about.is_file() => about.len(),
            _ => return Ok(()),
        };
        report.removed_bytes += size;
        if self.options.is_dry_run {
            return Ok(());
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(GcError::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Goes through the files of a folder, if there is one.
fn each(
    folder: &Path,
    mut file: impl FnMut(&str, &Path, SystemTime) -> Result<(), GcError>,
) -> Result<(), GcError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(GcError::io("read", folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(GcError::io("read", folder))?;
        let (name, path) = (entry.file_name(), entry.path());
        let about = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            about => about.map_err(GcError::io("read", &path))?,
        };
        // What is called otherwise, or is no file, is not of the cache.
        if let Some(name) = name.to_str()
            && about.is_file()
        {
            let modified = about.modified().map_err(GcError::io("read", &path))?;
            file(name, &path, modified)?;
        }
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), GcError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(GcError::io("sync", folder))
}
