//! Nix's settings that matter to fetching.

use std::time::Duration;

use nix_conf::{NixConf, Setting};
use nix_flake::FetchSettings;

/// Takes over what concerns fetching.
pub(crate) fn apply(conf: &NixConf, settings: &mut FetchSettings) {
    for token in conf
        .get(Setting::AccessTokens)
        .unwrap_or_default()
        .split_whitespace()
    {
        if let Some((host, token)) = token.split_once('=') {
            settings.access_tokens.insert(host.to_owned(), token.into());
        }
    }
    if let Some(registry) = conf.get(Setting::FlakeRegistry) {
        registry.clone_into(&mut settings.registries.global);
    }
    if let Some(seconds) = conf
        .get(Setting::TarballTtl)
        .and_then(|seconds| seconds.parse().ok())
    {
        settings.ttl = Duration::from_secs(seconds);
    }
    if conf.get(Setting::AllowDirty) == Some("false") {
        settings.allow_dirty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_registry_are_taken_over() {
        let conf = NixConf::parse(
            "access-tokens = github.com=a # comment\nextra-access-tokens = gitlab.com=PAT:b\nflake-registry =\n",
        );
        let mut settings = FetchSettings::new("/cache");
        apply(&conf, &mut settings);
        let tokens: Vec<(&str, &str)> = settings
            .access_tokens
            .iter()
            .map(|(k, v)| (k.as_str(), v.expose()))
            .collect();
        assert_eq!(tokens, [("github.com", "a"), ("gitlab.com", "PAT:b")]);
        assert_eq!(settings.registries.global, "");
    }
    /// The page is made in another crate, which does not know the defaults.
    #[test]
    fn the_documented_defaults_are_those_of_fetching() {
        let page = include_str!("../../../docs/reference/nix-conf.md");
        let settings = FetchSettings::new("/cache");
        let defaults = [
            (Setting::AllowDirty, settings.allow_dirty.to_string()),
            (Setting::FlakeRegistry, settings.registries.global),
            (Setting::TarballTtl, settings.ttl.as_secs().to_string()),
        ];
        for (setting, default) in defaults {
            let row = format!("| `{}` | `{default}` |", setting.name());
            assert!(page.contains(&row), "no {row}");
        }
    }
}
