//! URLs as Nix reads and prints them: RFC 3986 with a few liberties, kept in parts so that what
//! is printed is normalised the same way.

use std::collections::BTreeMap;
use std::fmt;

use niphas_http::{Secret, is_secret_parameter, redacted};

use crate::error::UrlError;

/// A URL in its decoded parts.
///
/// `Display` and `Debug` leave out what is secret: they are for messages. The whole URL is only given by [`Url::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// As written, e.g. `git+https`.
    pub scheme: String,
    /// What stands after `//`. An empty one (`file:///x`) differs from none (`file:/x`).
    pub authority: Option<Authority>,
    /// The decoded segments; an absolute path starts with an empty one.
    pub path: Vec<String>,
    /// Decoded parameters. Of several with one name the first counts.
    pub query: BTreeMap<String, String>,
    /// Decoded.
    pub fragment: String,
}

/// The authority of a URL. `Display` and `Debug` show host and port only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authority {
    /// Decoded; without brackets.
    pub host: String,
    /// Whether the host is written in brackets.
    pub bracketed: bool,
    /// Decoded.
    pub user: Option<String>,
    /// Decoded.
    pub password: Option<Secret>,
    /// Never 0.
    pub port: Option<u16>,
}

const MAX_URL: usize = 64 * 1024;

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_sub_delim(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || is_sub_delim(byte) || byte == b':' || byte == b'@'
}

/// Whether `text` is made of allowed characters and whole percent escapes.
pub(crate) fn is_made_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let escape = bytes.get(at + 1..at + 3);
            if !escape.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                return false;
            }
            at += 3;
        } else if allowed(bytes[at]) {
            at += 1;
        } else {
            return false;
        }
    }
    true
}

/// Replaces percent escapes by what they stand for.
pub(crate) fn percent_decode(text: &str) -> Result<String, UrlError> {
    let invalid = || UrlError::Parameter(text.to_owned());
    if !is_made_of(text, |_| true) {
        return Err(invalid());
    }
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| invalid())
}

/// Escapes all but unreserved characters and those of `keep`.
pub(crate) fn percent_encode(text: &str, keep: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if is_unreserved(byte) || keep.contains(&byte) {
            out.push(byte as char);
        } else {
            escape(byte, &mut out);
        }
    }
    out
}

fn escape(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for part in [
        b'%',
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ] {
        out.push(part as char);
    }
}

/// Escapes just the characters of `set`, which are ASCII.
fn escape_only(text: &str, set: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if set.contains(&c) {
            escape(c as u8, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

/// Spaces and quotes are let through unescaped in queries.
const LENIENT_QUERY: &[char] = &[' ', '"'];
const LENIENT_FRAGMENT: &[char] = &[' ', '"', '^'];

/// Parses the part of a URL after `?`, leniently.
pub(crate) fn decode_query(query: &str) -> Result<BTreeMap<String, String>, UrlError> {
    let fixed = escape_only(query, LENIENT_QUERY);
    let mut parameters = BTreeMap::new();
    // A query alone, as it is shown: the names before its values tell what is secret.
    let invalid = || UrlError::Query(redacted(&format!("?{query}"))[1..].to_owned());
    if !is_made_of(&fixed, |b| is_pchar(b) || b"/?[]".contains(&b)) {
        return Err(invalid());
    }
    for parameter in fixed.split('&') {
        let Some((name, value)) = parameter.split_once('=') else {
            if !parameter.is_empty() {
                tracing::warn!(
                    "dubious URI query '{parameter}' is missing equal sign '=', ignoring"
                );
            }
            continue;
        };
        let hide = |error| {
            if is_secret_parameter(name) {
                UrlError::Parameter("…".to_owned())
            } else {
                error
            }
        };
        let value = percent_decode(value).map_err(hide)?;
        let name = percent_decode(name)?;
        parameters.entry(name).or_insert(value);
    }
    Ok(parameters)
}

/// `git+https` → (`git`, `https`); `https` → (none, `https`).
pub(crate) fn split_scheme(scheme: &str) -> (Option<&str>, &str) {
    match scheme.split_once('+') {
        Some((application, transport)) => (Some(application), transport),
        None => (None, scheme),
    }
}

impl Url {
    /// Parses a URL strictly.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::parse_fixed(text, text)
    }

    /// Parses a URL as it may stand in a flake reference: spaces and quotes in query and
    /// fragment, and `^` in the fragment, need no escape.
    pub fn parse_lenient(text: &str) -> Result<Self, UrlError> {
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (text, None),
        };
        let mut fixed = match rest.split_once('?') {
            Some((path, query)) => format!("{path}?{}", escape_only(query, LENIENT_QUERY)),
            None => rest.to_owned(),
        };
        if let Some(fragment) = fragment {
            fixed.push('#');
            fixed.push_str(&escape_only(fragment, LENIENT_FRAGMENT));
        }
        Self::parse_fixed(&fixed, text)
    }

    fn parse_fixed(text: &str, shown: &str) -> Result<Self, UrlError> {
        let invalid = || UrlError::Invalid(shown.into());
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) = text
            .split_once(':')
            .filter(|(scheme, _)| {
                scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                    && scheme
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            })
            .ok_or_else(|| UrlError::NoScheme(shown.into()))?;
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !is_made_of(fragment, |b| is_pchar(b) || b"/?#".contains(&b)) {
            return Err(invalid());
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let authority = Authority::parse(&rest[..end]).map_err(|error| match error {
                    UrlError::Invalid(_) => invalid(),
                    other => other,
                })?;
                (Some(authority), &rest[end..])
            }
            None => (None, rest),
        };
        if !is_made_of(path, |b| is_pchar(b) || b == b'/') {
            return Err(invalid());
        }
        let (_, transport) = split_scheme(scheme);
        let path = match path {
            "" if transport == "file" => "/",
            path => path,
        };
        if transport == "file"
            && let Some(authority) = authority.as_ref().filter(|a| !a.host.is_empty())
        {
            return Err(UrlError::FileAuthority {
                url: shown.into(),
                authority: authority.to_string(),
            });
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            authority,
            path: path
                .split('/')
                .map(percent_decode)
                .collect::<Result<_, _>>()?,
            query: decode_query(query)?,
            fragment: percent_decode(fragment)?,
        })
    }

    /// The URL as Nix writes it, secrets included: for requests, lock files, and what an evaluation sees.
    pub fn expose(&self) -> String {
        let mut out = format!("{}:", self.scheme);
        if let Some(authority) = &self.authority {
            out.push_str("//");
            out.push_str(&authority.expose());
        }
        for (index, segment) in self.path.iter().enumerate() {
            if index > 0 {
                out.push('/');
            }
            out.push_str(&percent_encode(segment, b":@"));
        }
        for (index, (name, value)) in self.query.iter().enumerate() {
            out.push(if index == 0 { '?' } else { '&' });
            out.push_str(&percent_encode(name, b":@/?"));
            out.push('=');
            out.push_str(&percent_encode(value, b":@/?"));
        }
        if !self.fragment.is_empty() {
            out.push('#');
            out.push_str(&percent_encode(&self.fragment, b""));
        }
        out
    }

    /// The path's segments that are not empty.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path
            .iter()
            .map(String::as_str)
            .filter(|segment| !segment.is_empty())
            .collect()
    }

    /// The path as it is on a disk.
    pub(crate) fn file_path(&self) -> Result<String, UrlError> {
        for segment in &self.path {
            if segment.contains('/') {
                return Err(UrlError::SlashInSegment(segment.clone()));
            }
            if segment.contains('\0') {
                return Err(UrlError::NulInSegment(segment.replace('\0', "␀")));
            }
        }
        let mut out = String::new();
        let mut segments = self.path.iter().map(String::as_str).peekable();
        if segments.peek().is_some_and(|first| first.is_empty()) {
            segments.next();
            out.push('/');
        }
        for segment in segments {
            if !out.is_empty() && !out.ends_with('/') {
                out.push('/');
            }
            out.push_str(segment);
        }
        Ok(out)
    }
}

/// Splits a file's path into a URL's segments.
pub(crate) fn path_segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    if path.starts_with('/') {
        segments.push(String::new());
    }
    segments.extend(
        path.split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned),
    );
    if path.is_empty() || path.ends_with('/') {
        segments.push(String::new());
    }
    segments
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.expose()))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl Authority {
    fn parse(text: &str) -> Result<Self, UrlError> {
        let invalid = || UrlError::Invalid(text.into());
        let (userinfo, host_port) = match text.split_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, text),
        };
        let (mut user, mut password) = (None, None);
        if let Some(userinfo) = userinfo {
            if !is_made_of(userinfo, |b| {
                is_unreserved(b) || is_sub_delim(b) || b == b':'
            }) {
                return Err(invalid());
            }
            let (name, secret) = match userinfo.split_once(':') {
                Some((name, secret)) => (name, Some(secret)),
                None => (userinfo, None),
            };
            let decode = |text| percent_decode(text).map_err(|_| invalid());
            user = Some(decode(name)?);
            password = secret.map(decode).transpose()?.map(Secret::from);
        }
        let (host, bracketed, port) = if let Some(rest) = host_port.strip_prefix('[') {
            let (literal, rest) = rest.split_once(']').ok_or_else(invalid)?;
            if !is_ip_literal(literal) {
                return Err(invalid());
            }
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or_else(invalid)?),
            };
            (literal, true, port)
        } else {
            match host_port.split_once(':') {
                Some((host, port)) => (host, false, Some(port)),
                None => (host_port, false, None),
            }
        };
        if !bracketed && !is_made_of(host, |b| is_unreserved(b) || is_sub_delim(b)) {
            return Err(invalid());
        }
        let port = match port {
            None | Some("") => None,
            Some(digits) => {
                if !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(invalid());
                }
                let number: u16 = digits.parse().unwrap_or(0);
                if number == 0 {
                    return Err(UrlError::Port(digits.to_owned()));
                }
                Some(number)
            }
        };
        Ok(Self {
            host: percent_decode(host)?,
            bracketed,
            user,
            password,
            port,
        })
    }
}

/// An IPv6 address, perhaps with a zone, or an address of a future version.
fn is_ip_literal(literal: &str) -> bool {
    if let Some(rest) = literal.strip_prefix(['v', 'V']) {
        return rest.split_once('.').is_some_and(|(version, address)| {
            !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_hexdigit())
                && !address.is_empty()
                && address
                    .bytes()
                    .all(|b| is_unreserved(b) || is_sub_delim(b) || b == b':')
        });
    }
    let (address, zone) = match literal.split_once("%25") {
        Some((address, zone)) => (address, Some(zone)),
        None => (literal, None),
    };
    address.parse::<std::net::Ipv6Addr>().is_ok()
        && zone.is_none_or(|zone| !zone.is_empty() && is_made_of(zone, is_unreserved))
}

impl Authority {
    fn expose(&self) -> String {
        let Some(user) = &self.user else {
            return self.to_string();
        };
        let mut login = percent_encode(user, b"");
        if let Some(password) = &self.password {
            login.push(':');
            login.push_str(&percent_encode(password.expose(), b""));
        }
        format!("{login}@{self}")
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bracketed {
            write!(f, "[{}]", percent_encode(&self.host, b":"))?;
        } else {
            f.write_str(&percent_encode(&self.host, b""))?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_exposed_by_name_only() {
        let text = "git+https://u:marker1@h:1/p?access_token=marker2&ref=main";
        let url = Url::parse(text).expect("a URL");
        assert_eq!(url.expose(), text);
        assert_eq!(url.to_string(), "git+https://h:1/p?access_token=…&ref=main");
        assert!(!format!("{url:?} {:?}", url.authority).contains("marker"));
    }

    #[test]
    fn texts_that_are_no_urls_keep_their_secrets_too() {
        for text in [
            "https://u:marker@h/ x",
            "https://u:marker%ff@h/",
            "https://u:marker@h:port/",
            "file://u:marker@h/x",
            "https://h/?token=marker%ff",
            "https://h/?token=marker^",
        ] {
            let error = Url::parse(text).expect_err(text);
            assert!(
                !format!("{error} {error:?}").contains("marker"),
                "{error:?}"
            );
        }
    }
}
