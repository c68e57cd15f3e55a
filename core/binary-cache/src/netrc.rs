//! netrc files: logins and passwords by host, as curl and Nix's `netrc-file`
//! have them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use niphas_http::Secret;
use thiserror::Error;

/// Logins by host. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    machines: Vec<(Option<String>, NetrcLogin)>,
}

/// What to tell one host. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NetrcLogin {
    /// Empty if the file says none.
    pub user: String,
    /// Empty if the file says none.
    pub password: Secret,
}

impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netrc")
            .field("machines", &self.machines.len())
            .finish()
    }
}

impl fmt::Debug for NetrcLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetrcLogin").finish_non_exhaustive()
    }
}

/// A netrc file can't be used. What stands in it is not in the message.
#[derive(Debug, Error)]
pub enum NetrcError {
    /// It can't be read.
    #[error("cannot read the netrc file '{path}'")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A word that must have one after it.
    #[error("line {line} of the netrc file ends after '{keyword}'")]
    Ends {
        /// The word.
        keyword: &'static str,
        /// Its line, the first being 1.
        line: usize,
    },
    /// A word that means nothing.
    #[error(
        "line {0} of the netrc file has a word that is none of machine, default, login, password, account and macdef"
    )]
    Unknown(usize),
    /// A login or password before the first machine.
    #[error("line {0} of the netrc file comes before any machine")]
    NoMachine(usize),
    /// More than any such file has.
    #[error("the netrc file is larger than {MAX_SIZE} bytes")]
    TooLarge,
}

const MAX_SIZE: usize = 1 << 20;

impl Netrc {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, NetrcError> {
        Self::parse(&Self::read_text(path)?)
    }

    /// Reads a file's text, for who parses it elsewhere.
    pub fn read_text(path: &Path) -> Result<String, NetrcError> {
        let mut text = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(MAX_SIZE as u64 + 1).read_to_end(&mut text));
        read.map_err(|source| NetrcError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, NetrcError> {
        if text.len() > MAX_SIZE {
            return Err(NetrcError::TooLarge);
        }
        let mut netrc = Self::default();
        let mut words = Words { text, line: 1 };
        while let Some(word) = words.next() {
            let line = words.line;
            let mut value = |keyword| words.next().ok_or(NetrcError::Ends { keyword, line });
            match &*word {
                "machine" => {
                    let host = value("machine")?.to_ascii_lowercase();
                    netrc.machines.push((Some(host), NetrcLogin::default()));
                }
                "default" => netrc.machines.push((None, NetrcLogin::default())),
                "login" => netrc.last(line)?.user = value("login")?,
                "password" => netrc.last(line)?.password = value("password")?.into(),
                "account" => {
                    value("account")?;
                }
                // A macro ends with an empty line.
                "macdef" => words.skip_macro(),
                _ => return Err(NetrcError::Unknown(line)),
            }
        }
        Ok(netrc)
    }

    fn last(&mut self, line: usize) -> Result<&mut NetrcLogin, NetrcError> {
        let last = self.machines.last_mut();
        last.map(|(_, login)| login)
            .ok_or(NetrcError::NoMachine(line))
    }

    /// What to tell a host: the first entry for it, or the first for all.
    pub fn login(&self, host: &str) -> Option<&NetrcLogin> {
        let host = host.to_ascii_lowercase();
        let find = |wanted: Option<&str>| {
            self.machines
                .iter()
                .find(|(machine, _)| machine.as_deref() == wanted)
                .map(|(_, login)| login)
        };
        find(Some(&host)).or_else(|| find(None))
    }
}

/// Words between white space; one in double quotes may hold any character, `\`
/// before it where need be. `#` where a word would start is a comment.
struct Words<'a> {
    text: &'a str,
    line: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Option<String> {
        loop {
            let start = self.text.trim_start();
            let skipped = &self.text[..self.text.len() - start.len()];
            self.line += skipped.matches('\n').count();
            self.text = start;
            if !start.starts_with('#') {
                break;
            }
            self.text = start.find('\n').map_or("", |end| &start[end..]);
        }
        let mut chars = self.text.char_indices().peekable();
        let mut word = String::new();
        let quoted = chars.next_if(|(_, char)| *char == '"').is_some();
        let mut end = self.text.len();
        let mut any = quoted;
        while let Some((place, char)) = chars.next() {
            if quoted && char == '"' {
                end = place + 1;
                break;
            }
            if !quoted && char.is_whitespace() {
                end = place;
                break;
            }
            any = true;
            match char {
                '\\' if quoted => word.extend(chars.next().map(|(_, char)| char)),
                char => word.push(char),
            }
        }
        self.text = &self.text[end..];
        any.then_some(word)
    }

    fn skip_macro(&mut self) {
        let end = self.text.find("\n\n").unwrap_or(self.text.len());
        self.line += self.text[..end].matches('\n').count();
        self.text = &self.text[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str, host: &str) -> Option<(String, String)> {
        let netrc = Netrc::parse(text).unwrap();
        let login = netrc.login(host)?;
        Some((login.user.clone(), login.password.expose().to_owned()))
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is compared with what is looked up"
    )]
    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn hosts_have_their_logins() {
        let text = "# caches\nmachine cache.example.org login ci password s3cret\n\
                    machine Other.example.org\n  password \"with space \\\" and #\"\n\
                    macdef init\nmachine not this\n\n\
                    default login anonymous password guest\nmachine late login x password y";
        assert_eq!(login(text, "CACHE.example.org"), pair("ci", "s3cret"));
        assert_eq!(
            login(text, "other.example.org"),
            pair("", "with space \" and #")
        );
        assert_eq!(login(text, "late"), pair("x", "y"));
        assert_eq!(login(text, "elsewhere"), pair("anonymous", "guest"));
        assert_eq!(login("machine a login b password c", "elsewhere"), None);
        assert_eq!(login("", "a"), None);
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = Netrc::read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, NetrcError::TooLarge), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_without_what_is_secret() {
        let told = |text| Netrc::parse(text).unwrap_err().to_string();
        assert_eq!(
            told("machine a\npassword"),
            "line 2 of the netrc file ends after 'password'"
        );
        assert_eq!(
            told("\n\nlogin s3cret"),
            "line 3 of the netrc file comes before any machine"
        );
        let unknown = told("machine a s3cret");
        assert!(unknown.starts_with("line 1") && !unknown.contains("s3cret"));
        let netrc = Netrc::parse("machine a login b password s3cret").unwrap();
        let shown = format!("{netrc:?} {:?}", netrc.login("a"));
        assert!(!shown.contains("s3cret"));
    }
}
