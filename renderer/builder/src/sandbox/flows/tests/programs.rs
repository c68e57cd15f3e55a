//! Programs that builders use.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::thread;

use super::builder::supervised;

/// Serves `pages` requests of HTTP, and gives its port.
fn serve(pages: usize) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        for _ in 0..pages {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let page = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            stream.write_all(page).unwrap();
        }
    });
    (port, server)
}

/// The commands of `all` whose programs are on this machine.
fn those_that_are_here(all: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let is_here = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).exists())
    };
    all.into_iter()
        .filter(|command| is_here(&command[0]))
        .collect()
}

fn run(command: &[String]) -> Output {
    Command::new(&command[0])
        .args(&command[1..])
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap()
}

fn commands(port: u16) -> Vec<Vec<String>> {
    let python = format!(
        "import asyncio, socket, urllib.request as u
print(u.urlopen('http://127.0.0.1:{port}/').read().decode(), end='')
async def get():
    reader, writer = await asyncio.open_connection('127.0.0.1', {port})
    writer.writelines([b'GET / HTTP/1.0\\r\\n', b'\\r\\n'])
    assert (await reader.read()).endswith(b'hello')
asyncio.run(get())"
    );
    let url = format!("http://127.0.0.1:{port}/");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    those_that_are_here(vec![
        words(&["curl", "--silent", "--fail", "--noproxy", "*", &url]),
        words(&[
            "curl",
            "--silent",
            "--fail",
            "--noproxy",
            "*",
            "--connect-timeout",
            "5",
            &url,
        ]),
        words(&["wget", "-q", "-O", "-", "--tries=1", &url]),
        words(&["wget", "-q", "-O", "-", "--tries=1", "--timeout=5", &url]),
        words(&["busybox", "wget", "-q", "-O", "-", &url]),
        words(&["python3", "-c", &python]),
    ])
}

#[test]
fn programs_that_fetch_do_as_the_policy_allows() {
    let (port, server) = serve(7);
    let all = commands(port);
    assert!(!all.is_empty());
    supervised("deny metadata; allow any", || {
        for command in &all {
            let output = run(command);
            assert!(output.status.success(), "{command:?}: {output:?}");
            assert_eq!(output.stdout, b"hello", "{command:?}");
        }
    });
    let ((), denied) = supervised(&format!("deny any port {port}; allow any"), || {
        for command in &all {
            let output = run(command);
            assert!(!output.status.success(), "{command:?}: {output:?}");
            assert_eq!(output.status.signal(), None, "{command:?}: {output:?}");
        }
    });
    assert_eq!(denied.len(), 1);
    // It serves what is left.
    while !server.is_finished() {
        drop(
            std::net::TcpStream::connect(("127.0.0.1", port))
                .and_then(|mut stream| stream.write_all(b"x")),
        );
        thread::sleep(std::time::Duration::from_millis(1));
    }
    server.join().unwrap();
}
