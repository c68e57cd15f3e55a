//! Policies: their text, and what they decide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use super::super::policy::{Addresses, Network, Ports, Rule, RuleAction};
use super::super::{FlowPolicy, FlowPolicyError};

fn policy(text: &str) -> FlowPolicy {
    text.parse().unwrap()
}

fn allows(policy: &FlowPolicy, address: &str) -> bool {
    policy.allows(address.parse().unwrap())
}

#[test]
fn the_default_denies_the_metadata_services_and_nothing_else() {
    let default = FlowPolicy::default();
    assert_eq!(default.to_string(), "deny metadata; allow any");
    for denied in [
        "169.254.169.254:80",
        "169.254.169.254:443",
        "169.254.169.252:988",
        "169.254.170.2:80",
        "169.254.170.23:80",
        "[fd00:ec2::254]:80",
        "[fd00:ec2::23]:80",
        "[fd20:ce::254]:80",
        "100.100.100.200:80",
        "192.0.0.192:80",
        "168.63.129.16:80",
        "[::ffff:169.254.169.254]:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "[64:ff9b:1::a9fe:a9fe]:80",
        "[2002:a9fe:a9fe::1]:80",
        "[::a9fe:a9fe]:80",
        "[fe80::a9fe:a9fe%3]:80",
        "169.254.169.254:0",
    ] {
        assert!(!allows(&default, denied), "{denied}");
    }
    for allowed in [
        "1.1.1.1:443",
        "10.0.0.1:80",
        "127.0.0.1:80",
        "[::1]:80",
        "[2001:db8::1]:443",
        "169.254.169.253:53",
        // The resolver of machines in Google Cloud.
        "169.254.169.254:53",
        "168.63.129.16:53",
    ] {
        assert!(allows(&default, allowed), "{allowed}");
    }
}

#[test]
fn the_first_rule_that_matches_decides_and_what_none_matches_is_denied() {
    let policy = policy(
        "deny 10.1.0.0/16
         allow 10.0.0.0/8 port 443,8000-8999  # the mirror
         deny private; allow 192.0.2.1; allow 2001:db8::/32 port 443",
    );
    for (address, allowed) in [
        ("10.1.2.3:443", false),
        ("10.2.0.1:443", true),
        ("10.2.0.1:8500", true),
        ("10.2.0.1:80", false),
        ("192.168.0.1:443", false),
        ("255.255.255.255:9", false),
        ("224.0.0.251:5353", false),
        ("[ff02::fb%2]:5353", false),
        ("[fe80::1%2]:443", false),
        ("192.0.2.1:1", true),
        ("192.0.2.2:1", false),
        ("[2001:db8:1::1]:443", true),
        ("[2001:db8:1::1]:80", false),
        ("[::ffff:10.2.0.1]:443", true),
        ("[64:ff9b::c000:201]:443", true),
    ] {
        assert_eq!(allows(&policy, address), allowed, "{address}");
    }
}

#[test]
fn unspecified_addresses_are_loopback() {
    let policy = policy("deny loopback; allow any");
    for address in [
        "0.0.0.0:80",
        "127.1.2.3:80",
        "[::]:80",
        "[::1]:80",
        "[::ffff:0.0.0.0]:80",
        "[::ffff:127.0.0.1]:80",
    ] {
        assert!(!allows(&policy, address), "{address}");
    }
}

#[test]
fn only_a_policy_that_begins_with_allow_any_needs_no_supervision() {
    assert!(policy("allow any").allows_all());
    assert!(policy("allow any; deny private").allows_all());
    assert!(!policy("allow any port 443").allows_all());
    assert!(!policy("deny any").allows_all());
    assert!(!FlowPolicy::default().allows_all());
}

#[test]
fn texts_that_are_not_policies_are_refused_with_what_was_expected() {
    let error = |text: &str| text.parse::<FlowPolicy>().unwrap_err();
    let text = |text: &str| text.to_owned();
    assert_eq!(error(" # nothing\n;"), FlowPolicyError::Count(0));
    assert_eq!(
        error(&"deny any;".repeat(2000)),
        FlowPolicyError::Count(1001)
    );
    for rule in ["permit any", "allow", "deny any ports 1", "deny any port"] {
        assert_eq!(error(rule), FlowPolicyError::Rule(text(rule)));
    }
    for addresses in [
        "example.org",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "::/129",
        "fe80::1%2",
    ] {
        let rule = format!("allow {addresses}");
        assert_eq!(error(&rule), FlowPolicyError::Addresses(text(addresses)));
    }
    for addresses in ["10.0.0.1/8", "fd00::1/8", "::ffff:10.0.0.1/104"] {
        let rule = format!("allow {addresses}");
        assert_eq!(error(&rule), FlowPolicyError::HostBits(text(addresses)));
    }
    for ports in ["65536", "2-1", "", "80,", "http", "-1", "1-2-3"] {
        let rule = format!("allow any port {ports}x").replace('x', "");
        let expected = match ports {
            "" => FlowPolicyError::Rule(text("allow any port")),
            _ => FlowPolicyError::Ports(text(ports)),
        };
        assert_eq!(error(&rule), expected);
    }
}

#[test]
fn rules_are_printed_in_one_way() {
    let printed = |text| policy(text).to_string();
    assert_eq!(
        printed("allow  ::ffff:10.0.0.0/104 port 90-99,80,81,443,95"),
        "allow 10.0.0.0/8 port 80-81,90-99,443"
    );
    assert_eq!(printed("deny 10.0.0.1"), "deny 10.0.0.1/32");
    assert_eq!(
        printed("deny fd00::1;allow ::/0"),
        "deny fd00::1/128; allow ::/0"
    );
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        (0..3_u32).prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + bits))),
    ]
}

fn network() -> impl Strategy<Value = Network> {
    (ip(), 0..=128_u8).prop_map(|(ip, prefix)| match ip {
        IpAddr::V4(ip) => {
            let prefix = prefix % 33;
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let address = IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask));
            Network { address, prefix }
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            let address = IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask));
            Network { address, prefix }
        }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let addresses = prop_oneof![
        Just(Addresses::Any),
        Just(Addresses::Loopback),
        Just(Addresses::Private),
        Just(Addresses::Metadata),
        network().prop_map(Addresses::Network),
    ];
    let range = any::<(u16, u16)>().prop_map(|(a, b)| a.min(b)..=a.max(b));
    let ports = prop::collection::vec(range, 0..4).prop_map(Ports::new);
    let action = prop_oneof![Just(RuleAction::Allow), Just(RuleAction::Deny)];
    (action, addresses, ports).prop_map(|(action, addresses, ports)| Rule {
        action,
        addresses,
        ports,
    })
}

fn policies() -> impl Strategy<Value = FlowPolicy> {
    prop::collection::vec(rule(), 1..6).prop_map(|rules| FlowPolicy { rules })
}

proptest! {
    #[test]
    fn the_text_of_a_policy_is_the_policy(policy in policies()) {
        prop_assert_eq!(policy.to_string().parse(), Ok(policy));
    }

    #[test]
    fn a_mapped_address_is_the_address(policy in policies(), bits in any::<u32>(), port in any::<u16>()) {
        let v4 = Ipv4Addr::from_bits(bits);
        let allowed = policy.allows(SocketAddr::from((v4, port)));
        prop_assert_eq!(policy.allows(SocketAddr::from((v4.to_ipv6_mapped(), port))), allowed);
    }

    #[test]
    fn rules_after_the_one_that_decides_change_nothing(
        policy in policies(), more in policies(), ip in ip(), port in any::<u16>(),
    ) {
        let address = SocketAddr::from((ip, port));
        let everything = FlowPolicy { rules: policy.rules.iter().cloned().chain(rule_any(RuleAction::Allow)).collect() };
        let longer = FlowPolicy { rules: everything.rules.iter().chain(&more.rules).cloned().collect() };
        prop_assert_eq!(everything.allows(address), longer.allows(address));
    }

    #[test]
    fn a_first_rule_that_denies_a_network_denies_its_addresses(
        network in network(), policy in policies(), host in any::<u128>(), port in any::<u16>(),
    ) {
        let address = match network.address {
            IpAddr::V4(base) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() | (host as u32 & !mask)))
            }
            IpAddr::V6(base) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(network.prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() | (host & !mask)))
            }
        };
        // Mapped and unspecified ones are others.
        if address.to_canonical() == address && !address.is_unspecified() {
            let deny = Rule { action: RuleAction::Deny, addresses: Addresses::Network(network), ports: Ports::default() };
            let rules = std::iter::once(deny).chain(policy.rules).collect();
            let policy = FlowPolicy { rules };
            prop_assert_eq!(policy.allows(SocketAddr::from((address, port))), false);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(allow|deny|[ ;#\n]|any|port|[0-9./:,-]|metadata){0,40}") {
        if let Ok(policy) = text.parse::<FlowPolicy>() {
            prop_assert_eq!(policy.to_string().parse(), Ok(policy));
        }
    }
}

fn rule_any(action: RuleAction) -> [Rule; 1] {
    [Rule {
        action,
        addresses: Addresses::Any,
        ports: Ports::default(),
    }]
}
