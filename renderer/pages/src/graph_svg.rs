//! The picture of a run's derivations.

use maud::{Markup, html};

use crate::frame::{Frame, build_words};
use crate::graph::{Cell, Graph};
use crate::model::Run;
use crate::paths;
use crate::text::{counted, derivation_name, duration};

const WIDTH: usize = 162;
const HEIGHT: usize = 40;
const GAP_X: usize = 40;
const GAP_Y: usize = 10;
const MARGIN: usize = 4;
/// Boxes that are seen at once.
const TALL: usize = 8;
/// Characters of a name that a box has room for.
const NAME: usize = 18;

struct Place {
    x: usize,
    y: usize,
}

/// An SVG in which each derivation with a log leads to it.
pub(crate) fn svg(frame: &Frame<'_>, graph: &Graph, run: &Run) -> Markup {
    let tallest = graph.layers.iter().map(Vec::len).max().unwrap_or(0);
    let height = tallest * (HEIGHT + GAP_Y) + 2 * MARGIN;
    let width = graph.layers.len() * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN;
    let mut places: Vec<Place> = graph.cells.iter().map(|_| Place { x: 0, y: 0 }).collect();
    for (layer, cells) in graph.layers.iter().enumerate() {
        // In the middle of a tall picture a short layer would be out of sight.
        let middle = (tallest - cells.len()) * (HEIGHT + GAP_Y) / 2;
        let top = MARGIN + if tallest > TALL { 0 } else { middle };
        for (at, &cell) in cells.iter().enumerate() {
            places[cell] = Place {
                x: layer * (WIDTH + GAP_X) + MARGIN,
                y: top + at * (HEIGHT + GAP_Y),
            };
        }
    }
    html! {
        svg.graph xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) }
            role="group" aria-label="Graph of derivations, inputs on the left" {
            g.edges aria-hidden="true" {
                @for &(from, to) in &graph.edges { path d=(line(&places[from], &places[to])) {} }
            }
            @for (cell, place) in graph.cells.iter().zip(&places) { (self::cell(frame, *cell, place, run)) }
        }
    }
}

fn line(from: &Place, to: &Place) -> String {
    let (x1, y1) = (from.x + WIDTH, from.y + HEIGHT / 2);
    let y2 = to.y + HEIGHT / 2;
    if from.x >= to.x {
        // Within a layer, or back from a circle.
        let (x2, bend) = (to.x + WIDTH, x1.max(to.x + WIDTH) + GAP_X / 2);
        return format!("M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}");
    }
    let (x2, middle) = (to.x, x1.midpoint(to.x));
    format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
}

fn cell(frame: &Frame<'_>, cell: Cell, place: &Place, run: &Run) -> Markup {
    let (state, first, second, title, log) = match cell {
        Cell::Single(node) => {
            let build = &run.builds[node];
            let (_, _, word) = build_words(build.state);
            let name = derivation_name(&build.derivation);
            let second = match build.took {
                Some(took) => format!("{word}, {}", duration(took)),
                None => word.to_owned(),
            };
            let log = || paths::log_of_run(&build.derivation, &run.source, &run.summary.id);
            let log = build.has_log.then(|| frame.href(&log()));
            let title = format!("{name}: {second}");
            (build.state, fitting(&name), second, title, log)
        }
        Cell::Group(state, count) => {
            let (_, _, word) = build_words(state);
            let first = counted(count as u64, "derivation");
            let title = format!("{first} {word}");
            (state, first, word.to_owned(), title, None)
        }
    };
    let (class, sign, _) = build_words(state);
    let shape = html! {
        title { (title) }
        rect x=(place.x) y=(place.y) width=(WIDTH) height=(HEIGHT) rx="6" {}
        text.sign x=(place.x + 16) y=(place.y + 25) aria-hidden="true" { (sign) }
        // An inner picture cuts off what is wider than the box: fonts differ.
        svg x=(place.x) y=(place.y) width=(WIDTH - 2) height=(HEIGHT) { text.name x="30" y="17" { (first) } }
        text.what x=(place.x + 30) y=(place.y + 32) { (second) }
    };
    let group = if matches!(cell, Cell::Group(..)) {
        "many"
    } else {
        "one"
    };
    html! {
        @if let Some(log) = log {
            a href=(log) { g.box.(class).(group) { (shape) } }
        } @else {
            g.box.(class).(group) { (shape) }
        }
    }
}

fn fitting(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    // Names differ at their ends as often as at their beginnings.
    let all: Vec<char> = name.chars().collect();
    let head: String = all[..NAME - 9].iter().collect();
    let tail: String = all[all.len() - 8..].iter().collect();
    format!("{head}…{tail}")
}
