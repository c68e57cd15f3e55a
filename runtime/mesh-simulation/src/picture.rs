//! Curves as SVG.

use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 40.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 36.0;
/// They differ also for the colour-blind (Okabe and Ito).
const COLOURS: [&str; 3] = ["#0072b2", "#d55e00", "#009e73"];
/// The right end of the axis of nodes.
const MOST_NODES: f64 = 10_000.0;

/// Values for numbers of nodes.
pub(crate) struct Curve {
    name: &'static str,
    points: Vec<(usize, f64)>,
}

impl Curve {
    pub(crate) fn new(name: &'static str) -> Self {
        let points = Vec::new();
        Self { name, points }
    }

    pub(crate) fn add(&mut self, nodes: usize, value: f64) {
        self.points.push((nodes, value));
    }
}

/// Panels side by side, each with a title and curves over the number of nodes, which is on a logarithmic axis.
pub(crate) fn picture(panels: &[(&str, &[Curve])]) -> String {
    let width = panels.len() as f64 * WIDTH;
    let height = TOP + HEIGHT + BOTTOM + 18.0 * 3.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, (title, curves)) in panels.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<g transform=\"translate({} 0)\">",
            number as f64 * WIDTH
        );
        panel(&mut svg, title, curves);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, title: &str, curves: &[Curve]) {
    let values = curves.iter().flat_map(|curve| &curve.points);
    let most = values
        .fold(1.0, |most: f64, (_, value)| most.max(*value))
        .mul_add(1.1, 0.0)
        .ceil();
    let (right, bottom) = (WIDTH - 20.0, TOP + HEIGHT);
    let x = |nodes: f64| LEFT + (right - LEFT) * nodes.log10() / MOST_NODES.log10();
    let y = |value: f64| bottom - HEIGHT * value / most;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">{title}</text>"
    );
    for nodes in [1.0, 10.0, 100.0, 1000.0, MOST_NODES] {
        let x = x(nodes);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{nodes}</text>",
            bottom + 16.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">nodes</text>",
        LEFT.midpoint(right),
        bottom + 31.0
    );
    for value in 0..=most as u32 {
        let y = y(f64::from(value));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (curve, (number, colour)) in curves.iter().zip(COLOURS.iter().enumerate()) {
        let points = curve.points.iter();
        let points =
            points.map(|(nodes, value)| format!("{:.1},{:.1}", x(*nodes as f64), y(*value)));
        let points: Vec<String> = points.collect();
        let at = bottom + BOTTOM + 10.0 + 18.0 * number as f64;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <path d=\"M{LEFT} {at}h24\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\" y=\"{}\">{}</text>",
            points.join(" "),
            LEFT + 30.0,
            at + 4.0,
            curve.name
        );
    }
}
