//! Unix sockets.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use libc::{AF_UNIX, ECONNREFUSED, ENOENT, EPERM, SCM_RIGHTS, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET};

use super::builder::{Message, connect, send_message, send_to, socket, supervised};

#[test]
fn sockets_in_the_file_system_are_found_from_the_builders_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("socket", &link).unwrap();
    supervised("deny any", || {
        for path in [&path, &link] {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(b"x").unwrap();
            drop(stream);
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
        }
        let missing = UnixStream::connect(folder.path().join("missing"));
        assert_eq!(missing.unwrap_err().raw_os_error(), Some(ENOENT));
        // Relative to the working folder: that of the package.
        let relative = connect(&socket(AF_UNIX, SOCK_STREAM, 0), b"\x01\0Cargo.toml");
        assert_eq!(relative, Err(ECONNREFUSED));
    });
}

#[test]
fn datagrams_go_to_sockets_in_the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let receiver = UnixDatagram::bind(&path).unwrap();
    supervised("deny any", || {
        let sender = UnixDatagram::unbound().unwrap();
        assert_eq!(sender.send_to(b"one", &path).unwrap(), 3);
        sender.connect(&path).unwrap();
        assert_eq!(sender.send(b"two").unwrap(), 3);
    });
    let mut buffer = [0; 8];
    for expected in [b"one", b"two"] {
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], expected);
    }
}

#[test]
fn abstract_sockets_are_refused() {
    let name = format!("\x01\0\0niphas-test-{}", std::process::id());
    supervised("allow any port 0-65535", || {
        let stream = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_eq!(connect(&stream, name.as_bytes()), Err(EPERM));
        let datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
        assert_eq!(send_to(&datagram, b"x", 0, name.as_bytes()), Err(EPERM));
    });
}

#[test]
fn files_are_passed_on() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (passed, mut other) = UnixStream::pair().unwrap();
    supervised("deny any", || {
        let control = [
            20,
            (SCM_RIGHTS as u64) << 32 | SOL_SOCKET as u64,
            passed.as_raw_fd() as u64,
        ];
        let message = Message {
            data: b"x",
            address: &[],
            control: &control,
        };
        assert_eq!(send_message(&OwnedFd::from(theirs), &message, 0), Ok(1));
        // SCM_CREDENTIALS would be those of the supervisor.
        let control = [28, 2 << 32 | SOL_SOCKET as u64, 0, 0];
        let message = Message {
            control: &control,
            ..message
        };
        let (_, theirs) = UnixStream::pair().unwrap();
        assert_eq!(
            send_message(&OwnedFd::from(theirs), &message, 0),
            Err(EPERM)
        );
    });
    drop(passed);
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 1];
    rustix::net::recvmsg(
        &ours,
        &mut [rustix::io::IoSliceMut::new(&mut data)],
        &mut control,
        rustix::net::RecvFlags::empty(),
    )
    .unwrap();
    let received = control.drain().find_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    UnixStream::from(received.unwrap()).write_all(b"y").unwrap();
    let mut text = String::new();
    other.read_to_string(&mut text).unwrap();
    assert_eq!(text, "y");
}
