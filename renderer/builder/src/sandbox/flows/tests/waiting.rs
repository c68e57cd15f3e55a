//! Calls that wait.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use libc::{AF_INET, EINPROGRESS, EINTR, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET};

use super::builder::{bytes_of, connect, set_option, socket, supervised};

/// A socket to which connections are not made: it takes no more.
struct Full {
    listener: OwnedFd,
    address: SocketAddr,
    _queued: Vec<TcpStream>,
}

impl Full {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = OwnedFd::from(listener);
        // SAFETY: the call takes numbers. It makes the queue shorter.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let mut queued = Vec::new();
        let timeout = Duration::from_millis(200);
        while let Ok(stream) = TcpStream::connect_timeout(&address, timeout) {
            queued.push(stream);
        }
        Self {
            listener,
            address,
            _queued: queued,
        }
    }

    fn make_room(&self) {
        let listener = TcpListener::from(self.listener.try_clone().unwrap());
        while listener.accept().is_ok() {
            listener.set_nonblocking(true).unwrap();
        }
    }
}

#[test]
fn a_connection_that_is_waited_for_holds_up_no_other_call() {
    let full = Full::new();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = receiver.local_addr().unwrap();
    supervised("deny metadata; allow any", || {
        thread::scope(|scope| {
            let waiting = scope.spawn(|| TcpStream::connect(full.address));
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..200 {
                sender.send_to(b"x", target).unwrap();
            }
            thread::sleep(Duration::from_millis(300));
            sender.send_to(b"x", target).unwrap();
            assert!(!waiting.is_finished());
            full.make_room();
            waiting.join().unwrap().unwrap();
        });
    });
}

#[test]
fn a_timeout_of_the_socket_holds() {
    let full = Full::new();
    let address = bytes_of(&full.address.to_string());
    supervised("deny metadata; allow any", || {
        let socket = socket(AF_INET, SOCK_STREAM, 0);
        let timeout = [0_u64.to_ne_bytes(), 300_000_u64.to_ne_bytes()].concat();
        set_option(&socket, SOL_SOCKET, SO_SNDTIMEO, &timeout).unwrap();
        let begun = Instant::now();
        assert_eq!(connect(&socket, &address), Err(EINPROGRESS));
        let elapsed = begun.elapsed();
        assert!((250..2000).contains(&elapsed.as_millis()), "{elapsed:?}");
    });
}

extern "C" fn nothing(_: libc::c_int) {}

#[test]
fn a_signal_ends_the_wait() {
    let full = Full::new();
    let address = bytes_of(&full.address.to_string());
    // SAFETY: the handler does nothing; the structure may be zero, which is without SA_RESTART.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut());
    }
    supervised("deny metadata; allow any", || {
        let socket = socket(AF_INET, SOCK_STREAM, 0);
        // SAFETY: the calls take numbers.
        let thread = unsafe { libc::gettid() };
        let signal = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR2) };
        });
        let begun = Instant::now();
        assert_eq!(connect(&socket, &address), Err(EINTR));
        assert!(begun.elapsed() < Duration::from_secs(5));
        signal.join().unwrap();
        // The connection goes on, and can be waited for again.
        let waiting = thread::spawn(move || connect(&socket, &address));
        full.make_room();
        let connected = waiting.join().unwrap();
        assert!(
            [Ok(0), Err(libc::EISCONN)].contains(&connected),
            "{connected:?}"
        );
    });
}

#[test]
fn more_calls_than_can_wait_fail_and_the_others_go_on() {
    let full = Full::new();
    let address = bytes_of(&full.address.to_string());
    let timeout = [2_u64.to_ne_bytes(), 0_u64.to_ne_bytes()].concat();
    supervised("deny metadata; allow any", || {
        let waiting = thread::scope(|scope| {
            let wait = || {
                let socket = socket(AF_INET, SOCK_STREAM, 0);
                set_option(&socket, SOL_SOCKET, SO_SNDTIMEO, &timeout).unwrap();
                connect(&socket, &address)
            };
            let threads: Vec<_> = (0..300).map(|_| scope.spawn(wait)).collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results.collect::<Vec<_>>()
        });
        let failed = |with: i32| {
            waiting
                .iter()
                .filter(|result| **result == Err(with))
                .count()
        };
        assert_eq!((failed(EINPROGRESS), failed(libc::ENOBUFS)), (256, 44));
    });
}
