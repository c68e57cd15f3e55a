//! The key of a flake's answers: the name of the file that keeps them.
//!
//! The key is the digest of a JSON text, `["niphas evaluation", version, {…}]`, with everything that answers depend on beside what
//! was read for them, in the order of the fields of [`EvaluationKey`].

use std::collections::BTreeMap;
use std::time::SystemTime;

use nix_evaluator::{Lints, Settings};
use serde::Serialize;

use super::{Digest, digest};

/// Raised when the text below, or the files of this name, come to mean something else.
const VERSION: u32 = 1;

/// Everything that answers depend on beside what was read for them. It holds secrets of the flake's reference: nothing prints it.
#[derive(Serialize)]
pub(super) struct EvaluationKey<'a> {
    /// This very program: what another build gives may differ.
    pub(super) program: &'a str,
    /// The kind of question, and what it depends on.
    pub(super) about: &'a str,
    pub(super) settings: SettingsKey<'a>,
    /// The flake's reference, with its secrets.
    pub(super) flake: &'a str,
    /// The folder of the flake in its tree.
    pub(super) subdir: &'a str,
    pub(super) lock_file: &'a str,
}

/// The settings of the evaluator that answers depend on.
#[derive(Serialize)]
pub(super) struct SettingsKey<'a> {
    system: &'a str,
    store_dir: &'a str,
    trace_verbose: bool,
    max_call_depth: u32,
    /// By the names that Nix has for them, sorted.
    features: Vec<&'static str>,
    /// What to do, by the names of Nix's settings.
    lints: BTreeMap<&'static str, &'static str>,
}

impl<'a> SettingsKey<'a> {
    pub(super) fn of(settings: &'a Settings) -> Self {
        // Every setting is named: a new one is in the key, or is seen not to be.
        let Settings {
            // Only pure evaluations are kept.
            pure: _,
            show_trace: _,
            system,
            store_dir,
            // The kind of question has these where they matter.
            search_path: _,
            directory: _,
            trace_verbose,
            max_call_depth,
            delay_all: _,
            write_store: _,
            limits: _,
            profile: _,
            parse_cache: _,
            features,
            lints,
        } = settings;
        let Lints {
            absolute_path_literals,
            short_path_literals,
            url_literals,
        } = lints;
        let mut features: Vec<_> = features.iter().map(|feature| feature.name()).collect();
        features.sort_unstable();
        Self {
            system,
            store_dir: store_dir.as_str(),
            trace_verbose: *trace_verbose,
            max_call_depth: *max_call_depth,
            features,
            lints: BTreeMap::from([
                ("absolute-path-literals", absolute_path_literals.name()),
                ("short-path-literals", short_path_literals.name()),
                ("url-literals", url_literals.name()),
            ]),
        }
    }
}

impl EvaluationKey<'_> {
    fn text(&self) -> Vec<u8> {
        serde_json::to_vec(&("niphas evaluation", VERSION, self))
            .expect("texts and numbers are JSON")
    }

    pub(super) fn digest(&self) -> Digest {
        digest(&[&self.text()])
    }
}

/// This very program: what another build gives may differ.
pub fn program() -> String {
    let about = std::env::current_exe().and_then(std::fs::metadata).ok();
    let length = about.as_ref().map(std::fs::Metadata::len);
    let modified = about.and_then(|about| about.modified().ok());
    program_text(env!("CARGO_PKG_VERSION"), length, modified)
}

/// `<version> <length in bytes> <nanoseconds since 1970>`, with `?` for what is not known.
fn program_text(version: &str, length: Option<u64>, modified: Option<SystemTime>) -> String {
    let length = length.map_or("?".to_owned(), |length| length.to_string());
    let modified = modified
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or("?".to_owned(), |time| time.as_nanos().to_string());
    format!("{version} {length} {modified}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix_evaluator::{Feature, Lint};

    use super::super::hex;
    use super::*;

    fn settings() -> Settings {
        let mut settings = Settings {
            pure: true,
            system: "x86_64-linux".to_owned(),
            max_call_depth: 10_000,
            ..Settings::default()
        };
        let features = [Feature::PipeOperators, Feature::CaDerivations];
        settings.features.extend(features);
        settings.lints.url_literals = Lint::Warn;
        settings
    }

    /// Where this text changes, [`VERSION`] is raised.
    #[test]
    fn the_key_is_the_digest_of_this_text() {
        let settings = settings();
        let key = EvaluationKey {
            program: "1.0 2 3",
            about: "show",
            settings: SettingsKey::of(&settings),
            flake: "git+https://host/flake",
            subdir: "a",
            lock_file: "{\n}",
        };
        let expected = concat!(
            r#"["niphas evaluation",1,{"program":"1.0 2 3","about":"show","#,
            r#""settings":{"system":"x86_64-linux","store_dir":"/nix/store","trace_verbose":false,"max_call_depth":10000,"#,
            r#""features":["ca-derivations","pipe-operators"],"#,
            r#""lints":{"absolute-path-literals":"ignore","short-path-literals":"ignore","url-literals":"warn"}},"#,
            r#""flake":"git+https://host/flake","subdir":"a","lock_file":"{\n}"}]"#,
        );
        assert_eq!(String::from_utf8_lossy(&key.text()), expected);
        assert_eq!(key.digest(), digest(&[expected.as_bytes()]));
        assert_eq!(
            hex(&key.digest()),
            "c07eeec55d67b91d67d257193d5bdcc5ecb2b017e86907e5bbe4002418eec945"
        );
    }

    #[test]
    fn each_setting_that_answers_depend_on_changes_the_key() {
        let of = |settings: &Settings| {
            let key = EvaluationKey {
                program: "",
                about: "",
                settings: SettingsKey::of(settings),
                flake: "",
                subdir: "",
                lock_file: "",
            };
            key.digest()
        };
        let mut keys = vec![of(&settings())];
        let mut add = |change: &dyn Fn(&mut Settings)| {
            let mut settings = settings();
            change(&mut settings);
            keys.push(of(&settings));
        };
        add(&|settings| settings.system.push('x'));
        add(&|settings| settings.trace_verbose = true);
        add(&|settings| settings.max_call_depth = 1);
        add(&|settings| settings.features.clear());
        add(&|settings| settings.lints.absolute_path_literals = Lint::Fatal);
        add(&|settings| settings.lints.short_path_literals = Lint::Fatal);
        add(&|settings| settings.lints.url_literals = Lint::Fatal);
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_program_is_known_by_version_length_and_time() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        let text = program_text("0.1.0", Some(42), Some(time));
        assert_eq!(text, "0.1.0 42 1700000000000000005");
        assert_eq!(program_text("0.1.0", None, None), "0.1.0 ? ?");
    }
}
