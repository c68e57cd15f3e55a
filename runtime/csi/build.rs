//! Turns the protocols into code, without an installed `protoc`.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let protocols = [
        "csi.proto",
        "pluginregistration.proto",
        "containerd.content.proto",
        "containerd.images.proto",
        "containerd.leases.proto",
    ];
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=tests/proto");
    tonic_prost_build::configure().compile_fds(protox::compile(protocols, ["proto"])?)?;

    // The example that stands in for a controller while the conformance suite runs.
    let controller = Path::new(&env::var("OUT_DIR")?).join("controller");
    fs::create_dir_all(&controller)?;
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(controller)
        .compile_fds(protox::compile(["controller.proto"], ["tests/proto"])?)?;
    Ok(())
}
