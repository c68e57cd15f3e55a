//! Keys and region from AWS's own files, `~/.aws/credentials` and
//! `~/.aws/config`, which hold `[profile]` sections of `name = value` lines.

use std::path::PathBuf;

/// What a profile says.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub(crate) keys: Option<Keys>,
    pub(crate) region: Option<String>,
}

/// Access keys.
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

/// Reads a profile: the one named, or that of `AWS_PROFILE`, or `default` where
/// the environment holds no keys. Files that aren't there say nothing.
pub(crate) fn read(name: Option<&str>) -> Profile {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let name = match name.map(str::to_owned).or_else(|| variable("AWS_PROFILE")) {
        Some(name) => name,
        None if variable("AWS_ACCESS_KEY_ID").is_some() => return Profile::default(),
        None => "default".to_owned(),
    };
    let home = std::env::home_dir().unwrap_or_default();
    let file = |name, default: &str| {
        let path = variable(name).map_or_else(|| home.join(default), PathBuf::from);
        std::fs::read_to_string(path).unwrap_or_default()
    };
    parse(
        &name,
        &file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        &file("AWS_CONFIG_FILE", ".aws/config"),
    )
}

fn parse(name: &str, credentials: &str, config: &str) -> Profile {
    // In the second file, all but the default profile have a word before.
    let section = match name {
        "default" => name.to_owned(),
        name => format!("profile {name}"),
    };
    let find = |key| value(credentials, name, key).or_else(|| value(config, &section, key));
    let keys = find("aws_access_key_id").zip(find("aws_secret_access_key"));
    Profile {
        keys: keys.map(|(id, secret)| Keys {
            id,
            secret,
            token: find("aws_session_token"),
        }),
        region: find("region"),
    }
}

fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            inside = name.trim() == section;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_profile_counts() {
        let credentials = "[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n# other\n\
                           [ci]\naws_access_key_id=C\naws_secret_access_key = D=\naws_session_token=E\n";
        let config = "[default]\nregion = eu-west-1\n[profile ci]\nregion=us-east-2\n";
        let profile = parse("ci", credentials, config);
        assert_eq!(profile.region.as_deref(), Some("us-east-2"));
        let keys = profile.keys.unwrap();
        assert_eq!(format!("{keys:?}"), "Keys(hidden)");
        assert_eq!(
            (&*keys.id, &*keys.secret, keys.token.as_deref()),
            ("C", "D=", Some("E"))
        );
        let profile = parse("default", credentials, config);
        assert_eq!(profile.region.as_deref(), Some("eu-west-1"));
        assert_eq!(profile.keys.unwrap().id, "A");
        assert!(parse("none", credentials, config).keys.is_none());
    }
}
