//! The picture of an environment's closures: a treemap of workloads, and in each of them of packages.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use nix_formats::size;

use crate::html::escaped;
use crate::picture::{EnvironmentPicture, Part, State, WorkloadPicture};
use crate::review::ChangeKind;
use crate::treemap::{Rect, squarify};

const WIDTH: f64 = 1200.0;
/// Around a workload's packages, and above them for its name.
const BORDER: f64 = 1.5;
const HEADER: f64 = 17.0;
/// Smaller tiles are shown as one.
const SMALLEST: f64 = 70.0;
/// The width of a character of a label, about.
const CHARACTER: f64 = 6.3;
const LINE: f64 = 13.0;

impl EnvironmentPicture {
    /// An SVG element. Colours come from classes of the page.
    pub(crate) fn svg(&self) -> String {
        let height = (280.0 + 20.0 * self.workloads.len() as f64).min(900.0);
        let mut svg = format!(
            r#"<svg class="treemap" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Sizes of the closures by workload and package">"#
        );
        let whole = Rect {
            x: 0.0,
            y: 0.0,
            width: WIDTH,
            height,
        };
        let shown: Vec<&WorkloadPicture> = self
            .workloads
            .iter()
            .filter(|workload| workload.size > 0)
            .collect();
        let sizes: Vec<u64> = shown.iter().map(|workload| workload.size).collect();
        for (workload, rect) in shown.iter().zip(squarify(&sizes, whole)) {
            workload.draw(rect, &mut svg);
        }
        svg.push_str("</svg>");
        svg
    }
}

impl WorkloadPicture {
    fn draw(&self, rect: Rect, svg: &mut String) {
        let frame = rect.inner(1.0, 0.0);
        let change = match self.change {
            Some(ChangeKind::Added) => " (new)",
            Some(ChangeKind::Changed) => " (changes)",
            Some(ChangeKind::Removed) | None => "",
        };
        let title = format!("{}: {}{change}", self.name, size(self.size));
        let class = if self.change.is_some() {
            "workload changes"
        } else {
            "workload"
        };
        let _ = write!(
            svg,
            r#"<g class="{class}"><title>{}</title>"#,
            escaped(&title)
        );
        shape(frame, "frame", svg);
        let has_header = frame.width > 40.0 && frame.height > 2.2 * HEADER;
        if has_header {
            // Bold characters are wider.
            let room = (frame.width - 8.0) / 1.1;
            let text = fitting(
                &[&format!("{} {}", self.name, size(self.size)), &self.name],
                room,
            );
            let _ = write!(
                svg,
                r#"<text class="name" x="{:.1}" y="{:.1}">{}</text>"#,
                frame.x + 4.0,
                frame.y + 12.5,
                escaped(&text)
            );
        }
        let inner = frame.inner(BORDER, if has_header { HEADER - BORDER } else { 0.0 });
        let mut tiles = self.tiles(inner.area());
        tiles.sort_by_key(|tile| Reverse(tile.size));
        let sizes: Vec<u64> = tiles.iter().map(|tile| tile.size).collect();
        for (tile, rect) in tiles.iter().zip(squarify(&sizes, inner)) {
            tile.draw(rect, svg);
        }
        svg.push_str("</g>");
    }

    /// A tile for each package that is large enough, and one for all others of one colour.
    fn tiles(&self, area: f64) -> Vec<Tile> {
        let total: f64 = self.packages.iter().map(|part| part.size as f64).sum();
        let mut tiles = Vec::new();
        let mut others: BTreeMap<(State, bool), (usize, u64)> = BTreeMap::new();
        for part in &self.packages {
            if part.size as f64 / total * area >= SMALLEST {
                tiles.push(Tile::of(part));
            } else {
                let (count, size) = others.entry((part.state, part.sharers > 1)).or_default();
                *count += 1;
                *size = size.saturating_add(part.size);
            }
        }
        tiles.extend(
            others
                .into_iter()
                .map(|((state, is_shared), (count, size))| Tile {
                    names: [format!("{count} smaller"), format!("+{count}")],
                    size,
                    state,
                    is_shared,
                    more: String::new(),
                }),
        );
        tiles
    }
}

/// A rectangle with a name.
struct Tile {
    /// The second one is for where there is little room.
    names: [String; 2],
    size: u64,
    state: State,
    is_shared: bool,
    /// What else is to know.
    more: String,
}

impl Tile {
    fn of(part: &Part) -> Self {
        let name = match part.version.as_str() {
            "" => part.name.clone(),
            version => format!("{} {version}", part.name),
        };
        let is_shared = part.sharers > 1;
        Self {
            names: [name, part.name.clone()],
            size: part.size,
            state: part.state,
            is_shared,
            more: if is_shared {
                format!(", in {} workloads", part.sharers)
            } else {
                String::new()
            },
        }
    }

    fn draw(&self, rect: Rect, svg: &mut String) {
        let (class, state) = match self.state {
            State::Same => ("same", ""),
            State::Changed => ("changed", ", changed"),
            State::New => ("new", ", new"),
        };
        let shared = if self.is_shared { " shared" } else { "" };
        let [name, short] = &self.names;
        let title = format!("{name}: {}{state}{}", size(self.size), self.more);
        let _ = write!(svg, "<g><title>{}</title>", escaped(&title));
        shape(rect, &format!("tile {class}{shared}"), svg);
        label(rect, &[name, short], &size(self.size), svg);
        svg.push_str("</g>");
    }
}

fn shape(rect: Rect, class: &str, svg: &mut String) {
    let _ = write!(
        svg,
        r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}"/>"#,
        rect.x, rect.y, rect.width, rect.height
    );
}

/// Writes a name into a tile, and a size below it, as far as there is room.
fn label(rect: Rect, names: &[&str], size: &str, svg: &mut String) {
    let room = rect.width - 8.0;
    if rect.height < LINE + 3.0 {
        return;
    }
    let name = fitting(names, room);
    if name.is_empty() {
        return;
    }
    let (x, y) = (rect.x + 4.0, rect.y + LINE);
    let _ = write!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}">{}</text>"#,
        escaped(&name)
    );
    if rect.height >= 2.0 * LINE + 4.0 && width(size) <= room {
        let y = y + LINE;
        let _ = write!(
            svg,
            r#"<text class="size" x="{x:.1}" y="{y:.1}">{size}</text>"#
        );
    }
}

/// The first of the texts that fits, or the beginning and the end of the last one if that is still a name.
fn fitting(texts: &[&str], room: f64) -> String {
    const LEAST: usize = 5;
    if let Some(text) = texts.iter().find(|text| width(text) <= room) {
        return (*text).to_owned();
    }
    let fits = (room / CHARACTER) as usize;
    let Some(text) = texts.last().filter(|_| fits >= LEAST) else {
        return String::new();
    };
    let characters: Vec<char> = text.chars().collect();
    let (start, end) = (fits / 2, fits - fits / 2 - 1);
    let parts = [
        &characters[..start],
        &['…'],
        &characters[characters.len() - end..],
    ];
    parts.concat().into_iter().collect()
}

fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}
