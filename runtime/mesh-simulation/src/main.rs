//! The program `mesh-simulation`: prints a table, and with a name writes pictures of it.

#![expect(clippy::print_stdout, reason = "it is what the program is for")]

mod picture;

use std::process::ExitCode;

use niphas_mesh_simulation::{Outcome, Setting, Shape, closure, simulate};

use picture::{Curve, picture};

const NODES: [usize; 9] = [2, 5, 10, 20, 50, 100, 500, 1000, 5000];

fn main() -> ExitCode {
    let file = std::env::args().nth(1);
    println!(
        "{:38} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "closure", "nodes", "zones", "egress", "across", "last s", "/ alone", "uploads"
    );
    let (mut times, mut spreads) = (Vec::new(), Vec::new());
    for shape in Shape::ALL {
        let alone = simulate(&Setting::new(1, closure(shape))).last();
        let mut curves = [Curve::new(shape.name()), Curve::new(shape.name())];
        for nodes in NODES {
            // Each piece of 5,000 nodes is an event: of the largest closure that would be minutes.
            if nodes > 1000 && shape == Shape::OneLargePath {
                continue;
            }
            let outcome = simulate(&Setting::new(nodes, closure(shape)));
            row(shape, (nodes, 1), &outcome, alone);
            curves[0].add(nodes, outcome.last() / alone);
            curves[1].add(nodes, outcome.most_sent());
        }
        for zones in [3, 10] {
            let setting = Setting {
                zones,
                ..Setting::new(100, closure(shape))
            };
            row(shape, (100, zones), &simulate(&setting), alone);
        }
        let [time, spread] = curves;
        times.push(time);
        spreads.push(spread);
    }
    let Some(file) = file else {
        return ExitCode::SUCCESS;
    };
    let text = picture(&[
        (
            "Time until the last node has all, in times of one node alone",
            &times,
        ),
        (
            "The most that one node sends, in times of the average",
            &spreads,
        ),
    ]);
    match std::fs::write(&file, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed to write '{file}': {error}");
            ExitCode::FAILURE
        }
    }
}

fn row(shape: Shape, (nodes, zones): (usize, usize), outcome: &Outcome, alone: f64) {
    println!(
        "{:38} {nodes:>6} {zones:>6} {:>8.3} {:>8.3} {:>8.2} {:>8.3} {:>8.2}",
        shape.name(),
        outcome.egress(),
        outcome.across as f64 / outcome.closure as f64,
        outcome.last(),
        outcome.last() / alone,
        outcome.most_sent(),
    );
}
