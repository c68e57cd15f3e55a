//! Requests as the Git hosts send them, and as others would.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderName, HeaderValue};
use niphas_webhooks::{
    Change, Delivery, Event, Hook, MAX_BODY, Provider, PullRequest, PullRequestAction, Push,
    SignatureError, WebhookError,
};
use proptest::prelude::*;
use ring::hmac::{Algorithm, HMAC_SHA256, HMAC_SHA512, Key, sign};

const NOW: i64 = 1_614_265_400;
const SECRET: &[u8] = b"marker";
const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";
const NONE: &str = "0000000000000000000000000000000000000000";

fn headers(all: &[(&str, &str)]) -> HeaderMap {
    let parsed = all.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    parsed.collect()
}

fn tag(algorithm: Algorithm, secret: &[u8], body: &[u8]) -> String {
    HEXLOWER.encode(sign(&Key::new(algorithm, secret), body).as_ref())
}

/// A request that is signed as the host signs.
fn signed(provider: Provider, event: &str, body: &str) -> HeaderMap {
    let hex = tag(HMAC_SHA256, SECRET, body.as_bytes());
    let prefixed = format!("sha256={hex}");
    match provider {
        Provider::GitHub => headers(&[
            (
                "X-Hub-Signature",
                "sha1=0123456789abcdef0123456789abcdef01234567",
            ),
            ("X-Hub-Signature-256", &prefixed),
            ("X-GitHub-Event", event),
            ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ]),
        Provider::GitLab => headers(&[
            ("X-Gitlab-Token", "marker"),
            ("X-Gitlab-Event", event),
            (
                "X-Gitlab-Event-UUID",
                "13792a34-cac6-4fda-95a8-c58e00a3954e",
            ),
        ]),
        Provider::Gitea => headers(&[
            ("X-Gitea-Signature", &hex),
            ("X-Gitea-Event", event),
            ("X-GitHub-Event", event),
        ]),
        Provider::Forgejo => headers(&[
            ("X-Forgejo-Signature", &hex),
            ("X-Forgejo-Event", event),
            ("X-Gitea-Event", event),
        ]),
        Provider::BitbucketCloud | Provider::BitbucketServer => {
            headers(&[("X-Hub-Signature", &prefixed), ("X-Event-Key", event)])
        }
        Provider::Generic => headers(&[("X-Signature", &prefixed)]),
    }
}

fn read(provider: Provider, event: &str, body: &str) -> Event {
    let hook = Hook {
        provider,
        secrets: &[b"another", SECRET],
    };
    let headers = signed(provider, event, body);
    hook.read(&headers, body.as_bytes(), NOW).unwrap().event
}

fn verify(
    provider: Provider,
    secrets: &[&[u8]],
    all: &[(&str, &str)],
    body: &str,
) -> Result<Delivery, WebhookError> {
    let hook = Hook { provider, secrets };
    hook.read(&headers(all), body.as_bytes(), NOW)
}

fn error(
    provider: Provider,
    secrets: &[&[u8]],
    all: &[(&str, &str)],
    body: &str,
) -> SignatureError {
    match verify(provider, secrets, all, body) {
        Err(WebhookError::Signature(error)) => error,
        other => panic!("expected a wrong signature, found {other:?}"),
    }
}

fn pushed(branch: &str, revision: Option<&str>, change: Change) -> Event {
    Event::Push(vec![Push {
        branch: branch.to_owned(),
        revision: revision.map(str::to_owned),
        change,
    }])
}

fn paths(all: &[&str]) -> Change {
    Change::Paths(
        all.iter()
            .map(|path| (*path).to_owned())
            .collect::<BTreeSet<_>>(),
    )
}

fn pull_request(action: PullRequestAction, is_from_fork: bool) -> Event {
    Event::PullRequest(PullRequest {
        number: 7,
        action,
        revision: B.to_owned(),
        base: "main".to_owned(),
        is_from_fork,
    })
}

#[test]
fn the_signature_of_githubs_documentation_is_right() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let delivered = verify(
        Provider::GitHub,
        &[b"It's a Secret to Everybody"],
        &[
            ("X-Hub-Signature-256", signature),
            ("X-GitHub-Event", "ping"),
        ],
        "Hello, World!",
    );
    assert_eq!(
        delivered,
        Ok(Delivery {
            id: None,
            event: Event::Ping
        })
    );
}

/// The example of the specification.
const STANDARD: [(&str, &str); 4] = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    (
        "webhook-signature",
        "v1a,unknown v1,bm9ldmVy v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    ("X-Gitlab-Event", "Job Hook"),
];
const STANDARD_SECRET: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_BODY: &str = r#"{"test": 2432232314}"#;

#[test]
fn the_signature_of_standard_webhooks_is_right() {
    let delivered = verify(
        Provider::GitLab,
        &[STANDARD_SECRET],
        &STANDARD,
        STANDARD_BODY,
    );
    let delivered = delivered.unwrap();
    assert_eq!(
        delivered.id.as_deref(),
        Some("msg_p5jXN8AQM9LWM0D4loKWxJek")
    );
    assert_eq!(delivered.event, Event::Other("Job Hook".to_owned()));
}

#[test]
fn a_signed_time_counts_for_some_minutes() {
    let hook = Hook {
        provider: Provider::GitLab,
        secrets: &[STANDARD_SECRET],
    };
    let at = |now| hook.read(&headers(&STANDARD), STANDARD_BODY.as_bytes(), now);
    assert!(at(1_614_265_330 + 300).is_ok());
    assert!(at(1_614_265_330 - 300).is_ok());
    for (now, difference) in [
        (1_614_265_330 + 301, 301),
        (0, 1_614_265_330),
        (i64::MIN, i64::MAX),
    ] {
        assert_eq!(at(now), Err(SignatureError::Time(difference).into()));
    }
}

#[test]
fn a_signature_of_standard_webhooks_covers_id_and_time() {
    for name in ["webhook-id", "webhook-timestamp"] {
        let mut changed = STANDARD;
        for header in &mut changed {
            if header.0 == name {
                header.1 = "1614265331";
            }
        }
        let found = error(
            Provider::GitLab,
            &[STANDARD_SECRET],
            &changed,
            STANDARD_BODY,
        );
        assert_eq!(found, SignatureError::Wrong);
    }
    // The token does not count beside a signature that is wrong.
    let mut with_token = STANDARD.to_vec();
    with_token.push(("X-Gitlab-Token", "marker"));
    let found = error(Provider::GitLab, &[SECRET], &with_token, STANDARD_BODY);
    assert_eq!(found, SignatureError::Wrong);
}

#[test]
fn every_host_is_refused_without_its_signature() {
    let expected = [
        (Provider::GitHub, "x-hub-signature-256"),
        (Provider::GitLab, "X-Gitlab-Token"),
        (Provider::Gitea, "x-gitea-signature"),
        (Provider::Forgejo, "x-gitea-signature"),
        (Provider::BitbucketCloud, "x-hub-signature"),
        (Provider::BitbucketServer, "x-hub-signature"),
        (Provider::Generic, "x-signature"),
    ];
    for (provider, header) in expected {
        assert_eq!(
            error(provider, &[SECRET], &[], "{}"),
            SignatureError::Missing(header)
        );
    }
}

#[test]
fn a_hook_without_a_secret_refuses_everything() {
    for provider in Provider::ALL {
        let empty = format!("sha256={}", tag(HMAC_SHA256, b"", b"{}"));
        let bare = tag(HMAC_SHA256, b"", b"{}");
        let all = [
            ("X-Hub-Signature-256", empty.as_str()),
            ("X-Hub-Signature", &empty),
            ("X-Signature", &empty),
            ("X-Gitea-Signature", &bare),
            ("X-Forgejo-Signature", &bare),
            ("X-Gitlab-Token", ""),
        ];
        assert_eq!(error(provider, &[], &all, "{}"), SignatureError::NoSecret);
        assert_eq!(
            error(provider, &[b""], &all, "{}"),
            SignatureError::NoSecret
        );
        assert_eq!(
            error(provider, &[SECRET, b""], &all, "{}"),
            SignatureError::NoSecret
        );
    }
}

#[test]
fn a_signature_of_another_form_is_refused() {
    let body = "{}";
    let hex = tag(HMAC_SHA256, SECRET, body.as_bytes());
    let malformed = |header, value: &str| {
        let found = error(Provider::GitHub, &[SECRET], &[(header, value)], body);
        assert!(
            matches!(found, SignatureError::Malformed { .. }),
            "{value}: {found}"
        );
    };
    malformed("X-Hub-Signature-256", &hex);
    malformed("X-Hub-Signature-256", &format!("sha1={hex}"));
    malformed("X-Hub-Signature-256", &format!("sha512={hex}"));
    malformed(
        "X-Hub-Signature-256",
        &format!("sha256={}", "0".repeat(100_000)),
    );
    // GitHub's SHA-1 is not looked at.
    let found = error(
        Provider::GitHub,
        &[SECRET],
        &[("X-Hub-Signature", "sha1=00")],
        body,
    );
    assert_eq!(found, SignatureError::Missing("x-hub-signature-256"));
    // A part of the tag is not the tag, nor is nothing.
    let part = format!("sha256={}", &hex[..62]);
    for value in [part.as_str(), "sha256="] {
        let found = error(
            Provider::GitHub,
            &[SECRET],
            &[("X-Hub-Signature-256", value)],
            body,
        );
        assert_eq!(found, SignatureError::Wrong);
    }
}

#[test]
fn a_generic_signature_may_be_sha512() {
    let body = r#"{"ref": "refs/heads/main"}"#;
    let signature = format!("sha512={}", tag(HMAC_SHA512, SECRET, body.as_bytes()));
    let delivered = verify(
        Provider::Generic,
        &[SECRET],
        &[("X-Signature", &signature), ("X-Delivery-Id", "1")],
        body,
    );
    let delivered = delivered.unwrap();
    assert_eq!(delivered.id.as_deref(), Some("1"));
    assert_eq!(delivered.event, pushed("main", None, Change::Unknown));
}

#[test]
fn the_body_is_read_only_when_it_is_signed_and_not_too_large() {
    let large = " ".repeat(MAX_BODY + 1);
    assert_eq!(
        verify(Provider::GitHub, &[SECRET], &[], &large),
        Err(WebhookError::TooLarge(MAX_BODY + 1))
    );
    let body = "{\"ref\": 1}";
    assert_eq!(
        error(Provider::Generic, &[SECRET], &[], body),
        SignatureError::Missing("x-signature")
    );
    let hook = Hook {
        provider: Provider::Generic,
        secrets: &[SECRET],
    };
    let refused = hook.read(&signed(Provider::Generic, "", body), body.as_bytes(), NOW);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the body of a 'push' event is not what generic sends: invalid type: integer `1`, expected a string at line 1 column 9"
    );
}

#[test]
fn a_push_to_github_gitea_and_forgejo_is_read() {
    let body = format!(
        r#"{{"ref": "refs/heads/feature/x", "before": "{A}", "after": "{B}", "forced": false, "repository": {{"id": 1}},
            "commits": [{{"id": "{B}", "added": ["a"], "modified": ["b/ä"], "removed": []}},
                        {{"id": "{B}", "added": [], "modified": ["a"], "removed": ["c"]}}]}}"#
    );
    let expected = pushed("feature/x", Some(B), paths(&["a", "b/ä", "c"]));
    for provider in [Provider::GitHub, Provider::Gitea, Provider::Forgejo] {
        assert_eq!(read(provider, "push", &body), expected);
    }
}

#[test]
fn paths_are_unknown_where_not_all_commits_are_listed() {
    let commit = r#"{"added": ["a"], "modified": [], "removed": []}"#;
    let push = |rest: &str| {
        let body = format!(r#"{{"ref": "refs/heads/main", "after": "{B}", {rest}}}"#);
        read(Provider::GitHub, "push", &body)
    };
    let all = push(&format!(r#""commits": [{commit}]"#));
    assert_eq!(all, pushed("main", Some(B), paths(&["a"])));
    let unknown = pushed("main", Some(B), Change::Unknown);
    assert_eq!(push(r#""commits": []"#), unknown);
    assert_eq!(
        push(&format!(r#""forced": true, "commits": [{commit}]"#)),
        unknown
    );
    assert_eq!(
        push(&format!(r#""total_commits": 2, "commits": [{commit}]"#)),
        unknown
    );
    assert_eq!(
        push(&format!(r#""commits": [{commit}, {{"added": ["b"]}}]"#)),
        unknown
    );
    let many = vec![commit; 2048].join(",");
    assert_eq!(push(&format!(r#""commits": [{many}]"#)), unknown);
}

#[test]
fn a_deleted_branch_has_no_revision() {
    let body = format!(
        r#"{{"ref": "refs/heads/old", "after": "{NONE}", "deleted": true, "commits": []}}"#
    );
    let expected = pushed("old", None, Change::Unknown);
    assert_eq!(read(Provider::GitHub, "push", &body), expected);
    assert_eq!(read(Provider::GitLab, "Push Hook", &body), expected);
}

#[test]
fn a_tag_is_no_branch() {
    let body = format!(r#"{{"ref": "refs/tags/v1", "after": "{B}", "commits": []}}"#);
    let expected = Event::Other("push of refs/tags/v1".to_owned());
    assert_eq!(read(Provider::GitHub, "push", &body), expected);
    assert_eq!(read(Provider::GitLab, "Push Hook", &body), expected);
}

#[test]
fn a_pull_request_of_github_is_read() {
    let read = |action: &str, head: &str, rest: &str| {
        let body = format!(
            r#"{{"action": "{action}", "number": 7, {rest} "pull_request": {{
                "head": {{"ref": "feature", "sha": "{B}", "repo": {head}}},
                "base": {{"ref": "main", "sha": "{A}", "repo": {{"id": 1}}}}}}}}"#
        );
        read(Provider::GitHub, "pull_request", &body)
    };
    let own = r#"{"id": 1}"#;
    assert_eq!(
        read("opened", own, ""),
        pull_request(PullRequestAction::Opened, false)
    );
    assert_eq!(
        read("synchronize", own, ""),
        pull_request(PullRequestAction::Pushed, false)
    );
    assert_eq!(
        read("closed", own, ""),
        pull_request(PullRequestAction::Closed, false)
    );
    assert_eq!(
        read("edited", own, ""),
        pull_request(PullRequestAction::Other, false)
    );
    assert_eq!(
        read("opened", r#"{"id": 2}"#, ""),
        pull_request(PullRequestAction::Opened, true)
    );
    // Whose repository is gone, it was another's.
    assert_eq!(
        read("opened", "null", ""),
        pull_request(PullRequestAction::Opened, true)
    );
    assert_eq!(
        read("labeled", r#"{"id": 2}"#, r#""label": {"name": "build"},"#),
        pull_request(PullRequestAction::Labelled("build".to_owned()), true)
    );
}

#[test]
fn reviews_are_read_as_what_the_host_has_to_be_asked_about() {
    // GitHub has the number in the pull request alone.
    let body = format!(
        r#"{{"action": "submitted", "review": {{"state": "approved"}}, "pull_request": {{"number": 7,
            "head": {{"ref": "x", "sha": "{B}", "repo": {{"id": 2}}}}, "base": {{"ref": "main", "sha": "{A}", "repo": {{"id": 1}}}}}}}}"#
    );
    let expected = pull_request(PullRequestAction::Reviewed, true);
    for (provider, event) in [
        (Provider::GitHub, "pull_request_review"),
        (Provider::Gitea, "pull_request_approved"),
        (Provider::Forgejo, "pull_request_rejected"),
    ] {
        assert_eq!(read(provider, event, &body), expected);
    }
}

#[test]
fn gitlabs_bodies_are_read() {
    let push = |total: u64| {
        let body = format!(
            r#"{{"object_kind": "push", "before": "{A}", "after": "{B}", "ref": "refs/heads/main", "checkout_sha": "{B}",
                "project": {{"id": 1}}, "total_commits_count": {total},
                "commits": [{{"id": "{B}", "added": ["a"], "modified": [], "removed": []}}]}}"#
        );
        read(Provider::GitLab, "Push Hook", &body)
    };
    assert_eq!(push(1), pushed("main", Some(B), paths(&["a"])));
    assert_eq!(push(25), pushed("main", Some(B), Change::Unknown));
    let merge_request = |source: u64, rest: &str, changes: &str| {
        let body = format!(
            r#"{{"object_kind": "merge_request", "object_attributes": {{"iid": 7, "target_branch": "main", {rest}
                "source_project_id": {source}, "target_project_id": 1, "last_commit": {{"id": "{B}"}}}}, "changes": {changes}}}"#
        );
        read(Provider::GitLab, "Merge Request Hook", &body)
    };
    assert_eq!(
        merge_request(1, r#""action": "open","#, "{}"),
        pull_request(PullRequestAction::Opened, false)
    );
    assert_eq!(
        merge_request(2, &format!(r#""action": "update", "oldrev": "{A}","#), "{}"),
        pull_request(PullRequestAction::Pushed, true)
    );
    let labels = r#"{"labels": {"previous": [{"title": "x"}], "current": [{"title": "x"}, {"title": "build"}]}}"#;
    assert_eq!(
        merge_request(2, r#""action": "update","#, labels),
        pull_request(PullRequestAction::Labelled("build".to_owned()), true)
    );
    let removed = r#"{"labels": {"previous": [{"title": "x"}], "current": []}}"#;
    assert_eq!(
        merge_request(2, r#""action": "update","#, removed),
        pull_request(PullRequestAction::Other, true)
    );
    assert_eq!(
        merge_request(1, r#""action": "merge","#, "{}"),
        pull_request(PullRequestAction::Closed, false)
    );
    assert_eq!(
        merge_request(1, "", "{}"),
        pull_request(PullRequestAction::Other, false)
    );
}

#[test]
fn bitbucket_clouds_bodies_are_read() {
    let body = format!(
        r#"{{"push": {{"changes": [
            {{"new": {{"type": "branch", "name": "main", "target": {{"hash": "{B}"}}}}, "old": null, "truncated": false}},
            {{"new": null, "old": {{"type": "branch", "name": "old", "target": {{"hash": "{A}"}}}}}},
            {{"new": {{"type": "tag", "name": "v1", "target": {{"hash": "{B}"}}}}, "old": null}}]}}}}"#
    );
    let push = |branch: &str, revision: Option<&str>| Push {
        branch: branch.to_owned(),
        revision: revision.map(str::to_owned),
        change: Change::Unknown,
    };
    assert_eq!(
        read(Provider::BitbucketCloud, "repo:push", &body),
        Event::Push(vec![push("main", Some(B)), push("old", None)])
    );
    let end = |uuid: &str, branch: &str, hash: &str| {
        format!(
            r#"{{"branch": {{"name": "{branch}"}}, "commit": {{"hash": "{hash}"}}, "repository": {{"uuid": "{uuid}"}}}}"#
        )
    };
    for (uuid, is_from_fork) in [("{1}", false), ("{2}", true)] {
        let body = format!(
            r#"{{"pullrequest": {{"id": 7, "source": {}, "destination": {}}}}}"#,
            end(uuid, "feature", B),
            end("{1}", "main", A)
        );
        assert_eq!(
            read(Provider::BitbucketCloud, "pullrequest:created", &body),
            pull_request(PullRequestAction::Opened, is_from_fork)
        );
    }
}

#[test]
fn bitbucket_servers_bodies_are_read() {
    let body = format!(
        r#"{{"eventKey": "repo:refs_changed", "changes": [
            {{"ref": {{"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"}}, "refId": "refs/heads/main",
              "fromHash": "{A}", "toHash": "{B}", "type": "UPDATE"}},
            {{"refId": "refs/tags/v1", "fromHash": "{NONE}", "toHash": "{B}", "type": "ADD"}}]}}"#
    );
    let expected = pushed("main", Some(B), Change::Unknown);
    assert_eq!(
        read(Provider::BitbucketServer, "repo:refs_changed", &body),
        expected
    );
    assert_eq!(
        read(
            Provider::BitbucketServer,
            "diagnostics:ping",
            r#"{"test": true}"#
        ),
        Event::Ping
    );
    let body = format!(
        r#"{{"pullRequest": {{"id": 7,
            "fromRef": {{"id": "refs/heads/feature", "latestCommit": "{B}", "repository": {{"id": 2}}}},
            "toRef": {{"id": "refs/heads/main", "latestCommit": "{A}", "repository": {{"id": 1}}}}}}}}"#
    );
    let found = read(Provider::BitbucketServer, "pr:from_ref_updated", &body);
    assert_eq!(found, pull_request(PullRequestAction::Pushed, true));
}

#[test]
fn a_request_without_the_name_of_its_event_is_refused() {
    let signature = format!("sha256={}", tag(HMAC_SHA256, SECRET, b"{}"));
    let refused = verify(
        Provider::GitHub,
        &[SECRET],
        &[("X-Hub-Signature-256", &signature)],
        "{}",
    );
    assert_eq!(refused, Err(WebhookError::MissingHeader("x-github-event")));
}

#[test]
fn names_of_providers_are_read_as_they_are_printed() {
    for provider in Provider::ALL {
        assert_eq!(provider.to_string().parse(), Ok(provider));
    }
    assert_eq!(
        "bitbuckit".parse::<Provider>().unwrap_err().to_string(),
        "expected one of github, gitlab, gitea, forgejo, bitbucket, bitbucket-server, generic, found 'bitbuckit'"
    );
}

proptest! {
    /// However a signed body or its tag is changed, it is refused.
    #[test]
    fn a_changed_request_is_refused(body in ".{1,80}", at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut changed = body.clone().into_bytes();
        let index = at.index(changed.len());
        changed[index] ^= 1 << bit;
        for provider in Provider::ALL {
            if provider == Provider::GitLab {
                continue;
            }
            let hook = Hook { provider, secrets: &[SECRET] };
            let headers = signed(provider, "other", &body);
            prop_assert_eq!(hook.read(&headers, &changed, NOW), Err(SignatureError::Wrong.into()));
        }
    }

    /// No body makes it panic, signed or not.
    #[test]
    fn no_body_stops_it(body in "[\\[\\]{}\":,a-z0-9 ]{0,60}", event in "(push|pull_request|Push Hook|repo:push|pr:opened)") {
        for provider in Provider::ALL {
            let hook = Hook { provider, secrets: &[SECRET] };
            let _ = hook.read(&signed(provider, &event, &body), body.as_bytes(), NOW);
        }
        let id = BASE64.encode(body.as_bytes());
        let odd = headers(&[("webhook-id", &id), ("webhook-timestamp", &event), ("webhook-signature", &id)]);
        let hook = Hook { provider: Provider::GitLab, secrets: &[SECRET] };
        prop_assert!(hook.read(&odd, body.as_bytes(), NOW).is_err());
    }
}
