//! What Kubernetes takes for names, keys and values. Each has what is expected of it beside it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A test of a text, and what to write instead.
pub(super) type Form = (fn(&str) -> bool, &'static str);

pub(super) const LABEL: Form = (
    is_label,
    "write at most 63 lower-case letters, digits and '-', the latter not at its ends",
);
pub(super) const SUBDOMAIN: Form = (
    is_subdomain,
    "write lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
);
pub(super) const QUALIFIED_NAME: Form = (
    is_qualified_name,
    "write at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not",
);
pub(super) const LABEL_VALUE: Form = (
    is_label_value,
    "write at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
);
pub(super) const PORT_NAME: Form = (
    is_port_name,
    "write at most 15 lower-case letters, digits and single '-' between them, and at least one letter",
);
pub(super) const ADDRESS: Form = (
    is_address,
    "write an IP address, like 10.0.0.1 or 2001:db8::1",
);
/// What is mounted below a volume.
pub(super) const DESCENDING_PATH: Form = (
    is_descending_path,
    "write a path that does not begin with '/', and has no part '..'",
);

pub(super) const ABSOLUTE_PATH: Form = (
    |text| text.starts_with('/'),
    "write a path that begins with '/'",
);
/// The name of a CSI driver.
pub(super) const DRIVER: Form = (
    |text| text.len() <= 63 && is_subdomain(&text.to_lowercase()),
    SUBDOMAIN.1,
);
/// What the names of environment variables begin with.
pub(super) const ENVIRONMENT_PREFIX: Form =
    (is_environment_name, "write printable ASCII without '='");
/// The name of an HTTP header.
pub(super) const HEADER: Form = (
    |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
    "write letters, digits and '-'",
);
pub(super) const ISCSI_NAME: Form = (
    |text| {
        ["iqn.", "eui.", "naa."]
            .iter()
            .any(|start| text.starts_with(start))
    },
    "write a name that begins with iqn., eui. or naa.",
);
/// A domain in which names of hosts are looked for; '.' is that of all.
pub(super) const SEARCH_DOMAIN: Form = (
    |text| text == "." || is_subdomain(&text.strip_suffix('.').unwrap_or(text).replace('_', "a")),
    "write a domain, like example.org",
);
pub(super) const SYSCTL: Form = (is_sysctl, "write a name like net.core.somaxconn");

pub(super) fn is_environment_name(text: &str) -> bool {
    text.chars().all(|c| (' '..='~').contains(&c) && c != '=')
}

fn is_sysctl(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text.split(['.', '/']).all(|part| {
            part.starts_with(is_alphanumeric)
                && part.ends_with(is_alphanumeric)
                && part
                    .chars()
                    .all(|c| is_alphanumeric(c) || matches!(c, '-' | '_'))
        })
}

/// RFC 1123.
pub(super) fn is_label(text: &str) -> bool {
    crate::names::why_no_label(text).is_none()
}

fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(is_alphanumeric)
            && part.ends_with(is_alphanumeric)
            && part.chars().all(|c| is_alphanumeric(c) || c == '-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_name(name),
        None => is_name(text),
    }
}

fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_port_name(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=15).contains(&text.len())
        && text.chars().any(|c| c.is_ascii_lowercase())
        && text.chars().all(|c| is_alphanumeric(c) || c == '-')
        && !text.contains("--")
        && text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// `10.0.0.0/8`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        let network = Self {
            address: address.parse().ok()?,
            length: length.parse().ok().filter(|_| is_number)?,
        };
        (network.length <= network.longest()).then_some(network)
    }

    fn longest(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The bits of its address that are the network's, and those that are a host's.
    fn parts(self) -> (u128, u128) {
        let bits = match self.address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let of_host = u32::from(self.longest() - self.length);
        let mask = u128::MAX.checked_shl(of_host).unwrap_or(0);
        (bits & mask, bits & !mask)
    }

    pub(super) fn has_host_bits(self) -> bool {
        self.parts().1 != 0
    }

    /// The network, by its first address.
    pub(super) fn first(self) -> String {
        let (bits, _) = self.parts();
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(0))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        format!("{address}/{}", self.length)
    }

    /// Whether it is smaller than another network, and in it.
    pub(super) fn is_within(self, around: Self) -> bool {
        let as_long = Self {
            length: around.length,
            ..self
        };
        self.address.is_ipv4() == around.address.is_ipv4()
            && self.length > around.length
            && as_long.parts().0 == around.parts().0
    }
}

fn is_descending_path(text: &str) -> bool {
    !text.starts_with('/') && text.split('/').all(|part| part != "..")
}
