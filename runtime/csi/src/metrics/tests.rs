use niphas_reference::{Label, assert_page, metrics_page};

use super::*;

fn shown(metrics: &Metrics) -> String {
    let mut text = String::new();
    let registry = metrics.registry("erofs");
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

#[test]
fn all_are_shown_under_names_that_prometheus_takes() {
    let metrics = Metrics::default();
    let in_flight = metrics.in_flight(Method::Publish);
    let time = Duration::from_micros(1500);
    metrics.published(Answer::Published, Start::Mounted, time);
    metrics.unpublished(Outcome::Failed, time);
    metrics.refused(Reason::LimitClosureSize);
    metrics.realised(Source::Stored, 3, 4096);
    metrics.volumes(5);
    metrics.config_reloaded(Outcome::Ok);
    let text = shown(&metrics);
    for line in [
        "niphas_csi_view_info{kind=\"erofs\"} 1",
        "niphas_csi_in_flight_rpcs{method=\"publish\"} 1",
        "niphas_csi_publish_seconds_bucket{le=\"0.002\",outcome=\"ok\",start=\"mounted\"} 1",
        "niphas_csi_unpublish_seconds_count{outcome=\"failed\"} 1",
        "niphas_csi_refused_total{reason=\"limit_closure_size\"} 1",
        "niphas_csi_realised_paths_total{source=\"stored\"} 3",
        "niphas_csi_realised_bytes_total{source=\"stored\"} 4096",
        "niphas_csi_volumes 5",
        "niphas_csi_config_reloads_total{outcome=\"ok\"} 1",
        "niphas_csi_events_dropped_total 0",
    ] {
        assert!(
            text.lines().any(|shown| shown == line),
            "no {line} in:\n{text}"
        );
    }
    drop(in_flight);
    let none = "niphas_csi_in_flight_rpcs{method=\"publish\"} 0";
    assert!(shown(&metrics).contains(none));
}

#[test]
fn collections_are_counted_by_what_began_them() {
    let metrics = Metrics::default();
    let collected = |runs, failed, paths, freed| Collected {
        runs,
        failed,
        paths,
        freed,
    };
    metrics.collected(Cause::Interval, &collected(1, 0, 3, 4096));
    metrics.collected(Cause::Fetch, &collected(2, 1, 5, 8192));
    metrics.collected(Cause::Fetch, &Collected::default());
    let text = shown(&metrics);
    let shown: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("niphas_csi_gc_"))
        .collect();
    let expected = [
        "niphas_csi_gc_runs_total{cause=\"interval\",outcome=\"ok\"} 1",
        "niphas_csi_gc_runs_total{cause=\"interval\",outcome=\"failed\"} 0",
        "niphas_csi_gc_runs_total{cause=\"fetch\",outcome=\"ok\"} 2",
        "niphas_csi_gc_runs_total{cause=\"fetch\",outcome=\"failed\"} 1",
        "niphas_csi_gc_freed_bytes_total{cause=\"interval\"} 4096",
        "niphas_csi_gc_freed_bytes_total{cause=\"fetch\"} 8192",
        "niphas_csi_gc_deleted_paths_total{cause=\"interval\"} 3",
        "niphas_csi_gc_deleted_paths_total{cause=\"fetch\"} 5",
    ];
    assert_eq!(shown.len(), expected.len(), "{shown:?}");
    for line in expected {
        assert!(shown.contains(&line), "no {line} in {shown:?}");
    }
}

const INTRODUCTION: &str = "\
# The metrics of `niphas-csi`

A test makes this page of what the driver exports at `/metrics`. A histogram has samples with `_bucket`, `_sum` and `_count`
behind its name. Why volumes have no metrics of their own: closures share their bytes, so no number for one volume is right, and
`NodeGetVolumeStats` is not offered.
";

#[test]
fn the_reference_page_is_what_the_driver_exports() {
    let metrics = Metrics::default();
    let time = Duration::ZERO;
    for answer in Answer::ALL {
        for start in Start::ALL {
            metrics.published(*answer, *start, time);
        }
    }
    for outcome in Outcome::ALL {
        metrics.unpublished(*outcome, time);
        metrics.config_reloaded(*outcome);
        metrics.base_image_imported(*outcome);
    }
    for method in Method::ALL {
        metrics.in_flight(*method);
    }
    for reason in Reason::ALL {
        metrics.refused(*reason);
    }
    for source in Source::ALL {
        metrics.realised(*source, 0, 0);
    }
    for cause in Cause::ALL {
        metrics.collected(*cause, &Collected::default());
    }
    let label = |name, of, values| Label { name, of, values };
    let labels = [
        label("outcome", "publishes", Answer::meanings()),
        label("outcome", "all others", Outcome::meanings()),
        label("start", "", Start::meanings()),
        label("reason", "", Reason::meanings()),
        label("source", "", Source::meanings()),
        label("cause", "", Cause::meanings()),
        label("method", "", Method::meanings()),
        label("kind", "", Vec::new()),
        label("version", "", Vec::new()),
    ];
    let (process, driver) = (niphas_daemon::process_metrics(), metrics.registry("erofs"));
    let page = metrics_page(INTRODUCTION, &[&driver, &process], &labels);
    assert_page("metrics-niphas-csi.md", &page);
}
