//! From sources to what pages show; pure.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::ResourceExt as _;
use niphas_api::source::{
    FailedBuild, NiphasSource, NiphasSourceStatus, Provider, Run as PastRun, RunResult,
};
use niphas_pages::model::{
    BuildCounts, Counts, Failure, Link, PullRequest, Revision, Run, RunSummary, Source, SourceName,
    Stage, State, Trigger,
};

use super::builds::{counts, failures, nodes};
use crate::builds::RunRecord;
use crate::reports::{run_id, short};

/// The sources, sorted by namespace and name.
pub(super) fn sources(all: &[Arc<NiphasSource>]) -> Vec<Source> {
    let mut all: Vec<&NiphasSource> = all.iter().map(|source| &**source).collect();
    all.sort_by_key(|source| (source.namespace(), source.name_any()));
    all.into_iter().map(source).collect()
}

pub(super) fn source(source: &NiphasSource) -> Source {
    let none = NiphasSourceStatus::default();
    let status = source.status.as_ref().unwrap_or(&none);
    let last = status.history.first();
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == "False");
    let runs = last.filter(|run| run.result.is_none());
    let contents = status.contents.unwrap_or_default();
    let count = |number: i32| u64::try_from(number).unwrap_or_default();
    let seen = status
        .revisions
        .as_ref()
        .and_then(|revisions| revisions.seen.as_deref())
        .or(last.map(|run| run.revision.as_str()));
    Source {
        name: name(source),
        repository: niphas_http::redacted(&source.spec.flake.url),
        branch: source.spec.flake.branch.clone(),
        state: match (last, ready) {
            // It may not do what it says, or its branch is not found.
            (None, Some(_)) => State::Failed,
            (None, None) => State::Waiting,
            (Some(run), _) => state(run),
        },
        message: ready.map(|condition| condition.message.clone()),
        revision: seen.map(|seen| revision(source, seen)),
        seen: last.map(|run| run.start_time.0.into()),
        counts: Counts {
            environments: count(contents.environments),
            workloads: count(contents.workloads),
            runs: runs.is_some().into(),
        },
        pull_requests: pull_requests(source, status),
    }
}

fn pull_requests(source: &NiphasSource, status: &NiphasSourceStatus) -> Vec<PullRequest> {
    let runs = status.pull_requests.iter();
    runs.map(|run| PullRequest {
        number: u64::try_from(run.number).unwrap_or_default(),
        link: repository_page(source).and_then(|(base, provider)| {
            let number = run.number;
            match provider {
                Provider::GitHub => Some(format!("{base}/pull/{number}")),
                Provider::Gitea | Provider::Forgejo => Some(format!("{base}/pulls/{number}")),
                Provider::GitLab => Some(format!("{base}/-/merge_requests/{number}")),
                Provider::Bitbucket => Some(format!("{base}/pull-requests/{number}")),
                Provider::BitbucketServer | Provider::Generic => None,
            }
        }),
        revision: revision(source, &run.revision),
        state: run.result.map_or(State::Running, state_of),
        message: run.message.clone(),
    })
    .collect()
}

/// The page of a source's repository, and whose it is, if the source says that.
fn repository_page(source: &NiphasSource) -> Option<(&str, Provider)> {
    let base = source.spec.flake.url.trim_end_matches('/');
    let base = base.strip_suffix(".git").unwrap_or(base);
    let is_web = base.starts_with("https://") && !base.contains('@');
    let webhook = source.spec.webhook.as_ref().filter(|_| is_web)?;
    Some((base, webhook.provider))
}

/// The runs of a source, the latest first.
pub(super) fn runs(source: &NiphasSource, now: SystemTime) -> Vec<RunSummary> {
    let history = source.status.iter().flat_map(|status| &status.history);
    let runs = history.enumerate();
    runs.map(|(number, run)| summary(source, run, number == 0, now))
        .collect()
}

/// Whether a run is remembered.
pub(super) fn has_run(source: &NiphasSource, id: &str) -> bool {
    let mut history = source.status.iter().flat_map(|status| &status.history);
    history.any(|run| run_id(run) == id)
}

/// A run with all that is known of it, and its builds, if they are remembered.
pub(super) fn run(
    source: &NiphasSource,
    id: &str,
    record: Option<&RunRecord>,
    now: SystemTime,
) -> Option<Run> {
    let status = source.status.as_ref()?;
    let mut history = status.history.iter().enumerate();
    let (number, run) = history.find(|(_, run)| run_id(run) == id)?;
    let is_last = number == 0;
    let hint = format!(
        "kubectl annotate nsrc/{} -n {} niphas.io/retry={id} --overwrite",
        source.name_any(),
        source.namespace().unwrap_or_default()
    );
    let failures = if let Some(record) = record {
        failures(record, &hint)
    } else {
        let failed = status.failed_build.iter().filter(|_| is_last);
        failed.map(|build| failure(build, &hint)).collect()
    };
    let builds = record.map_or_else(Vec::new, |record| nodes(record, run.result.is_some(), now));
    let mut summary = summary(source, run, is_last, now);
    if !builds.is_empty() {
        summary.builds = counts(&builds);
    }
    let proposal = status
        .proposal
        .as_ref()
        .filter(|proposal| run.commit.as_ref() == Some(&proposal.commit));
    let result = match (&run.commit, proposal) {
        (_, Some(proposal)) => Some(Link {
            text: format!("Pull request {}", proposal.number),
            url: proposal.link.clone().unwrap_or_default(),
        }),
        (Some(commit), None) => Some(Link {
            text: format!("Commit {}", short(commit)),
            url: String::new(),
        }),
        (None, None) => None,
    };
    Some(Run {
        source: name(source),
        summary,
        message: run.message.clone(),
        stages: stages(status, run, is_last),
        builds,
        failures,
        result,
        has_closures: false,
    })
}

/// What the status says of a build that failed: why, and then the end of its log.
fn failure(build: &FailedBuild, hint: &str) -> Failure {
    let (reason, log) = match build.message.split_once('\n') {
        Some((reason, log)) => (reason, log),
        None => (&*build.message, ""),
    };
    Failure {
        derivation: build.derivation.clone(),
        reason: reason.to_owned(),
        log: log.as_bytes().to_vec(),
        dependents: 0,
        hint: Some(hint.to_owned()),
    }
}

fn name(source: &NiphasSource) -> SourceName {
    SourceName {
        namespace: source.namespace().unwrap_or_default(),
        name: source.name_any(),
    }
}

fn state(run: &PastRun) -> State {
    run.result.map_or(State::Running, state_of)
}

fn state_of(result: RunResult) -> State {
    match result {
        RunResult::Rendered | RunResult::Unchanged => State::Succeeded,
        RunResult::EvaluationFailed | RunResult::BuildFailed | RunResult::RenderFailed => {
            State::Failed
        }
        RunResult::Superseded => State::Cancelled,
    }
}

/// A commit, with its page at the host where the host is known.
fn revision(source: &NiphasSource, commit: &str) -> Revision {
    let link = repository_page(source).and_then(|(base, provider)| match provider {
        Provider::GitHub | Provider::Gitea | Provider::Forgejo => {
            Some(format!("{base}/commit/{commit}"))
        }
        Provider::GitLab => Some(format!("{base}/-/commit/{commit}")),
        Provider::Bitbucket => Some(format!("{base}/commits/{commit}")),
        Provider::BitbucketServer | Provider::Generic => None,
    });
    Revision {
        commit: commit.to_owned(),
        subject: None,
        link,
    }
}

fn summary(source: &NiphasSource, run: &PastRun, is_last: bool, now: SystemTime) -> RunSummary {
    let began: SystemTime = run.start_time.0.into();
    let ended = run.completion_time.as_ref().map(|time| time.0.into());
    let took = ended.unwrap_or(now).duration_since(began);
    let builds = source
        .status
        .as_ref()
        .and_then(|status| status.builds)
        .filter(|_| is_last)
        .unwrap_or_default();
    let count = |number: i32| u64::try_from(number).unwrap_or_default();
    RunSummary {
        id: run_id(run),
        trigger: Trigger::Push,
        revision: revision(source, &run.revision),
        state: state(run),
        began,
        took: took.unwrap_or(Duration::ZERO),
        builds: BuildCounts {
            cached: 0,
            built: count(builds.succeeded),
            running: count(builds.running),
            waiting: count(builds.waiting),
            failed: count(builds.failed),
        },
    }
}

/// The stages of a run, by how it ended; those of one that did not, or was ended, by how far it is known to have come.
fn stages(status: &NiphasSourceStatus, run: &PastRun, is_last: bool) -> Vec<Stage> {
    let is_at = |revision: Option<&String>| is_last && revision == Some(&run.revision);
    let revisions = status.revisions.as_ref();
    let is_built = is_at(revisions.and_then(|revisions| revisions.built.as_ref()));
    let is_evaluated = is_at(revisions.and_then(|revisions| revisions.evaluated.as_ref()));
    let done = match run.result {
        Some(RunResult::Rendered | RunResult::Unchanged) => 3,
        Some(RunResult::RenderFailed) => 2,
        Some(RunResult::BuildFailed) => 1,
        Some(RunResult::EvaluationFailed) => 0,
        None | Some(RunResult::Superseded) if is_built => 2,
        None | Some(RunResult::Superseded) => usize::from(is_evaluated),
    };
    ["Evaluate", "Build", "Render"]
        .into_iter()
        .enumerate()
        .map(|(number, name)| Stage {
            name: name.to_owned(),
            state: match number {
                _ if number < done => State::Succeeded,
                _ if number == done => state(run),
                _ if run.result.is_none() => State::Waiting,
                _ => State::Skipped,
            },
            took: None,
            detail: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use niphas_pages::{Frame, run_page, source_page, sources_page};
    use serde_json::json;

    use super::*;

    const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn example() -> NiphasSource {
        serde_json::from_value(json!({
            "apiVersion": "niphas.io/v1alpha1",
            "kind": "NiphasSource",
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": {
                "flake": { "url": "https://git.example.org/shop/web.git", "branch": "main", "secretRef": { "name": "login" } },
                "target": { "url": "https://git.example.org/gitops", "branch": "main" },
                "webhook": { "provider": "gitea", "secretRefs": [{ "name": "hook" }] },
            },
            "status": {
                "webhookPath": "/hooks/marker-of-an-address",
                "revisions": { "seen": COMMIT, "evaluated": COMMIT, "built": "b".repeat(40) },
                "contents": { "environments": 2, "workloads": 5 },
                "builds": { "waiting": 1, "running": 2, "succeeded": 3, "failed": 0 },
                "pullRequests": [{ "number": 12, "revision": COMMIT, "result": "Rendered", "message": "1 of 5 workloads would change" }],
                "proposal": { "number": 7, "commit": "c".repeat(40), "link": "https://git.example.org/gitops/pulls/7" },
                "history": [
                    { "revision": COMMIT, "startTime": "2026-12-01T05:00:10Z" },
                    {
                        "revision": "b".repeat(40), "startTime": "2026-12-01T04:00:00Z", "completionTime": "2026-12-01T04:00:08Z",
                        "result": "Rendered", "message": "5 workloads", "commit": "c".repeat(40),
                    },
                    {
                        "revision": "d".repeat(40), "startTime": "2026-12-01T03:00:00Z", "completionTime": "2026-12-01T03:00:01Z",
                        "result": "EvaluationFailed", "message": "error: <script>alert(1)</script>\nat flake.nix:3",
                    },
                ],
            },
        }))
        .unwrap()
    }

    fn now() -> SystemTime {
        "2026-12-01T05:00:30Z"
            .parse::<k8s_openapi::jiff::Timestamp>()
            .unwrap()
            .into()
    }

    #[test]
    fn stages_say_how_far_runs_came() {
        let source = example();
        let stages = |id: &str| -> Vec<State> {
            let run = run(&source, id, None, now()).unwrap();
            run.stages.into_iter().map(|stage| stage.state).collect()
        };
        use State::{Failed, Running, Skipped, Succeeded, Waiting};
        assert_eq!(stages("20261201-050010"), [Succeeded, Running, Waiting]);
        assert_eq!(stages("20261201-040000"), [Succeeded, Succeeded, Succeeded]);
        assert_eq!(stages("20261201-030000"), [Failed, Skipped, Skipped]);
        assert!(run(&source, "20261201-020000", None, now()).is_none());
    }

    #[test]
    fn a_run_has_its_times_its_builds_and_what_came_of_it() {
        let source = example();
        let runs = runs(&source, now());
        assert_eq!(runs.len(), 3);
        assert_eq!(
            (runs[0].took, runs[0].builds.built),
            (Duration::from_secs(20), 3)
        );
        assert_eq!(
            (runs[1].took, runs[1].builds.built),
            (Duration::from_secs(8), 0)
        );
        let link = runs[0].revision.link.as_deref();
        let page = format!("https://git.example.org/shop/web/commit/{COMMIT}");
        assert_eq!(link, Some(page.as_str()));
        let second = run(&source, "20261201-040000", None, now()).unwrap();
        let expected = Link {
            text: "Pull request 7".to_owned(),
            url: "https://git.example.org/gitops/pulls/7".to_owned(),
        };
        assert_eq!(second.result, Some(expected));
    }

    #[test]
    fn pull_requests_lead_to_the_host_where_it_is_known() {
        let mut source = example();
        let link = |source: &NiphasSource| self::source(source).pull_requests[0].link.clone();
        let expected = "https://git.example.org/shop/web/pulls/12";
        assert_eq!(link(&source).as_deref(), Some(expected));
        source.spec.flake.url = "ssh://git@git.example.org/shop/web".to_owned();
        assert_eq!(link(&source), None);
        source.spec.webhook = None;
        assert_eq!(link(&source), None);
    }

    #[test]
    fn pages_hold_messages_as_text_and_no_secret() {
        let frame = Frame {
            base: "",
            now: now(),
            version: "1",
        };
        let source = example();
        let pages = [
            sources_page(&frame, &sources(&[Arc::new(source.clone())])),
            source_page(&frame, &self::source(&source), &runs(&source, now())),
            run_page(
                &frame,
                &run(&source, "20261201-030000", None, now()).unwrap(),
            ),
        ];
        assert!(pages[2].contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        for page in &pages {
            assert!(page.contains("web"));
            assert!(!page.contains("<script>alert") && !page.contains("marker-of-an-address"));
            assert!(!page.contains("login"), "the name of a Secret is on a page");
        }
    }
}
