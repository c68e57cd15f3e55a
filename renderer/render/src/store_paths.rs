//! Store paths in the strings of a workload.

use niphas_api::VIEW_ROOT;
use nix_formats::{StoreDir, StorePath};
use serde_json::Value;

/// Writes the package's own store path as `/nix/root`, which it is in a pod on every system.
pub(crate) fn replace_package(value: &mut Value, package: &StorePath) {
    let path = StoreDir::default().print(package);
    replace(value, &path);
}

fn replace(value: &mut Value, path: &str) {
    match value {
        Value::String(text) if text.contains(path) => *text = text.replace(path, VIEW_ROOT),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, path)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, path)),
        _ => {}
    }
}

/// Whether a text names a path in the store.
pub(crate) fn names_store_path(text: &str) -> bool {
    text.contains(&format!("{}/", StoreDir::default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn package_becomes_the_root_of_the_view_wherever_it_is_named() {
        let base_name = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
        let other = "/nix/store/9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-data";
        let path = format!("/nix/store/{base_name}");
        let mut value = json!({
            "command": [format!("{path}/bin/web"), format!("--path={path}:{path}/x")],
            "env": { "DATA": other },
        });
        replace_package(&mut value, &StorePath::from_base_name(base_name).unwrap());
        let expected = json!({
            "command": ["/nix/root/bin/web", "--path=/nix/root:/nix/root/x"],
            "env": { "DATA": other },
        });
        assert_eq!(value, expected);
    }
}
