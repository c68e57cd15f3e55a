use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn attempt(revision: &str) -> Attempt {
    Attempt {
        revision: revision.to_owned(),
        generation: 3,
        retry: Some("1".to_owned()),
    }
}

fn failure(is_passing: bool) -> Result<Success, Failure> {
    Err(Failure {
        result: RunResult::EvaluationFailed,
        message: "error: undefined variable".to_owned(),
        is_passing,
    })
}

fn condition<'a>(status: &'a Status, kind: &str) -> (&'a str, &'a str, &'a str) {
    let mut conditions = status.0.conditions.iter();
    let condition = conditions
        .find(|condition| condition.type_ == kind)
        .unwrap();
    (&condition.status, &condition.reason, &condition.message)
}

#[test]
fn a_run_that_ends_well_is_ready_and_settled() {
    let mut status = Status::default();
    status.looked(("a", Some("/hooks/x".to_owned())), 3, at(1));
    status.began(&attempt("a"), at(1));
    assert_eq!(status.settled(3), None);
    assert_eq!(condition(&status, READY).0, "Unknown");
    for step in [Step::Fetched("a".to_owned()), Step::Evaluated, Step::Built] {
        status.came(&step, 3, at(2));
    }
    let success = Success {
        revision: "a".to_owned(),
        commit: Some("c".to_owned()),
        environments: 1,
        workloads: 2,
        proposal: None,
        review: None,
    };
    status.ended(&Ok(success), 3, at(3));
    let message = "2 workloads were rendered as commit c";
    assert_eq!(condition(&status, READY), ("True", "Rendered", message));
    assert_eq!(condition(&status, STALLED).0, "False");
    assert_eq!(status.settled(3), Some(attempt("a")));
    assert_eq!(status.settled(4), None, "another spec");
    let same = |revision: &str| Some(revision.to_owned());
    let expected = Revisions {
        seen: same("a"),
        evaluated: same("a"),
        built: same("a"),
        rendered: same("a"),
    };
    assert_eq!(status.0.revisions, Some(expected));
    let contents = Contents {
        environments: 1,
        workloads: 2,
    };
    assert_eq!(status.0.contents, Some(contents));
}

#[test]
fn a_failure_keeps_what_was_rendered_and_says_why() {
    let mut status = Status::default();
    status.revisions().rendered = Some("a".to_owned());
    status.began(&attempt("b"), at(1));
    status.ended(&failure(false), 3, at(2));
    let message = "error: undefined variable";
    assert_eq!(
        condition(&status, READY),
        ("False", "EvaluationFailed", message)
    );
    assert_eq!(
        condition(&status, STALLED),
        ("True", "EvaluationFailed", message)
    );
    assert_eq!(status.revisions().rendered.as_deref(), Some("a"));
    assert_eq!(status.settled(3), Some(attempt("b")));
    status.ended(&failure(true), 3, at(3));
    assert_eq!(condition(&status, STALLED).0, "False");
    assert_eq!(condition(&status, RECONCILING).0, "True");
}

#[test]
fn a_look_that_failed_is_forgotten_by_the_next() {
    let mut status = Status::default();
    status.began(&attempt("a"), at(1));
    status.ended(&failure(false), 3, at(2));
    let before = status.clone();
    status.look_failed(3, "no answer", at(3));
    assert_eq!(
        condition(&status, READY),
        ("False", "FetchFailed", "no answer")
    );
    status.looked(("a", None), 3, at(4));
    for kind in [READY, EVALUATED, STALLED] {
        assert_eq!(condition(&status, kind), condition(&before, kind), "{kind}");
    }
    assert_eq!(condition(&status, FETCHED).0, "True");
    status.look_failed(3, "no answer", at(5));
    status.looked(("b", None), 3, at(6));
    assert_eq!(condition(&status, READY).0, "Unknown");
}

#[test]
fn runs_that_begin_in_one_second_have_names_of_their_own() {
    let mut status = Status::default();
    for revision in ["a", "b", "c"] {
        status.began(&attempt(revision), at(5));
    }
    status.began(&attempt("d"), at(6));
    status.began(&attempt("e"), at(60));
    let names: Vec<i64> = status
        .0
        .history
        .iter()
        .map(|run| run.start_time.0.as_second() - at(0).as_second())
        .collect();
    assert_eq!(names, [60, 8, 7, 6, 5]);
}

#[test]
fn history_is_short_and_has_no_open_ends() {
    let mut status = Status::default();
    for number in 0..20 {
        status.began(&attempt(&number.to_string()), at(number));
    }
    assert_eq!(status.0.history.len(), MOST_RUNS);
    let open = status.0.history.iter().filter(|run| run.result.is_none());
    assert_eq!(open.count(), 1);
    assert_eq!(status.0.history[0].revision, "19");
    assert_eq!(status.0.history[1].result, Some(RunResult::Superseded));
}

#[test]
fn a_condition_remembers_when_it_became_so() {
    let mut status = Status::default();
    status.look_failed(1, "no answer", at(1));
    status.look_failed(1, "no route", at(2));
    let ready = &status.0.conditions[1];
    assert_eq!(
        (&*ready.type_, &ready.last_transition_time),
        (READY, &Time(at(1)))
    );
    assert_eq!(ready.message, "no route");
    assert_eq!(shorten(&"ä".repeat(5000)).len(), MAX_MESSAGE + "…".len());
}
