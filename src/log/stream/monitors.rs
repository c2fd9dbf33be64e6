//! What the nodes' monitoring ports say: whether a node syncs each message. A client of a node cannot see that.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum length of an answer.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Asks each of these addresses. Returns those that did not answer, with the reason.
///
/// # Errors
///
/// Returns a sentence about a node that does not sync each message.
pub(super) fn check(addresses: &[String]) -> Result<Vec<String>, String> {
    let mut silent = Vec::new();
    for address in addresses {
        match fetch(address).map(|answer| syncs_always(&answer)) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => {
                return Err(format!(
                    "the node at {address} acknowledges messages before they are on its disk: its configuration must \
                     have jetstream {{ sync_interval: always }}"
                ));
            }
            Ok(None) => return Err(format!("{address} is not the monitoring port of a node with JetStream")),
            Err(error) => silent.push(format!("{address} does not answer: {error}")),
        }
    }
    Ok(silent)
}

fn fetch(address: &str) -> io::Result<Vec<u8>> {
    let mut resolved = address.to_socket_addrs()?;
    let resolved = resolved.next().ok_or(io::ErrorKind::NotFound)?;
    let mut connection = TcpStream::connect_timeout(&resolved, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    connection.write_all(format!("GET /jsz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Returns whether the node of this answer syncs each message.
fn syncs_always(answer: &[u8]) -> Option<bool> {
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let answer: Value = serde_json::from_slice(&answer[body..]).ok()?;
    let config = answer.get("config")?.as_object()?;
    // A node leaves out what is off.
    Some(config.get("sync_always").is_some_and(|always| *always == Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request with this body, and returns the address.
    fn node(body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("asked");
            let mut request = [0; 1024];
            let bytes = connection.read(&mut request).expect("a request");
            assert!(request[..bytes].starts_with(b"GET /jsz "));
            write!(connection, "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}")
                .expect("sent");
        });
        address
    }

    #[test]
    fn a_node_that_does_not_sync_is_refused() {
        let good = r#"{"config":{"max_memory":1,"sync_interval":120000000000,"sync_always":true}}"#;
        assert_eq!(check(&[node(good), node(good)]), Ok(Vec::new()));
        for bad in [
            r#"{"config":{"sync_interval":120000000000}}"#,
            r#"{"config":{"sync_always":false}}"#,
            r#"{"disabled":true}"#,
            "no JSON",
        ] {
            check(&[node(good), node(bad)]).expect_err(bad);
        }
    }

    #[test]
    fn a_node_that_is_away_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let silent = check(std::slice::from_ref(&address)).expect("nothing is wrong");
        assert!(silent[0].starts_with(&address), "{silent:?}");
    }
}
