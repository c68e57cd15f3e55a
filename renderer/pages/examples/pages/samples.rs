//! What the pages show: a shop that a team would have, or what an attacker would put into its place.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use niphas_pages::model::{
    BuildCounts, BuildNode, BuildState, Closure, Counts, Failure, Link, Log, PullRequest, Revision,
    Run, RunSummary, Source, SourceName, Stage, State, Trigger,
};

const ATTACK: &str =
    "\"><img src=x onerror=alert(1)></script><script>alert(2)</script>\u{202e}gpj.exe";

const PACKAGES: [&str; 16] = [
    "checkout-2.4.1",
    "catalog-1.19.0",
    "python3.12-fastapi-0.115.6",
    "openssl-3.4.0",
    "postgresql-17.2",
    "libxml2-2.13.5",
    "python3.12-pydantic-core-2.27.2",
    "go-modules-gateway",
    "gateway-0.9.3",
    "nodejs-22.12.0",
    "storefront-assets",
    "python3.12-uvloop-0.21.0",
    "zlib-1.3.1",
    "ca-bundle-nss-3.107",
    "rust-worker-vendor",
    "worker-3.0.2",
];

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_580_000)
}

fn before(seconds: u64) -> SystemTime {
    now() - Duration::from_secs(seconds)
}

/// The base name of a derivation's path, with a hash that looks like one.
fn derivation(name: &str, number: usize) -> String {
    const DIGITS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut state = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash: String = (0..32)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            DIGITS[(state >> 59) as usize] as char
        })
        .collect();
    format!("{hash}-{name}.drv")
}

/// The name of a derivation's Job.
fn job(number: usize) -> String {
    format!("niphas-build-{}", &derivation("", number)[..32])
}

pub(crate) struct Samples {
    pub(crate) is_hostile: bool,
}

impl Samples {
    /// The text, or one that attacks.
    fn text(&self, text: &str) -> String {
        if self.is_hostile {
            format!("{ATTACK}{}", "W".repeat(400))
        } else {
            text.to_owned()
        }
    }

    fn link(&self, link: &str) -> String {
        if self.is_hostile {
            "javascript:alert(3)".to_owned()
        } else {
            link.to_owned()
        }
    }

    fn name(&self, name: &str) -> SourceName {
        SourceName {
            namespace: self.text("shop"),
            name: self.text(name),
        }
    }

    fn revision(&self, number: usize, subject: &str) -> Revision {
        let digits = (number as u64 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let commit = format!(
            "{digits:016x}{:016x}{:08x}",
            digits.rotate_left(23),
            digits as u32
        );
        Revision {
            link: Some(self.link(&format!("https://git.example.org/shop/app/commit/{commit}"))),
            commit: if self.is_hostile {
                ATTACK.to_owned()
            } else {
                commit
            },
            subject: Some(self.text(subject)),
        }
    }

    pub(crate) fn sources(&self) -> Vec<Source> {
        let all = [
            (
                "app",
                State::Failed,
                Some("checkout-2.4.1 failed to build: the builder exited with code 1"),
                "checkout: new payment provider",
            ),
            (
                "gateway",
                State::Running,
                None,
                "gateway: limits for each client",
            ),
            (
                "storefront",
                State::Succeeded,
                None,
                "assets: smaller pictures",
            ),
            ("worker", State::Succeeded, None, "update flake.lock"),
            ("reports", State::Waiting, None, "weekly report"),
        ];
        let sources =
            all.into_iter()
                .enumerate()
                .map(|(number, (name, state, message, subject))| Source {
                    name: self.name(name),
                    repository: self.text(&format!("https://git.example.org/shop/{name}")),
                    branch: self.text("main"),
                    state,
                    message: message.map(|message| self.text(message)),
                    revision: Some(self.revision(number, subject)),
                    seen: Some(before(70 + number as u64 * 4_000)),
                    counts: Counts {
                        environments: 2,
                        workloads: 14 - number as u64 * 2,
                        runs: 0,
                    },
                    pull_requests: vec![PullRequest {
                        number: 41,
                        link: Some(self.link("https://git.example.org/shop/app/pulls/41")),
                        revision: self.revision(number, subject),
                        state: State::Succeeded,
                        message: Some(self.text("2 of 14 workloads would change")),
                    }],
                });
        sources.collect()
    }

    fn summary(&self, id: u64, state: State, builds: BuildCounts) -> RunSummary {
        RunSummary {
            id: if self.is_hostile {
                ATTACK.to_owned()
            } else {
                id.to_string()
            },
            trigger: if id.is_multiple_of(3) {
                Trigger::PullRequest(41)
            } else {
                Trigger::Push
            },
            revision: self.revision(id as usize, "checkout: new payment provider"),
            state,
            began: before(95 + (130 - id) * 5_000),
            took: Duration::from_secs(83 + id % 7 * 11),
            builds,
        }
    }

    pub(crate) fn runs(&self) -> Vec<RunSummary> {
        let runs = (100..=129).rev().map(|id| {
            let state = match id {
                129 => State::Running,
                128 | 119 => State::Failed,
                125 => State::Cancelled,
                _ => State::Succeeded,
            };
            let builds = BuildCounts {
                cached: 180,
                built: id % 5,
                failed: u64::from(state == State::Failed),
                ..BuildCounts::default()
            };
            self.summary(id, state, builds)
        });
        runs.collect()
    }

    fn stages(&self, is_done: bool) -> Vec<Stage> {
        let stage = |name: &str, state, took: Option<u64>, detail: &str| Stage {
            name: self.text(name),
            state,
            took: took.map(Duration::from_millis),
            detail: (!detail.is_empty()).then(|| self.text(detail)),
        };
        let (build, render) = if is_done {
            (State::Failed, State::Skipped)
        } else {
            (State::Running, State::Waiting)
        };
        vec![
            stage(
                "Fetch",
                State::Succeeded,
                Some(840),
                "3 inputs, 2 of them known",
            ),
            stage(
                "Evaluate",
                State::Succeeded,
                Some(2_310),
                "2 environments, 14 workloads",
            ),
            stage("Build", build, Some(71_000), "on 4 nodes"),
            stage("Render", render, None, ""),
            stage("Commit", render, None, ""),
        ]
    }

    fn log_text(&self) -> Vec<u8> {
        let mut text =
            String::from("\x1b[1m@nix\x1b[0m unpacking sources\n\x1b[1m@nix\x1b[0m building\n");
        for test in 0..60 {
            let _ = writeln!(
                text,
                "tests/test_payment.py::test_case_{test} \x1b[32mPASSED\x1b[0m \x1b[32m[{:3}%]\x1b[0m",
                test * 100 / 61
            );
        }
        text += "tests/test_payment.py::test_refund \x1b[31mFAILED\x1b[0m \x1b[31m[100%]\x1b[0m\n\n\
            =================================== FAILURES ===================================\n\
            \x1b[31m\x1b[1m_________________________________ test_refund __________________________________\x1b[0m\n\n\
            \x1b[1m\x1b[31mE       AssertionError\x1b[0m: assert Decimal('19.90') == Decimal('19.9000000001')\n\n\
            \x1b[33m=========================== short test summary info ============================\x1b[0m\n\
            \x1b[31mFAILED\x1b[0m tests/test_payment.py::\x1b[1mtest_refund\x1b[0m - AssertionError\n\
            \x1b[31m========================= \x1b[1m1 failed\x1b[0m, \x1b[32m60 passed\x1b[0m\x1b[31m in 4.12s\x1b[0m =========================\n";
        if self.is_hostile {
            text += ATTACK;
            text += "\n\x1b]8;;javascript:alert(4)\x07click\x1b]8;;\x07\n";
            text += &"W".repeat(20_000);
            text += "\n</pre><script>alert(5)</script>\n";
        }
        text.into_bytes()
    }

    /// A run of some derivations, one of which failed.
    pub(crate) fn run(&self) -> Run {
        use BuildState::{Built, Cached, DependencyFailed, Failed};
        let nodes: [(BuildState, Option<u64>, &[usize]); 16] = [
            (Failed, Some(31), &[2, 4, 13]),
            (DependencyFailed, None, &[0, 3, 8]),
            (Built, Some(12), &[6, 11]),
            (Cached, None, &[12]),
            (Cached, None, &[3, 12]),
            (Built, Some(9), &[12]),
            (Built, Some(48), &[5]),
            (Built, Some(4), &[]),
            (Built, Some(26), &[7]),
            (Cached, None, &[3]),
            (Built, Some(17), &[9]),
            (Built, Some(14), &[5]),
            (Cached, None, &[]),
            (Built, Some(2), &[]),
            (Built, Some(3), &[]),
            (Built, Some(22), &[14, 3]),
        ];
        let builds = nodes
            .iter()
            .enumerate()
            .map(|(number, (state, took, inputs))| BuildNode {
                derivation: if self.is_hostile {
                    ATTACK.to_owned()
                } else {
                    derivation(PACKAGES[number], number)
                },
                system: self.text("x86_64-linux"),
                state: *state,
                took: took.map(Duration::from_secs),
                job: took.map(|_| self.text(&job(number))),
                inputs: inputs.to_vec(),
                has_log: took.is_some(),
            });
        let counts = BuildCounts {
            cached: 4,
            built: 10,
            failed: 2,
            ..BuildCounts::default()
        };
        Run {
            source: self.name("app"),
            summary: self.summary(128, State::Failed, counts),
            message: Some(self.text(
                "2 of 12 derivations failed:\n  checkout-2.4.1: the builder exited with code 1",
            )),
            stages: self.stages(true),
            failures: vec![Failure {
                derivation: if self.is_hostile {
                    ATTACK.to_owned()
                } else {
                    derivation(PACKAGES[0], 0)
                },
                reason: self.text("the builder exited with code 1"),
                log: self.log_text(),
                dependents: 1,
                hint: Some(
                    self.text("kubectl annotate nsrc/app -n shop niphas.io/retry=checkout-2.4.1"),
                ),
            }],
            builds: builds.collect(),
            result: Some(Link {
                text: self.text("Pull request 12"),
                url: self.link("https://git.example.org/shop/gitops/pulls/12"),
            }),
            has_closures: true,
        }
    }

    /// A run of 2,000 derivations that is under way.
    pub(crate) fn large_run(&self) -> Run {
        let builds: Vec<BuildNode> = (0..2_000_usize)
            .map(|number| {
                let state = match number {
                    1_203 => BuildState::Failed,
                    1_204..=1_210 => BuildState::DependencyFailed,
                    1_190..=1_202 => BuildState::Running,
                    1_211.. => BuildState::Waiting,
                    number if number % 5 == 0 => BuildState::Cached,
                    _ => BuildState::Built,
                };
                let name = format!("{}-{number}", PACKAGES[number % PACKAGES.len()]);
                let inputs = [3, 50, 171]
                    .into_iter()
                    .filter_map(|back| number.checked_sub(back + number % 7));
                BuildNode {
                    derivation: if self.is_hostile {
                        ATTACK.to_owned()
                    } else {
                        derivation(&name, number)
                    },
                    system: self.text(if number % 2 == 0 {
                        "x86_64-linux"
                    } else {
                        "aarch64-linux"
                    }),
                    state,
                    took: (state != BuildState::Waiting && state != BuildState::Cached)
                        .then(|| Duration::from_secs(number as u64 % 97)),
                    job: (state == BuildState::Running).then(|| self.text(&job(number))),
                    inputs: if self.is_hostile {
                        vec![number, 0, 1_999, usize::MAX]
                    } else {
                        inputs.collect()
                    },
                    has_log: matches!(
                        state,
                        BuildState::Failed | BuildState::Running | BuildState::Built
                    ),
                }
            })
            .collect();
        let counts = BuildCounts {
            cached: 238,
            built: 952,
            running: 13,
            waiting: 789,
            failed: 8,
        };
        Run {
            message: None,
            stages: self.stages(false),
            summary: self.summary(129, State::Running, counts),
            failures: Vec::new(),
            builds,
            result: None,
            has_closures: false,
            ..self.run()
        }
    }

    pub(crate) fn log(&self, is_live: bool) -> Log {
        let text = self.log_text();
        Log {
            derivation: if is_live {
                "live.drv".to_owned()
            } else {
                derivation(PACKAGES[0], 0)
            },
            state: Some(if is_live {
                BuildState::Running
            } else {
                BuildState::Failed
            }),
            is_live,
            run: Some((
                self.name("app"),
                if self.is_hostile {
                    ATTACK.to_owned()
                } else {
                    "128".to_owned()
                },
            )),
            is_cut: false,
            end: text.len() as u64,
            text,
        }
    }

    pub(crate) fn closures(&self) -> Vec<Closure> {
        let workloads = [
            ("checkout", 214),
            ("catalog", 187),
            ("gateway", 46),
            ("storefront", 121),
            ("worker", 64),
            ("postgresql", 302),
        ];
        let closures = workloads
            .into_iter()
            .enumerate()
            .map(|(number, (workload, mebibytes))| {
                let size = mebibytes << 20;
                Closure {
                    environment: self.text("prod"),
                    workload: self.text(workload),
                    system: self.text("x86_64-linux"),
                    size: if self.is_hostile { u64::MAX } else { size },
                    paths: 60 + mebibytes,
                    size_before: match number % 3 {
                        0 => Some(size - (3 << 20)),
                        1 => Some(size),
                        _ => Some(size + (700 << 10)),
                    },
                    largest: PACKAGES
                        .iter()
                        .take(5)
                        .enumerate()
                        .map(|(at, name)| (self.text(name), size >> (at + 1)))
                        .collect(),
                }
            });
        closures.collect()
    }
}
