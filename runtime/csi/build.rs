//! Turns the protocols into code, without an installed `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protocols = [
        "csi.proto",
        "pluginregistration.proto",
        "containerd.content.proto",
        "containerd.images.proto",
        "containerd.leases.proto",
    ];
    println!("cargo::rerun-if-changed=proto");
    tonic_prost_build::configure().compile_fds(protox::compile(protocols, ["proto"])?)?;
    Ok(())
}
