//! Git servers that keep a fetch waiting.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix_flake::{Attrs, FlakeError, Input, UseRegistries};

use support::World;

#[test]
fn a_git_server_that_does_not_answer_is_given_up() {
    // The first call of the process counts.
    niphas_git::limit_time(niphas_git::TimeLimits {
        connect: Duration::from_secs(1),
        silence: Duration::from_secs(1),
    });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // The kernel takes the connections; nothing reads from them.
    let url = format!("http://u:marker@127.0.0.1:{port}/r.git");
    let world = World::new();
    let fetcher = world.fetcher();
    let mut attrs = Attrs::new();
    attrs.set("type", "git");
    attrs.set("url", url);
    attrs.set("rev", "a".repeat(40));
    attrs.set("ref", "main");
    let input = Input::from_attrs(attrs).expect("an input");
    let start = Instant::now();
    let error = fetcher
        .fetch(&input, UseRegistries::No)
        .expect_err("an error");
    assert!(start.elapsed() < Duration::from_secs(20));
    let FlakeError::Fetching { source, .. } = &error else {
        panic!("{error:?}");
    };
    let FlakeError::Git { action, source } = &**source else {
        panic!("{source:?}");
    };
    assert_eq!(
        action.as_str(),
        format!("fetching Git repository 'http://127.0.0.1:{port}/r.git'")
    );
    assert_eq!(
        source.message(),
        "no connection within 1 s, or the server sent nothing for 1 s"
    );
    assert!(!format!("{error} {error:?}").contains("marker"));
}
