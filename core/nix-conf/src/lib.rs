//! Nix's own configuration, from where Nix reads it: the machine's `nix.conf`, then the user's, then `NIX_CONFIG`.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

macro_rules! settings {
    ($($(#[doc = $meaning:literal])+ $setting:ident = $name:literal, $default:literal;)+) => {
        /// A setting that is read. There is no other way to read one, and the reference page is made of this list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Setting { $($(#[doc = $meaning])+ $setting,)+ }

        impl Setting {
            /// Its name in nix.conf.
            pub fn name(self) -> &'static str {
                match self { $(Self::$setting => $name,)+ }
            }
        }

        /// The name of each, its default, and its meaning.
        #[cfg(test)]
        const SETTINGS: &[[&str; 3]] = &[$([$name, $default, concat!($($meaning),+).trim_ascii()]),+];
    };
}

settings! {
    /// Tokens for forges and for Git over HTTPS: `HOST=TOKEN`, with spaces between them. `GITHUB_TOKEN` counts where none is for
    /// github.com.
    AccessTokens = "access-tokens", "none";
    /// Whether work trees with uncommitted changes may be used: `true` or `false`.
    AllowDirty = "allow-dirty", "`true`";
    /// Whether evaluations may build what they import from derivations: `true` or `false`. `niphas render` builds nothing unless its
    /// own option says so.
    AllowImportFromDerivation = "allow-import-from-derivation", "`true`";
    /// Processors that each builder may use; 0 for all.
    Cores = "cores", "`0`";
    /// Whether builds are done of what caches have and cannot give: `true` or `false`.
    Fallback = "fallback", "`false`";
    /// The global registry of flakes: a URL, or the absolute path of a file; empty for none.
    FlakeRegistry = "flake-registry", "`https://channels.nixos.org/flake-registry.json`";
    /// Servers that may have a file under its hash, `URL/sha256/HASH`, with spaces between them: `builtin:fetchurl` asks them first.
    HashedMirrors = "hashed-mirrors", "none";
    /// Bytes that a builder may print; 0 for any number. K, M, G and T may follow.
    MaxBuildLogSize = "max-build-log-size", "`0`";
    /// Builders that run at the same time: a number, or `auto` for one for each processor.
    MaxJobs = "max-jobs", "`1`";
    /// Seconds for which a builder may print nothing; 0 for any number.
    MaxSilentTime = "max-silent-time", "`0`";
    /// A netrc file with logins for binary caches, and for what `builtin:fetchurl` fetches; empty for none.
    NetrcFile = "netrc-file", "`netrc` beside the machine's nix.conf";
    /// Seconds for which a source that was fetched without an exact version is used again.
    TarballTtl = "tarball-ttl", "`3600`";
    /// Seconds that a builder may take; 0 for any number.
    Timeout = "timeout", "`0`";
}

/// What the command line sets, by name.
static COMMAND_LINE: OnceLock<Vec<[String; 2]>> = OnceLock::new();

/// Sets settings for all of this process, after those of files and of `NIX_CONFIG`, as Nix's `--option` does. What a first call
/// set stays.
pub fn set_by_command_line(settings: Vec<[String; 2]>) {
    let _first = COMMAND_LINE.set(settings);
}

/// Settings by name. Tokens are among them, so it is never printed.
pub struct NixConf {
    settings: BTreeMap<String, String>,
    /// The folder of the machine's file.
    dir: PathBuf,
    /// How many more files may be read.
    files_left: usize,
}

/// Files may include each other this deep.
const MAX_INCLUDES: usize = 8;
/// Files that are read, those that others include among them.
const MAX_FILES: usize = 64;
/// Bytes of a file.
const MAX_SIZE: u64 = 1 << 20;

impl NixConf {
    /// Reads the files and `NIX_CONFIG`. As for Nix, files that are not there have no settings; neither do those that cannot be
    /// read.
    pub fn read() -> Self {
        let mut conf = Self::new(path_of("NIX_CONF_DIR").unwrap_or_else(|| "/etc/nix".into()));
        conf.read_file(&conf.dir.join("nix.conf"), 0);
        for file in user_files().iter().rev() {
            conf.read_file(file, 0);
        }
        if let Ok(text) = env::var("NIX_CONFIG") {
            conf.read_text(&text, Path::new("."), 0);
        }
        for [name, value] in COMMAND_LINE.get().into_iter().flatten() {
            conf.set(name, value);
        }
        conf
    }

    /// The settings in a text, such as `NIX_CONFIG` holds.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::new("/etc/nix".into());
        conf.read_text(text, Path::new("/"), 0);
        conf
    }

    fn new(dir: PathBuf) -> Self {
        Self {
            settings: BTreeMap::new(),
            dir,
            files_left: MAX_FILES,
        }
    }

    /// A setting's words, with one space between each; what `extra-NAME` adds is among them.
    pub fn get(&self, setting: Setting) -> Option<&str> {
        self.settings.get(setting.name()).map(String::as_str)
    }

    /// The file of `netrc-file`, by default `netrc` beside the machine's nix.conf; it need not exist. Nothing if the setting is
    /// empty, or not an absolute path.
    pub fn netrc_file(&self) -> Option<PathBuf> {
        match self.get(Setting::NetrcFile) {
            Some(file) => Some(PathBuf::from(file)).filter(|file| file.is_absolute()),
            None => Some(self.dir.join("netrc")),
        }
    }

    fn read_file(&mut self, file: &Path, depth: usize) {
        let Some(left) = self.files_left.checked_sub(1) else {
            return;
        };
        self.files_left = left;
        let mut text = String::new();
        let read = File::open(file).and_then(|file| file.take(MAX_SIZE).read_to_string(&mut text));
        if read.is_ok() {
            self.read_text(&text, file.parent().unwrap_or(Path::new("/")), depth);
        }
    }

    fn read_text(&mut self, text: &str, dir: &Path, depth: usize) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            match &words[..] {
                ["include" | "!include", file] if depth < MAX_INCLUDES => {
                    self.read_file(&dir.join(file), depth + 1);
                }
                [name, "=", values @ ..] => self.set(name, &values.join(" ")),
                _ => {}
            }
        }
    }

    /// `extra-x` adds to `x`.
    fn set(&mut self, name: &str, value: &str) {
        match name.strip_prefix("extra-") {
            Some(name) => {
                let known = self.settings.entry(name.to_owned()).or_default();
                *known = format!("{known} {value}");
            }
            None => {
                self.settings.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The user's files, those that count more first.
fn user_files() -> Vec<PathBuf> {
    if let Some(files) = env::var_os("NIX_USER_CONF_FILES") {
        return env::split_paths(&files).collect();
    }
    let home = path_of("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")));
    let machine = env::var_os("XDG_CONFIG_DIRS").filter(|dirs| !dirs.is_empty());
    let machine = machine.unwrap_or_else(|| "/etc/xdg".into());
    home.into_iter()
        .chain(env::split_paths(&machine))
        .map(|dir| dir.join("nix/nix.conf"))
        .collect()
}

/// The user's folder: the one that `HOME` names, or where that is not set, as for services, the one that the machine knows.
pub fn home() -> Option<PathBuf> {
    env::home_dir().filter(|folder| !folder.as_os_str().is_empty())
}

fn path_of(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;

    use super::*;

    #[test]
    fn settings_are_words_that_others_extend() {
        let conf = NixConf::parse(
            "access-tokens =  a=b   c=d # comment\nextra-access-tokens = e=f\nflake-registry =\n",
        );
        assert_eq!(conf.get(Setting::AccessTokens), Some("a=b c=d e=f"));
        assert_eq!(conf.get(Setting::FlakeRegistry), Some(""));
        assert_eq!(conf.get(Setting::TarballTtl), None);
    }

    #[test]
    fn the_netrc_file_is_beside_nix_conf_unless_it_is_set() {
        let file = |text| NixConf::parse(text).netrc_file();
        assert_eq!(file(""), Some("/etc/nix/netrc".into()));
        assert_eq!(file("netrc-file = /run/netrc"), Some("/run/netrc".into()));
        assert_eq!(file("netrc-file ="), None);
        assert_eq!(file("netrc-file = ~/.netrc"), None);
    }

    #[test]
    fn files_that_include_themselves_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nix.conf");
        fs::write(&file, "include nix.conf\n".repeat(10) + "tarball-ttl = 1").unwrap();
        let mut conf = NixConf::new(folder.path().to_owned());
        conf.read_file(&file, 0);
        assert_eq!(conf.get(Setting::TarballTtl), Some("1"));
    }

    const INTRODUCTION: &str = "\
# Settings of Nix

A test makes this page of the settings of nix.conf that are read; all others are ignored. `niphas-store` and the commands of
`niphas` that read caches use `netrc-file`; builds use `cores`, `fallback`, `hashed-mirrors`, `netrc-file`, `timeout` and those that
begin with `max-`, unless an option of theirs says otherwise; the others concern the fetching of flakes.

Settings come from these places, and later ones replace earlier ones:

1. `nix.conf` in `NIX_CONF_DIR`, by default `/etc/nix`;
2. `nix/nix.conf` in the folders of `XDG_CONFIG_DIRS` (by default `/etc/xdg`), the last folder first, and then in `XDG_CONFIG_HOME`
   (by default `~/.config`); or instead of these the files that `NIX_USER_CONF_FILES` names, the last one first;
3. the text in `NIX_CONFIG`;
4. the command line: `--option NAME VALUE`, or as Nix takes each of its settings, `--NAME VALUE` (`--NAME` and `--no-NAME` of those
   that are true or false, `--extra-NAME VALUE` of lists), with the commands of `niphas` that evaluate. A setting of Nix that is not
   read is ignored there, too.

`extra-NAME` adds to `NAME`. `include FILE` and `!include FILE` read a file if it exists. At most 64 files are read, 1 MiB of
each. `--option` also sets options of the evaluation, such as `pure-eval`; nix.conf is not read for those.

| Setting | Default | Meaning |
|---|---|---|
";

    #[test]
    fn the_reference_page_lists_all_settings() {
        let mut page = INTRODUCTION.to_owned();
        for [name, default, meaning] in SETTINGS {
            writeln!(page, "| `{name}` | {default} | {meaning} |").unwrap();
        }
        niphas_reference::assert_page("nix-conf.md", &page);
    }
}
