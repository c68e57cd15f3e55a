//! The closures of a run, with their sizes.

use maud::{Markup, html};
use niphas_review::size_change;
use nix_formats::{shortened, size};

use crate::frame::{Frame, Update};
use crate::model::{Closure, SourceName};
use crate::paths;
use crate::sources::{crumbs, rest};
use crate::text::{counted, derivation_name, name};

/// More closures are not listed.
const CLOSURES: usize = 1_000;
/// Paths of a closure.
const PATHS: usize = 8;

/// Closures in the order in which they are listed.
pub fn closures_page(
    frame: &Frame<'_>,
    source: &SourceName,
    run: &str,
    closures: &[Closure],
) -> String {
    let title = format!("Closures of run {}", shortened(run, 80));
    let largest = closures
        .iter()
        .map(|closure| closure.size)
        .max()
        .unwrap_or(0);
    let content = html! {
        h1 { (name(&title)) }
        @if closures.is_empty() { p { "The run has no closures." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Closures" {
                table.rows {
                    thead { tr {
                        th scope="col" { "Workload" } th scope="col" { "System" } th.number scope="col" { "Size" }
                        th.number scope="col" { "Change" } th.number scope="col" { "Paths" } th scope="col" { "Largest paths" }
                    } }
                    tbody { @for closure in closures.iter().take(CLOSURES) { (row(closure, largest)) } }
                }
            }
            (rest(closures.len(), CLOSURES, "closure"))
        }
    };
    let mut above = crumbs(source);
    above.push((format!("Run {run}"), paths::run(source, run)));
    frame.page(&title, &above, Update::Never, &content)
}

fn row(closure: &Closure, largest: u64) -> Markup {
    let change = closure.size_before.filter(|before| *before != closure.size);
    let change = change.map(|before| (before < closure.size, size_change(before, closure.size)));
    let part = |size: u64| (u128::from(size) * 100 / u128::from(largest.max(1))).min(100);
    html! {
        tr {
            th scope="row" { (name(&closure.workload)) div.muted { (name(&closure.environment)) } }
            td data-label="System" { (name(&closure.system)) }
            td.number data-label="Size" {
                (size(closure.size))
                svg.bar width="100" height="6" viewBox="0 0 100 6" aria-hidden="true" {
                    rect.all width="100" height="6" rx="3" {}
                    rect.part width=(part(closure.size)) height="6" rx="3" {}
                }
            }
            @if let Some((is_more, change)) = change {
                td.number.(if is_more { "more" } else { "less" }) data-label="Change" { (change) }
            } @else { td.number {} }
            td.number data-label="Paths" { (closure.paths) }
            td data-label="Largest paths" {
                @if closure.largest.is_empty() { span.muted { "none" } } @else {
                    details.small {
                        summary { (counted(closure.largest.len().min(PATHS) as u64, "path")) }
                        ul {
                            @for (path, bytes) in closure.largest.iter().take(PATHS) {
                                li title=(name(path)) { (derivation_name(path)) ", " (size(*bytes)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
