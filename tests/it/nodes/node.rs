//! Three real nodes of NATS, and what can happen to each of them.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::wire::request;
use crate::support::free_address;

/// The name of the stream, which is the default of every command.
pub const STREAM: &str = "chinwag";
/// Time for any change of leaders, on a busy machine.
const LEADER_DEADLINE: Duration = Duration::from_mins(1);

/// Three nodes, which are killed when dropped. A test that fails prints the ends of their logs.
pub struct Nodes([Node; 3]);

/// Where a node runs.
pub struct Place {
    /// The address for clients.
    pub address: String,
    /// The address for the other nodes.
    pub route: String,
    /// The words before its command.
    pub under: Vec<String>,
}

struct Node {
    name: String,
    place: Place,
    dir: PathBuf,
    process: Option<Child>,
    is_paused: bool,
}

impl Nodes {
    /// Starts three nodes that keep their files in this directory.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, "")
    }

    /// Starts three nodes that have this in their configuration as well.
    pub fn start_with(dir: &Path, configured: &str) -> Self {
        let place = |()| Place { address: free_address(), route: free_address(), under: Vec::new() };
        Self::start_all(dir, [(); 3].map(place), configured)
    }

    /// Starts three nodes at these places.
    pub fn start_at(dir: &Path, places: [Place; 3]) -> Self {
        Self::start_all(dir, places, "")
    }

    fn start_all(dir: &Path, places: [Place; 3], configured: &str) -> Self {
        let routes = places.each_ref().map(|place| place.route.clone());
        let names = ["n1", "n2", "n3"].into_iter();
        let mut nodes = names.zip(places).map(|(name, place)| {
            let node =
                Node { name: name.to_owned(), place, dir: dir.join(name), process: None, is_paused: false };
            node.configure(&routes, configured);
            node
        });
        let mut nodes = Self([(); 3].map(|()| nodes.next().expect("three")));
        for number in 0..3 {
            nodes.revive(number);
        }
        // Any of them answers if one leads.
        nodes.ask("STREAM.NAMES", "");
        nodes
    }

    /// Returns their addresses, as a server takes them.
    pub fn urls(&self) -> String {
        urls(&self.addresses())
    }

    pub fn addresses(&self) -> [String; 3] {
        [0, 1, 2].map(|number| self.0[number].place.address.clone())
    }

    /// Returns the process ids of nodes that all run.
    pub fn pids(&self) -> [Pid; 3] {
        self.0.each_ref().map(Node::pid)
    }

    /// Returns the directory of a node's files.
    pub fn dir(&self, number: usize) -> PathBuf {
        self.0[number].dir.clone()
    }

    /// Calls the API of `JetStream`, until a node answers.
    #[track_caller]
    pub fn ask(&self, call: &str, body: &str) -> Value {
        let asked = Instant::now();
        let mut last = String::new();
        while asked.elapsed() < LEADER_DEADLINE {
            for node in self.0.iter().filter(|node| node.process.is_some() && !node.is_paused) {
                let answer = request(&node.place.address, &format!("$JS.API.{call}"), body);
                let answer = answer.and_then(|answer| Ok(serde_json::from_slice::<Value>(&answer)?));
                match answer {
                    // 10008: the node knows of no leader yet.
                    Ok(answer) if answer["error"]["err_code"] != 10008 => return answer,
                    other => last = format!("{other:?}"),
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no node answers to {call}: {last}");
    }

    /// Returns what the leader tells of the stream.
    #[track_caller]
    pub fn stream(&self) -> Value {
        let info = self.ask(&format!("STREAM.INFO.{STREAM}"), "");
        assert!(info["error"].is_null(), "{info}");
        info
    }

    /// Waits until a node leads the stream, and returns its number.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let asked = Instant::now();
        loop {
            let info = self.stream();
            if let Some(leader) = self.0.iter().position(|node| info["cluster"]["leader"] == node.name) {
                return leader;
            }
            assert!(asked.elapsed() < LEADER_DEADLINE, "no leader: {info}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until each node has all messages of the stream.
    #[track_caller]
    pub fn wait_until_current(&self) {
        let asked = Instant::now();
        loop {
            let info = self.stream();
            let others = info["cluster"]["replicas"].as_array().map_or(&[][..], Vec::as_slice);
            if others.len() == 2 && others.iter().all(|node| node["current"] == true) {
                return;
            }
            assert!(asked.elapsed() < LEADER_DEADLINE, "a node does not follow: {info}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes this node lead.
    #[track_caller]
    pub fn make_leader(&self, number: usize) {
        let asked = Instant::now();
        while self.leader() != number {
            assert!(asked.elapsed() < LEADER_DEADLINE, "another node is always elected");
            self.step_down();
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes another node lead.
    pub fn step_down(&self) {
        let answer = self.ask(&format!("STREAM.LEADER.STEPDOWN.{STREAM}"), "");
        assert_eq!(answer["success"], true, "{answer}");
    }

    /// Starts a node on what it has. One that runs stays as it is.
    pub fn revive(&mut self, number: usize) {
        let node = &mut self.0[number];
        if node.process.is_none() {
            let program = std::env::var_os("CHINWAG_NATS_SERVER");
            let program = program.expect("CHINWAG_NATS_SERVER names the program nats-server");
            let files = ["-c", "node.conf", "-l", "node.log"];
            let words = node.place.under.iter().map(Into::into).chain([program]).collect::<Vec<OsString>>();
            let mut command = Command::new(&words[0]);
            command
                .args(&words[1..])
                .args(files)
                .current_dir(&node.dir)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            node.process = Some(command.spawn().expect("nats-server starts"));
        }
    }

    /// Kills a node with SIGKILL.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.0[number].process.take() {
            process.kill().expect("killed");
            process.wait().expect("waited for");
        }
        self.0[number].is_paused = false;
    }

    /// Stops a node with SIGSTOP: its connections stay, and it does not answer.
    pub fn pause(&mut self, number: usize) {
        self.0[number].signal(Signal::STOP);
        self.0[number].is_paused = true;
    }

    /// Lets a stopped node go on.
    pub fn resume(&mut self, number: usize) {
        self.0[number].signal(Signal::CONT);
        self.0[number].is_paused = false;
    }

    /// Ends a node as for a planned restart: it gives up what it leads, and closes its connections one by one.
    pub fn retire(&mut self, number: usize) {
        self.end(number, Signal::USR2);
    }

    /// Ends a node with SIGTERM.
    pub fn terminate(&mut self, number: usize) {
        self.end(number, Signal::TERM);
    }

    fn end(&mut self, number: usize, signal: Signal) {
        let node = &mut self.0[number];
        node.signal(signal);
        let mut process = node.process.take().expect("it runs");
        let asked = Instant::now();
        while process.try_wait().expect("waited for").is_none() {
            assert!(asked.elapsed() < LEADER_DEADLINE, "{} does not end", node.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until some node does not give a message of the stream, and returns its sequence. A node is chosen by chance
    /// for each request, so several are made for each message.
    #[track_caller]
    pub fn left_out(&self) -> u64 {
        let (asked, subject) = (Instant::now(), format!("$JS.API.DIRECT.GET.{STREAM}"));
        let last = self.stream()["state"]["last_seq"].as_u64().expect("a sequence");
        for sequence in (1..=last).cycle() {
            let answer = request(&self.0[0].place.address, &subject, &format!("{{\"seq\":{sequence}}}"));
            if answer.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                return sequence;
            }
            assert!(asked.elapsed() < LEADER_DEADLINE, "every node gives every message");
        }
        unreachable!("the cycle has no end")
    }

    /// Puts back what a node held before, as a backup does. The node must not run.
    pub fn put_back(&self, number: usize, backup: &Path) {
        let data = self.0[number].dir.join("data");
        std::fs::remove_dir_all(&data).expect("removed");
        copy_tree(backup, &data);
    }

    /// Copies what a node holds. The node must not run.
    pub fn back_up(&self, number: usize, backup: &Path) {
        copy_tree(&self.0[number].dir.join("data"), backup);
    }

    /// Returns the files that hold the stream's messages on a node.
    pub fn blocks(&self, number: usize) -> Vec<PathBuf> {
        let messages = self.0[number].dir.join(format!("data/jetstream/$G/streams/{STREAM}/msgs"));
        let files =
            std::fs::read_dir(messages).expect("a directory").map(|file| file.expect("a file").path());
        let mut blocks: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|ending| ending == "blk")).collect();
        blocks.sort();
        blocks
    }
}

impl Node {
    fn configure(&self, routes: &[String], configured: &str) {
        // A disk for the data may have been mounted in it.
        std::fs::create_dir_all(&self.dir).expect("made");
        let Self { name, place: Place { address, route, .. }, .. } = self;
        let routes = routes.iter().map(|route| format!("nats://{route}")).collect::<Vec<_>>().join(", ");
        // A client that learned the nodes' addresses would go round a proxy.
        let config = format!(
            "server_name: {name}\n\
             listen: {address}\n\
             max_payload: 8MB\n\
             lame_duck_grace_period: 1s\n\
             lame_duck_duration: 30s\n\
             jetstream {{ store_dir: data, sync_interval: always, max_file_store: 8GB }}\n\
             cluster {{ name: chinwag, no_advertise: true, listen: {route}, routes: [{routes}] }}\n\
             {configured}"
        );
        std::fs::write(self.dir.join("node.conf"), config).expect("written");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().expect("it runs"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signalled");
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for number in 0..3 {
            self.kill(number);
            if std::thread::panicking() {
                const LINES: usize = 30;
                let node = &self.0[number];
                let log = std::fs::read_to_string(node.dir.join("node.log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
                eprintln!("the log of {} ends:\n{end}", node.name);
            }
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("copied");
        }
    }
}

/// Returns these addresses as a server takes them.
pub fn urls(addresses: &[String]) -> String {
    addresses.iter().map(|address| format!("nats://{address}")).collect::<Vec<_>>().join(",")
}
