//! From the status of a source to statuses of commits; pure.

use niphas_api::source::{FailedBuild, NiphasSourceStatus, Revisions, Run, RunResult};
use niphas_forges::{Commit, Context, State, Status};
use url::Url;

/// A status for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitStatus {
    pub(crate) commit: Commit,
    pub(crate) context: Context,
    pub(crate) status: Status,
}

/// What is known of a run beyond its entry in the history.
struct Around<'s> {
    revisions: Revisions,
    /// What failed will be tried again.
    is_passing: bool,
    builds: Option<&'s niphas_api::source::Counts>,
    failed_build: Option<&'s FailedBuild>,
}

/// What the host has to know of the last run, and that the one before it was ended. A stage that did not begin is not spoken of.
/// `page` gives the page of a run, or of the log of a derivation of it.
pub(crate) fn of_runs(
    status: &NiphasSourceStatus,
    page: impl Fn(&Run, Option<&str>) -> Option<Url>,
) -> Vec<CommitStatus> {
    let mut found = Vec::new();
    let is_reconciling = status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Reconciling" && condition.status == "True");
    for (number, run) in status.history.iter().take(2).enumerate() {
        let Ok(commit) = Commit::new(&run.revision) else {
            continue;
        };
        let is_last = number == 0;
        let is_same = status.history[0].revision == run.revision;
        // Of earlier runs the host knows, but for one that a newer push ended.
        if !is_last && (is_same || run.result != Some(RunResult::Superseded)) {
            continue;
        }
        let around = Around {
            revisions: status.revisions.clone().unwrap_or_default(),
            is_passing: is_last && is_reconciling,
            builds: status.builds.as_ref().filter(|_| is_last),
            failed_build: status.failed_build.as_ref().filter(|_| is_last),
        };
        let link = page(run, None);
        let log = around.log(run).and_then(|log| page(run, Some(log)));
        found.extend(
            around
                .stages(run)
                .into_iter()
                .map(|(context, state, description)| CommitStatus {
                    commit: commit.clone(),
                    context,
                    status: Status {
                        state,
                        description,
                        link: match context {
                            Context::Build => log.clone().or_else(|| link.clone()),
                            _ => link.clone(),
                        },
                    },
                }),
        );
    }
    found
}

type Stage = (Context, State, String);

impl Around<'_> {
    /// The build that ended the run.
    fn failed_build(&self, run: &Run) -> Option<&FailedBuild> {
        self.failed_build
            .filter(|_| run.result == Some(RunResult::BuildFailed))
    }

    /// The derivation whose log says why the run failed.
    fn log(&self, run: &Run) -> Option<&str> {
        let build = self.failed_build(run)?;
        build.log_path.as_ref().map(|_| &*build.derivation)
    }

    /// The stages of a run that began.
    fn stages(&self, run: &Run) -> Vec<Stage> {
        let is_at = |revision: &Option<String>| revision.as_ref() == Some(&run.revision);
        let message = run.message.as_deref().unwrap_or_default();
        let failed = if self.is_passing {
            State::Error
        } else {
            State::Failure
        };
        let done = match run.result {
            Some(RunResult::Rendered | RunResult::Unchanged) => 3,
            Some(RunResult::RenderFailed) => 2,
            Some(RunResult::BuildFailed) => 1,
            Some(RunResult::EvaluationFailed) => 0,
            None | Some(RunResult::Superseded) if is_at(&self.revisions.built) => 2,
            None | Some(RunResult::Superseded) => usize::from(is_at(&self.revisions.evaluated)),
        };
        let mut stages: Vec<Stage> = Vec::new();
        for (number, context) in Context::ALL.into_iter().enumerate().take(done + 1) {
            let stage = if number < done {
                let said = match context {
                    Context::Evaluate => "the environments were evaluated".to_owned(),
                    Context::Build => "all closures are in caches".to_owned(),
                    Context::Render => message.to_owned(),
                };
                (State::Success, said)
            } else {
                match run.result {
                    None => (State::Running, self.under_way(context)),
                    Some(RunResult::Superseded) => {
                        (State::Cancelled, "a newer commit took its place".to_owned())
                    }
                    Some(_) => match self.failed_build(run) {
                        Some(build) => (failed, of_build(build)),
                        None => (failed, first_line(message).to_owned()),
                    },
                }
            };
            stages.push((context, stage.0, stage.1));
        }
        stages
    }

    fn under_way(&self, context: Context) -> String {
        match (context, self.builds) {
            (Context::Evaluate, _) => "the flake is evaluated".to_owned(),
            (Context::Build, Some(builds)) => {
                let done = builds.succeeded + builds.failed;
                let all = done + builds.running + builds.waiting;
                format!("{done} of {all} derivations are built")
            }
            (Context::Build, None) => "closures are looked for in caches".to_owned(),
            (Context::Render, _) => "the files are rendered".to_owned(),
        }
    }
}

/// A build that failed: its name, the last line that it wrote, and why.
fn of_build(build: &FailedBuild) -> String {
    // The hash part would take a quarter of what hosts show.
    let name = build
        .derivation
        .split_once('-')
        .map_or(&*build.derivation, |(_, name)| name);
    let name = name.strip_suffix(".drv").unwrap_or(name);
    let mut lines = build.message.lines().map(str::trim);
    let reason = lines.next().unwrap_or_default();
    // The agent repeats there why it failed.
    let is_builders = |line: &&str| !line.is_empty() && !line.starts_with("niphas: ");
    match lines.rfind(is_builders) {
        Some(last) => format!("{name}: {last} ({reason})"),
        None => format!("{name}: {reason}"),
    }
}

/// The line of a message that says what is wrong: Nix' errors may begin with lines that say only that there is one.
pub(crate) fn first_line(message: &str) -> &str {
    let mut lines = message.lines().map(str::trim);
    lines
        .find(|line| !line.is_empty() && *line != "error:")
        .unwrap_or_default()
}

/// What a run is called in addresses: when it began, in UTC.
pub(crate) fn run_id(run: &Run) -> String {
    run.start_time.0.strftime("%Y%m%d-%H%M%S").to_string()
}

/// The first digits of a commit, for people.
pub(crate) fn short(revision: &str) -> &str {
    revision.get(..10).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn run(revision: &str, result: Option<RunResult>, message: &str) -> Run {
        Run {
            revision: revision.to_owned(),
            start_time: Time(Timestamp::from_second(1_700_000_000).unwrap()),
            completion_time: None,
            result,
            message: Some(message.to_owned()),
            commit: None,
        }
    }

    fn source(history: Vec<Run>, reached: [Option<&str>; 2], passes: bool) -> NiphasSourceStatus {
        let [evaluated, built] = reached.map(|revision| revision.map(str::to_owned));
        let reconciling = Condition {
            type_: "Reconciling".to_owned(),
            status: if passes { "True" } else { "False" }.to_owned(),
            reason: "Waiting".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        NiphasSourceStatus {
            history,
            revisions: Some(Revisions {
                evaluated,
                built,
                ..Revisions::default()
            }),
            conditions: vec![reconciling],
            ..NiphasSourceStatus::default()
        }
    }

    fn told(status: &NiphasSourceStatus) -> Vec<String> {
        let page = |run: &Run, log: Option<&str>| {
            let log = log.map_or_else(String::new, |log| format!("/{log}"));
            Url::parse(&format!("https://ci.example/{}{log}", run_id(run))).ok()
        };
        let found = of_runs(status, page).into_iter();
        found
            .map(|said| {
                let link = said.status.link.unwrap();
                assert_eq!(link.as_str(), "https://ci.example/20231114-221320");
                format!(
                    "{} {} {:?} {}",
                    &said.commit.as_str()[..1],
                    said.context,
                    said.status.state,
                    said.status.description
                )
            })
            .collect()
    }

    #[test]
    fn stages_are_reported_as_they_begin() {
        let running = |reached| told(&source(vec![run(A, None, "")], reached, true));
        let evaluating = ["a niphas/evaluate Running the flake is evaluated"];
        assert_eq!(running([Some(B), Some(B)]), evaluating);
        let done = "a niphas/evaluate Success the environments were evaluated";
        let looking = "a niphas/build Running closures are looked for in caches";
        assert_eq!(running([Some(A), None]), [done, looking]);
        let built = "a niphas/build Success all closures are in caches";
        let rendering = "a niphas/render Running the files are rendered";
        assert_eq!(running([Some(A), Some(A)]), [done, built, rendering]);
        let history = vec![run(A, Some(RunResult::Rendered), "2 workloads")];
        let rendered = told(&source(history, [Some(A), Some(A)], false));
        let success = "a niphas/render Success 2 workloads";
        assert_eq!(rendered, [done, built, success]);
    }

    #[test]
    fn a_failure_has_its_first_line_and_says_whose_fault_it_is() {
        let message = "error:\n  … while evaluating\nerror: undefined variable";
        let failed = |result, passes| {
            let history = vec![run(A, Some(result), message)];
            // What was reached in an earlier run of the same commit does not count.
            let status = source(history, [Some(A), Some(A)], passes);
            told(&status).pop().unwrap()
        };
        assert_eq!(
            failed(RunResult::EvaluationFailed, false),
            "a niphas/evaluate Failure … while evaluating"
        );
        assert_eq!(
            failed(RunResult::BuildFailed, true),
            "a niphas/build Error … while evaluating"
        );
        assert_eq!(
            failed(RunResult::RenderFailed, true),
            "a niphas/render Error … while evaluating"
        );
    }

    #[test]
    fn a_build_that_failed_leads_to_its_log_and_has_its_last_line() {
        let history = vec![run(A, Some(RunResult::BuildFailed), "1 of 2 builds failed")];
        let mut status = source(history, [Some(A), None], false);
        let mut build = FailedBuild {
            derivation: "0c5b8vw40d3iwqvmwaq2lb7fs4pzjvqd-site-1.0.drv".to_owned(),
            message: "builder failed with exit code 3\nbuilding\nthe reason\n\nniphas: exit code 3"
                .to_owned(),
            log_path: Some("/logs/x".to_owned()),
        };
        status.failed_build = Some(build.clone());
        let page = |run: &Run, log: Option<&str>| {
            let log = log.unwrap_or_default();
            Url::parse(&format!("https://ci.example/{}/{log}", run_id(run))).ok()
        };
        let said = of_runs(&status, page).pop().unwrap();
        let expected = "site-1.0: the reason (builder failed with exit code 3)";
        assert_eq!(said.status.description, expected);
        let link = said.status.link.unwrap();
        assert!(link.path().ends_with("-site-1.0.drv"), "{link}");
        // One that never began has no log.
        build.message = "no node took it".to_owned();
        build.log_path = None;
        status.failed_build = Some(build);
        let said = of_runs(&status, page).pop().unwrap();
        assert_eq!(said.status.description, "site-1.0: no node took it");
        assert_eq!(said.status.link.unwrap().path(), "/20231114-221320/");
    }

    #[test]
    fn a_run_that_a_newer_one_ended_does_not_stay_open() {
        let history = || {
            vec![
                run(B, None, ""),
                run(A, Some(RunResult::Superseded), ""),
                run(B, Some(RunResult::Superseded), ""),
            ]
        };
        let running = "b niphas/evaluate Running the flake is evaluated";
        assert_eq!(
            told(&source(history(), [None, None], true)),
            [
                running,
                "a niphas/evaluate Cancelled a newer commit took its place"
            ]
        );
        let mut again = history();
        again.remove(1);
        assert_eq!(told(&source(again, [None, None], true)), [running]);
        let of_no_commit = vec![run("main", None, "")];
        assert!(told(&source(of_no_commit, [None, None], true)).is_empty());
    }
}
