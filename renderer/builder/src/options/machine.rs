//! What a machine can build.

use std::collections::BTreeSet;
use std::fmt;

use nix_formats::derivation::DerivationKind;

use super::{CA_DERIVATIONS, Options};

/// What a machine can build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its own system, `x86_64-linux` and the like.
    pub system: String,
    /// Other systems whose programs it runs.
    pub extra_platforms: BTreeSet<String>,
    /// What it has.
    pub features: BTreeSet<String>,
}

/// Flags of processors, as `/proc/cpuinfo` names them, that make the levels of x86-64, each with those before it.
const LEVELS: [&[&str]; 4] = [
    &["cmov", "cx8", "fpu", "fxsr", "mmx", "sse", "sse2"],
    &[
        "cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3",
    ],
    &[
        "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave",
    ],
    &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
];

impl Machine {
    /// A machine with Linux as Nix takes it by default: `architecture` as Rust names it, `cpu_info` what `/proc/cpuinfo` says,
    /// `kvm` whether `/dev/kvm` may be read and written.
    pub fn linux(architecture: &str, cpu_info: &str, kvm: bool) -> Self {
        let mut machine = Self {
            system: match architecture {
                "x86" => "i686-linux".to_owned(),
                other => format!("{other}-linux"),
            },
            extra_platforms: BTreeSet::new(),
            features: [
                "nixos-test",
                "benchmark",
                "big-parallel",
                "uid-range",
                CA_DERIVATIONS,
            ]
            .map(str::to_owned)
            .into(),
        };
        if architecture == "x86_64" {
            machine.extra_platforms.insert("i686-linux".to_owned());
            let flags = cpu_info.lines().find_map(|line| line.strip_prefix("flags"));
            let flags: BTreeSet<_> = flags.unwrap_or_default().split_ascii_whitespace().collect();
            let has = |level: &&[&str]| level.iter().all(|flag| flags.contains(flag));
            let levels = LEVELS.iter().take_while(|level| has(level)).count();
            let platforms = (1..=levels).map(|level| format!("x86_64-v{level}-linux"));
            machine.extra_platforms.extend(platforms);
        }
        if kvm {
            machine.features.insert("kvm".to_owned());
        }
        machine
    }

    /// Why it cannot build a derivation for this system and of this kind.
    pub fn refuses(
        &self,
        platform: &[u8],
        builder: &[u8],
        options: &Options,
        kind: DerivationKind,
    ) -> Option<Refusal> {
        let required_system = String::from_utf8_lossy(platform);
        let runs = *required_system == self.system
            || self.extra_platforms.contains(&*required_system)
            || builder.starts_with(b"builtin:");
        let required = options.required_features(kind);
        let missing_features = !required.is_subset(&self.features);
        (!runs || missing_features).then(|| Refusal {
            platform: (!runs).then(|| (required_system.into_owned(), self.system.clone())),
            features: missing_features.then(|| (required, self.features.clone())),
        })
    }
}

/// Why a machine cannot build a derivation. Printed as Nix does, as lines after "Cannot build '…'.".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The system that is required, and the machine's.
    pub platform: Option<(String, String)>,
    /// The features that are required, and the machine's.
    pub features: Option<(BTreeSet<String>, BTreeSet<String>)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |features: &BTreeSet<String>| {
            features
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut between = "";
        if let Some((required, current)) = &self.platform {
            write!(
                f,
                "Reason: platform mismatch\nRequired system: '{required}'\nCurrent system: '{current}'"
            )?;
            between = "\n";
        }
        if let Some((required, available)) = &self.features {
            write!(
                f,
                "{between}Reason: missing system features\nRequired features: {{{}}}\nAvailable features: {{{}}}",
                list(required),
                list(available)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_a_processor_end_at_the_first_that_is_incomplete() {
        let levels = |flags: &[&[&str]]| {
            let flags: Vec<_> = flags
                .iter()
                .flat_map(|flags| flags.iter().copied())
                .collect();
            let info = format!("processor\t: 0\nflags\t\t: {} syscall\n", flags.join(" "));
            Machine::linux("x86_64", &info, false).extra_platforms.len() - 1
        };
        assert_eq!(levels(&LEVELS), 4);
        assert_eq!(levels(&LEVELS[..2]), 2);
        assert_eq!(levels(&[LEVELS[0], LEVELS[2]]), 1);
        assert_eq!(levels(&[]), 0);
    }

    #[test]
    fn other_architectures_run_their_own_system_only() {
        let machine = Machine::linux("aarch64", "", true);
        assert_eq!(machine.system, "aarch64-linux");
        assert_eq!(machine.extra_platforms, BTreeSet::new());
        assert!(machine.features.contains("kvm"));
        assert_eq!(Machine::linux("x86", "", false).system, "i686-linux");
    }
}
