//! What a volume's attributes ask for.
//!
//! A pod names its closure by the attributes of an inline volume: for each system `niphas.io/roots.<system>` and
//! `niphas.io/digest.<system>`, as [`niphas_api::volume_attributes`] writes them. kubelet adds who the pod is, for the
//! `CSIDriver` object says `podInfoOnMount: true`. Both come in one map, and where kubelet adds nothing the pod's author may
//! have written anything: what is said of the pod counts only with the pod's own UID, see [`Pod::of`].

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use niphas_api::ClosureDigest;
use nix_formats::store_path::StorePathError;
use nix_formats::{StorePath, few, shortened};
use thiserror::Error;

const OURS: &str = "niphas.io/";
const ROOTS: &str = "niphas.io/roots.";
const DIGEST: &str = "niphas.io/digest.";

/// Bytes of all names and values together, kubelet's among them. CSI allows 4 KiB, which kubelet does not enforce.
const MAX_BYTES: usize = 16 << 10;

/// Roots of one closure, as many as a NiphasWorkload may have.
const MAX_ROOTS: usize = 64;

/// Attributes that are no request for a closure.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AttributesError {
    /// More than is read.
    #[error(
        "the volume's attributes have {0} bytes, and at most {MAX_BYTES} are allowed: name fewer roots"
    )]
    TooLarge(usize),
    /// More than are looked up.
    #[error("{0} names more than {MAX_ROOTS} roots: let the program refer to some of them itself")]
    TooManyRoots(String),
    /// Nothing of ours.
    #[error(
        "the volume names no closure: want attributes niphas.io/roots.<system> and niphas.io/digest.<system>"
    )]
    Missing,
    /// A closure for other systems only.
    #[error(
        "the volume has closures for {}, and none for this node, which is {system}: \
         add {system} to the systems of the environment, or keep the pod off such nodes", few(.offered)
    )]
    OtherSystem {
        /// This node's.
        system: String,
        /// The volume's.
        offered: Vec<String>,
    },
    /// One of the two is there.
    #[error("the volume has {has} but not {lacks}: both come from one rendering")]
    Half {
        /// What is there.
        has: String,
        /// What is not.
        lacks: String,
    },
    /// No root in the list.
    #[error("{0} names no store path")]
    NoRoots(String),
    /// A root is no store path's base name.
    #[error("{attribute} has '{text}', which is no base name of a store path")]
    Root {
        /// The attribute.
        attribute: String,
        /// The part that is wrong.
        text: String,
        /// Why.
        source: StorePathError,
    },
    /// Not a digest.
    #[error("{attribute} is no closure digest")]
    Digest {
        /// The attribute.
        attribute: String,
        /// Why.
        source: niphas_api::ClosureError,
    },
    /// Something of ours that this driver does not know.
    #[error(
        "volume attribute '{0}' is not known to this driver: it is misspelt, or the driver is older than what wrote it"
    )]
    Unknown(String),
}

/// What is wrong, as an error names it: an attribute may be long.
fn named(text: &str) -> String {
    shortened(text, 256).into_owned()
}

/// What a volume is to hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    /// The closure's roots, the program's first. Never empty.
    pub roots: Vec<StorePath>,
    /// What the closure must be.
    pub digest: ClosureDigest,
}

impl Wanted {
    /// Reads the attributes for this node's system.
    pub(crate) fn parse(
        attributes: &HashMap<String, String>,
        system: &str,
    ) -> Result<Self, AttributesError> {
        let sizes = attributes
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let size = sizes.sum();
        if size > MAX_BYTES {
            return Err(AttributesError::TooLarge(size));
        }
        let mut offered = BTreeSet::new();
        for name in attributes.keys().filter(|name| name.starts_with(OURS)) {
            let of = name
                .strip_prefix(ROOTS)
                .or_else(|| name.strip_prefix(DIGEST))
                .ok_or_else(|| AttributesError::Unknown(named(name)))?;
            offered.insert(of.to_owned());
        }
        let (roots_name, digest_name) = (format!("{ROOTS}{system}"), format!("{DIGEST}{system}"));
        let (roots, digest) = match (attributes.get(&roots_name), attributes.get(&digest_name)) {
            (Some(roots), Some(digest)) => (roots, digest),
            (Some(_), None) => {
                return Err(AttributesError::Half {
                    has: roots_name,
                    lacks: digest_name,
                });
            }
            (None, Some(_)) => {
                return Err(AttributesError::Half {
                    has: digest_name,
                    lacks: roots_name,
                });
            }
            (None, None) if offered.is_empty() => return Err(AttributesError::Missing),
            (None, None) => {
                return Err(AttributesError::OtherSystem {
                    system: system.to_owned(),
                    offered: offered.iter().map(|name| named(name)).collect(),
                });
            }
        };
        if roots.split_ascii_whitespace().nth(MAX_ROOTS).is_some() {
            return Err(AttributesError::TooManyRoots(roots_name));
        }
        let roots = roots
            .split_ascii_whitespace()
            .map(|text| {
                StorePath::from_base_name(text).map_err(|source| AttributesError::Root {
                    attribute: roots_name.clone(),
                    text: named(text),
                    source,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if roots.is_empty() {
            return Err(AttributesError::NoRoots(roots_name));
        }
        let digest = digest.parse().map_err(|source| AttributesError::Digest {
            attribute: digest_name,
            source,
        })?;
        Ok(Self { roots, digest })
    }
}

/// The pod that a volume is for, as far as kubelet said.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl Pod {
    /// The pod that the attributes name, if kubelet wrote them; else the one that nothing is known of.
    ///
    /// kubelet overwrites what a pod's author put there only if the `CSIDriver` object has `podInfoOnMount: true`. So the UID
    /// decides: kubelet puts it into the target path, and the API server chose it when the pod's attributes were written already.
    pub(crate) fn of(target: &Path, attributes: &HashMap<String, String>) -> Self {
        let get = |name: &str| {
            let key = format!("csi.storage.k8s.io/{name}");
            attributes.get(&key).map_or("", String::as_str)
        };
        let pod = Self {
            namespace: get("pod.namespace").to_owned(),
            name: get("pod.name").to_owned(),
            uid: get("pod.uid").to_owned(),
        };
        let is_kubelets = get("ephemeral") == "true" && uid_in(target) == Some(pod.uid.as_str());
        if is_kubelets && pod.is_known() {
            pod
        } else {
            Self::default()
        }
    }

    /// Whether kubelet said who the pod is.
    pub(crate) fn is_known(&self) -> bool {
        !self.namespace.is_empty() && !self.name.is_empty()
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            write!(f, "pod {}/{}", self.namespace, self.name)
        } else {
            f.write_str("a pod that kubelet did not name")
        }
    }
}

/// The UID of the pod in a target path, which is `<kubelet's folder>/pods/<UID>/volumes/kubernetes.io~csi/<volume>/mount`
/// wherever kubelet's folder is. Read from the end: only there are the names kubelet's own.
fn uid_in(target: &Path) -> Option<&str> {
    let mut names = target.iter().rev();
    let is_mount = names.next()? == "mount";
    let _volume = names.next()?;
    let is_volume = names.next()? == "kubernetes.io~csi" && names.next()? == "volumes";
    let uid = names.next()?.to_str()?;
    let is_pod = names.next()? == "pods";
    (is_mount && is_volume && is_pod && target.is_absolute() && !uid.is_empty()).then_some(uid)
}

/// This machine's system, as Nix names it.
pub fn this_system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
    const CONF: &str = "9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-web.conf";

    fn attributes(entries: &[(&str, &str)]) -> HashMap<String, String> {
        let entries = entries.iter();
        entries
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn refusal(entries: &[(&str, &str)]) -> String {
        Wanted::parse(&attributes(entries), "x86_64-linux")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_nodes_own_system_is_taken() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let other = format!("sha256:{}", "2".repeat(64));
        let attributes = attributes(&[
            ("niphas.io/roots.x86_64-linux", &format!("{WEB} {CONF}")),
            ("niphas.io/digest.x86_64-linux", &digest),
            ("niphas.io/roots.aarch64-linux", WEB),
            ("niphas.io/digest.aarch64-linux", &other),
            ("csi.storage.k8s.io/ephemeral", "true"),
        ]);
        assert_eq!(
            Wanted::parse(&attributes, "x86_64-linux"),
            Ok(Wanted {
                roots: [WEB, CONF]
                    .map(|name| StorePath::from_base_name(name).unwrap())
                    .to_vec(),
                digest: digest.parse().unwrap(),
            })
        );
    }

    #[test]
    fn what_the_renderer_writes_is_read() {
        let digest: ClosureDigest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let written = niphas_api::volume_attributes(&[niphas_api::Closure {
            system: "aarch64-linux".parse().unwrap(),
            roots: vec![format!("/nix/store/{WEB}").parse().unwrap()],
            digest,
            nar_size: 1,
            path_count: 1,
        }])
        .unwrap();
        let read = Wanted::parse(&written.into_iter().collect(), "aarch64-linux").unwrap();
        assert_eq!(read.digest, digest);
        assert_eq!(read.roots, [StorePath::from_base_name(WEB).unwrap()]);
    }

    #[test]
    fn what_is_no_request_is_refused_with_what_to_do() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let roots = "niphas.io/roots.x86_64-linux";
        let digest_name = "niphas.io/digest.x86_64-linux";
        insta::assert_snapshot!(refusal(&[]), @"the volume names no closure: want attributes niphas.io/roots.<system> and niphas.io/digest.<system>");
        insta::assert_snapshot!(refusal(&[("niphas.io/roots.riscv64-linux", WEB)]), @"the volume has closures for riscv64-linux, and none for this node, which is x86_64-linux: add x86_64-linux to the systems of the environment, or keep the pod off such nodes");
        insta::assert_snapshot!(refusal(&[(roots, WEB)]), @"the volume has niphas.io/roots.x86_64-linux but not niphas.io/digest.x86_64-linux: both come from one rendering");
        insta::assert_snapshot!(refusal(&[(roots, " "), (digest_name, &digest)]), @"niphas.io/roots.x86_64-linux names no store path");
        insta::assert_snapshot!(refusal(&[(roots, "../../etc"), (digest_name, &digest)]), @"niphas.io/roots.x86_64-linux has '../../etc', which is no base name of a store path");
        insta::assert_snapshot!(refusal(&[(roots, WEB), (digest_name, "sha256:0")]), @"niphas.io/digest.x86_64-linux is no closure digest");
        insta::assert_snapshot!(refusal(&[("niphas.io/root.x86_64-linux", WEB)]), @"volume attribute 'niphas.io/root.x86_64-linux' is not known to this driver: it is misspelt, or the driver is older than what wrote it");
    }

    #[test]
    fn requests_that_would_cost_much_are_refused_before_they_are_read() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let (roots, digest_name) = (
            "niphas.io/roots.x86_64-linux",
            "niphas.io/digest.x86_64-linux",
        );
        let with_roots = |count: usize| {
            let names = vec![WEB; count].join(" ");
            Wanted::parse(
                &attributes(&[(roots, &names), (digest_name, &digest)]),
                "x86_64-linux",
            )
        };
        assert_eq!(with_roots(MAX_ROOTS).unwrap().roots.len(), MAX_ROOTS);
        insta::assert_snapshot!(with_roots(MAX_ROOTS + 1).unwrap_err(), @"niphas.io/roots.x86_64-linux names more than 64 roots: let the program refer to some of them itself");
        insta::assert_snapshot!(with_roots(28_000).unwrap_err(), @"the volume's attributes have 1148127 bytes, and at most 16384 are allowed: name fewer roots");
        // Whatever they are: also those that are not for this driver.
        let long = "x".repeat(MAX_BYTES);
        insta::assert_snapshot!(refusal(&[(roots, WEB), (digest_name, &digest), ("other", &long)]), @"the volume's attributes have 16557 bytes, and at most 16384 are allowed: name fewer roots");
        insta::assert_snapshot!(refusal(&[(roots, WEB), (digest_name, &digest), (&long, "")]), @"the volume's attributes have 16552 bytes, and at most 16384 are allowed: name fewer roots");
    }

    const TARGET: &str = "/var/lib/kubelet/pods/7/volumes/kubernetes.io~csi/closure/mount";

    fn pod(target: &str, changes: &[(&str, &str)]) -> Pod {
        let mut info = attributes(&[
            ("csi.storage.k8s.io/pod.name", "web-0"),
            ("csi.storage.k8s.io/pod.namespace", "shop"),
            ("csi.storage.k8s.io/pod.uid", "7"),
            ("csi.storage.k8s.io/ephemeral", "true"),
        ]);
        info.extend(attributes(changes));
        Pod::of(Path::new(target), &info)
    }

    #[test]
    fn the_pod_is_who_kubelet_says() {
        assert_eq!(pod(TARGET, &[]).to_string(), "pod shop/web-0");
        for target in [
            "/srv/k8s/pods/7/volumes/kubernetes.io~csi/closure/mount",
            "/pods/8/volumes/kubernetes.io~csi/mount/pods/7/volumes/kubernetes.io~csi/x/mount",
        ] {
            assert_eq!(pod(target, &[]).namespace, "shop", "{target}");
        }
        assert_eq!(
            Pod::default().to_string(),
            "a pod that kubelet did not name"
        );
    }

    #[test]
    fn what_a_pods_author_says_of_the_pod_does_not_count() {
        for changes in [
            [("csi.storage.k8s.io/pod.uid", "8")],
            [("csi.storage.k8s.io/pod.uid", "")],
            [("csi.storage.k8s.io/ephemeral", "false")],
            [("csi.storage.k8s.io/pod.namespace", "")],
            [("csi.storage.k8s.io/pod.name", "")],
        ] {
            assert_eq!(pod(TARGET, &changes), Pod::default(), "{changes:?}");
        }
        // Only kubelet's own place for the volumes of a pod tells a UID.
        for target in [
            "/var/lib/kubelet/pods/7/volumes/kubernetes.io~csi/closure",
            "/var/lib/kubelet/pods/7/volumes/kubernetes.io~empty-dir/closure/mount",
            "/var/lib/kubelet/pods/7/volume-subpaths/kubernetes.io~csi/closure/mount",
            "/var/lib/kubelet/7/volumes/kubernetes.io~csi/closure/mount",
            "/var/lib/kubelet/plugins/7/volumes/kubernetes.io~csi/closure/mount",
            "pods/7/volumes/kubernetes.io~csi/closure/mount",
            "/7/volumes/kubernetes.io~csi/closure/mount",
            "/",
            "",
        ] {
            assert_eq!(pod(target, &[]), Pod::default(), "{target}");
        }
        let no_uid = "/var/lib/kubelet/pods//volumes/kubernetes.io~csi/closure/mount";
        assert_eq!(
            pod(no_uid, &[("csi.storage.k8s.io/pod.uid", "")]),
            Pod::default()
        );
    }
}
