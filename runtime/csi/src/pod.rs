//! The pod that a volume is for.
//!
//! kubelet adds who the pod is to a volume's attributes, for the `CSIDriver` object says `podInfoOnMount: true`. Both come in
//! one map, and where kubelet adds nothing the pod's author may have written anything: what is said of the pod counts only with
//! the pod's own UID, see [`Pod::of`].

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(entries: &[(&str, &str)]) -> HashMap<String, String> {
        let entries = entries.iter();
        entries
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
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
