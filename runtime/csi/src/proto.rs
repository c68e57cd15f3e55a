//! The protocols, as `build.rs` makes them of the files in `proto/`.
#![expect(
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    reason = "generated; documented in the files they come from"
)]

/// The Container Storage Interface.
pub(crate) mod csi {
    tonic::include_proto!("csi.v1");
}

/// How plugins make themselves known to kubelet.
pub(crate) mod registration {
    tonic::include_proto!("pluginregistration");
}

/// containerd's content store.
pub(crate) mod content {
    tonic::include_proto!("containerd.services.content.v1");
}

/// containerd's images.
pub(crate) mod images {
    tonic::include_proto!("containerd.services.images.v1");
}

/// containerd's leases.
pub(crate) mod leases {
    tonic::include_proto!("containerd.services.leases.v1");
}
