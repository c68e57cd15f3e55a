//! Redirects from the internet do not lead within: into the cluster, to this machine, to a cloud's metadata.
//!
//! The operator of a cache says where the client goes next. Without a rule, a cache on the internet learns from what comes
//! back, a status or a refused connection, what there is at addresses that only the client reaches.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// More names than the redirects of honest servers lead to.
const MOST_NAMES: usize = 4096;

/// What is known of names: one client's, whose resolver and whose redirects share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Names that have an address within. Only names that the program itself asked for.
    within: HashSet<String>,
    /// Names that a redirect from the internet led to: they count with public addresses only.
    led_to: HashSet<String>,
}

impl Names {
    /// Whether a request that began at `first` may be sent on to `to`. For a name it is known when that is resolved.
    pub(crate) fn allows(&self, first: &Url, to: &Url) -> bool {
        if first.host() == to.host() || self.is_within(first) {
            return true;
        }
        match to.host() {
            Some(Host::Ipv4(address)) => is_public(address.into()),
            Some(Host::Ipv6(address)) => is_public(address.into()),
            Some(Host::Domain(name)) => {
                let led_to = &mut self.known().led_to;
                led_to.contains(name) || led_to.len() < MOST_NAMES && led_to.insert(name.to_owned())
            }
            None => false,
        }
    }

    fn is_within(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => !is_public(address.into()),
            Some(Host::Ipv6(address)) => !is_public(address.into()),
            Some(Host::Domain(name)) => self.known().within.contains(name),
            None => false,
        }
    }

    /// The addresses of `name` that may be connected to.
    fn admit(&self, name: &str, found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let is_outside = |address: &SocketAddr| is_public(address.ip());
        let known = &mut *self.known();
        if known.led_to.contains(name) && !known.within.contains(name) {
            let public: Vec<_> = found.into_iter().filter(is_outside).collect();
            if public.is_empty() {
                let reason = format!(
                    "a redirect from the internet to '{name}', which has no public address"
                );
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
            }
            return Ok(public);
        }
        if !found.iter().all(is_outside) && known.within.len() < MOST_NAMES {
            known.within.insert(name.to_owned());
        }
        Ok(found)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            // The connector sets the port.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted = names.admit(name.as_str(), found)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Whether the address is one of the internet's, by IANA's registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 100 && b & 0xc0 == 64
        || a == 192 && b == 0 && c == 0
        || a == 198 && b & 0xfe == 18)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |at: usize| {
        let [a, b] = segments[at].to_be_bytes();
        let [c, d] = segments[at + 1].to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Mapped, and by way of NAT64: what counts is the address in it.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(6),
        // 6to4.
        [0x2002, ..] => embedded(1),
        [0x2001, 0xdb8, ..] => false,
        // The internet's are all in 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn at(addresses: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| SocketAddr::new(text.parse().expect("an address"), 0);
        addresses.iter().map(parse).collect()
    }

    #[test]
    fn addresses_of_the_internet_are_told_from_others() {
        for public in [
            "1.1.1.1",
            "93.184.215.14",
            "2606:2800::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for within in [
            "0.0.0.0",
            "10.96.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(within.parse().expect("an address")), "{within}");
        }
    }

    #[test]
    fn a_redirect_from_the_internet_does_not_lead_within() {
        let names = Names::default();
        names
            .admit("cache.example", at(&["93.184.215.14"]))
            .expect("addresses");
        let first = url("https://cache.example/x");
        assert!(names.allows(&first, &url("https://cache.example:8443/y")));
        assert!(names.allows(&first, &url("https://1.1.1.1/")));
        for within in [
            "http://169.254.169.254/",
            "http://[::1]/",
            "http://10.0.0.1/",
        ] {
            assert!(!names.allows(&first, &url(within)), "{within}");
        }

        assert!(names.allows(&first, &url("https://files.example/")));
        names
            .admit("files.example", at(&["10.0.0.1"]))
            .expect_err("an address within");
        let admitted = names.admit("files.example", at(&["10.0.0.1", "1.1.1.1"]));
        assert_eq!(admitted.expect("addresses"), at(&["1.1.1.1"]));
    }

    #[test]
    fn a_cache_within_may_lead_anywhere() {
        let names = Names::default();
        names
            .admit("cache.internal", at(&["10.0.0.1"]))
            .expect("addresses");
        for first in [
            "http://cache.internal/",
            "http://10.0.0.1/",
            "http://[::1]/",
        ] {
            assert!(
                names.allows(&url(first), &url("http://192.168.0.1/")),
                "{first}"
            );
            assert!(
                names.allows(&url(first), &url("http://files.internal/")),
                "{first}"
            );
        }
        names
            .admit("files.internal", at(&["10.0.0.2"]))
            .expect("addresses");
    }

    #[test]
    fn a_name_that_the_program_asks_for_itself_stays_allowed() {
        let names = Names::default();
        names
            .admit("cache.internal", at(&["10.0.0.1"]))
            .expect("addresses");
        names
            .admit("cache.example", at(&["1.1.1.1"]))
            .expect("addresses");
        // It would be refused, but for the program's own requests to it.
        assert!(names.allows(&url("https://cache.example"), &url("http://cache.internal")));
        names
            .admit("cache.internal", at(&["10.0.0.1"]))
            .expect("addresses");
    }

    #[test]
    fn redirects_to_ever_new_names_end() {
        let names = Names::default();
        let first = url("https://1.1.1.1/");
        for number in 0..MOST_NAMES {
            assert!(names.allows(&first, &url(&format!("https://n{number}.example/"))));
        }
        assert!(!names.allows(&first, &url("https://one-more.example/")));
    }
}
