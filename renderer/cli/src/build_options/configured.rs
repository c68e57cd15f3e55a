//! What nix.conf says of builds.

use std::time::Duration;

use anyhow::anyhow;
use binary_cache::{Netrc, NetrcError};
use nix_builder::builtin::FetchSettings;
use nix_conf::{NixConf, Setting};

use super::{Limit, jobs};
use crate::failure::Failure;

/// Settings of builds. None: nix.conf has none.
#[derive(Default)]
pub(super) struct Configured {
    pub(super) max_jobs: Option<usize>,
    pub(super) cores: Option<u32>,
    pub(super) timeout: Option<Limit<Duration>>,
    pub(super) max_silent_time: Option<Limit<Duration>>,
    pub(super) max_log_size: Option<Limit<u64>>,
    pub(super) fallback: bool,
    pub(super) fetch: FetchSettings,
}

impl Configured {
    /// Reads nix.conf, and the netrc file that it names.
    pub(super) fn read() -> Result<Self, Failure> {
        let conf = NixConf::read();
        let mut configured = Self::of(&conf)?;
        configured.fetch.netrc = netrc(&conf);
        Ok(configured)
    }

    fn of(conf: &NixConf) -> Result<Self, Failure> {
        let seconds = |text: &str| {
            let seconds = number(text)?;
            Some(Limit((seconds > 0).then(|| Duration::from_secs(seconds))))
        };
        let bytes = |text: &str| {
            let bytes = number(text)?;
            Some(Limit((bytes > 0).then_some(bytes)))
        };
        let mirrors = conf.get(Setting::HashedMirrors).unwrap_or_default();
        Ok(Self {
            max_jobs: get(conf, Setting::MaxJobs, |text| jobs(text).ok())?,
            cores: get(conf, Setting::Cores, |text| number(text)?.try_into().ok())?,
            timeout: get(conf, Setting::Timeout, seconds)?,
            max_silent_time: get(conf, Setting::MaxSilentTime, seconds)?,
            max_log_size: get(conf, Setting::MaxBuildLogSize, bytes)?,
            fallback: get(conf, Setting::Fallback, boolean)?.unwrap_or(false),
            fetch: FetchSettings {
                hashed_mirrors: mirrors.split_whitespace().map(str::to_owned).collect(),
                ..FetchSettings::default()
            },
        })
    }
}

/// A setting, in Nix's words if it is not what it must be.
fn get<T>(
    conf: &NixConf,
    setting: Setting,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let Some(text) = conf.get(setting) else {
        return Ok(None);
    };
    let name = setting.name();
    let value = read(text).ok_or_else(|| anyhow!("setting '{name}' has invalid value '{text}'"))?;
    Ok(Some(value))
}

/// A number as Nix reads them: K, M, G and T stand for powers of 1024.
fn number(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().next_back()? {
        (at, 'K' | 'k') => (&text[..at], 10),
        (at, 'M' | 'm') => (&text[..at], 20),
        (at, 'G' | 'g') => (&text[..at], 30),
        (at, 'T' | 't') => (&text[..at], 40),
        _ => (text, 0),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// The netrc file's text. As with Nix it need not be there; one that is damaged would fail each fetch, and is left out.
fn netrc(conf: &NixConf) -> String {
    let Some(file) = conf.netrc_file() else {
        return String::new();
    };
    let text = Netrc::read_text(&file).and_then(|text| Netrc::parse(&text).map(|_| text));
    text.unwrap_or_else(|error| {
        if !matches!(error, NetrcError::Read { .. }) {
            let file = file.display();
            tracing::warn!(%file, error = nix_formats::chain(&error), "failed to read a netrc file; ignoring it");
        }
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_builds_are_read_as_nix_does() {
        let of = |text| Configured::of(&NixConf::parse(text));
        let none = of("").unwrap();
        assert_eq!(
            (none.max_jobs, none.cores, none.fallback),
            (None, None, false)
        );
        assert!(none.timeout.is_none());
        let all = of(
            "max-jobs = auto\ncores = 0\ntimeout = 90\nmax-silent-time = 0\nmax-build-log-size = 2M\nfallback = true\n\
             hashed-mirrors = http://a http://b\n",
        );
        let all = all.unwrap();
        assert!(all.max_jobs.is_some_and(|jobs| jobs > 0));
        assert_eq!((all.cores, all.fallback), (Some(0), true));
        assert_eq!(all.timeout.unwrap().0, Some(Duration::from_secs(90)));
        assert_eq!(all.max_silent_time.unwrap().0, None);
        assert_eq!(all.max_log_size.unwrap().0, Some(2 << 20));
        assert_eq!(all.fetch.hashed_mirrors, ["http://a", "http://b"]);
        for (text, shown) in [
            ("cores = many", "setting 'cores' has invalid value 'many'"),
            ("timeout = -1", "setting 'timeout' has invalid value '-1'"),
            ("timeout = +1", "setting 'timeout' has invalid value '+1'"),
            ("max-jobs =", "setting 'max-jobs' has invalid value ''"),
            (
                "fallback = maybe",
                "setting 'fallback' has invalid value 'maybe'",
            ),
            (
                "max-build-log-size = 99999999T",
                "setting 'max-build-log-size' has invalid value '99999999T'",
            ),
        ] {
            assert_eq!(
                of(text).err().map(|error| error.message()).as_deref(),
                Some(shown)
            );
        }
    }
}
