//! Nodes in network namespaces, with a cable from each to the others, which can be pulled, and to this one.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::node::Place;
use crate::kernel::run;

/// The servers' address. It is of those for benchmarks of networks (RFC 2544), as all of them are: they lead nowhere.
const HERE: &str = "198.19.0.1";

/// Three namespaces. They end with their processes, and so do the cables that lead to them: nothing else is to be
/// removed.
pub struct Network {
    holders: [Child; 3],
    /// A part of all addresses and names, different in each network.
    number: u32,
}

impl Network {
    /// Makes the namespaces and plugs in all cables.
    pub fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number =
            std::process::id().wrapping_mul(8).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 256;
        let network = Self { holders: [(); 3].map(|()| hold_namespace()), number };
        for node in 0..3 {
            network.run_in(node, &["ip", "link", "set", "lo", "up"]);
            network.run_in(node, &["ip", "address", "add", &network.address(node), "dev", "lo"]);
        }
        for node in 0..3 {
            let (here, its_pid) = (network.device(node), network.pid(node));
            run("ip", &["link", "add", &here, "type", "veth", "peer", "name", "out", "netns", &its_pid]);
            run("ip", &["address", "add", HERE, "dev", &here]);
            network.plug_in_here(node);
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

    /// Pulls the cables from here, where the servers run, to all nodes.
    pub fn cut_off_servers(&self) {
        for node in 0..3 {
            run("ip", &["link", "set", &self.device(node), "down"]);
        }
    }

    /// Plugs in again what was pulled by [`cut_off_servers`](Self::cut_off_servers).
    pub fn rejoin_servers(&self) {
        for node in 0..3 {
            self.plug_in_here(node);
        }
    }

    /// Plugs in again what was pulled by [`cut_off`](Self::cut_off).
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
    fn plug_in_here(&self, node: usize) {
        let device = self.device(node);
        run("ip", &["link", "set", &device, "up"]);
        run("ip", &["route", "replace", &self.address(node), "dev", &device, "src", HERE]);
        self.run_in(node, &["ip", "link", "set", "out", "up"]);
        self.route(node, "out", HERE);
    }

    /// A cable that is pulled loses its route.
    fn route(&self, node: usize, device: &str, to: &str) {
        self.run_in(node, &["ip", "route", "replace", to, "dev", device, "src", &self.address(node)]);
    }

    fn address(&self, node: usize) -> String {
        format!("198.18.{}.{}", self.number, node + 1)
    }

    /// The name of this end of the cable to a node.
    fn device(&self, node: usize) -> String {
        format!("cw{}n{node}", self.number)
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
