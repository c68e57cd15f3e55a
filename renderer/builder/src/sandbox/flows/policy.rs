//! What a builder with network may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

/// What a builder with network may reach. Only derivations whose outputs are fixed, and impure ones, have network.
///
/// An ordered list of rules: the first that matches an address and port decides, and what no rule matches is denied.
///
/// An IPv6 address that stands for an IPv4 one is matched as both: addresses of NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`), of
/// 6to4 and IPv4-compatible ones. An IPv4-mapped one (`::ffff:0:0/96`) *is* the IPv4 one. `0.0.0.0` and `::` are loopback, as the
/// kernel has it.
///
/// Serialized as its text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct FlowPolicy {
    pub(super) rules: Vec<Rule>,
}

impl Default for FlowPolicy {
    /// Everything but the metadata services of clouds.
    fn default() -> Self {
        let rule = |action, addresses| Rule {
            action,
            addresses,
            ports: Ports::default(),
        };
        Self {
            rules: vec![
                rule(RuleAction::Deny, Addresses::Metadata),
                rule(RuleAction::Allow, Addresses::Any),
            ],
        }
    }
}

impl FlowPolicy {
    /// No flow is denied: there is nothing to supervise.
    pub fn allows_all(&self) -> bool {
        let first = self.rules.first();
        first.is_some_and(|rule| {
            rule.action == RuleAction::Allow
                && rule.addresses == Addresses::Any
                && rule.ports == Ports::default()
        })
    }

    /// Whether a builder may reach this address. Protocols without ports have port 0.
    pub fn allows(&self, address: SocketAddr) -> bool {
        let readings = Readings::of(address.ip());
        self.rules
            .iter()
            .find(|rule| rule.matches(&readings, address.port()))
            .is_some_and(|rule| rule.action == RuleAction::Allow)
    }
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) action: RuleAction,
    pub(super) addresses: Addresses,
    pub(super) ports: Ports,
}

impl Rule {
    fn matches(&self, readings: &Readings, port: u16) -> bool {
        self.ports.contain(port) && readings.any(|ip| self.addresses.contain(ip, port))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleAction {
    Allow,
    Deny,
}

/// The addresses of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    Any,
    Loopback,
    /// What is not of the internet, and not loopback.
    Private,
    /// The metadata services of clouds, but for DNS, which some of them serve at the same address.
    Metadata,
    Network(Network),
}

impl Addresses {
    fn contain(self, ip: IpAddr, port: u16) -> bool {
        let one_of = |networks: &[Network]| networks.iter().any(|network| network.contains(ip));
        match self {
            Self::Any => true,
            Self::Loopback => ip.is_loopback(),
            Self::Private => one_of(&PRIVATE),
            Self::Metadata => port != DNS && one_of(&METADATA),
            Self::Network(network) => network.contains(ip),
        }
    }
}

const DNS: u16 = 53;

const PRIVATE: [Network; 10] = [
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    // Multicast, and what lies above it: reserved, and the broadcast address.
    v4([224, 0, 0, 0], 3),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

const METADATA: [Network; 15] = [
    // Most clouds.
    v4([169, 254, 169, 254], 32),
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
    // AWS: machines, tasks of ECS, pods of EKS.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
    v4([169, 254, 170, 2], 32),
    v4([169, 254, 170, 23], 32),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128),
    // Google Cloud: machines, and the server of GKE's workload identities.
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
    v4([169, 254, 169, 252], 32),
    // Azure's host.
    v4([168, 63, 129, 16], 32),
    // Alibaba Cloud, Oracle Cloud, Tencent Cloud, Scaleway.
    v4([100, 100, 100, 200], 32),
    v4([192, 0, 0, 192], 32),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
    v4([169, 254, 0, 23], 32),
    v4([169, 254, 42, 42], 32),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Network {
    Network {
        address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        prefix,
    }
}

const fn v6(segments: [u16; 8], prefix: u8) -> Network {
    let [a, b, c, d, rest @ ..] = segments;
    let address = Ipv6Addr::new(a, b, c, d, rest[0], rest[1], rest[2], rest[3]);
    Network {
        address: IpAddr::V6(address),
        prefix,
    }
}

/// Addresses that begin with the same bits. No bit after the prefix is set, and an IPv4-mapped one is an IPv4 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

impl Network {
    fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => self.first_bits(own.to_bits() ^ ip.to_bits()) == 0,
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                self.first_bits_of_128(own.to_bits() ^ ip.to_bits()) == 0
            }
            _ => false,
        }
    }

    /// Bits after the prefix are set.
    pub(super) fn has_host_bits(self) -> bool {
        match self.address {
            IpAddr::V4(ip) => self.first_bits(ip.to_bits()) != ip.to_bits(),
            IpAddr::V6(ip) => self.first_bits_of_128(ip.to_bits()) != ip.to_bits(),
        }
    }

    fn first_bits(self, bits: u32) -> u32 {
        let rest = 32 - u32::from(self.prefix);
        bits & u32::MAX.checked_shl(rest).unwrap_or(0)
    }

    fn first_bits_of_128(self, bits: u128) -> u128 {
        let rest = 128 - u32::from(self.prefix);
        bits & u128::MAX.checked_shl(rest).unwrap_or(0)
    }
}

/// The ports of a rule, in order, neither overlapping nor adjacent. None: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    pub(super) fn new(mut ranges: Vec<RangeInclusive<u16>>) -> Self {
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    pub(super) fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    fn contain(&self, port: u16) -> bool {
        self.0.is_empty() || self.0.iter().any(|range| range.contains(&port))
    }
}

/// The addresses that an address stands for.
struct Readings {
    itself: IpAddr,
    embedded: Option<IpAddr>,
}

impl Readings {
    fn of(ip: IpAddr) -> Self {
        let itself = reached(ip);
        let embedded = match itself {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => embedded_v4(ip).map(|v4| reached(IpAddr::V4(v4))),
        };
        Self { itself, embedded }
    }

    fn any(&self, mut matches: impl FnMut(IpAddr) -> bool) -> bool {
        matches(self.itself) || self.embedded.is_some_and(matches)
    }
}

/// What the kernel makes of an address: IPv4 if it is mapped, loopback if it is unspecified.
fn reached(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = ip.to_bits();
    let last = Ipv4Addr::from_bits(bits as u32);
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, _, _] if !ip.is_loopback() => Some(last),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, ..] => Some(last),
        [0x2002, ..] => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        _ => None,
    }
}
