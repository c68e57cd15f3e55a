//! The reference pages: the command line, and the metrics.

use clap::CommandFactory as _;
use niphas_mesh::Metrics;
use niphas_reference::{Label, assert_page, command_line_page, metrics_page};

use crate::args::Args;

const INTRODUCTION: &str = "\
# The metrics of `niphas-mesh`

A test makes this page of what the mesh exports at `/metrics`.
";

#[test]
fn the_reference_page_is_what_the_options_say() {
    let page = command_line_page(
        "What the program does: [mesh.md](mesh.md).",
        Args::command(),
    );
    assert_page("cli-niphas-mesh.md", &page);
}

#[test]
fn the_reference_page_is_what_the_mesh_exports() {
    let metrics = Metrics::default();
    metrics.list_labels();
    let label = |name, values: &[_]| Label {
        name,
        of: "",
        values: values.to_vec(),
    };
    let labels = [
        label(
            "source",
            &[
                ("Origin", "The cache."),
                ("Zone", "A peer of the node's zone."),
                ("OtherZone", "A peer of another zone."),
            ],
        ),
        label(
            "to",
            &[
                (
                    "Origin",
                    "The mesh asked a cache for a part that other nodes are the homes of.",
                ),
                (
                    "Reader",
                    "The mesh could not give a file: its reader asks the cache.",
                ),
            ],
        ),
        label(
            "answer",
            &[
                ("Served", "The part was sent."),
                (
                    "Elsewhere",
                    "Another peer was named that has the part or is receiving it.",
                ),
                (
                    "Busy",
                    "As many uploads as may be went on; another peer is named if one has the part.",
                ),
                ("NotHere", "The part was not here, and no source gave it."),
                (
                    "Missing",
                    "The cache has no such file, or none that can be shared.",
                ),
            ],
        ),
        label(
            "fault",
            &[
                ("unreachable", "No connection, or one that broke."),
                ("stalled", "Silence for too long."),
                (
                    "malformed",
                    "An answer that is none, or one of several peers whose file had a wrong hash.",
                ),
                (
                    "wrong bytes",
                    "A file that came from this peer alone had a wrong hash.",
                ),
            ],
        ),
    ];
    let (process, mesh) = (niphas_daemon::process_metrics(), metrics.registry());
    let page = metrics_page(INTRODUCTION, &[&mesh, &process], &labels);
    assert_page("metrics-niphas-mesh.md", &page);
}
