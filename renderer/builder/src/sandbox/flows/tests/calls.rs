//! What builders can do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use libc::{
    AF_INET, AF_INET6, EACCES, EINPROGRESS, EPIPE, MSG_NOSIGNAL, SOCK_DGRAM, SOCK_NONBLOCK,
    SOCK_STREAM,
};

use super::builder::{
    Message, bytes_of, connect, send_message, send_to, send_two, socket, supervised,
};

/// A socket on loopback, and a policy that denies its port alone.
fn receiver() -> (UdpSocket, String) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    (receiver, address)
}

fn received(receiver: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65536];
    let length = receiver.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn connections_are_made_as_the_policy_allows() {
    let allowed = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = refused.local_addr().unwrap();
    let policy = format!("deny any port {}; allow any", address.port());
    let ((), denied) = supervised(&policy, || {
        let mut stream = TcpStream::connect(allowed.local_addr().unwrap()).unwrap();
        stream.write_all(b"hello").unwrap();
        drop(stream);
        let (mut stream, _) = allowed.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        for _ in 0..3 {
            let error = TcpStream::connect(address).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(EACCES));
        }
    });
    assert_eq!(denied, [address]);
    refused.set_nonblocking(true).unwrap();
    assert!(refused.accept().is_err());
}

#[test]
fn connecting_without_waiting_goes_on_in_the_background() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = bytes_of(&listener.local_addr().unwrap().to_string());
    supervised("allow any port 0-65535", || {
        let socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        match connect(&socket, &address) {
            Ok(0) | Err(EINPROGRESS) => {}
            other => panic!("{other:?}"),
        }
        listener.accept().unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(false).unwrap();
        stream.write_all(b"x").unwrap();
    });
}

#[test]
fn a_refused_connection_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    supervised("deny metadata; allow any", || {
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn datagrams_are_sent_each_way() {
    let (receiver, address) = receiver();
    let bytes = bytes_of(&address);
    supervised("deny metadata; allow any", || {
        let sender = socket(AF_INET, SOCK_DGRAM, 0);
        assert_eq!(send_to(&sender, b"one", 0, &bytes), Ok(3));
        let large = vec![7; 60000];
        let message = |data| Message {
            data,
            address: &bytes,
            control: &[],
        };
        assert_eq!(send_message(&sender, &message(&large), 0), Ok(60000));
        let two = [&message(b"three"), &message(b"")];
        assert_eq!(send_two(&sender, two), (Ok(2), [5, 0]));
        assert_eq!(connect(&sender, &bytes), Ok(0));
        assert_eq!(send_to(&sender, b"four", 0, &[]), Ok(4));
        let unnamed = Message {
            data: b"five",
            address: &[],
            control: &[],
        };
        assert_eq!(send_message(&sender, &unnamed, 0), Ok(4));
        // Ends the connection: there is no address to send to.
        assert_eq!(connect(&sender, &[0; 16]), Ok(0));
        assert_eq!(send_to(&sender, b"six", 0, &[]), Err(libc::EDESTADDRREQ));
    });
    let large = vec![7; 60000];
    let expected: [&[u8]; 6] = [b"one", &large, b"three", b"", b"four", b"five"];
    for expected in expected {
        assert_eq!(received(&receiver), expected);
    }
}

#[test]
fn control_messages_for_the_network_are_kept() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = bytes_of(&receiver.local_addr().unwrap().to_string());
    // IP_TTL of 17, then UDP_SEGMENT of 2 bytes.
    let kind = |level: i32, kind: i32| (kind as u64) << 32 | level as u64;
    let control = [20, kind(0, 2), 17, 18, kind(17, 103), 2];
    supervised("deny metadata; allow any", || {
        let sender = socket(AF_INET, SOCK_DGRAM, 0);
        let message = Message {
            data: b"abcd",
            address: &address,
            control: &control,
        };
        assert_eq!(send_message(&sender, &message, 0), Ok(4));
    });
    assert_eq!(received(&receiver), b"ab");
    assert_eq!(received(&receiver), b"cd");
}

#[test]
fn a_message_larger_than_all_buffers_arrives_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let data: Vec<u8> = (0..20_000_000_u32).map(|index| (index / 7) as u8).collect();
    let reader = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        read
    });
    supervised("deny metadata; allow any", || {
        let stream = OwnedFd::from(TcpStream::connect(address).unwrap());
        let message = Message {
            data: &data,
            address: &[],
            control: &[],
        };
        assert_eq!(send_message(&stream, &message, 0), Ok(20_000_000));
    });
    assert!(reader.join().unwrap() == data);
}

#[test]
fn sending_into_a_closed_connection_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    supervised("deny metadata; allow any", || {
        let stream = TcpStream::connect(address).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let message = Message {
            data: b"x",
            address: &[],
            control: &[],
        };
        let stream = OwnedFd::from(stream);
        assert_eq!(send_message(&stream, &message, MSG_NOSIGNAL), Err(EPIPE));
    });
}

#[test]
fn errors_are_those_of_the_kernel() {
    supervised("deny metadata; allow any", || {
        let socket = socket(AF_INET6, SOCK_DGRAM, 0);
        let address = bytes_of("[::1]:9");
        assert_eq!(connect(&socket, &address[..10]), Err(libc::EINVAL));
        assert_eq!(connect(&socket, &[99, 0, 0, 0]), Err(libc::EAFNOSUPPORT));
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert_eq!(connect(&file, &address), Err(libc::ENOTSOCK));
        let number = socket.as_raw_fd();
        drop(socket);
        // SAFETY: the address is as long as told; the descriptor is closed.
        let result = unsafe { libc::connect(number + 500, address.as_ptr().cast(), 28) };
        assert_eq!(super::builder::outcome(result.into()), Err(libc::EBADF));
        // SAFETY: the kernel finds that there is no such memory.
        let result = unsafe { libc::connect(file.as_raw_fd(), 8 as *const _, 28) };
        assert_eq!(
            super::builder::outcome(result.into()).unwrap_err(),
            libc::ENOTSOCK
        );
    });
}

#[test]
fn addresses_of_the_machine_can_be_asked_for() {
    supervised("deny any", || {
        let mut list = std::ptr::null_mut();
        // SAFETY: the list is written, and freed.
        unsafe {
            assert_eq!(libc::getifaddrs(&raw mut list), 0);
            assert!(!list.is_null());
            libc::freeifaddrs(list);
        }
    });
}
