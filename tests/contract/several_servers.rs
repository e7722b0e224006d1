//! Several servers on one store are one: whoever is asked gives the same answer.

use crate::support::shop::Shop;

/// So that the links name no port.
const FLAGS: [&str; 2] = ["--public-url", "https://tickets.example"];

#[test]
fn servers_with_the_same_link_keys_give_the_same_answers() {
    let shop = Shop::new();
    let servers = [shop.serve_with(&FLAGS), shop.serve_with(&FLAGS)];
    for key in shop.tickets(20) {
        let [first, second] = [0, 1].map(|server: usize| servers[server].redeem_as(&key, "mine"));
        assert!(first.expect(201).header("idempotency-replayed").is_none());
        assert_eq!(second.expect(201).header("idempotency-replayed"), Some("true"));
        assert!(first.body == second.body, "{first} and {second}");
        for server in &servers {
            server.redeem(&key).problem(409, "already_redeemed");
        }
    }
}

#[test]
fn what_one_server_gave_another_takes_back() {
    let shop = Shop::new();
    let servers = [shop.serve_with(&FLAGS), shop.serve_with(&FLAGS)];
    let key = shop.ticket();
    let redeemed = servers[0].redeemed(&key);
    servers[1].follow(&redeemed.receipt_url).expect(200);
    shop.tool_reading(&["revoke", "-"], &key.dashed()).expect(0);
    for server in &servers {
        server.redeem(&key).problem(410, "revoked");
        server.follow(&redeemed.receipt_url).problem(410, "revoked");
    }
}
