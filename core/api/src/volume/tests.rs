use proptest::prelude::*;

use super::*;
use crate::workload::Root;

const WEB: &str = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
const CONF: &str = "9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-web.conf";

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
        names: BTreeMap::new(),
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

fn attributes(entries: &[(&str, &str)]) -> HashMap<String, String> {
    let entries = entries.iter();
    entries
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn parse(entries: &[(&str, &str)]) -> Result<VolumeAttributes, BadVolumeAttributes> {
    VolumeAttributes::parse(&attributes(entries), &"x86_64-linux".parse().unwrap())
}

fn refusal(entries: &[(&str, &str)]) -> String {
    parse(entries).unwrap_err().to_string()
}

#[test]
fn the_nodes_own_system_is_taken() {
    let digest = format!("sha256:{}", "1".repeat(64));
    let other = format!("sha256:{}", "2".repeat(64));
    let read = parse(&[
        ("niphas.io/roots.x86_64-linux", &format!("{WEB} {CONF}")),
        ("niphas.io/digest.x86_64-linux", &digest),
        ("niphas.io/roots.aarch64-linux", WEB),
        ("niphas.io/digest.aarch64-linux", &other),
        ("csi.storage.k8s.io/ephemeral", "true"),
    ]);
    let roots = [WEB, CONF].map(|name| StorePath::from_base_name(name).unwrap());
    assert_eq!(
        read,
        Ok(VolumeAttributes {
            roots: roots.to_vec().try_into().unwrap(),
            digest: digest.parse().unwrap(),
        })
    );
}

#[test]
fn what_is_no_request_is_refused_with_what_to_do() {
    let digest = format!("sha256:{}", "1".repeat(64));
    let roots = "niphas.io/roots.x86_64-linux";
    let digest_name = "niphas.io/digest.x86_64-linux";
    insta::assert_snapshot!(refusal(&[]), @"the volume names no closure: expected the attributes niphas.io/roots.<system> and niphas.io/digest.<system>");
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
    let roots = "niphas.io/roots.x86_64-linux";
    let digest_name = "niphas.io/digest.x86_64-linux";
    let with_roots = |count: usize| {
        let names = vec![WEB; count].join(" ");
        parse(&[(roots, &names), (digest_name, &digest)])
    };
    assert_eq!(with_roots(MAX_ROOTS).unwrap().roots.count(), MAX_ROOTS);
    insta::assert_snapshot!(with_roots(MAX_ROOTS + 1).unwrap_err(), @"niphas.io/roots.x86_64-linux names more than 64 roots: let the program refer to some of them itself");
    insta::assert_snapshot!(with_roots(28_000).unwrap_err(), @"the volume's attributes have 1148127 bytes, and at most 16384 are allowed: name fewer roots");
    // Also those that are not for this driver.
    let long = "x".repeat(MAX_BYTES);
    insta::assert_snapshot!(refusal(&[(roots, WEB), (digest_name, &digest), ("other", &long)]), @"the volume's attributes have 16557 bytes, and at most 16384 are allowed: name fewer roots");
    insta::assert_snapshot!(refusal(&[(roots, WEB), (digest_name, &digest), (&long, "")]), @"the volume's attributes have 16552 bytes, and at most 16384 are allowed: name fewer roots");
}

#[test]
fn roots_with_names_are_written_before_the_equals_sign_and_read() {
    let conf = format!("/nix/store/{CONF}").parse::<Root>().unwrap();
    let mut closure = closure("x86_64-linux", 2);
    closure.names = [("conf".parse().unwrap(), conf.clone())].into();
    let attributes = volume_attributes(std::slice::from_ref(&closure)).unwrap();
    assert_eq!(
        attributes["niphas.io/roots.x86_64-linux"],
        format!(
            "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-0 0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1 conf={CONF}"
        )
    );
    let read = VolumeAttributes::parse(&attributes.into_iter().collect(), &closure.system).unwrap();
    let names: Vec<_> = read.roots.names().collect();
    assert_eq!(names, [(&"conf".parse().unwrap(), conf.path())]);
    assert_eq!(read.roots.count(), 3);
}

#[test]
fn names_that_are_none_or_stand_twice_are_refused() {
    let digest = format!("sha256:{}", "1".repeat(64));
    let refused = |roots: &str| {
        refusal(&[
            ("niphas.io/roots.x86_64-linux", roots),
            ("niphas.io/digest.x86_64-linux", &digest),
        ])
    };
    for name in ["../x", "A", "a/b", "", "-a"] {
        let said = refused(&format!("{WEB} {name}={CONF}"));
        assert!(
            said.contains("which is no base name of a store path"),
            "{said}"
        );
    }
    let said = refused(&format!("{WEB} a={CONF} a={WEB}"));
    assert!(said.contains(&format!("'a={WEB}'")), "{said}");
}

fn root() -> impl Strategy<Value = StorePath> {
    "[0-9a-df-np-sv-z]{32}-[a-zA-Z0-9+_?=][a-zA-Z0-9+._?=-]{0,60}"
        .prop_map(|name| StorePath::from_base_name(&name).unwrap())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        roots in prop::collection::vec(root(), 1..MAX_ROOTS),
        digest in "sha256:[0-9a-f]{64}",
        system in "[a-z0-9_]{1,20}-[a-z0-9_]{1,20}",
    ) {
        let system = system.parse().unwrap();
        let written = VolumeAttributes {
            roots: roots.try_into().unwrap(),
            digest: digest.parse().unwrap(),
        };
        let attributes = HashMap::from(written.encode(&system));
        prop_assert_eq!(VolumeAttributes::parse(&attributes, &system), Ok(written));
    }

    #[test]
    fn a_workloads_closures_are_read_by_the_nodes_of_each_system(
        of_x86 in prop::collection::vec(root(), 1..12),
        of_arm in prop::collection::vec(root(), 1..12),
    ) {
        let with = |system: &str, roots: &[StorePath]| Closure {
            roots: roots.iter().cloned().map(Into::into).collect(),
            ..closure(system, 0)
        };
        let closures = [with("x86_64-linux", &of_x86), with("aarch64-linux", &of_arm)];
        let written = volume_attributes(&closures).unwrap().into_iter().collect();
        for (closure, roots) in closures.iter().zip([of_x86, of_arm]) {
            let read = VolumeAttributes::parse(&written, &closure.system).unwrap();
            prop_assert!(read.roots.iter().eq(&roots));
            prop_assert_eq!(read.digest, closure.digest);
        }
    }
}
