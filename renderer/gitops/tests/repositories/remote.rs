//! Repositories on a server: `git http-backend` behind a small HTTP server. Needs `git`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use niphas_gitops::{Access, Error, GitOpsRepository, Location, Outcome, Token};

use crate::http::Server;
use crate::support::{
    TestRepository, assert_nothing_lost, committed, environment, explain, manifest_path, race,
    request,
};

fn serve(test: &TestRepository) -> Server {
    Server::start(test.folder.path(), None)
}

fn open(server: &Server, access: Access) -> Result<GitOpsRepository, Error> {
    GitOpsRepository::open(
        &Location::Remote(server.url("deploy")),
        Some("main"),
        access,
    )
}

#[test]
fn first_run_pushes_all_files_and_the_second_nothing() {
    let test = TestRepository::bare();
    let server = serve(&test);
    let request = request(&[environment("production", &[("web", "a")])]);
    let commit = committed(
        &open(&server, Access::default())
            .unwrap()
            .commit(&request)
            .unwrap(),
    );
    assert_eq!(test.tip(), Some(commit));
    assert!(test.read(&manifest_path("production", "web")).is_some());
    assert_eq!(test.linear_history(), 2);
    let outcome = open(&server, Access::default())
        .unwrap()
        .commit(&request)
        .unwrap();
    assert_eq!(
        outcome,
        Outcome::Unchanged {
            tip: Some(commit),
            gone: Vec::new()
        }
    );
}

#[test]
fn one_connection_after_the_other_sees_what_others_pushed() {
    let test = TestRepository::bare();
    let server = serve(&test);
    let repository = open(&server, Access::default()).unwrap();
    for word in ["a", "b", "c"] {
        test.commit("by hand", &[("README", Some(word))]);
        committed(
            &repository
                .commit(&request(&[environment("x", &[("web", word)])]))
                .unwrap(),
        );
    }
    assert_eq!(test.linear_history(), 7);
    assert_eq!(test.read("README").as_deref(), Some("c"));
}

#[test]
fn first_push_to_an_empty_repository_makes_its_branch() {
    let test = TestRepository::empty();
    let server = serve(&test);
    let repository = open(&server, Access::default()).unwrap();
    committed(
        &repository
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    assert_eq!(test.linear_history(), 1);
}

#[test]
fn branch_is_the_server_s_default_unless_named() {
    let test = TestRepository::bare();
    let location = Location::Remote(serve(&test).url("deploy"));
    let repository = GitOpsRepository::open(&location, None, Access::default()).unwrap();
    assert_eq!(repository.branch(), "main");
    let repository =
        GitOpsRepository::open(&location, Some("production"), Access::default()).unwrap();
    let wanted = request(&[environment("production", &[("web", "a")])]);
    insta::assert_snapshot!(explain(&repository.commit(&wanted).unwrap_err()), @r#"
    the repository has no branch 'production'; it has: main
      hint: create the branch first, or name another
    "#);
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let test = TestRepository::bare();
    let server = serve(&test);
    race(50, &|| open(&server, Access::default()).unwrap());
    assert_nothing_lost(&test, 50);
}

#[test]
fn refused_push_is_reported_and_writes_nothing() {
    let test = TestRepository::bare();
    let hook = test.path().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let tip = test.tip();
    let server = serve(&test);
    let repository = open(&server, Access::default()).unwrap();
    let wanted = request(&[environment("production", &[("web", "a")])]);
    insta::assert_snapshot!(explain(&repository.commit(&wanted).unwrap_err()), @r#"
    the repository refused the push to 'main': pre-receive hook declined
      hint: the branch may be protected: let niphas push to it, or render to a branch of its own and merge that
    "#);
    assert_eq!(test.tip(), tip);
}

#[test]
fn token_is_read_when_the_server_asks_for_it() {
    let test = TestRepository::bare();
    // The user "git" and the token "s3cret-token".
    let server = Server::start(test.folder.path(), Some("Basic Z2l0OnMzY3JldC10b2tlbg=="));
    let wanted = request(&[environment("production", &[("web", "a")])]);
    let file = test.folder.path().join("token");
    fs::write(&file, "s3cret-token\n").unwrap();
    let access = Access {
        login: None,
        token: Some(Token::File(file.clone())),
        ssh_key: None,
    };
    committed(
        &open(&server, access.clone())
            .unwrap()
            .commit(&wanted)
            .unwrap(),
    );
    fs::write(&file, "wrong-token\n").unwrap();
    let denied = open(&server, access.clone())
        .unwrap()
        .commit(&wanted)
        .unwrap_err();
    fs::remove_file(&file).unwrap();
    let missing = open(&server, access).unwrap().commit(&wanted).unwrap_err();
    let text = format!("{}\n{}", explain(&denied), explain(&missing))
        .replace(&server.address.to_string(), "SERVER")
        .replace(test.folder.path().to_str().unwrap(), "FOLDER");
    assert!(!text.contains("wrong-token"), "{text}");
    insta::assert_snapshot!(text, @r#"
    the server of 'http://SERVER/deploy' did not accept the credentials
      hint: check that the token or key may write to this repository
    cannot read the token file 'FOLDER/token'
      because No such file or directory (os error 2)
    "#);
}

#[test]
fn servers_that_cannot_be_reached_are_explained() {
    let test = TestRepository::bare();
    let server = serve(&test);
    let wanted = request(&[environment("production", &[("web", "a")])]);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let mut texts = Vec::new();
    for url in [server.url("none"), format!("http://{closed}/deploy")] {
        let location = Location::Remote(url);
        let repository =
            GitOpsRepository::open(&location, Some("main"), Access::default()).unwrap();
        texts.push(explain(&repository.commit(&wanted).unwrap_err()));
    }
    let text = texts.join("\n");
    let text = text
        .replace(&server.address.to_string(), "SERVER")
        .replace(&closed, "CLOSED");
    insta::assert_snapshot!(text, @r#"
    cannot reach the repository 'http://SERVER/none'
      because unexpected http status code: 404
      hint: check the address; servers also say so of repositories that one may not see
    cannot reach the repository 'http://CLOSED/deploy'
      because failed to connect to 127.0.0.1: Connection refused
    "#);
}
