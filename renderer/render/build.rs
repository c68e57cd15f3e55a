//! Writes the schema of workloads as JSON, from the definition in `deploy/crd.yaml`: to derive it takes a program longer than
//! all else that it does when nothing has changed. That the file is what is derived is tested in `niphas-operator`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    // From the package's folder, where cargo runs this: the program itself may have been built for another clone.
    let file = "../../deploy/crd.yaml";
    println!("cargo::rerun-if-changed={file}");
    let definition: Value = serde_saphyr::from_str(&fs::read_to_string(file)?)?;
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    if !schema.is_object() {
        return Err(format!("{file} has no schema").into());
    }
    let out = env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?;
    fs::write(PathBuf::from(out).join("schema.json"), schema.to_string())?;
    Ok(())
}
