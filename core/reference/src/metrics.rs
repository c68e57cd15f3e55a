//! Pages of metrics, made from registries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use crate::cell;

/// A label, and what its values mean.
pub struct Label {
    /// Its name, such as `outcome`.
    pub name: &'static str,
    /// The metrics that have these values, where others have different ones under the same name: `publishes`.
    pub of: &'static str,
    /// Each value and its meaning. None: the values are open, and are not listed.
    pub values: Vec<(&'static str, &'static str)>,
}

/// A metric, as it is exported.
#[derive(Default)]
struct Metric<'a> {
    name: &'a str,
    help: &'a str,
    kind: &'a str,
    unit: &'a str,
    /// With what is appended to the name for this kind of metric.
    exported: String,
    labels: Vec<&'a str>,
}

/// The page of all metrics in registries: a table of them, then one of the values of each label.
///
/// # Panics
///
/// If a registered metric has no sample (it would not be in the page), if a label is not in `labels`, or if the values of a label
/// are not exactly those of the samples.
pub fn metrics_page(introduction: &str, registries: &[&Registry], labels: &[Label]) -> String {
    let mut text = String::new();
    let mut registered = 0;
    for registry in registries {
        // Writing to a string does not fail.
        let _ = encode_registry(&mut text, registry);
        // Metrics without a sample are left out of the text, but not of this.
        registered += format!("{registry:?}").matches("Descriptor {").count();
    }
    let (metrics, sampled) = read(&text);
    assert_eq!(
        metrics.len(),
        registered,
        "some metrics have no sample, so the page would lack them: only these have one:\n{text}"
    );
    check(labels, &sampled);

    let mut page = introduction.trim_end().to_owned() + "\n";
    page.push_str("\n| Metric | Type | Unit | Labels | Meaning |\n|---|---|---|---|---|\n");
    for metric in metrics {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let (name, kind, unit) = (&metric.exported, metric.kind, metric.unit);
        let (labels, help) = (labels.join(", "), cell(metric.help));
        let _ = writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    for label in labels.iter().filter(|label| !label.values.is_empty()) {
        let of = match label.of {
            "" => String::new(),
            of => format!(" of {of}"),
        };
        let _ = write!(page, "\n| `{}`{of} | |\n|---|---|\n", label.name);
        for (value, meaning) in &label.values {
            let _ = writeln!(page, "| `{value}` | {} |", cell(meaning));
        }
    }
    page
}

/// The metrics of a text in the format `OpenMetrics`, and the values of each label.
fn read(text: &str) -> (Vec<Metric<'_>>, BTreeMap<&str, BTreeSet<&str>>) {
    let mut metrics: Vec<Metric> = Vec::new();
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        let comment = line.strip_prefix("# ").and_then(|line| {
            let mut words = line.splitn(3, ' ');
            Some((words.next()?, words.next()?, words.next()?))
        });
        if let Some((what, name, rest)) = comment {
            if metrics.last().is_none_or(|metric| metric.name != name) {
                metrics.push(Metric {
                    name,
                    ..Metric::default()
                });
            }
            let Some(metric) = metrics.last_mut() else {
                continue;
            };
            match what {
                "HELP" => metric.help = rest,
                "TYPE" => metric.kind = rest,
                "UNIT" => metric.unit = rest,
                _ => {}
            }
            continue;
        }
        let Some(metric) = metrics.last_mut() else {
            continue;
        };
        metric.exported = match metric.kind {
            "counter" => format!("{}_total", metric.name),
            "info" => format!("{}_info", metric.name),
            _ => metric.name.to_owned(),
        };
        for (label, value) in labels_of(line) {
            // The bounds of a histogram are a part of its type.
            if label != "le" {
                values.entry(label).or_default().insert(value);
                if !metric.labels.contains(&label) {
                    metric.labels.push(label);
                }
            }
        }
    }
    (metrics, values)
}

/// The labels of a sample: `name{a="1",b="2"} 3`. Values with quotes or braces are not expected.
fn labels_of(sample: &str) -> impl Iterator<Item = (&str, &str)> {
    let inside = sample
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'));
    let pairs = inside.map_or("", |(inside, _)| inside).split("\",");
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_once("=\"")?;
        Some((name, value.trim_end_matches('"')))
    })
}

fn check(labels: &[Label], sampled: &BTreeMap<&str, BTreeSet<&str>>) {
    let mut listed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for label in labels {
        let values = label.values.iter().map(|(value, _)| *value);
        listed.entry(label.name).or_default().extend(values);
    }
    let names = |labels: &BTreeMap<&str, BTreeSet<&str>>| {
        let names: Vec<String> = labels.keys().map(ToString::to_string).collect();
        names.join(" ")
    };
    assert_eq!(names(&listed), names(sampled), "the labels of the metrics");
    for (name, values) in listed.iter().filter(|(_, values)| !values.is_empty()) {
        assert_eq!(values, &sampled[name], "the values of the label {name}");
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::registry::Unit;

    use super::*;

    type Labels = Vec<(&'static str, &'static str)>;

    fn registry(samples: &[Labels]) -> Registry {
        let mut registry = Registry::with_prefix("p");
        let bytes = Family::<Labels, Counter>::default();
        for sample in samples {
            bytes.get_or_create(sample).inc();
        }
        registry.register_with_unit("read", "Bytes read, a|b", Unit::Bytes, bytes);
        registry.register("events", "Events", Counter::<u64>::default());
        registry
    }

    fn outcome(values: &[(&'static str, &'static str)]) -> Label {
        Label {
            name: "outcome",
            of: "reads",
            values: values.to_vec(),
        }
    }

    #[test]
    fn a_page_has_every_metric_with_its_labels() {
        let registry = registry(&[vec![("outcome", "ok")], vec![("outcome", "failed")]]);
        let labels = [outcome(&[("ok", "It worked"), ("failed", "It did not")])];
        let page = metrics_page("# m\n", &[&registry], &labels);
        let expected = "# m\n
| Metric | Type | Unit | Labels | Meaning |
|---|---|---|---|---|
| `p_read_bytes_total` | counter | bytes | `outcome` | Bytes read, a\\|b. |
| `p_events_total` | counter |  |  | Events. |

| `outcome` of reads | |
|---|---|
| `ok` | It worked |
| `failed` | It did not |
";
        assert_eq!(page, expected);
    }

    #[test]
    #[should_panic(expected = "some metrics have no sample")]
    fn a_metric_without_a_sample_is_noticed() {
        metrics_page("", &[&registry(&[])], &[]);
    }

    #[test]
    #[should_panic(expected = "the values of the label outcome")]
    fn a_value_that_is_not_listed_is_noticed() {
        let registry = registry(&[vec![("outcome", "ok")], vec![("outcome", "lost")]]);
        metrics_page("", &[&registry], &[outcome(&[("ok", "")])]);
    }
}
