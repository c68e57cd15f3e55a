//! How long builds took: the schedule starts first what most work waits for.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use niphas_build_jobs::schedule::{Need, duration_key};
use serde::{Deserialize, Serialize};

/// Names that are remembered.
const MOST: usize = 5_000;
/// The most bytes of the file: a name has at most some 250.
const MOST_BYTES: u64 = 2 << 20;

/// How long builds took, by system and name without version.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Durations {
    known: HashMap<String, Known>,
    /// Counts what was noted.
    clock: u64,
    is_saved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Known {
    seconds: f64,
    /// When it was noted last.
    clock: u64,
}

impl Durations {
    /// Notes that a build took that long. Builds differ with the node that they are on, so each counts as much as all before it.
    pub(super) fn note(&mut self, name: &str, system: &str, took: Duration) {
        self.clock += 1;
        self.is_saved = false;
        let seconds = took.as_secs_f64();
        let clock = self.clock;
        let known = self.known.entry(duration_key(name, system));
        let known = known.or_insert(Known { seconds, clock });
        *known = Known {
            seconds: f64::midpoint(known.seconds, seconds),
            clock,
        };
        if self.known.len() > MOST
            && let Some(oldest) = self.known.iter().min_by_key(|(_, known)| known.clock)
        {
            let oldest = oldest.0.clone();
            self.known.remove(&oldest);
        }
    }

    /// What is known of what a run needs.
    pub(super) fn of(&self, needs: &[Need]) -> HashMap<String, Duration> {
        let found = needs.iter().filter_map(|need| {
            let key = duration_key(need.derivation.name(), &need.system);
            let known = self.known.get(&key)?;
            let took = Duration::try_from_secs_f64(known.seconds).ok()?;
            Some((key, took))
        });
        found.collect()
    }

    /// Reads what [`text`](Self::text) gave. Of a file that is damaged nothing is known. Blocks.
    pub(super) fn read(file: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        match regular_file::open_no_follow(file) {
            Ok(file) => file.take(MOST_BYTES).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let known: HashMap<String, Known> = serde_json::from_slice(&text)?;
        let clock = known.values().map(|known| known.clock).max();
        Ok(Self {
            known,
            clock: clock.unwrap_or_default(),
            is_saved: true,
        })
    }

    /// What has to be written, if there is something new.
    pub(super) fn text(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.is_saved, true) {
            return None;
        }
        let sorted: BTreeMap<&String, &Known> = self.known.iter().collect();
        serde_json::to_string(&sorted).ok()
    }
}

/// Writes a text to a file, which is there as a whole or as it was before. Blocks.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use nix_formats::StorePath;

    use super::*;

    fn need(name: &str, system: &str) -> Need {
        Need {
            derivation: StorePath::from_parts([7; 20], &format!("{name}.drv")).unwrap(),
            needs: Vec::new(),
            system: system.into(),
            features: BTreeSet::new(),
            is_local: false,
        }
    }

    #[test]
    fn the_next_version_is_thought_to_take_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("durations.json");
        let mut durations = Durations::read(&file).unwrap();
        durations.note("gcc-14.1.drv", "x86_64-linux", Duration::from_mins(15));
        durations.note("gcc-14.1.drv", "aarch64-linux", Duration::from_mins(30));
        durations.note("gcc-14.2.drv", "x86_64-linux", Duration::from_secs(700));
        write(&file, &durations.text().unwrap()).unwrap();
        assert_eq!(durations.text(), None, "nothing is new");
        let read = Durations::read(&file).unwrap();
        assert_eq!(read, durations);
        let found = read.of(&[
            need("gcc-15.1", "x86_64-linux"),
            need("zlib", "x86_64-linux"),
        ]);
        let expected = ("x86_64-linux gcc".to_owned(), Duration::from_secs(800));
        assert_eq!(found, [expected].into());
    }

    #[test]
    fn what_was_not_built_for_longest_is_forgotten() {
        let mut durations = Durations::default();
        let second = Duration::from_secs(1);
        durations.note("first", "x86_64-linux", second);
        for number in 0..MOST {
            durations.note("kept", "x86_64-linux", second);
            durations.note(&format!("n{number}"), "x86_64-linux", second);
        }
        assert_eq!(durations.known.len(), MOST);
        let found = durations.of(&[need("first", "x86_64-linux"), need("kept", "x86_64-linux")]);
        assert_eq!(found.len(), 1);
        let size = durations.text().unwrap().len() as u64;
        assert!(size < MOST_BYTES, "{size}");
        assert!(Durations::read(Path::new("/dev/null")).is_err());
    }
}
