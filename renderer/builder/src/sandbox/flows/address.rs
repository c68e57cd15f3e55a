//! The addresses that builders name, as the kernel reads them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::io::Errno;

/// As much as an address takes (`struct sockaddr_storage`).
pub(super) const MAX_LENGTH: usize = 128;

const LENGTH_V4: usize = 16;
const LENGTH_V6: usize = 28;
/// Without the scope: the kernel takes it.
const LENGTH_OLD_V6: usize = 24;
const LENGTH_NETLINK: usize = 12;

/// An address that a builder names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Ends a connection, or is none: it depends on the call and the socket.
    Unspecified,
    Internet(SocketAddr),
    /// A Unix socket in the file system.
    Path(Vec<u8>),
    /// A Unix socket that has no file.
    Abstract,
    /// The kernel's side of a netlink socket.
    Kernel,
    /// Another side of a netlink socket.
    Process,
}

impl Address {
    /// Reads an address; `bytes` are as many as the builder says.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Errno> {
        let (family, rest) = bytes.split_first_chunk().ok_or(Errno::INVAL)?;
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_UNSPEC => Ok(Self::Unspecified),
            libc::AF_INET => read_v4(bytes).ok_or(Errno::INVAL).map(Self::Internet),
            libc::AF_INET6 => read_v6(bytes).ok_or(Errno::INVAL).map(Self::Internet),
            libc::AF_UNIX => match rest {
                [] => Err(Errno::INVAL),
                [0, ..] => Ok(Self::Abstract),
                path => {
                    let end = path.iter().position(|byte| *byte == 0);
                    Ok(Self::Path(path[..end.unwrap_or(path.len())].to_vec()))
                }
            },
            libc::AF_NETLINK if bytes.len() >= LENGTH_NETLINK => {
                let is_kernel = bytes[4..LENGTH_NETLINK].iter().all(|byte| *byte == 0);
                Ok(if is_kernel {
                    Self::Kernel
                } else {
                    Self::Process
                })
            }
            libc::AF_NETLINK => Err(Errno::INVAL),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }
}

/// Reads an IPv4 address, whatever its family says: the kernel sends to it, too, when the family is unspecified.
pub(super) fn read_v4(bytes: &[u8]) -> Option<SocketAddr> {
    let bytes: &[u8; LENGTH_V4] = bytes.first_chunk()?;
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    let ip = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
    Some(SocketAddr::V4(SocketAddrV4::new(ip, port)))
}

fn read_v6(bytes: &[u8]) -> Option<SocketAddr> {
    let start: &[u8; LENGTH_OLD_V6] = bytes.first_chunk()?;
    let port = u16::from_be_bytes([start[2], start[3]]);
    let flow = u32::from_be_bytes([start[4], start[5], start[6], start[7]]);
    let mut ip = [0; 16];
    ip.copy_from_slice(&start[8..]);
    let scope = bytes
        .get(LENGTH_OLD_V6..LENGTH_V6)
        .and_then(|bytes| bytes.try_into().ok());
    let scope = scope.map_or(0, u32::from_ne_bytes);
    let address = SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope);
    Some(SocketAddr::V6(address))
}

/// An address as the kernel takes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoded(pub(super) Vec<u8>);

impl Encoded {
    /// The address that ends a connection.
    pub(super) fn unspecified() -> Self {
        Self(vec![0; LENGTH_V4])
    }

    pub(super) fn kernel() -> Self {
        let mut bytes = family(libc::AF_NETLINK);
        bytes.resize(LENGTH_NETLINK, 0);
        Self(bytes)
    }

    pub(super) fn internet(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        Self(match address {
            SocketAddr::V4(address) => {
                let start = family(libc::AF_INET);
                [&start, &port[..], &address.ip().octets(), &[0; 8]].concat()
            }
            SocketAddr::V6(address) => [
                &family(libc::AF_INET6),
                &port[..],
                &address.flowinfo().to_be_bytes(),
                &address.ip().octets(),
                &address.scope_id().to_ne_bytes(),
            ]
            .concat(),
        })
    }

    /// `path` is short, and has no zero byte.
    pub(super) fn path(path: &str) -> Self {
        Self([&family(libc::AF_UNIX), path.as_bytes(), &[0]].concat())
    }
}

fn family(family: i32) -> Vec<u8> {
    (family as u16).to_ne_bytes().to_vec()
}
