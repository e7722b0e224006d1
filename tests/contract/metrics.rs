//! Section 3, `GET /metrics` on `--ops-listen`: OpenMetrics with the names of the contract.

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::shop::Shop;
use crate::support::time::eventually;

/// The sum of all samples of a name whose labels hold these texts.
pub(super) fn sum(server: &Server, name: &str, labels: &[&str]) -> f64 {
    let metrics = server.metrics();
    let samples = metrics.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (sample, series_labels) = series.split_once('{').unwrap_or((series, ""));
        (sample == name && labels.iter().all(|label| series_labels.contains(label)))
            .then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

/// Fails unless the sum comes to be this; what is counted after the answer is counted soon.
#[track_caller]
pub(super) fn becomes(server: &Server, name: &str, labels: &[&str], expected: f64) {
    eventually(&format!("{name}{labels:?} is {expected}"), || {
        ((sum(server, name, labels) - expected).abs() < 0.5).then_some(())
    });
}

#[test]
fn metrics_are_openmetrics_and_only_for_operators() {
    let shop = Shop::new();
    let server = shop.serve();
    let answer = server.send_to_ops(&Request::get("/metrics"));
    assert_eq!(answer.expect(200).media_type(), "application/openmetrics-text");
    assert!(answer.text().ends_with("# EOF\n"), "{answer}");
    server.get("/metrics").expect(404);
    server.send_to_ops(&Request::redeem(&shop.ticket().dashed())).expect(404);
}

#[test]
fn every_metric_of_the_contract_is_there() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    server.follow(&redeemed.files[0].url).expect(200);
    eventually("all are there", || {
        let metrics = server.metrics();
        let samples = [
            "\ntickey_redemptions_total{",
            "\ntickey_http_request_duration_seconds_bucket{",
            "\ntickey_http_request_duration_seconds_count",
            "\ntickey_http_request_duration_seconds_sum",
            "\ntickey_store_requests_total{",
            "\ntickey_store_batch_size_bucket{",
            "\ntickey_downloads_total{",
            "\n# TYPE tickey_redemptions counter\n",
            "\n# TYPE tickey_http_request_duration_seconds histogram\n",
            "\n# TYPE tickey_store_requests counter\n",
            "\n# TYPE tickey_downloads counter\n",
        ];
        let metrics = format!("\n{metrics}");
        samples.iter().all(|sample| metrics.contains(sample)).then_some(())
    });
}

/// `tickey_redemptions_total{outcome}`: each attempt once, a refusal under its reason.
#[test]
fn attempts_are_counted_by_their_outcome() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    server.redeemed(&key);
    for _ in 0..2 {
        server.redeem(&key).problem(409, "already_redeemed");
    }
    for _ in 0..3 {
        server.redeem(&shop.key()).problem(404, "unknown");
    }
    server.send(&Request::redeem("too short")).problem(422, "malformed");
    becomes(&server, "tickey_redemptions_total", &["outcome="], 7.0);
    becomes(&server, "tickey_redemptions_total", &["outcome=\"already_redeemed\""], 2.0);
    becomes(&server, "tickey_redemptions_total", &["outcome=\"unknown\""], 3.0);
    becomes(&server, "tickey_redemptions_total", &["outcome=\"malformed\""], 1.0);
}

/// `tickey_store_requests_total{operation,outcome}`: "a typo … never reaches the store".
#[test]
fn a_slip_never_reaches_the_store() {
    let shop = Shop::new();
    let server = shop.serve();
    server.redeemed(&shop.ticket());
    let labels = ["operation=", "outcome="];
    let before = sum(&server, "tickey_store_requests_total", &labels);
    assert!(before > 0.0);
    for _ in 0..20 {
        server.send(&Request::redeem("SSZ5AW8H8VHTPRE95B9EE0ZA3")).problem(422, "mistyped");
        server.send(&Request::redeem("too short")).problem(422, "malformed");
    }
    becomes(&server, "tickey_redemptions_total", &["outcome=\"mistyped\""], 20.0);
    let after = sum(&server, "tickey_store_requests_total", &labels);
    assert!(after - before < 20.0, "{} store requests for 40 slips", after - before);
}

/// `tickey_downloads_total{outcome}`.
#[test]
fn downloads_are_counted() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    for file in &redeemed.files {
        server.follow(&file.url).expect(200);
    }
    becomes(&server, "tickey_downloads_total", &["outcome="], 3.0);
    server.follow(&format!("{}x", redeemed.files[0].url)).problem(403, "link_invalid");
    becomes(&server, "tickey_downloads_total", &["outcome="], 4.0);
}

/// Label values come from the program, never from the client: a scanner must not make a series for each path it tries.
#[test]
fn no_client_can_make_new_series() {
    let shop = Shop::new();
    let server = shop.serve();
    server.get("/no/such/place-0").expect(404);
    server.get("/redemptions/0").expect(404);
    server.send(&Request::new("BREW", "/")).expect(405);
    let series = || server.metrics().lines().filter(|line| !line.starts_with('#')).count();
    let before = series();
    for number in 0..50 {
        server.get(&format!("/no/such/place-{number}")).expect(404);
        server.get(&format!("/redemptions/{number}")).expect(404);
        server.send(&Request::new(&format!("BREW{number}"), "/")).expect(405);
    }
    let grown = series().saturating_sub(before);
    assert!(grown < 50, "{grown} new series");
}
