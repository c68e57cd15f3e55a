//! Turns the protocols into code, without an installed `protoc`: those that the driver serves, and a controller's.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=../csi/proto");
    let served = ["csi.proto", "pluginregistration.proto"];
    tonic_prost_build::configure().compile_fds(protox::compile(served, ["../csi/proto"])?)?;

    // A folder of its own: it is of the package csi.v1 too.
    let controller = Path::new(&env::var("OUT_DIR")?).join("controller");
    fs::create_dir_all(&controller)?;
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(controller)
        .compile_fds(protox::compile(["controller.proto"], ["proto"])?)?;
    Ok(())
}
