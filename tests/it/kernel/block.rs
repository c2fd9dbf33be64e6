//! Disks made of files: mounted, and exported so that they fail or are written down.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::run;

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is text")
}

/// Makes a file that holds an ext4 of this many bytes. Without checksums in its metadata, so that no half of
/// a block that a power cut leaves keeps it from being mounted: what is tried is the log, not ext4.
pub fn make_ext4(image: &Path, bytes: u64) {
    File::create(image).and_then(|file| file.set_len(bytes)).expect("a file");
    let flags = ["-q", "-m", "0", "-b", "4096", "-J", "size=4", "-O", "^metadata_csum"];
    let at_once = ["-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"];
    run("mkfs.ext4", &[&flags[..], &at_once[..], &[text(image)]].concat());
}

/// A mounted file system. It is unmounted when dropped.
pub struct Mounted {
    pub at: PathBuf,
}

impl Mounted {
    /// Mounts a file that holds an ext4.
    ///
    /// The journal is committed when somebody syncs what it holds, and not by the clock: a fault that is
    /// meant for the log's own writes does not meet the journal's.
    pub fn ext4(image: &Path, at: &Path) -> Self {
        Self::mount(at, &["-t", "ext4", "-o", "loop,noatime,commit=600", text(image)])
    }

    /// Mounts a file system in memory that holds `mib` MiB.
    pub fn tmpfs(mib: u64, at: &Path) -> Self {
        Self::mount(at, &["-t", "tmpfs", "-o", &format!("size={mib}m"), "chinwag-test"])
    }

    fn mount(at: &Path, args: &[&str]) -> Self {
        std::fs::create_dir_all(at).expect("a directory");
        run("mount", &[args, &[text(at)]].concat());
        Self { at: at.to_owned() }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmount = |flags: &[&str]| {
            let status = Command::new("umount").args(flags).arg(&self.at).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !unmount(&[]) {
            if Instant::now() > deadline {
                unmount(&["--lazy"]);
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The operation that a disk fails.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Write,
    Flush,
}

/// A file that is another one, by way of qemu-storage-daemon. It is gone when dropped.
pub struct Export {
    /// The file that stands for the disk.
    pub file: PathBuf,
    daemon: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Export {
    /// Exports the image as `file`; faults can be added.
    pub fn faulty(image: &Path, file: &Path) -> Self {
        Self::start(
            file,
            &[json!({ "driver": "raw", "node-name": "disk", "file": file_node(image, "good") })],
        )
    }

    /// Exports the image as `file`, and records all writes and flushes, in order, in `log`.
    pub fn logged(image: &Path, log: &Path, file: &Path) -> Self {
        File::create(log).expect("a file");
        let disk = json!({
            "driver": "blklogwrites", "node-name": "disk", "log-sector-size": 512,
            "file": file_node(image, "good"), "log": file_node(log, "log"),
        });
        Self::start(file, &[disk])
    }

    fn start(file: &Path, nodes: &[Value]) -> Self {
        File::create(file).expect("a file");
        let export = json!({
            "type": "fuse", "id": "export", "node-name": "disk", "mountpoint": text(file), "writable": true,
        });
        let mut command = Command::new("qemu-storage-daemon");
        for node in nodes {
            command.args(["--blockdev", &node.to_string()]);
        }
        // The monitor comes last: when it greets, all before it is done.
        command.args(["--export", &export.to_string(), "--chardev", "stdio,id=stdio", "--monitor", "stdio"]);
        let mut daemon =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("qemu-storage-daemon starts");
        let ask = daemon.stdin.take().expect("piped");
        let answers = BufReader::new(daemon.stdout.take().expect("piped"));
        let mut export = Self { file: file.to_owned(), daemon, ask, answers };
        assert!(export.read_answer()["QMP"].is_object(), "it greets");
        export.ask("qmp_capabilities", &json!({}));
        export
    }

    /// Makes each of these operations, or only the next one, fail with EIO from now on.
    pub fn fail(&mut self, fault: Fault, once: bool) {
        let kind = match fault {
            Fault::Write => "write",
            Fault::Flush => "flush",
        };
        let rule = json!({ "event": "none", "iotype": kind, "errno": 5, "once": once });
        let bad =
            json!({ "driver": "blkdebug", "node-name": "bad", "image": "good", "inject-error": [rule] });
        self.ask("blockdev-add", &bad);
        self.switch_to("bad");
    }

    /// Removes all faults.
    pub fn heal(&mut self) {
        self.switch_to("good");
        self.ask("blockdev-del", &json!({ "node-name": "bad" }));
    }

    fn switch_to(&mut self, node: &str) {
        let disk = json!({ "driver": "raw", "node-name": "disk", "file": node });
        self.ask("blockdev-reopen", &json!({ "options": [disk] }));
    }

    fn ask(&mut self, command: &str, arguments: &Value) {
        let question = json!({ "execute": command, "arguments": arguments });
        writeln!(self.ask, "{question}").expect("it listens");
        loop {
            let answer = self.read_answer();
            assert!(answer.get("error").is_none(), "{question}: {answer}");
            if answer.get("return").is_some() {
                return;
            }
        }
    }

    fn read_answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // It completes its requests when asked to quit. If that fails, the test has failed already.
        drop(writeln!(self.ask, r#"{{"execute":"quit"}}"#));
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.daemon.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.daemon.kill());
        drop(self.daemon.wait());
        // The file is left only if the daemon had to be killed.
        drop(Command::new("umount").args(["--lazy", text(&self.file)]).stderr(Stdio::null()).status());
    }
}

fn file_node(path: &Path, name: &str) -> Value {
    json!({ "driver": "file", "filename": text(path), "node-name": name })
}
