//! A real Gitea, which `ci/forges` starts: statuses, one pull request, one comment, and approvals of what is in a fork.

use std::time::Duration;

use niphas_forges::{
    Branches, Client, Commit, Context, Credentials, Forge, Http, Markdown, Part, Proposal,
    Repository, Sending, Sent, State, Status,
};
use niphas_http::{Limits, RetryPolicy, Secret};
use serde_json::{Value, json};
use url::Url;

/// The host: its URL, and tokens of the repository's owner and of another user.
struct Gitea {
    url: String,
    owner: String,
    other: String,
    http: reqwest::Client,
}

impl Gitea {
    fn of_environment() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let limits = Limits {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
        };
        Some(Self {
            url: variable("NIPHAS_GITEA")?,
            owner: variable("NIPHAS_GITEA_TOKEN").expect("NIPHAS_GITEA_TOKEN"),
            other: variable("NIPHAS_GITEA_OTHER_TOKEN").expect("NIPHAS_GITEA_OTHER_TOKEN"),
            http: niphas_http::client(&limits, false).expect("a client"),
        })
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Value {
        let method = method.parse().expect("a method");
        let url = format!("{}/api/v1/{path}", self.url);
        let mut request = self.http.request(method, &url);
        request = request.header("authorization", format!("token {token}"));
        if !body.is_null() {
            request = request.header("content-type", "application/json");
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a text");
        assert!(status.is_success(), "{url}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(&self.owner, "GET", path, Value::Null).await
    }

    /// Commits a file to a branch, which is made from `main` if it is not there. The commit's name.
    async fn commit(&self, token: &str, repository: &str, branch: &str, file: &str) -> String {
        let branches = self
            .ask(
                token,
                "GET",
                &format!("repos/{repository}/branches?limit=50"),
                Value::Null,
            )
            .await;
        let branches = branches.as_array().expect("branches").clone();
        let is_there = branches.iter().any(|found| found["name"] == branch);
        let from = if is_there { branch } else { "main" };
        let mut body = json!({"content": "dGV4dAo=", "message": "text", "branch": from});
        if !is_there {
            body["new_branch"] = branch.into();
        }
        let done = self
            .ask(
                token,
                "POST",
                &format!("repos/{repository}/contents/{file}"),
                body,
            )
            .await;
        done["commit"]["sha"].as_str().expect("a commit").to_owned()
    }

    fn client(&self, repository: &str) -> Client {
        let limits = Limits {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
        };
        let url = format!("{}/{repository}.git", self.url);
        let repository = Repository::new(Forge::Gitea, &url, None).expect("a repository");
        let credentials = Credentials::Token(Secret::from(self.owner.as_str()));
        let http = Http::new(&limits).expect("connections");
        Client::new(http, repository, credentials, RetryPolicy::default())
    }
}

#[tokio::test]
async fn everything_works_with_a_real_gitea() {
    let Some(gitea) = Gitea::of_environment() else {
        println!("skipped: NIPHAS_GITEA names no Gitea; ci/forges starts one");
        return;
    };
    let owner = gitea.get("user").await["login"]
        .as_str()
        .expect("a login")
        .to_owned();
    let name = format!("app-{}", std::process::id());
    let new = json!({"name": name, "auto_init": true, "default_branch": "main"});
    gitea.ask(&gitea.owner, "POST", "user/repos", new).await;
    let repository = format!("{owner}/{name}");
    let client = gitea.client(&repository);
    let head = gitea
        .commit(&gitea.owner, &repository, "niphas/prod", "one")
        .await;

    statuses(&gitea, &client, &repository, &head).await;
    let number = pull_request(&gitea, &client, &repository).await;
    comment(&gitea, &client, &repository, number).await;
    fork(&gitea, &client, &repository, &owner).await;
}

async fn statuses(gitea: &Gitea, client: &Client, repository: &str, head: &str) {
    let (commit, mut sent) = (Commit::new(head).expect("a commit"), Sent::default());
    for (context, state) in [
        (Context::Evaluate, State::Success),
        (Context::Build, State::Running),
        (Context::Build, State::Failure),
        (Context::Build, State::Failure),
        (Context::Build, State::Success),
        (Context::Render, State::Cancelled),
    ] {
        let status = Status {
            state,
            description: "2 of 3 derivations <b>\n@all ".repeat(40),
            link: Some(Url::parse("https://ci.example/runs/1").expect("a URL")),
        };
        client
            .set_status(&mut sent, &commit, context, &status)
            .await
            .expect("a status");
    }
    let found = gitea
        .get(&format!("repos/{repository}/commits/{head}/status"))
        .await;
    let mut contexts: Vec<String> = found["statuses"]
        .as_array()
        .expect("statuses")
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                one["context"].as_str().expect("a context"),
                one["status"].as_str().expect("a status")
            )
        })
        .collect();
    contexts.sort();
    assert_eq!(
        contexts,
        [
            "niphas/build success",
            "niphas/evaluate success",
            "niphas/render warning"
        ]
    );
    let all = gitea
        .get(&format!("repos/{repository}/commits/{head}/statuses"))
        .await;
    assert_eq!(
        all.as_array().expect("statuses").len(),
        5,
        "the equal one was not sent"
    );
}

async fn pull_request(gitea: &Gitea, client: &Client, repository: &str) -> u64 {
    let label = json!({"name": "niphas", "color": "#00aabb"});
    gitea
        .ask(
            &gitea.owner,
            "POST",
            &format!("repos/{repository}/labels"),
            label,
        )
        .await;
    let mut body = Markdown::default();
    body.paragraph(&[Part::Text("Closures of "), Part::Code("prod @all #1")]);
    let mut proposal = Proposal {
        branches: Branches {
            head: "niphas/prod".to_owned(),
            base: "main".to_owned(),
        },
        title: "prod: new closures".to_owned(),
        body,
        labels: vec!["niphas".to_owned(), "unknown".to_owned()],
    };
    let first = client.propose(&proposal).await.expect("a pull request");
    let second = client.propose(&proposal).await.expect("a pull request");
    assert_eq!(first.number, second.number);
    assert!(second.is_open && !second.head.is_fork);
    "prod: newer closures".clone_into(&mut proposal.title);
    let third = client.propose(&proposal).await.expect("a pull request");
    assert_eq!(
        (third.number, third.title.as_str()),
        (first.number, "prod: newer closures")
    );
    let all = gitea
        .get(&format!("repos/{repository}/pulls?state=all"))
        .await;
    assert_eq!(all.as_array().expect("pull requests").len(), 1);
    assert_eq!(all[0]["title"], "prod: newer closures");
    let labels: Vec<_> = all[0]["labels"]
        .as_array()
        .expect("labels")
        .iter()
        .map(|label| label["name"].clone())
        .collect();
    assert_eq!(labels, ["niphas"]);
    first.number
}

async fn comment(gitea: &Gitea, client: &Client, repository: &str, number: u64) {
    let path = format!("repos/{repository}/issues/{number}/comments");
    let mut text = Markdown::default();
    text.paragraph(&[Part::Text("Built "), Part::Code("hello-2.12`@all")]);
    assert_eq!(
        client
            .comment(number, "shop/app", &text)
            .await
            .expect("a comment"),
        Sending::Sent
    );
    assert_eq!(
        client
            .comment(number, "shop/app", &text)
            .await
            .expect("a comment"),
        Sending::Unchanged
    );
    let written = gitea.get(&path).await[0]["body"]
        .as_str()
        .expect("a body")
        .to_owned();

    // Another user puts our mark into a comment.
    let forged = json!({"body": format!("forged {written}")});
    gitea.ask(&gitea.other, "POST", &path, forged).await;
    text.log("error: \u{1b}[31mno\u{1b}[0m ```\n@all", 10);
    assert_eq!(
        client
            .comment(number, "shop/app", &text)
            .await
            .expect("a comment"),
        Sending::Sent
    );
    let all = gitea.get(&path).await;
    let bodies: Vec<&str> = all
        .as_array()
        .expect("comments")
        .iter()
        .map(|one| one["body"].as_str().expect("a body"))
        .collect();
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].contains("error: no"), "{}", bodies[0]);
    assert!(bodies[1].starts_with("forged") && !bodies[1].contains("error"));
}

async fn fork(gitea: &Gitea, client: &Client, repository: &str, owner: &str) {
    let fork = gitea
        .ask(
            &gitea.other,
            "POST",
            &format!("repos/{repository}/forks"),
            json!({}),
        )
        .await;
    let fork = fork["full_name"].as_str().expect("a name").to_owned();
    let other = fork.split('/').next().expect("an owner").to_owned();
    let head = gitea.commit(&gitea.other, &fork, "topic", "evil").await;
    let body = json!({"head": format!("{other}:topic"), "base": "main", "title": "From a fork"});
    let opened = gitea
        .ask(
            &gitea.other,
            "POST",
            &format!("repos/{repository}/pulls"),
            body,
        )
        .await;
    let number = opened["number"].as_u64().expect("a number");

    let found = client.pull_request(number).await.expect("a pull request");
    assert!(found.head.is_fork && found.is_open);
    assert_eq!(
        (found.head.commit.as_str(), found.head.repository.as_deref()),
        (head.as_str(), Some(fork.as_str()))
    );
    assert_eq!(
        (found.author.as_str(), found.base.as_str()),
        (other.as_str(), "main")
    );
    assert_eq!(
        client.approvers(&found, &[]).await.expect("people"),
        [""; 0]
    );

    let review = json!({"event": "APPROVED", "body": "yes", "commit_id": head});
    gitea
        .ask(
            &gitea.owner,
            "POST",
            &format!("repos/{repository}/pulls/{number}/reviews"),
            review,
        )
        .await;
    assert_eq!(
        client.approvers(&found, &[]).await.expect("people"),
        [owner]
    );

    // What is pushed after the approval is not approved.
    gitea.commit(&gitea.other, &fork, "topic", "more").await;
    let mut pushed = client.pull_request(number).await.expect("a pull request");
    for _ in 0..50 {
        if pushed.head.commit != head {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        pushed = client.pull_request(number).await.expect("a pull request");
    }
    assert_ne!(pushed.head.commit, head);
    assert_eq!(
        client.approvers(&pushed, &[]).await.expect("people"),
        [""; 0]
    );
}
