//! Paths as text: absolute, with `/`, and without a look at any file system.

/// `path` without `.`, `..`, doubled and trailing slashes; what climbs above the root stays at the root.
pub fn normalise(path: &[u8]) -> Vec<u8> {
    let mut normal: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let end = normal.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                normal.truncate(end);
            }
            name => {
                normal.push(b'/');
                normal.extend_from_slice(name);
            }
        }
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    normal
}

/// The path that a literal (`/a`, `./a`, `../a`, `a/b`, `~/a`) stands for in a file of `directory`. The error is a
/// message.
pub(crate) fn literal_path(
    text: &[u8],
    directory: &[u8],
    home: Option<&[u8]>,
) -> Result<Vec<u8>, String> {
    if text.starts_with(b"/") {
        return Ok(normalise(text));
    }
    if let Some(rest) = text.strip_prefix(b"~/") {
        let Some(home) = home else {
            let text = String::from_utf8_lossy(text);
            return Err(format!(
                "the path '{text}' can not be resolved in pure mode"
            ));
        };
        return Ok(normalise(&[home, b"/", rest].concat()));
    }
    Ok(normalise(&[directory, b"/", text].concat()))
}

/// The path of what is called `name` in a folder.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    [folder, b"/", name].concat()
}

/// The folder that a path lies in; the root lies in itself.
pub fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        None | Some(0) => b"/",
        Some(slash) => &path[..slash],
    }
}

/// The last part of a path; nothing for the root.
pub fn base_name(path: &[u8]) -> &[u8] {
    let start = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    &path[start..]
}
