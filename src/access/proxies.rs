//! The address of a client that calls through proxies.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Proxies that say truly who called them.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Returns the client's address: the peer's, or, if that is a trusted proxy, the last one in these values of
    /// `X-Forwarded-For` that is not a trusted proxy. A client can put anything in front of that one.
    #[must_use]
    pub fn client<'v>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'v str>) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        for hop in forwarded.rev().flat_map(|value| value.rsplit(',')) {
            // A proxy wrote what cannot be read, so the proxy itself is as far as one can see.
            let Some(address) = parse(hop.trim()) else { break };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Parses an address. Some proxies add a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_client_is_the_last_one_not_trusted() {
        let trusted =
            ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"].map(|net| net.parse().expect("a network"));
        let proxies = TrustedProxies::new(trusted.into());
        for (peer, forwarded, client) in [
            ("203.0.113.5", &["198.51.100.1"][..], "203.0.113.5"),
            ("10.1.1.1", &[], "10.1.1.1"),
            ("10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["6.6.6.6, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
            ("10.1.1.1", &["6.6.6.6", "198.51.100.1 ,10.2.2.2"], "198.51.100.1"),
            ("10.1.1.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            ("10.1.1.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.1.1.1", &["[2001:4860::1]:4711, 10.2.2.2"], "2001:4860::1"),
            ("10.1.1.1", &["198.51.100.1, unknown, 10.2.2.2"], "10.2.2.2"),
            ("10.1.1.1", &[""], "10.1.1.1"),
            ("::ffff:10.1.1.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["2001:4860::1"], "2001:4860::1"),
        ] {
            assert_eq!(
                proxies.client(address(peer), forwarded.iter().copied()),
                address(client),
                "{forwarded:?}"
            );
        }
        let none = TrustedProxies::default();
        assert_eq!(none.client(address("10.1.1.1"), ["6.6.6.6"].into_iter()), address("10.1.1.1"));
    }
}
