//! A client and a host that answers as it likes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use niphas_forges::{
    Branches, Client, Commit, Context, Credentials, Forge, ForgeError, GitHubApp, Http, Markdown,
    Part, Proposal, Repository, Sending, Sent, State, Status,
};
use niphas_http::{Limits, RetryPolicy, Secret};
use serde_json::{Value, json};

/// A request as it came.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    headers: HeaderMap,
    body: Value,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.transpose().expect("text").unwrap_or_default()
    }
}

struct Host {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Host {
    fn lines(&self) -> Vec<String> {
        let received = self.received.lock().expect("a lock");
        received.iter().map(|one| one.line.clone()).collect()
    }

    fn last(&self) -> Received {
        let received = self.received.lock().expect("a lock");
        received.last().cloned().expect("a request")
    }
}

/// What a host answers: status, headers, body.
type Reply = (u16, Vec<(&'static str, String)>, String);

async fn host(reply: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Host {
    let received: Arc<Mutex<Vec<Received>>> = Arc::default();
    let (reply, kept) = (Arc::new(reply), Arc::clone(&received));
    let answer = move |request: Request| {
        let (reply, kept) = (Arc::clone(&reply), Arc::clone(&kept));
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            let one = Received {
                line: format!("{} {}", parts.method, parts.uri),
                headers: parts.headers,
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            let count = {
                let mut kept = kept.lock().expect("a lock");
                kept.push(one.clone());
                kept.len()
            };
            let (status, headers, body) = reply(&one, count);
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).expect("a response")
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Host {
        url: format!("http://{address}/"),
        received,
    }
}

fn ok(body: &Value) -> Reply {
    (200, Vec::new(), body.to_string())
}

fn status(status: u16) -> Reply {
    (status, Vec::new(), "{\"message\":\"No\"}".to_owned())
}

fn client_of(host: &Host, credentials: Credentials) -> Client {
    let limits = Limits {
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
    };
    let repository = Repository::new(Forge::GitHub, "https://github.com/o/r", Some(&host.url));
    let retries = RetryPolicy {
        attempts: 3,
        pause: Duration::from_millis(10),
        patience: Duration::from_secs(3),
    };
    let http = Http::new(&limits).expect("connections");
    Client::new(
        http,
        repository.expect("a repository"),
        credentials,
        retries,
    )
}

fn client(host: &Host) -> Client {
    client_of(host, Credentials::Token(Secret::from("marker")))
}

fn commit() -> Commit {
    Commit::new(&"a".repeat(40)).expect("a commit")
}

fn state(state: State) -> Status {
    Status {
        state,
        description: "words".to_owned(),
        link: None,
    }
}

async fn send(client: &Client, one: State) -> Result<Sending, ForgeError> {
    let mut sent = Sent::default();
    client
        .set_status(&mut sent, &commit(), Context::Build, &state(one))
        .await
}

fn proposal() -> Proposal {
    let mut body = Markdown::default();
    body.paragraph(&[Part::Text("New closures of "), Part::Code("prod")]);
    Proposal {
        branches: Branches {
            head: "niphas/prod".to_owned(),
            base: "main".to_owned(),
        },
        title: "prod:\nnew closures".to_owned(),
        body,
        labels: vec!["niphas".to_owned()],
    }
}

fn pull(number: u64, head: &str, repository: u64, title: &str, body: &str) -> Value {
    let end = |branch: &str, id: u64| json!({"ref": branch, "sha": "b".repeat(40), "repo": {"id": id, "full_name": "o/r"}});
    json!({
        "number": number, "state": "open", "html_url": "https://github.com/o/r/pull/1", "title": title, "body": body,
        "user": {"id": 1, "login": "bot"}, "head": end(head, repository), "base": end("main", 1),
    })
}

#[tokio::test]
async fn equal_statuses_are_sent_once() {
    let host = host(|_, _| (201, Vec::new(), "{}".to_owned())).await;
    let (client, mut sent) = (client(&host), Sent::default());
    for (one, expected) in [
        (State::Running, Sending::Sent),
        (State::Running, Sending::Unchanged),
        (State::Success, Sending::Sent),
        (State::Success, Sending::Unchanged),
    ] {
        let sending = client
            .set_status(&mut sent, &commit(), Context::Build, &state(one))
            .await;
        assert_eq!(sending.expect("a status"), expected);
    }
    let line = format!("POST /repos/o/r/statuses/{}", commit());
    assert_eq!(host.lines(), [line.clone(), line]);
    let last = host.last();
    assert_eq!(last.header("authorization"), "Bearer marker");
    assert_eq!(last.header("accept"), "application/vnd.github+json");
    let body = json!({"state": "success", "context": "niphas/build", "description": "words"});
    assert_eq!(last.body, body);
}

#[tokio::test]
async fn a_status_that_failed_is_sent_again_by_the_next_attempt() {
    let host = host(|_, count| status(if count == 1 { 404 } else { 201 })).await;
    let (client, mut sent) = (client(&host), Sent::default());
    let one = state(State::Success);
    let refused = client
        .set_status(&mut sent, &commit(), Context::Build, &one)
        .await;
    let error = refused.expect_err("a refusal");
    let line = format!(
        "the host refused POST /repos/o/r/statuses/{} with status 404: No",
        commit()
    );
    assert_eq!(error.to_string(), line);
    let sending = client
        .set_status(&mut sent, &commit(), Context::Build, &one)
        .await;
    assert_eq!(sending.expect("a status"), Sending::Sent);
}

#[tokio::test]
async fn redirects_lead_to_the_same_host_only() {
    let there = host(|_, _| status(201)).await;
    let elsewhere = there.url.clone();
    let here = host(move |request, _| {
        let to = match request.line.as_str() {
            line if line.contains("/repos/o/r/") => "/repositories/7/statuses",
            line if line.contains("/repositories/7/") => return status(201),
            _ => elsewhere.as_str(),
        };
        (307, vec![("location", to.to_owned())], String::new())
    })
    .await;
    let done = send(&client(&here), State::Success).await;
    assert_eq!(done.expect("a status"), Sending::Sent);
    assert_eq!(here.lines().len(), 2);
    assert_eq!(here.last().body["state"], "success");
    assert_eq!(here.last().header("authorization"), "Bearer marker");

    let target = there.url.clone();
    let away = host(move |_, _| (307, vec![("location", target.clone())], String::new())).await;
    let error = send(&client(&away), State::Success).await;
    let error = error.expect_err("another host");
    assert!(matches!(error, ForgeError::OtherHost { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("marker"));
    assert_eq!(there.lines(), [""; 0]);

    let circle = host(|_, _| (302, vec![("location", "/x".to_owned())], String::new())).await;
    let error = send(&client(&circle), State::Success).await;
    assert!(matches!(error, Err(ForgeError::Redirect { .. })));
}

#[tokio::test]
async fn a_short_limit_is_waited_for() {
    let host = host(|_, count| match count {
        1 => (403, vec![("retry-after", "1".to_owned())], String::new()),
        _ => status(201),
    })
    .await;
    let began = Instant::now();
    let done = send(&client(&host), State::Success).await;
    assert_eq!(done.expect("a status"), Sending::Sent);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn during_a_long_limit_no_request_is_sent() {
    let body = "{\"message\":\"You have exceeded a secondary rate limit.\"}";
    let host = host(move |_, _| (403, Vec::new(), body.to_owned())).await;
    let client = client(&host);
    for _ in 0..3 {
        let error = send(&client, State::Success).await.expect_err("a limit");
        let pause = error.pause().expect("a pause");
        assert!(pause > Duration::from_secs(50) && pause <= Duration::from_mins(1));
    }
    assert_eq!(host.lines().len(), 1);
}

#[tokio::test]
async fn only_what_may_be_done_twice_is_sent_twice() {
    let host = host(|request, count| {
        if request.line.contains("/statuses/") && count > 1 {
            return status(201);
        }
        if request.line == "GET /user" {
            return ok(&json!({"id": 5, "login": "bot"}));
        }
        if request.line.starts_with("GET") {
            return ok(&json!([]));
        }
        status(502)
    })
    .await;
    let client = client(&host);
    let done = send(&client, State::Success).await;
    assert_eq!(done.expect("a status"), Sending::Sent);
    assert_eq!(host.lines().len(), 2);

    let text = proposal().body;
    let error = client
        .comment(3, "key", &text)
        .await
        .expect_err("no answer");
    assert!(matches!(error, ForgeError::Refused { status: 502, .. }));
    let lines = host.lines();
    let written = lines
        .iter()
        .filter(|line| line.starts_with("POST /repos/o/r/issues"));
    assert_eq!(written.count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_comment_is_known_by_its_mark_and_its_author() {
    let written: Arc<Mutex<String>> = Arc::default();
    let kept = Arc::clone(&written);
    let host = host(move |request, _| {
        let mut text = kept.lock().expect("a lock");
        let other = |id: u64, body: &str| json!({"id": id, "body": body, "user": {"id": 6, "login": "evil"}});
        match request.line.as_str() {
            "GET /user" => ok(&json!({"id": 5, "login": "bot"})),
            "GET /repos/o/r/issues/3/comments?per_page=100&page=1" => {
                // Another user wrote the mark before us.
                let all: Vec<Value> = (0..100).map(|id| other(id, &text)).collect();
                ok(&Value::Array(all))
            }
            "GET /repos/o/r/issues/3/comments?per_page=100&page=2" if text.is_empty() => ok(&json!([])),
            "GET /repos/o/r/issues/3/comments?per_page=100&page=2" => {
                let own = json!({"id": 700, "body": text.replace('\n', "\r\n"), "user": {"id": 5, "login": "bot"}});
                ok(&json!([other(500, "Thanks"), own]))
            }
            "POST /repos/o/r/issues/3/comments" | "PATCH /repos/o/r/issues/comments/700" => {
                *text = request.body["body"].as_str().expect("a body").to_owned();
                (201, Vec::new(), "{}".to_owned())
            }
            line => panic!("{line}"),
        }
    })
    .await;
    let client = client(&host);
    let mut text = proposal().body;
    for (expected, line) in [
        (Sending::Sent, "POST /repos/o/r/issues/3/comments"),
        (
            Sending::Unchanged,
            "GET /repos/o/r/issues/3/comments?per_page=100&page=2",
        ),
    ] {
        assert_eq!(
            client.comment(3, "ns/app", &text).await.expect("a comment"),
            expected
        );
        assert_eq!(host.last().line, line);
    }
    text.log("error: `@all`", 10);
    let sending = client.comment(3, "ns/app", &text).await;
    assert_eq!(sending.expect("a comment"), Sending::Sent);
    assert_eq!(host.last().line, "PATCH /repos/o/r/issues/comments/700");
    let written = written.lock().expect("a lock").clone();
    assert!(
        written
            .starts_with("New closures of `prod`\n\n```text\nerror: `@all`\n```\n\n<!-- niphas:"),
        "{written}"
    );
}

#[tokio::test]
async fn there_is_one_pull_request_of_a_branch() {
    let open: Arc<Mutex<Option<Value>>> = Arc::default();
    let kept = Arc::clone(&open);
    let host = host(move |request, _| {
        let mut open = kept.lock().expect("a lock");
        let line = request.line.as_str();
        if line.starts_with("GET /repos/o/r/pulls?") {
            // A fork has a branch of this name, too.
            let mut all = vec![pull(8, "niphas/prod", 2, "Evil", "")];
            all.extend(open.clone());
            return ok(&Value::Array(all));
        }
        let text = |name: &str| request.body[name].as_str().expect("text").to_owned();
        match line {
            "POST /repos/o/r/pulls" if open.is_some() => {
                (422, Vec::new(), r#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists"}]}"#.to_owned())
            }
            "POST /repos/o/r/pulls" | "PATCH /repos/o/r/pulls/9" => {
                *open = Some(pull(9, "niphas/prod", 1, &text("title"), &text("body")));
                (201, Vec::new(), open.clone().expect("a pull request").to_string())
            }
            "POST /repos/o/r/issues/9/labels" => ok(&json!([])),
            line => panic!("{line}"),
        }
    })
    .await;
    let client = client(&host);
    let mut proposal = proposal();
    let created = client.propose(&proposal).await.expect("a pull request");
    assert_eq!(
        (created.number, created.title.as_str()),
        (9, "prod: new closures")
    );
    assert_eq!(host.last().body, json!({"labels": ["niphas"]}));

    let before = host.lines().len();
    let same = client.propose(&proposal).await.expect("a pull request");
    assert_eq!((same.number, host.lines().len()), (9, before + 1));

    proposal.title = "prod: newer closures".to_owned();
    let updated = client.propose(&proposal).await.expect("a pull request");
    assert_eq!(
        (updated.number, updated.title.as_str()),
        (9, "prod: newer closures")
    );
    assert_eq!(host.last().line, "PATCH /repos/o/r/pulls/9");
}

#[tokio::test]
async fn approvals_count_of_those_who_may_write() {
    let host = host(|request, _| match request.line.as_str() {
        "GET /repos/o/r/pulls/9" => ok(&pull(9, "topic", 2, "T", "")),
        "GET /repos/o/r/pulls/9/reviews?per_page=100&page=1" => {
            let of = |user: &str, commit: &str| json!({"user": {"id": 1, "login": user}, "state": "APPROVED", "commit_id": commit});
            let head = "b".repeat(40);
            ok(&json!([of("writer", &head), of("reader", &head), of("late", &"c".repeat(40)), of("named", &head), of("gone", &head)]))
        }
        "GET /repos/o/r/collaborators/writer/permission" => ok(&json!({"permission": "write"})),
        "GET /repos/o/r/collaborators/reader/permission" => ok(&json!({"permission": "read"})),
        "GET /repos/o/r/collaborators/gone/permission" => status(404),
        line => panic!("{line}"),
    })
    .await;
    let client = client(&host);
    let found = client.pull_request(9).await.expect("a pull request");
    assert!(found.head.is_fork && found.is_open);
    let trusted = ["named".to_owned(), "late".to_owned()];
    let approvers = client.approvers(&found, &trusted).await;
    assert_eq!(approvers.expect("people"), ["named", "writer"]);
}

#[tokio::test]
async fn an_app_asks_for_a_token_of_the_repository() {
    let host = host(|request, count| match request.line.as_str() {
        "GET /repos/o/r/installation" => ok(&json!({"id": 42})),
        "POST /app/installations/42/access_tokens" => {
            assert_eq!(request.body, json!({"repositories": ["r"]}));
            ok(&json!({"token": format!("token-{count}"), "expires_at": "2016-07-11T22:14:10Z"}))
        }
        line if line.starts_with("POST /repos/o/r/statuses/") => {
            match request.header("authorization") {
                // Revoked after its first use.
                "Bearer token-2" if count > 3 => status(401),
                header if header.starts_with("Bearer token-") => status(201),
                header => panic!("{header}"),
            }
        }
        line => panic!("{line}"),
    })
    .await;
    let pem = Secret::from(include_str!("keys/app.pem"));
    let app = GitHubApp::new("12", None, &pem).expect("an app");
    let client = client_of(&host, Credentials::GitHubApp(app));
    for _ in 0..2 {
        let done = send(&client, State::Success).await;
        assert_eq!(done.expect("a status"), Sending::Sent);
    }
    let token = client.installation_token().await.expect("a token");
    assert_eq!(token, Some(Secret::from("token-6")));
    let received = host.received.lock().expect("a lock").clone();
    assert_eq!(received.len(), 7);
    assert_eq!(received[0].header("authorization").split('.').count(), 3);
}

#[tokio::test]
async fn answers_beyond_all_bounds_are_not_held() {
    let host = host(|_, _| (200, Vec::new(), "x".repeat(9 << 20))).await;
    let error = client(&host).pull_request(1).await.expect_err("too large");
    assert!(matches!(error, ForgeError::TooLarge { .. }), "{error:?}");

    let odd = host_of_pull("zz\u{1b}[31m").await;
    let error = client(&odd).pull_request(1).await.expect_err("no commit");
    assert!(matches!(error, ForgeError::Commit(_)), "{error:?}");

    let closed = Host {
        url: "http://127.0.0.1:9/".to_owned(),
        received: Arc::default(),
    };
    let error = client(&closed).pull_request(1).await.expect_err("no host");
    assert_eq!(error.to_string(), "failed to send GET /repos/o/r/pulls/1");
}

async fn host_of_pull(sha: &'static str) -> Host {
    host(move |_, _| {
        let mut found = pull(1, "x", 1, "", "");
        found["head"]["sha"] = sha.into();
        ok(&found)
    })
    .await
}
