//! Ways around a policy: each is tried, and none leads there.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use libc::{
    AF_INET, AF_INET6, EACCES, EAFNOSUPPORT, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
    MSG_FASTOPEN, SOCK_DGRAM, SOCK_STREAM, SOL_IP, SOL_IPV6,
};

use super::builder::{
    Message, bytes_of, connect, outcome, send_message, send_to, send_two, set_option, socket,
    supervised,
};

/// A receiver that must not be reached, and one that may be; on loopback, without waiting.
struct Receivers {
    denied: UdpSocket,
    allowed: UdpSocket,
}

impl Receivers {
    fn new() -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        Self {
            denied: bind(),
            allowed: bind(),
        }
    }

    fn policy(&self) -> String {
        format!("deny any port {}; allow any", port(&self.denied))
    }

    fn assert_kept(&self) {
        assert!(self.denied.recv(&mut [0; 8]).is_err());
    }
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

fn address(socket: &UdpSocket) -> Vec<u8> {
    bytes_of(&socket.local_addr().unwrap().to_string())
}

#[test]
fn every_call_and_every_form_of_an_address_is_denied() {
    let receivers = Receivers::new();
    let port = port(&receivers.denied);
    let ((), denied) = supervised(&receivers.policy(), || {
        let v4 = socket(AF_INET, SOCK_DGRAM, 0);
        let v6 = socket(AF_INET6, SOCK_DGRAM, 0);
        let mut without_family = bytes_of(&format!("127.0.0.1:{port}"));
        without_family[0] = 0;
        for (socket, address) in [
            (&v4, bytes_of(&format!("127.0.0.1:{port}"))),
            (&v4, bytes_of(&format!("0.0.0.0:{port}"))),
            (&v4, bytes_of(&format!("255.255.255.255:{port}"))),
            (&v4, without_family),
            (&v6, bytes_of(&format!("127.0.0.1:{port}"))),
            (&v6, bytes_of(&format!("[::1]:{port}"))),
            (&v6, bytes_of(&format!("[::]:{port}"))),
            (&v6, bytes_of(&format!("[::ffff:127.0.0.1]:{port}"))),
        ] {
            let message = Message {
                data: b"x",
                address: &address,
                control: &[],
            };
            assert_eq!(send_to(socket, b"x", 0, &address), Err(EACCES));
            assert_eq!(send_message(socket, &message, 0), Err(EACCES));
            assert_eq!(send_two(socket, [&message, &message]).0, Err(EACCES));
            if address[0] != 0 {
                assert_eq!(connect(socket, &address), Err(EACCES));
            }
        }
    });
    assert_eq!(denied.len(), 6);
    receivers.assert_kept();
}

#[test]
fn the_second_message_of_a_list_is_looked_at_too() {
    let receivers = Receivers::new();
    supervised(&receivers.policy(), || {
        let sender = socket(AF_INET, SOCK_DGRAM, 0);
        let [allowed, denied] = [&receivers.allowed, &receivers.denied].map(address);
        let to = |address| Message {
            data: b"x",
            address,
            control: &[],
        };
        let sent = send_two(&sender, [&to(&allowed), &to(&denied)]);
        assert_eq!(sent, (Ok(1), [1, 0]));
    });
    receivers.assert_kept();
    assert_eq!(receivers.allowed.recv(&mut [0; 8]).unwrap(), 1);
}

/// An address in memory that another thread changes all the time.
struct Flickering(Box<[std::sync::atomic::AtomicU8]>);

impl Flickering {
    fn pointer(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }

    /// Runs `attack` while the address is the one and the other in turn.
    fn during(addresses: &[Vec<u8>; 2], attack: impl FnOnce(&Self)) {
        let bytes = addresses[0].iter().map(|byte| (*byte).into()).collect();
        let (flickering, is_over) = (Self(bytes), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for address in addresses {
                        for (place, byte) in flickering.0.iter().zip(address) {
                            place.store(*byte, Ordering::Relaxed);
                        }
                    }
                }
            });
            attack(&flickering);
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn an_address_that_changes_while_it_is_looked_at_leads_nowhere_else() {
    let receivers = Receivers::new();
    let addresses = [&receivers.allowed, &receivers.denied].map(address);
    supervised(&receivers.policy(), || {
        let sender = socket(AF_INET, SOCK_DGRAM, 0);
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        Flickering::during(&addresses, |flickering| {
            let (mut sent, mut refused) = (0, 0);
            for _ in 0..3000 {
                // SAFETY: the data and the address are as long as told.
                let results = unsafe {
                    let pointer = flickering.pointer().cast();
                    [
                        libc::sendto(sender.as_raw_fd(), b"x".as_ptr().cast(), 1, 0, pointer, 16)
                            as i64,
                        libc::connect(connected.as_raw_fd(), pointer, 16).into(),
                    ]
                };
                match results[0] {
                    -1 => refused += 1,
                    _ => sent += 1,
                }
                if let Ok(peer) = connected.peer_addr() {
                    assert_ne!(peer.port(), port(&receivers.denied));
                }
                while receivers.allowed.recv(&mut [0; 8]).is_ok() {}
            }
            assert!(sent > 0 && refused > 0, "{sent} {refused}");
        });
    });
    receivers.assert_kept();
}

#[test]
fn a_socket_that_is_replaced_while_it_is_looked_at_leads_nowhere_else() {
    let receivers = Receivers::new();
    let denied = address(&receivers.denied);
    supervised(&receivers.policy(), || {
        let unix = OwnedFd::from(std::os::unix::net::UnixDatagram::unbound().unwrap());
        let udp = socket(AF_INET, SOCK_DGRAM, 0);
        let used = unix.try_clone().unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for socket in [&unix, &udp] {
                        // SAFETY: both descriptors stay open.
                        unsafe { libc::dup2(socket.as_raw_fd(), used.as_raw_fd()) };
                    }
                }
            });
            for _ in 0..3000 {
                let error = send_to(&used, b"x", 0, &denied).unwrap_err();
                assert!(
                    [EACCES, EAFNOSUPPORT, libc::EINVAL].contains(&error),
                    "{error}"
                );
            }
            is_over.store(true, Ordering::Relaxed);
        });
    });
    receivers.assert_kept();
}

#[test]
fn connecting_by_sending_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bytes = bytes_of(&address.to_string());
    supervised(
        &format!("deny any port {}; allow any", address.port()),
        || {
            let stream = || socket(AF_INET, SOCK_STREAM, 0);
            let message = Message {
                data: b"x",
                address: &bytes,
                control: &[],
            };
            assert_eq!(
                send_to(&stream(), b"x", MSG_FASTOPEN, &bytes),
                Err(EOPNOTSUPP)
            );
            assert_eq!(
                send_message(&stream(), &message, MSG_FASTOPEN),
                Err(EOPNOTSUPP)
            );
            assert!(send_to(&stream(), b"x", MSG_FASTOPEN | libc::MSG_NOSIGNAL, &[]).is_err());
            // The address is kept until the first byte is sent: but it is denied when it is named.
            let late = stream();
            set_option(
                &late,
                libc::IPPROTO_TCP,
                libc::TCP_FASTOPEN_CONNECT,
                &1_i32.to_ne_bytes(),
            )
            .unwrap();
            assert_eq!(connect(&late, &bytes), Err(EACCES));
        },
    );
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn other_kinds_of_sockets_are_not_there() {
    supervised("allow any port 0-65535", || {
        let open = |family, kind, protocol| {
            // SAFETY: the call takes numbers. What it opens is not used.
            outcome(unsafe { libc::socket(family, kind, protocol) }.into())
        };
        assert_eq!(open(libc::AF_VSOCK, SOCK_STREAM, 0), Err(EAFNOSUPPORT));
        assert_eq!(open(libc::AF_PACKET, SOCK_DGRAM, 0), Err(EAFNOSUPPORT));
        assert_eq!(open(AF_INET, libc::SOCK_RAW, 255), Err(EPERM));
        assert_eq!(open(AF_INET, SOCK_STREAM, 262), Err(EPROTONOSUPPORT));
        assert_eq!(open(AF_INET, SOCK_STREAM, 132), Err(EPROTONOSUPPORT));
        let mut parameters = [0_u8; 120];
        // SAFETY: the structure is as large as the call takes it to be, and zero.
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
        assert_eq!(outcome(ring), Err(ENOSYS));
    });
}

#[test]
fn source_routes_are_refused() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = address(&receiver);
    supervised("deny metadata; allow any", || {
        let v4 = socket(AF_INET, SOCK_DGRAM, 0);
        let v6 = socket(AF_INET6, SOCK_DGRAM, 0);
        // LSRR by 169.254.169.254.
        let route = [131, 7, 4, 169, 254, 169, 254, 0];
        assert_eq!(set_option(&v4, SOL_IP, 4, &route), Err(EPERM));
        for name in [57, 5, 6, 32] {
            assert_eq!(set_option(&v6, SOL_IPV6, name, &[0; 24]), Err(EPERM));
        }
        // IP_RETOPTS
        let control = [24, 7 << 32, u64::from_ne_bytes(route)];
        let message = Message {
            data: b"x",
            address: &address,
            control: &control,
        };
        assert_eq!(send_message(&v4, &message, 0), Err(EPERM));
    });
}

#[cfg(target_arch = "x86_64")]
mod narrow {
    use super::super::builder::narrow::{Memory, call, is_there, socketcall};
    use super::{
        AF_INET, AsRawFd, EACCES, ENOSYS, EPERM, EPROTONOSUPPORT, Receivers, SOCK_DGRAM, SOL_IP,
        address, socket, supervised,
    };

    const SOCKET: u32 = 1;
    const CONNECT: u32 = 3;
    const SEND_TO: u32 = 11;
    const SET_OPTION: u32 = 14;
    const SEND_MESSAGE: u32 = 16;
    const SEND_MESSAGES: u32 = 20;

    #[test]
    fn calls_of_32_bits_are_made_as_the_policy_allows() {
        let receivers = Receivers::new();
        supervised(&receivers.policy(), || {
            if !is_there() {
                return;
            }
            let memory = &mut Memory::new();
            let opened = socketcall(memory, SOCKET, &[AF_INET as u32, SOCK_DGRAM as u32, 0]);
            assert!(opened > 0, "{opened}");
            let stream = [AF_INET as u32, 1, 132];
            assert_eq!(socketcall(memory, SOCKET, &stream), -EPROTONOSUPPORT);
            let socket = opened as u32;
            let data = memory.put(b"x");
            let place = memory.put_words(&[data, 1]);
            for (receiver, expected, sent) in [
                (&receivers.denied, [-EACCES; 5], 0),
                (&receivers.allowed, [1, 1, 1, 1, 0], 4),
            ] {
                let address = memory.put(&address(receiver));
                let header = [address, 16, place, 1, 0, 0, 0];
                let message = memory.put_words(&header);
                let list = memory.put_words(&[&header[..], &[0]].concat());
                let found = [
                    socketcall(memory, SEND_TO, &[socket, data, 1, 0, address, 16]),
                    socketcall(memory, SEND_MESSAGE, &[socket, message, 0]),
                    socketcall(memory, SEND_MESSAGES, &[socket, list, 1, 0]),
                    call(370, [socket, message, 0, 0]),
                    socketcall(memory, CONNECT, &[socket, address, 16]),
                ];
                assert_eq!(found, expected);
                assert_eq!(call(362, [socket, address, 16, 0]), expected[4]);
                let got = (0..9).filter(|_| receiver.recv(&mut [0; 8]).is_ok());
                assert_eq!(got.count(), sent);
            }
        });
        receivers.assert_kept();
    }

    #[test]
    fn options_are_set_and_those_that_route_packets_elsewhere_are_not() {
        supervised("deny metadata; allow any", || {
            if !is_there() {
                return;
            }
            let memory = &mut Memory::new();
            let socket = socket(AF_INET, SOCK_DGRAM, 0);
            let number = socket.as_raw_fd() as u32;
            let route = memory.put(&[131, 7, 4, 169, 254, 169, 254, 0]);
            let args = [number, SOL_IP as u32, 4, route, 8];
            assert_eq!(socketcall(memory, SET_OPTION, &args), -EPERM);
            // SO_ATTACH_FILTER
            let args = [number, 1, 26, route, 8];
            assert_eq!(socketcall(memory, SET_OPTION, &args), -EPERM);
            // SO_RCVTIMEO of 1.5 seconds
            let time = memory.put_words(&[1, 500_000]);
            let args = [number, 1, 20, time, 8];
            assert_eq!(socketcall(memory, SET_OPTION, &args), 0);
            let timeout = std::net::UdpSocket::from(socket).read_timeout().unwrap();
            assert_eq!(timeout, Some(std::time::Duration::from_millis(1500)));
            assert_eq!(call(425, [1, time, 0, 0]), -ENOSYS);
        });
    }
}

#[test]
fn memory_that_is_not_there_and_lengths_without_sense_do_no_harm() {
    supervised("deny metadata; allow any", || {
        let socket = socket(AF_INET, SOCK_DGRAM, 0);
        let number = socket.as_raw_fd();
        // SAFETY: the kernel, and the supervisor, find that there is no such memory.
        unsafe {
            let nowhere = 16 as *const u8;
            let length = u32::MAX;
            let results = [
                libc::syscall(libc::SYS_connect, number, nowhere, 16),
                libc::syscall(libc::SYS_connect, number, nowhere, length),
                libc::syscall(
                    libc::SYS_sendto,
                    number,
                    nowhere,
                    1_u64 << 40,
                    0,
                    nowhere,
                    16,
                ),
                libc::syscall(libc::SYS_sendmsg, number, nowhere, 0),
                libc::syscall(libc::SYS_sendmsg, number, usize::MAX, 0),
                libc::syscall(libc::SYS_sendmmsg, number, nowhere, length, 0),
                libc::syscall(libc::SYS_sendmmsg, number, usize::MAX - 7, 1024, 0),
            ];
            for result in results {
                assert!([libc::EFAULT, libc::EINVAL].contains(&outcome(result).unwrap_err()));
            }
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = nowhere.cast_mut().cast();
            header.msg_iovlen = 1025;
            let result = libc::syscall(libc::SYS_sendmsg, number, &raw const header, 0);
            assert_eq!(outcome(result), Err(libc::EMSGSIZE));
            let pieces = [libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: usize::MAX,
            }; 2];
            header.msg_iov = pieces.as_ptr().cast_mut();
            header.msg_iovlen = 2;
            let result = libc::syscall(libc::SYS_sendmsg, number, &raw const header, 0);
            assert_eq!(outcome(result), Err(libc::EMSGSIZE));
            header.msg_iovlen = 0;
            header.msg_control = pieces.as_ptr().cast_mut().cast();
            header.msg_controllen = 1 << 30;
            let result = libc::syscall(libc::SYS_sendmsg, number, &raw const header, 0);
            assert_eq!(outcome(result), Err(libc::ENOBUFS));
            header.msg_controllen = 24;
            let result = libc::syscall(libc::SYS_sendmsg, number, &raw const header, 0);
            assert_eq!(outcome(result), Err(libc::EINVAL));
        }
        // All goes on.
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(send_to(&socket, b"x", 0, &address(&receiver)), Ok(1));
    });
}

#[test]
fn many_threads_and_processes_that_end_in_the_middle_do_no_harm() {
    let receivers = Receivers::new();
    let denied = address(&receivers.denied);
    let port = port(&receivers.denied);
    supervised(&receivers.policy(), || {
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let socket = socket(AF_INET, SOCK_DGRAM, 0);
                    for _ in 0..100 {
                        assert_eq!(send_to(&socket, b"x", 0, &denied), Err(EACCES));
                    }
                });
            }
            scope.spawn(|| {
                for round in 0..20 {
                    let storm = format!(
                        "for i in 1 2 3 4 5 6 7 8; do while :; do echo x > /dev/udp/127.0.0.1/{port}; done & done; \
                         sleep 0.0{round}; kill -9 $(jobs -p)"
                    );
                    let output = Command::new("bash").arg("-c").arg(storm).output().unwrap();
                    assert!(output.status.success());
                }
            });
        });
        TcpStream::connect("127.0.0.1:1").unwrap_err();
    });
    receivers.assert_kept();
}
