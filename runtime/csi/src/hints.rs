//! What helps where a closure is not realised, for the readers of a pod's events: no command, for none can be run beside the
//! driver, and no option of another program.

use binary_cache::{ClosureError, Remedy};
use niphas_store::{Limit, RealiseError};

/// What helps, if that is known.
pub(crate) fn hint(error: &RealiseError) -> Option<String> {
    match error {
        RealiseError::Limit(error) if error.limit != Limit::Narinfos => {
            let name = error.limit.name();
            Some(format!(
                "it is limits.{name} in the driver's csi.yaml, for all or for this namespace"
            ))
        }
        RealiseError::Unavailable(ClosureError::Unavailable(paths)) => {
            let path = paths.first()?;
            Some(words(path.remedy(), path.path.hash_part()))
        }
        RealiseError::Digest { .. } => Some(
            "render again, so that the digest is that of what the caches have now; or find out who changed them"
                .to_owned(),
        ),
        _ if error.is_out_of_space() => {
            Some("give the store's file system more space, or run less on this node".to_owned())
        }
        _ => None,
    }
}

fn words(remedy: Remedy<'_>, hash: &str) -> String {
    match remedy {
        Remedy::NameCache => "name a binary cache that has it in the driver's csi.yaml".to_owned(),
        Remedy::NameKey => {
            "no public key is trusted, so no signature counts: add the key that signs the builds to trustedKeys \
             in the driver's csi.yaml"
                .to_owned()
        }
        Remedy::Sign { cache } => {
            format!("sign it with a trusted key, and push it to {cache} again")
        }
        Remedy::TrustOrSign { cache, keys } => format!(
            "add one of the keys {} to trustedKeys in the driver's csi.yaml, or sign it with a trusted key and push it \
             to {cache} again",
            keys.join(", ")
        ),
        Remedy::CompareKeys { cache, keys } => format!(
            "compare the key {} in trustedKeys of the driver's csi.yaml with the one that signs: if it was replaced, trust \
             the new one; if not, the signatures in {cache} are forged",
            keys.join(", ")
        ),
        Remedy::SignWithMore { cache, keys } => format!(
            "sign it with another trusted key ({}) as well, and push it to {cache} again",
            keys.join(", ")
        ),
        Remedy::Login { cache } => {
            format!("give the login for {cache} in netrcFile or tokenFile of the driver's csi.yaml")
        }
        Remedy::S3Keys { cache } => format!(
            "give the driver the keys for {cache}: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment"
        ),
        Remedy::TrustCertificate { cache } => format!(
            "add the certificate of the authority that {cache} is certified by to the file that SSL_CERT_FILE names \
             for the driver"
        ),
        Remedy::SpareMemory => "give this closure fewer and smaller paths, if it lasts".to_owned(),
        Remedy::Reach { cache } => format!(
            "check that {cache} is right in the driver's csi.yaml and can be reached from the node"
        ),
        Remedy::Replace { cache } => {
            format!("remove {hash}.narinfo from {cache}, and push the path again")
        }
        Remedy::Push { cache: Some(cache) } => format!("build it, and push it to {cache}"),
        Remedy::Push { cache: None } => "build it, and push it to one of the caches".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hint_names_a_command_or_an_option() {
        let (cache, keys) = ("https://a.example", &["k-1".to_owned()]);
        for remedy in [
            Remedy::NameCache,
            Remedy::NameKey,
            Remedy::Sign { cache },
            Remedy::TrustOrSign { cache, keys },
            Remedy::CompareKeys { cache, keys },
            Remedy::SignWithMore { cache, keys },
            Remedy::Login { cache },
            Remedy::S3Keys { cache },
            Remedy::TrustCertificate { cache },
            Remedy::SpareMemory,
            Remedy::Reach { cache },
            Remedy::Replace { cache },
            Remedy::Push { cache: Some(cache) },
            Remedy::Push { cache: None },
        ] {
            let hint = words(remedy, "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz");
            for command in ["niphas", "--", "`", "NIPHAS_"] {
                assert!(!hint.contains(command), "{remedy:?}: {hint}");
            }
        }
    }
}
