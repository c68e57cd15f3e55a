//! The protocols, as `build.rs` makes them.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::pedantic,
    reason = "generated; documented in the files they come from"
)]

/// What a CSI driver of volumes of nodes serves.
pub mod csi {
    tonic::include_proto!("csi.v1");
}

/// How plugins make themselves known to kubelet.
pub mod registration {
    tonic::include_proto!("pluginregistration");
}

/// What a CSI driver with a controller serves.
pub mod controller {
    include!(concat!(env!("OUT_DIR"), "/controller/csi.v1.rs"));
}
