//! What supervision costs.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use super::builder::{Message, bytes_of, send_message, supervised};

fn each(count: u32, mut run: impl FnMut()) -> Duration {
    let begun = Instant::now();
    for _ in 0..count {
        run();
    }
    begun.elapsed() / count
}

fn measure() -> Vec<(&'static str, Duration)> {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = receiver.local_addr().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bytes = bytes_of(&target.to_string());
    let mut results = vec![
        (
            "sendto of 100 bytes",
            each(20_000, || {
                assert_eq!(sender.send_to(&[0; 100], target).unwrap(), 100);
            }),
        ),
        (
            "connect of TCP, accept and close",
            each(2000, || {
                let stream = TcpStream::connect(address).unwrap();
                drop((listener.accept().unwrap(), stream));
            }),
        ),
    ];
    sender.connect(target).unwrap();
    let connected = each(20_000, || assert_eq!(sender.send(&[0; 100]).unwrap(), 100));
    results.push(("send on a connected socket", connected));
    let datagram = vec![0; 60_000];
    let message = Message {
        data: &datagram,
        address: &bytes,
        control: &[],
    };
    let socket = OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    results.push((
        "sendmsg of 60,000 bytes",
        each(5000, || {
            send_message(&socket, &message, 0).unwrap();
        }),
    ));
    results
}

#[test]
#[ignore = "a measurement: prints what calls cost with and without supervision"]
fn calls_cost_little() {
    let bare = thread::spawn(measure).join().unwrap();
    let (supervised, _) = supervised("deny metadata; allow any", measure);
    for ((name, bare), (_, supervised)) in bare.into_iter().zip(supervised) {
        println!("{name}: {bare:?} without, {supervised:?} with");
    }
}
