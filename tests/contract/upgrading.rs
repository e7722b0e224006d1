//! An index of Elasticsearch that an older version has made is used by this one.

use serde_json::{Value, json};

use crate::support::elasticsearch::Elasticsearch;
use crate::support::shop::Shop;

/// The mapping that version 0.1.0 gave to an index.
fn mapping_of_the_first_version() -> Value {
    let time = json!({"type": "date", "format": "strict_date_time_no_millis||strict_date_time"});
    let (keyword, number) = (json!({"type": "keyword"}), json!({"type": "integer"}));
    json!({"mappings": {"dynamic": "strict", "properties": {
        "album": keyword, "batch": keyword, "status": keyword,
        "issued_at": time, "valid_from": time, "expires_at": time,
        "redemption": {"properties": {"id": keyword, "at": time, "renewals": number, "renewed_at": time}},
        "reinstated": {"properties": {
            "times": number, "at": time, "because": {"type": "keyword", "index": false, "doc_values": false},
        }},
    }}})
}

#[test]
fn an_index_of_the_first_version_gets_the_fields_that_it_lacks() {
    let shop = Shop::new();
    let (cluster, index) = (Elasticsearch::shared(), shop.index());
    let (status, answer) =
        cluster.request("PUT", &format!("/{index}"), Some(&mapping_of_the_first_version()));
    assert_eq!(status, 200, "{answer}");
    let document = json!({"album": "harbour-lights", "batch": "old", "status": "issued",
        "issued_at": "2026-11-21T10:00:00Z", "expires_at": "2090-01-01T00:00:00Z"});
    let key = shop.key();
    let path = format!("/{index}/_create/{}?refresh=true", key.id());
    assert_eq!(cluster.request("PUT", &path, Some(&document)).0, 201);
    shop.tool(&["extend", &key.id(), "--expires", "2100-01-01", "--because", "a reprint"]).expect(0);
    shop.tool(&["revoke", &key.id(), "--because", "a leak"]).expect(0);
    let ticket = shop.tool(&["inspect", &key.id(), "--json"]).expect(0).json();
    assert_eq!(
        (&ticket["extended"]["because"], &ticket["revoked"]["because"]),
        (&json!("a reprint"), &json!("a leak"))
    );
    let doctor = shop.tool(&["doctor", "--link-keys-file", "link-keys"]).expect(0);
    assert!(doctor.stdout.contains("is as it should be"), "{}", doctor.all());
}
