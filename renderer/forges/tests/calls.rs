//! What every host is asked, and how its answers are read: those that its documentation shows.

use std::fmt::Write as _;

use http::Request;
use insta::assert_snapshot;
use niphas_forges::{
    Answer, Branches, Call, Comment, Commit, Context, Forge, Page, PullRequest, Repository, State,
    Status,
};
use url::Url;

fn repository(forge: Forge) -> Repository {
    let url = match forge {
        Forge::GitHub => "https://github.com/octocat/Hello-World",
        Forge::GitLab => "https://gitlab.example/group/sub/app.git",
        Forge::Gitea => "http://gitea.git.svc:3000/team/app.git",
        Forge::Forgejo => "ssh://git@forge.example/team/app.git",
        Forge::BitbucketCloud => "git@bitbucket.org:team/app.git",
        Forge::BitbucketServer => "https://bitbucket.corp/scm/PRJ/app.git",
    };
    Repository::new(forge, url, None).expect("a repository")
}

fn commit() -> Commit {
    Commit::new("6dcb09b5b57875f334f61aebed695e2e4193db5e").expect("a commit")
}

fn branches() -> Branches {
    Branches {
        head: "niphas/prod \"x\"&y".to_owned(),
        base: "main".to_owned(),
    }
}

fn text<T>(name: &str, call: &Call<T>) -> String {
    let request: &Request<Vec<u8>> = &call.request;
    let mut text = format!("# {name}\n{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        let _ = writeln!(text, "{name}: {}", value.to_str().expect("text"));
    }
    if !request.body().is_empty() {
        let body: serde_json::Value = serde_json::from_slice(request.body()).expect("JSON");
        text += &serde_json::to_string_pretty(&body).expect("JSON");
        text.push('\n');
    }
    text + "\n"
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        body: body.as_bytes().to_vec(),
        ..Answer::default()
    }
}

/// The pull request of each host's example.
fn example(forge: Forge) -> &'static str {
    match forge {
        Forge::GitHub => include_str!("answers/github-pull.json"),
        Forge::GitLab => include_str!("answers/gitlab-merge-request.json"),
        Forge::Gitea | Forge::Forgejo => include_str!("answers/gitea-pull.json"),
        Forge::BitbucketCloud => include_str!("answers/bitbucket-cloud-pull.json"),
        Forge::BitbucketServer => include_str!("answers/bitbucket-server-pull.json"),
    }
}

fn pull(forge: Forge) -> PullRequest {
    let call = forge.api().pull_request(&repository(forge), 7);
    call.read(&answer(200, example(forge)))
        .expect("a pull request")
}

fn requests(forge: Forge) -> String {
    let (api, repository) = (forge.api(), &repository(forge));
    let status = |state, link: Option<&str>| Status {
        state,
        description: "2 of 3 derivations\nare built".to_owned(),
        link: link.map(|link| Url::parse(link).expect("a URL")),
    };
    let found = pull(forge);
    let comment = Comment {
        id: 12,
        version: Some(3),
        ..Comment::default()
    };
    let running = status(State::Running, Some("https://ci.example/runs/1"));
    let failed = status(State::Failure, None);
    let mut all = text(
        "status",
        &api.set_status(repository, &commit(), Context::Build, &running),
    );
    all += &text(
        "status without a link",
        &api.set_status(repository, &commit(), Context::Render, &failed),
    );
    all += &text("find", &api.pull_requests(repository, &branches(), 0));
    let create = api.create_pull_request(repository, &branches(), "Title", "Body");
    all += &text("create", &create);
    all += &text(
        "update",
        &api.update_pull_request(repository, &found, "Title", "Body"),
    );
    let labels = ["niphas".to_owned(), "a,b".to_owned()];
    if let Some(call) = api.add_labels(repository, 7, &labels) {
        all += &text("labels", &call);
    }
    all += &text("pull request", &api.pull_request(repository, 7));
    if let Some(call) = api.full_commit(repository, &found.head) {
        all += &text("commit", &call);
    }
    all += &text("comments", &api.comments(repository, 7, 2));
    all += &text("create comment", &api.create_comment(repository, 7, "Text"));
    all += &text(
        "update comment",
        &api.update_comment(repository, 7, &comment, "Text"),
    );
    all += &text("own user", &api.own_user(repository));
    all += &text("reviews", &api.reviews(repository, &found, 0));
    if let Some(call) = api.pushed(repository, &found) {
        all += &text("pushed", &call);
    }
    if let Some(call) = api.may_write(repository, "a/b") {
        all += &text("may write", &call);
    }
    all
}

#[test]
fn requests_are_those_of_each_host() {
    for forge in Forge::ALL {
        assert_snapshot!(format!("{forge}-requests"), requests(forge));
    }
}

#[test]
fn pull_requests_are_read() {
    for forge in Forge::ALL {
        assert_snapshot!(format!("{forge}-pull"), format!("{:#?}", pull(forge)));
    }
}

#[test]
fn states_are_the_hosts_own() {
    let mut table = String::new();
    for forge in Forge::ALL {
        for state in [
            State::Pending,
            State::Running,
            State::Success,
            State::Failure,
            State::Error,
            State::Cancelled,
        ] {
            let status = Status {
                state,
                description: String::new(),
                link: None,
            };
            let call =
                forge
                    .api()
                    .set_status(&repository(forge), &commit(), Context::Evaluate, &status);
            let body: serde_json::Value =
                serde_json::from_slice(call.request.body()).expect("JSON");
            let _ = writeln!(table, "{forge} {state:?} {}", body["state"]);
            assert!(call.repeats);
        }
    }
    assert_snapshot!(table);
}

#[test]
fn a_fork_is_what_is_not_surely_the_repository() {
    for (forge, from, to) in [
        (
            Forge::GitHub,
            "\"id\": 1296269, \"full_name\": \"octocat/Hello-World\"",
            "\"id\": 5, \"full_name\": \"evil/Hello-World\"",
        ),
        (
            Forge::GitLab,
            "\"source_project_id\": 3",
            "\"source_project_id\": null",
        ),
        (Forge::Gitea, "\"repo_id\": 4", "\"repo_id\": 5"),
        (
            Forge::BitbucketCloud,
            "\"full_name\": \"team/app\"",
            "\"full_name\": \"evil/app\"",
        ),
        (
            Forge::BitbucketServer,
            "\"slug\": \"app\"",
            "\"slug\": \"fork\"",
        ),
    ] {
        assert!(!pull(forge).head.is_fork, "{forge}");
        let body = example(forge).replacen(from, to, 1);
        assert_ne!(body, example(forge), "{forge}");
        let call = forge.api().pull_request(&repository(forge), 7);
        let found = call.read(&answer(200, &body)).expect("a pull request");
        assert!(found.head.is_fork, "{forge}");
    }
    let gone = example(Forge::GitHub).replacen("\"repo\": {", "\"repo\": null, \"x\": {", 1);
    let call = Forge::GitHub
        .api()
        .pull_request(&repository(Forge::GitHub), 7);
    assert!(
        call.read(&answer(200, &gone))
            .expect("a pull request")
            .head
            .is_fork
    );
}

#[test]
fn comments_of_lines_and_of_the_host_are_left_out() {
    let read = |forge: Forge, body: &str| -> Page<Comment> {
        let call = forge.api().comments(&repository(forge), 7, 0);
        call.read(&answer(200, body)).expect("comments")
    };
    let of = |id, version, authors: &[&str], body: &str| Comment {
        id,
        version,
        authors: authors.iter().map(|&author| author.to_owned()).collect(),
        body: body.to_owned(),
    };
    let github = r#"[{"id":1,"body":"Me too","user":{"id":1,"login":"octocat"},"performed_via_github_app":null},
        {"id":2,"body":null,"user":{"id":9,"login":"n[bot]"},"performed_via_github_app":{"id":37,"client_id":"Iv1.ab","slug":"n"}}]"#;
    let found = read(Forge::GitHub, github);
    assert_eq!(found.next, None);
    assert_eq!(
        found.items,
        [
            of(1, None, &["user 1"], "Me too"),
            of(2, None, &["user 9", "app 37", "app Iv1.ab"], "")
        ]
    );

    let gitlab = r#"[{"id":302,"body":"closed","author":{"id":1,"username":"p"},"created_at":"2013-10-02T09:22:45Z","system":true},
        {"id":305,"body":"Text","author":{"id":1,"username":"p"},"created_at":"2013-10-02T09:56:03Z","system":false}]"#;
    assert_eq!(
        read(Forge::GitLab, gitlab).items,
        [of(305, None, &["user 1"], "Text")]
    );

    let cloud = r#"{"pagelen":1,"next":"https://api.bitbucket.org/x?page=2","values":[
        {"id":1,"content":{"raw":"a"},"user":{"uuid":"{u}"},"deleted":false},
        {"id":2,"content":{"raw":"b"},"user":{"uuid":"{u}"},"deleted":true},
        {"id":3,"content":{"raw":"c"},"user":{"uuid":"{u}"},"inline":{"path":"x"}}]}"#;
    let found = read(Forge::BitbucketCloud, cloud);
    assert_eq!(
        (found.items, found.next),
        (vec![of(1, None, &["user {u}"], "a")], Some(1))
    );

    let server = r#"{"size":3,"isLastPage":false,"nextPageStart":25,"values":[
        {"action":"COMMENTED","commentAction":"ADDED","comment":{"id":62,"version":1,"text":"t","author":{"name":"charlie"}}},
        {"action":"COMMENTED","commentAction":"ADDED","commentAnchor":{"line":1},"comment":{"id":63,"version":1,"text":"t","author":{"name":"c"}}},
        {"action":"RESCOPED"}]}"#;
    let found = read(Forge::BitbucketServer, server);
    assert_eq!(
        (found.items, found.next),
        (vec![of(62, Some(1), &["user charlie"], "t")], Some(25))
    );
}

#[test]
fn gitlab_takes_a_status_that_it_has() {
    let status = Status {
        state: State::Running,
        description: String::new(),
        link: None,
    };
    let call = Forge::GitLab.api().set_status(
        &repository(Forge::GitLab),
        &commit(),
        Context::Build,
        &status,
    );
    let same = r#"{"message":"Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")"}"#;
    call.read(&answer(400, same)).expect("no change");
    call.read(&answer(400, r#"{"message":"400 Bad request"}"#))
        .expect_err("a refusal");
    call.read(&answer(201, "{}")).expect("success");
}

#[test]
fn reviews_are_read() {
    let read = |forge: Forge, body: &str| {
        let call = forge.api().reviews(&repository(forge), &pull(forge), 0);
        let found = call.read(&answer(200, body)).expect("reviews");
        format!("{forge}\n{:#?}\n", found.items)
    };
    let mut all = read(
        Forge::GitHub,
        r#"[{"id":80,"user":{"id":1,"login":"octocat"},"state":"APPROVED","commit_id":"6dcb09b5b57875f334f61aebed695e2e4193db5e"},
        {"id":81,"user":{"id":2,"login":"o"},"state":"COMMENTED","commit_id":"a"},
        {"id":82,"user":null,"state":"APPROVED","commit_id":"a"},
        {"id":83,"user":{"id":3,"login":"d"},"state":"DISMISSED","commit_id":"a"}]"#,
    );
    all += &read(
        Forge::GitLab,
        r#"[{"id":1,"body":"approved this merge request","author":{"id":5,"username":"a"},"system":true,"created_at":"2026-01-02T03:04:05.678+02:00"},
        {"id":2,"body":"approved this merge request","author":{"id":6,"username":"evil"},"system":false,"created_at":"2026-01-02T03:04:06.000Z"},
        {"id":3,"body":"unapproved this merge request","author":{"id":7,"username":"b"},"system":true,"created_at":"2026-01-02T03:04:07.000Z"}]"#,
    );
    all += &read(
        Forge::Gitea,
        r#"[{"id":1,"user":{"id":2,"login":"a"},"state":"APPROVED","commit_id":"c","official":true,"stale":false,"dismissed":false},
        {"id":2,"user":{"id":3,"login":"b"},"state":"APPROVED","commit_id":"c","official":true,"stale":true,"dismissed":false},
        {"id":3,"user":{"id":4,"login":"c"},"state":"COMMENT","commit_id":"c","official":false}]"#,
    );
    // The newest first: the approval below the update is of another commit.
    all += &read(
        Forge::BitbucketCloud,
        r#"{"values":[{"approval":{"user":{"uuid":"{new}"}}},{"update":{"source":{"commit":{"hash":"6dcb09b5b578"}}}},
        {"changes_requested":{"user":{"uuid":"{no}"}}},{"comment":{}},
        {"update":{"source":{"commit":{"hash":"aaaaaaaaaaaa"}}}},{"approval":{"user":{"uuid":"{old}"}}}]}"#,
    );
    all += &read(
        Forge::BitbucketServer,
        r#"{"isLastPage":true,"values":[
        {"user":{"name":"charlie"},"status":"APPROVED","lastReviewedCommit":"7549846524f8aed2bd1c0249993ae1bf9d3c9998"},
        {"user":{"name":"bob"},"status":"UNAPPROVED"}]}"#,
    );
    assert_snapshot!(all);
}
