//! The few of Nix's settings that matter to fetching, from where Nix has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix_flake::FetchSettings;

use crate::flake::home;

/// Settings by name, tokens among them.
#[derive(Default)]
pub(crate) struct NixConfig(BTreeMap<String, String>);

/// Files may include each other this deep.
const MAX_INCLUDES: usize = 8;

impl NixConfig {
    /// Reads the machine's file, then the user's, then `NIX_CONFIG`.
    pub(crate) fn read() -> Self {
        let mut config = Self::default();
        let folder = std::env::var_os("NIX_CONF_DIR")
            .map_or_else(|| PathBuf::from("/etc/nix"), PathBuf::from);
        config.read_file(&folder.join("nix.conf"), 0);
        let user = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let user = user.or_else(|| Some(home()?.join(".config")));
        if let Some(folder) = user {
            config.read_file(&folder.join("nix/nix.conf"), 0);
        }
        if let Ok(text) = std::env::var("NIX_CONFIG") {
            config.read_text(&text, Path::new("."), 0);
        }
        config
    }

    fn read_file(&mut self, file: &Path, depth: usize) {
        if let Ok(text) = std::fs::read_to_string(file) {
            self.read_text(&text, file.parent().unwrap_or(Path::new("/")), depth);
        }
    }

    fn read_text(&mut self, text: &str, folder: &Path, depth: usize) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            match &words[..] {
                ["include" | "!include", file] if depth < MAX_INCLUDES => {
                    self.read_file(&folder.join(file), depth + 1);
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
                let known = self.0.entry(name.to_owned()).or_default();
                *known = format!("{known} {value}");
            }
            None => {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Takes over what concerns fetching.
    pub(crate) fn apply(&self, settings: &mut FetchSettings) {
        let get = |name| self.0.get(name).map(String::as_str);
        for token in get("access-tokens").unwrap_or_default().split_whitespace() {
            if let Some((host, token)) = token.split_once('=') {
                settings.access_tokens.insert(host.to_owned(), token.into());
            }
        }
        if let Some(registry) = get("flake-registry") {
            registry.clone_into(&mut settings.registries.global);
        }
        if let Some(seconds) = get("tarball-ttl").and_then(|seconds| seconds.parse().ok()) {
            settings.ttl = Duration::from_secs(seconds);
        }
        if get("allow-dirty") == Some("false") {
            settings.allow_dirty = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_registry_are_taken_over() {
        let mut config = NixConfig::default();
        let text = "access-tokens = github.com=a # comment\nextra-access-tokens = gitlab.com=PAT:b\nflake-registry =\n";
        config.read_text(text, Path::new("/"), 0);
        let mut settings = FetchSettings::new("/cache");
        config.apply(&mut settings);
        let tokens: Vec<(&str, &str)> = settings
            .access_tokens
            .iter()
            .map(|(k, v)| (k.as_str(), v.expose()))
            .collect();
        assert_eq!(tokens, [("github.com", "a"), ("gitlab.com", "PAT:b")]);
        assert_eq!(settings.registries.global, "");
    }
}
