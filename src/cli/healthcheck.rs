//! `tickey healthcheck`: whether the server on this machine is alive, for containers without another HTTP client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::outcome::Outcome;
use crate::outbound;

/// The timeout: a server that takes longer to answer counts as dead.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask the server on this machine whether it is alive
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the server listens
    #[arg(long, env = "TICKEY_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

pub(super) async fn run(args: Args) -> Outcome {
    let url = format!("http://{}/healthz", reachable(args.listen));
    let request = outbound::client(None, PATIENCE)?.get(&url).timeout(PATIENCE);
    let answer = request
        .send()
        .await
        .map_err(|error| format!("nobody answers at {url}: {}", outbound::root_cause(&error)))?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("{url}: {}", answer.status()).into()) }
}

/// The address by which this machine reaches a server that listens on all addresses.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_this_machine() {
        for (listen, asked) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:80", "[::1]:80"), ("10.1.2.3:8080", "10.1.2.3:8080")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
