//! Nix's own configuration, from where Nix reads it: the machine's `nix.conf`, then the user's, then `NIX_CONFIG`.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

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
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// The file of `netrc-file`, by default `netrc` beside the machine's nix.conf; it need not exist. Nothing if the setting is
    /// empty, or not an absolute path.
    pub fn netrc_file(&self) -> Option<PathBuf> {
        match self.get("netrc-file") {
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
    use std::fs;

    use super::*;

    #[test]
    fn settings_are_words_that_others_extend() {
        let conf = NixConf::parse(
            "access-tokens =  a=b   c=d # comment\nextra-access-tokens = e=f\nempty =\n",
        );
        assert_eq!(conf.get("access-tokens"), Some("a=b c=d e=f"));
        assert_eq!(conf.get("empty"), Some(""));
        assert_eq!(conf.get("absent"), None);
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
        fs::write(&file, "include nix.conf\n".repeat(10) + "a = b").unwrap();
        let mut conf = NixConf::new(folder.path().to_owned());
        conf.read_file(&file, 0);
        assert_eq!(conf.get("a"), Some("b"));
    }
}
