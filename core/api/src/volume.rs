//! The attributes of the CSI volume that carries a closure into a pod.

use std::collections::BTreeMap;

use crate::workload::Closure;

/// CSI's limit for a map is 4 KiB. kubelet adds the pod's name, namespace, UID and service account
/// to the driver's map, which may take up to 1 KiB.
const LIMIT: usize = 3 * 1024;

/// Why a workload's closures don't fit into a volume's attributes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeAttributesError {
    /// CSI caps the map.
    #[error(
        "{roots} roots take {size} bytes of volume attributes, of which CSI leaves {LIMIT}; \
         let the program refer to some of them itself (wrap it), so that they need not be roots"
    )]
    TooLarge {
        /// The number of roots of all closures.
        roots: usize,
        /// The size of all keys and values in bytes.
        size: usize,
    },
}

/// The volume attributes for a workload's closures: for each system `niphas.io/roots.<system>`, the
/// base names of its roots separated by spaces, the program's first, and `niphas.io/digest.<system>`.
///
/// They are part of the pod template, so a changed closure rolls out.
pub fn volume_attributes(
    closures: &[Closure],
) -> Result<BTreeMap<String, String>, VolumeAttributesError> {
    let mut attributes = BTreeMap::new();
    for closure in closures {
        let system = &closure.system;
        let roots: Vec<&str> = closure
            .roots
            .iter()
            .map(|root| root.path().base_name())
            .collect();
        attributes.insert(format!("niphas.io/roots.{system}"), roots.join(" "));
        attributes.insert(
            format!("niphas.io/digest.{system}"),
            closure.digest.to_string(),
        );
    }
    let size = attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > LIMIT {
        let roots = closures.iter().map(|closure| closure.roots.len()).sum();
        return Err(VolumeAttributesError::TooLarge { roots, size });
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closure(system: &str, roots: usize) -> Closure {
        let roots = (0..roots)
            .map(|n| {
                format!("/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-{n}")
                    .parse()
                    .unwrap()
            })
            .collect();
        let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        Closure {
            system: system.parse().unwrap(),
            roots,
            digest,
            nar_size: 1,
            path_count: 1,
        }
    }

    #[test]
    fn each_system_has_its_roots_and_digest() {
        let attributes =
            volume_attributes(&[closure("x86_64-linux", 2), closure("aarch64-linux", 1)]).unwrap();
        insta::assert_snapshot!(crate::to_yaml(&attributes).unwrap(), @r"
        niphas.io/digest.aarch64-linux: sha256:0000000000000000000000000000000000000000000000000000000000000000
        niphas.io/digest.x86_64-linux: sha256:0000000000000000000000000000000000000000000000000000000000000000
        niphas.io/roots.aarch64-linux: 0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-0
        niphas.io/roots.x86_64-linux: 0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-0 0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1
        ");
    }

    #[test]
    fn too_many_roots_are_refused_with_a_hint() {
        let error = volume_attributes(&[closure("x86_64-linux", 100)]).unwrap_err();
        insta::assert_snapshot!(error, @"100 roots take 4117 bytes of volume attributes, of which CSI leaves 3072; let the program refer to some of them itself (wrap it), so that they need not be roots");
    }
}
