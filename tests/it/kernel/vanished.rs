//! A client whose machine is gone: it no longer acknowledges anything, and has not closed its connection.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::run;
use crate::support::TestServer;

/// A network of its own, which can be cut.
struct Network(String);

impl Network {
    fn new() -> Self {
        let name = format!("chinwag-{}", std::process::id());
        run("ip", &["netns", "add", &name]);
        run("ip", &["netns", "exec", &name, "ip", "link", "set", "lo", "up"]);
        Self(name)
    }

    fn words(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.0]
    }

    fn curl(&self, args: &[&str]) -> Child {
        let [ip, words @ ..] = self.words();
        let curl =
            Command::new(ip).args(words).args(["curl", "-sN"]).args(args).stdout(Stdio::piped()).spawn();
        curl.expect("curl starts")
    }

    fn cut(&self) {
        run("ip", &["netns", "exec", &self.0, "ip", "link", "set", "lo", "down"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

fn sockets(server: &TestServer) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid().as_raw_nonzero())).expect("Linux");
    let links = files.filter_map(|file| std::fs::read_link(file.expect("an entry").path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[test]
#[ignore = "needs root, ip, curl"]
fn a_vanished_client_is_disconnected() {
    let network = Network::new();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = TestServer::start_under(&network.words(), dir.path(), &["--request-timeout-s", "2"]);
    let before = sockets(&server);
    let deadline = Instant::now() + Duration::from_mins(1);
    let wait_for = |sockets_open: usize| {
        while sockets(&server) != sockets_open {
            assert!(Instant::now() < deadline, "{} sockets, not {sockets_open}", sockets(&server));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let url = |path: &str| format!("http://{}{path}", server.address);
    let ann = [&url("/users/add"), "-H", "Content-Type: application/json", "-d", r#"{"username":"ann"}"#];
    let ann = network.curl(&ann).wait_with_output().expect("answered").stdout;
    let ann: Value = serde_json::from_slice(&ann).expect("JSON");
    wait_for(before);
    let events = url(&format!("/events?user={}", ann["id"].as_str().expect("an id")));
    let mut follower = network.curl(&[&events]);
    wait_for(before + 1);
    network.cut();
    // A comment is sent within 15 s; two seconds later it has been unacknowledged for too long.
    wait_for(before);
    follower.kill().expect("killed");
    follower.wait().expect("waited for");
}
