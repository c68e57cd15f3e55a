//! NARs token by token, as no writer of ours would write them.

/// A token: a string with its length, padded.
pub fn token(bytes: &[u8]) -> Vec<u8> {
    let mut token = (bytes.len() as u64).to_le_bytes().to_vec();
    token.extend_from_slice(bytes);
    token.resize(token.len().next_multiple_of(8), 0);
    token
}

/// Tokens one after the other.
pub fn tokens(all: &[&[u8]]) -> Vec<u8> {
    all.iter().flat_map(|bytes| token(bytes)).collect()
}

/// A NAR of this object.
pub fn archive(object: &[u8]) -> Vec<u8> {
    [token(b"nix-archive-1"), object.to_vec()].concat()
}

/// A regular file.
pub fn regular(contents: &[u8]) -> Vec<u8> {
    tokens(&[b"(", b"type", b"regular", b"contents", contents, b")"])
}

/// A symlink.
pub fn link(target: &[u8]) -> Vec<u8> {
    tokens(&[b"(", b"type", b"symlink", b"target", target, b")"])
}

/// A directory, its entries in the given order.
pub fn folder(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    let mut out = tokens(&[b"(", b"type", b"directory"]);
    for (name, object) in entries {
        out.extend(tokens(&[b"entry", b"(", b"name", name, b"node"]));
        out.extend_from_slice(object);
        out.extend(token(b")"));
    }
    out.extend(token(b")"));
    out
}
