//! Each answer after the syncs of two of the three nodes, as the kernel was asked, by `strace`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Cluster, serve};
use crate::kernel::strace::{self, Call};

const WRITES: usize = 50;

/// A trace of several processes at once, so that the order of its lines is the order of all their calls.
struct Tracer(Child);

impl Tracer {
    fn attach(processes: &[Pid], trace: &Path) -> Self {
        let mut command = Command::new("strace");
        // 2,000 bytes of each string hold a message with what the nodes add to it, and the head of an answer.
        command.args(["-f", "-y", "-x", "-s", "2000", "-e"]);
        command.arg("trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg").arg("-o").arg(trace);
        for process in processes {
            command.arg("-p").arg(process.as_raw_nonzero().to_string());
        }
        let mut tracer = command.stderr(Stdio::piped()).spawn().expect("strace starts");
        let mut lines = BufReader::new(tracer.stderr.take().expect("piped")).lines();
        for process in processes {
            let attached = format!("Process {} attached", process.as_raw_nonzero());
            let is_attached = lines.any(|line| line.expect("text").contains(&attached));
            assert!(is_attached, "strace may not trace {process:?}");
        }
        // A full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self(tracer)
    }

    /// Lets the processes go on alone. Afterwards the trace is complete.
    fn detach(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).expect("signalled");
        self.0.wait().expect("waited for");
    }
}

fn holds(call: &Call, text: &str) -> bool {
    call.strings().iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// Returns whether a file in this directory was written with the text and then synced, before the answer was begun.
fn is_synced(calls: &[Call], node: &Path, text: &str, answer: &Call) -> bool {
    let is_its = |call: &&Call| Path::new(call.file()).starts_with(node);
    let written =
        calls.iter().filter(is_its).filter(|call| call.is(&["pwrite64", "write"]) && holds(call, text));
    written.into_iter().any(|write| {
        let syncs = calls.iter().filter(|call| call.is(&["fsync", "fdatasync"]) && call.result == 0);
        syncs
            .filter(|sync| sync.file() == write.file())
            .any(|sync| write.is_before(sync) && sync.is_before(answer))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, strace, and to be allowed to trace"]
async fn every_answer_follows_the_syncs_of_two_nodes() {
    let mut cluster = Cluster::without_servers("1GiB");
    let server = serve(&cluster.nodes.urls(), &cluster.dir("c1"), &[]);
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    cluster.nodes.wait_until_current();
    let processes = [&cluster.nodes.pids()[..], &[server.pid()]].concat();
    let trace = cluster.dir("trace");
    let tracer = Tracer::attach(&processes, &trace);
    let texts: Vec<_> = (0..WRITES).map(|number| format!("the text of message {number:02}")).collect();
    for text in &texts {
        server.add_message(&den, &ann, text).await;
    }
    // The call that sends the last answer may not have returned yet; before another answer on the connection it has.
    server.get("/health").await;
    tracer.detach();
    cluster.servers.push(server);

    let calls = strace::read(&trace);
    let is_answer = |call: &&Call| {
        call.is(&["write", "writev", "sendto", "sendmsg"])
            && call.strings().concat().starts_with(b"HTTP/1.1 201 ")
    };
    let answers: Vec<_> = calls.iter().filter(is_answer).collect();
    assert_eq!(answers.len(), WRITES, "every answer is traced");
    let mut syncs = 0;
    for (text, answer) in texts.iter().zip(answers) {
        let synced = (0..3).filter(|node| is_synced(&calls, &cluster.nodes.dir(*node), text, answer)).count();
        assert!(synced >= 2, "{synced} nodes have synced when this is answered: {text}");
        syncs += synced;
    }
    eprintln!(
        "strace: {WRITES} answers, each after two nodes' syncs, and {} after all three",
        syncs - 2 * WRITES
    );
}
