//! Nodes in network namespaces, with a cable from each to the others, which can be pulled, and to this one.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::node::Place;
use crate::kernel::run;

/// Three namespaces. They end with their processes, and so do the cables that lead to them: nothing else is to be
/// removed.
pub struct Network {
    holders: [Child; 3],
    /// The second and third number of every address, different in each network.
    net: String,
}

impl Network {
    /// Makes the namespaces and plugs in all cables.
    pub fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number =
            std::process::id().wrapping_mul(8).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 256;
        let network = Self { holders: [(); 3].map(|()| hold_namespace()), net: format!("18.{number}") };
        for node in 0..3 {
            network.run_in(node, &["ip", "link", "set", "lo", "up"]);
            network.run_in(node, &["ip", "address", "add", &network.address(node), "dev", "lo"]);
        }
        for node in 0..3 {
            network.plug_in_here(node, &format!("cw{number}n{node}"));
            for other in node + 1..3 {
                let (near, far) = (format!("to{other}"), format!("to{node}"));
                let its_pid = network.pid(other);
                let pair = ["type", "veth", "peer", "name", &far, "netns", &its_pid];
                network.run_in(node, &[&["ip", "link", "add", &near], &pair[..]].concat());
                network.plug_in(node, other);
            }
        }
        network
    }

    /// Returns where the nodes run.
    pub fn places(&self) -> [Place; 3] {
        [0, 1, 2].map(|node| Place {
            address: format!("{}:4222", self.address(node)),
            route: format!("{}:6222", self.address(node)),
            under: vec!["nsenter".into(), "--target".into(), self.pid(node), "--net".into()],
        })
    }

    /// Pulls the cables from this node to the other ones.
    pub fn cut_off(&self, node: usize) {
        for other in (0..3).filter(|other| *other != node) {
            self.run_in(node, &["ip", "link", "set", &format!("to{other}"), "down"]);
        }
    }

    /// Plugs them in again.
    pub fn rejoin(&self, node: usize) {
        for other in (0..3).filter(|other| *other != node) {
            self.plug_in(node, other);
        }
    }

    fn plug_in(&self, one: usize, two: usize) {
        for (near, far) in [(one, two), (two, one)] {
            let device = format!("to{far}");
            self.run_in(near, &["ip", "link", "set", &device, "up"]);
            self.route(near, &device, &self.address(far));
        }
    }

    /// Plugs in the cable between a node and the tests' own namespace.
    fn plug_in_here(&self, node: usize, device: &str) {
        let here = format!("198.{}.254", self.net);
        run("ip", &["link", "add", device, "type", "veth", "peer", "name", "out", "netns", &self.pid(node)]);
        run("ip", &["link", "set", device, "up"]);
        run("ip", &["address", "add", &here, "dev", device]);
        run("ip", &["route", "add", &self.address(node), "dev", device, "src", &here]);
        self.run_in(node, &["ip", "link", "set", "out", "up"]);
        self.route(node, "out", &here);
    }

    /// A cable that is pulled loses its route.
    fn route(&self, node: usize, device: &str, to: &str) {
        self.run_in(node, &["ip", "route", "replace", to, "dev", device, "src", &self.address(node)]);
    }

    /// An address for benchmarks of networks (RFC 2544), which leads nowhere else.
    fn address(&self, node: usize) -> String {
        format!("198.{}.{}", self.net, node + 1)
    }

    fn pid(&self, node: usize) -> String {
        self.holders[node].id().to_string()
    }

    fn run_in(&self, node: usize, command: &[&str]) {
        run("nsenter", &[&["--target", &self.pid(node), "--net"], command].concat());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            drop(holder.kill());
            drop(holder.wait());
        }
    }
}

/// Starts a process in a network namespace of its own, and waits until it is there.
fn hold_namespace() -> Child {
    let namespace_of = |pid: &str| std::fs::read_link(Path::new("/proc").join(pid).join("ns/net")).ok();
    // It also ends if these tests are killed and nobody else ends it.
    let mut command = Command::new("unshare");
    let holder =
        command.args(["--net", "sleep", "600"]).stdin(Stdio::null()).spawn().expect("unshare starts");
    let asked = Instant::now();
    while namespace_of(&holder.id().to_string()) == namespace_of("self") {
        assert!(asked.elapsed() < Duration::from_secs(20), "no network namespace, which needs root");
        std::thread::sleep(Duration::from_millis(5));
    }
    holder
}
