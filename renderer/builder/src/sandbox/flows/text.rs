//! The text of a policy: `deny metadata; allow 10.0.0.0/8 port 443,8000-8999; deny private; allow any`.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::policy::{Addresses, FlowPolicy, Network, Ports, Rule, RuleAction};

/// As many rules as a policy may have: each is looked at for each flow.
const MAX_RULES: usize = 1000;

/// What is wrong with the text of a policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowPolicyError {
    /// It has no rule, or too many.
    #[error("expected 1 to {MAX_RULES} rules, found {0}")]
    Count(usize),
    /// A rule is not of the form.
    #[error(
        "expected a rule such as `deny 10.0.0.0/8`, `allow any port 443,8000-8999` or `deny metadata`, found `{0}`"
    )]
    Rule(String),
    /// The addresses of a rule are neither a name nor an address.
    #[error(
        "expected `any`, `loopback`, `private`, `metadata`, an address or a range such as 10.0.0.0/8, found `{0}`"
    )]
    Addresses(String),
    /// A range that means another than it seems to.
    #[error(
        "the address of {0} has bits set after its prefix; set them to zero, or write a longer prefix"
    )]
    HostBits(String),
    /// The ports of a rule.
    #[error("expected ports from 0 to 65535 such as 443, 8000-8999 or 80,443, found `{0}`")]
    Ports(String),
}

impl FromStr for FlowPolicy {
    type Err = FlowPolicyError;

    /// Rules are separated by `;` or a line break; `#` begins a comment that goes to the end of the line.
    fn from_str(text: &str) -> Result<Self, FlowPolicyError> {
        let rules = || {
            text.lines()
                .filter_map(|line| line.split('#').next())
                .flat_map(|line| line.split(';'))
                .map(str::trim)
                .filter(|rule| !rule.is_empty())
        };
        match rules().take(MAX_RULES + 1).count() {
            1..=MAX_RULES => Ok(Self {
                rules: rules().map(parse_rule).collect::<Result<_, _>>()?,
            }),
            count => Err(FlowPolicyError::Count(count)),
        }
    }
}

fn parse_rule(text: &str) -> Result<Rule, FlowPolicyError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (action, addresses, ports) = match words[..] {
        [action, addresses] => (action, addresses, None),
        [action, addresses, "port", ports] => (action, addresses, Some(ports)),
        _ => return Err(FlowPolicyError::Rule(text.to_owned())),
    };
    let action = match action {
        "allow" => RuleAction::Allow,
        "deny" => RuleAction::Deny,
        _ => return Err(FlowPolicyError::Rule(text.to_owned())),
    };
    Ok(Rule {
        action,
        addresses: parse_addresses(addresses)?,
        ports: ports.map(parse_ports).transpose()?.unwrap_or_default(),
    })
}

fn parse_addresses(text: &str) -> Result<Addresses, FlowPolicyError> {
    match text {
        "any" => Ok(Addresses::Any),
        "loopback" => Ok(Addresses::Loopback),
        "private" => Ok(Addresses::Private),
        "metadata" => Ok(Addresses::Metadata),
        _ => parse_network(text).map(Addresses::Network),
    }
}

fn parse_network(text: &str) -> Result<Network, FlowPolicyError> {
    let wrong = || FlowPolicyError::Addresses(text.to_owned());
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(number(prefix).ok_or_else(wrong)?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = u8::try_from(prefix.unwrap_or(bits)).map_err(|_| wrong())?;
    if u16::from(prefix) > bits {
        return Err(wrong());
    }
    let network = Network { address, prefix };
    if network.has_host_bits() {
        return Err(FlowPolicyError::HostBits(text.to_owned()));
    }
    match address.to_canonical() {
        // `::ffff:10.0.0.0/104` is 10.0.0.0/8.
        address @ IpAddr::V4(_) if prefix >= 96 && bits == 128 => Ok(Network {
            address,
            prefix: prefix - 96,
        }),
        _ => Ok(network),
    }
}

fn parse_ports(text: &str) -> Result<Ports, FlowPolicyError> {
    let range = |text: &str| -> Option<RangeInclusive<u16>> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = number(first)?..=number(last)?;
        (!range.is_empty()).then_some(range)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges
        .map(Ports::new)
        .ok_or_else(|| FlowPolicyError::Ports(text.to_owned()))
}

/// Digits alone: the parser of numbers takes a sign, too.
fn number(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for FlowPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{rule}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            RuleAction::Allow => "allow",
            RuleAction::Deny => "deny",
        };
        write!(f, "{action} {}", self.addresses)?;
        for (index, range) in self.ports.ranges().iter().enumerate() {
            f.write_str(if index == 0 { " port " } else { "," })?;
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Loopback => f.write_str("loopback"),
            Self::Private => f.write_str("private"),
            Self::Metadata => f.write_str("metadata"),
            Self::Network(Network { address, prefix }) => write!(f, "{address}/{prefix}"),
        }
    }
}

impl TryFrom<String> for FlowPolicy {
    type Error = FlowPolicyError;

    fn try_from(text: String) -> Result<Self, FlowPolicyError> {
        text.parse()
    }
}

impl From<FlowPolicy> for String {
    fn from(policy: FlowPolicy) -> Self {
        policy.to_string()
    }
}
