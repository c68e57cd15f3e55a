//! Signatures by SSH keys: `PROTOCOL.sshsig` in OpenSSH's source.

use data_encoding::BASE64;
use sha2::{Digest as _, Sha512};

use super::KeyProblem;
use super::openssh::{SshKey, string};

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
/// As ssh-keygen breaks lines.
const COLUMNS: usize = 70;

/// The signature of a message, in the form of `ssh-keygen -Y sign`.
pub(super) fn sign(key: &SshKey, namespace: &str, message: &[u8]) -> Result<String, KeyProblem> {
    // The namespace, a field that is kept empty, and the hash.
    let terms = [string(namespace.as_bytes()), string(b""), string(b"sha512")].concat();
    let hash = string(&Sha512::digest(message));
    let signature = key.sign(&[MAGIC, &terms, &hash].concat())?;
    let version = VERSION.to_be_bytes();
    let blob = [
        MAGIC,
        &version,
        &string(key.public()),
        &terms,
        &string(&signature),
    ]
    .concat();
    let mut text = String::from("-----BEGIN SSH SIGNATURE-----\n");
    for line in BASE64.encode(&blob).as_bytes().chunks(COLUMNS) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END SSH SIGNATURE-----\n");
    Ok(text)
}
