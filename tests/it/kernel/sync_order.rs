//! Every answer after its sync, every segment after its directory's, every look at the log after both: as the
//! kernel was asked, by `strace`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::add_chats;
use super::block::text;
use super::strace::{self, Call};
use crate::crash::{finish_writers, start_writers};
use crate::support::TestServer;

const WRITERS: usize = 16;
const FRAME_MAGIC: &[u8] = &[0xFF, b'c', b'w', 0xFE];

fn start_traced(data: &Path, trace: &Path) -> TestServer {
    let calls = "trace=openat,mkdir,rename,renameat,renameat2,fsync,fdatasync,sync_file_range,pread64,read,readv,\
                 preadv,pwrite64,pwritev,write,writev,sendto,sendmsg,statx";
    // -D: the server is the child, strace its grandchild. 400 bytes of each string hold an answer's head.
    let strace =
        ["strace", "-D", "-f", "--seccomp-bpf", "-y", "-x", "-s", "400", "-e", calls, "-o", text(trace)];
    TestServer::start_under(&strace, data, &["--segment-bytes", "65536"])
}

struct Trace {
    calls: Vec<Call>,
    data: PathBuf,
}

/// A frame of the log, being written.
struct FrameWrite<'a> {
    first: u64,
    end: u64,
    call: &'a Call,
}

/// An answer to a write, being sent.
struct Answer<'a> {
    position: u64,
    call: &'a Call,
}

impl Trace {
    fn writes(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.is(&["pwrite64", "pwritev", "write", "writev"]))
    }

    fn frames(&self) -> Vec<FrameWrite<'_>> {
        let frame = |call| {
            let bytes = Call::strings(call).into_iter().next()?;
            let bytes = bytes.starts_with(FRAME_MAGIC).then_some(bytes)?;
            let first = u64::from_le_bytes(bytes[16..24].try_into().expect("a head"));
            let count = u32::from_le_bytes(bytes[12..16].try_into().expect("a head"));
            Some(FrameWrite { first, end: first + u64::from(count), call })
        };
        self.writes().filter_map(frame).collect()
    }

    fn answers(&self) -> Vec<Answer<'_>> {
        let senders = self.calls.iter().filter(|call| call.is(&["write", "writev", "sendto", "sendmsg"]));
        let answer = |call: &'_ Call| {
            let bytes = call.strings().concat();
            let head = String::from_utf8_lossy(&bytes).to_lowercase();
            let position = head.starts_with("http/1.1 201 ").then(|| {
                let after = head.split("chinwag-position: ").nth(1).expect("every 201 has its position");
                after.split("\r\n").next().and_then(|digits| digits.parse().ok()).expect("a number")
            });
            position.map(|position| (position, call.began))
        };
        let positions: Vec<_> = senders.clone().map(answer).collect();
        senders
            .zip(positions)
            .filter_map(|(call, found)| found.map(|(position, _)| Answer { position, call }))
            .collect()
    }

    /// A sync of this file that was begun after one call and had succeeded before another.
    fn is_synced_between(&self, file: &str, after: &Call, before: &Call) -> bool {
        self.syncs(file).any(|sync| after.is_before(sync) && sync.is_before(before))
    }

    fn syncs(&self, file: &str) -> impl Iterator<Item = &Call> {
        self.calls
            .iter()
            .filter(move |call| call.is(&["fdatasync", "fsync"]) && call.result == 0 && call.file() == file)
    }

    /// For every answer, its frame was written whole and synced before.
    fn check_answers(&self) -> usize {
        let (frames, answers) = (self.frames(), self.answers());
        for answer in &answers {
            let is_its = |frame: &&FrameWrite| (frame.first..frame.end).contains(&answer.position);
            let frame = frames.iter().find(is_its).unwrap_or_else(|| panic!("no frame: {:?}", answer.call));
            let is_safe = self.is_synced_between(frame.call.file(), frame.call, answer.call);
            assert!(is_safe, "answered before the sync: {:?} of {:?}", answer.call, frame.call);
        }
        answers.len()
    }

    /// For every segment made, its header was synced, then its name given, then the directory synced, before
    /// any event in it was answered.
    fn check_segments(&self) -> usize {
        let (frames, answers) = (self.frames(), self.answers());
        let renames: Vec<_> = self.calls.iter().filter(|call| call.name.starts_with("rename")).collect();
        for rename in &renames {
            assert_eq!(rename.result, 0);
            let names = rename.strings();
            // The names are relative to the directory, which is the first argument.
            let path = |name| format!("{}/{}", rename.file(), String::from_utf8_lossy(name));
            let [from, to] = [path(&names[0]), path(&names[1])];
            // strace looks up a file's name when it is used: before the renaming it is the old one.
            let is_header = |call: &&Call| {
                call.file() == from && call.last() == "0" && call.strings()[0].starts_with(b"CHINWAG\n")
            };
            let header = self.writes().filter(|call| call.is_before(rename)).filter(is_header).last();
            let header = header.unwrap_or_else(|| panic!("no header: {rename:?}"));
            assert!(self.is_synced_between(&from, header, rename), "a header not synced: {rename:?}");

            let first = frames.iter().filter(|frame| frame.call.file() == to).map(|frame| frame.first).min();
            let Some(first) = first else { continue };
            let its_first_answer = answers.iter().filter(|answer| answer.position >= first);
            let Some(answer) = its_first_answer.min_by_key(|answer| answer.call.began) else { continue };
            let is_safe = self.is_synced_between(text(&self.data), rename, answer.call);
            assert!(is_safe, "answered before the directory was synced: {rename:?}");
        }
        let is_segment = |frame: &&FrameWrite| Path::new(frame.call.file()).parent() == Some(&self.data);
        assert_eq!(frames.iter().filter(is_segment).count(), frames.len(), "frames only in the directory");
        renames.len()
    }

    /// For every directory made, the one that it stands in was synced before the first answer.
    fn check_directories(&self) -> usize {
        let answers = self.answers();
        let first_answer = answers.iter().min_by_key(|answer| answer.call.began).expect("an answer").call;
        let made = self.calls.iter().filter(|call| call.name == "mkdir" && call.result == 0);
        made.map(|mkdir| {
            let path = String::from_utf8_lossy(&mkdir.strings()[0]).into_owned();
            let parent = text(Path::new(&path).parent().expect("not the root"));
            let is_safe = self.is_synced_between(parent, mkdir, first_answer);
            assert!(is_safe, "answered before the directory around it was synced: {mkdir:?}");
        })
        .count()
    }

    /// From the first answer on, no time of a segment is asked for. Since Linux 6.13 a file whose times were told gets
    /// new ones at its next write, and each sync writes them too.
    fn check_looks(&self) -> usize {
        let answers = self.answers();
        let first_answer = answers.iter().min_by_key(|answer| answer.call.began).expect("an answer").call;
        let is_look = |call: &&Call| call.name == "statx" && first_answer.is_before(call) && call.result == 0;
        let looks: Vec<_> = self.calls.iter().filter(is_look).collect();
        for look in &looks {
            assert!(look.args.contains(", STATX_INO, {"), "times are asked for: {look:?}");
        }
        looks.len()
    }

    /// The directory was synced before anything of the log was read, and the last segment before itself was;
    /// what was written in it to make it fit to go on was synced before the server was ready.
    fn check_boot(&self, last_segment: &Path) {
        let is_read = |call: &&Call| call.is(&["pread64", "read", "readv", "preadv"]);
        let reads = || self.calls.iter().filter(is_read);
        let first = reads()
            .find(|call| Path::new(call.file()).extension().is_some_and(|extension| extension == "log"))
            .expect("the log is read");
        let directory = self.syncs(text(&self.data)).next().expect("the directory is synced");
        assert!(directory.is_before(first), "read before the directory was synced: {first:?}");
        let last_segment = text(last_segment);
        let first = reads().find(|call| call.file() == last_segment).expect("the last segment is read");
        let sync = self.syncs(last_segment).next().expect("the last segment is synced");
        assert!(sync.is_before(first), "read before it was synced: {first:?}");

        let says_ready = |call: &&Call| call.strings().concat().starts_with(b"chinwag listening on ");
        let greeting = self.writes().find(says_ready).expect("it says that it is ready");
        for repair in self.writes().filter(|call| call.is_before(greeting) && call.file() == last_segment) {
            assert!(
                self.is_synced_between(last_segment, repair, greeting),
                "ready before the sync: {repair:?}"
            );
        }
    }
}

/// Runs a server with concurrent writers under strace. Returns the trace and the number of answers 201.
async fn trace(
    dir: &Path,
    name: &str,
    chats: Option<(String, Vec<String>)>,
) -> (Trace, usize, (String, Vec<String>)) {
    let (data, trace) = (dir.join("missing/data"), dir.join(format!("{name}.trace")));
    let server = start_traced(&data, &trace);
    let made = if chats.is_none() { 5 } else { 0 };
    let (author, chats) = match chats {
        Some(chats) => chats,
        None => add_chats(&server, 4).await,
    };
    let writers = start_writers(&server, &chats, &author, WRITERS, name, |_| {});
    tokio::time::sleep(Duration::from_millis(2500)).await;
    // strace also holds the server's stderr, so the trace is complete when stderr ends.
    let (_, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let diaries = finish_writers(writers).await;
    let acknowledged = diaries.iter().map(|diary| diary.acknowledged.len()).sum::<usize>();
    (Trace { calls: strace::read(&trace), data }, made + acknowledged, (author, chats))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs strace, and to be allowed to trace"]
async fn every_answer_and_read_follows_a_sync() {
    let dir = TempDir::new().unwrap();
    let (first, acknowledged, chats) = trace(dir.path(), "first", None).await;
    let answers = first.check_answers();
    let segments = first.check_segments();
    assert_eq!(first.check_directories(), 2, "directories were made");
    assert!(answers >= acknowledged && acknowledged > 50, "{answers} answers seen, {acknowledged} got");
    assert!(segments >= 2, "{segments} segments");
    assert!(first.check_looks() > 50, "a look before each batch");

    let last_segment = crate::support::segments(&first.data).pop().expect("a segment");
    let (second, acknowledged_again, _) = trace(dir.path(), "second", Some(chats)).await;
    second.check_boot(&last_segment);
    let answers_again = second.check_answers();
    let segments_again = second.check_segments();
    assert!(answers_again >= acknowledged_again && acknowledged_again > 50);
    eprintln!(
        "strace: {} answers, each after its sync; {} segments, each after its directory's; a boot that syncs first",
        answers + answers_again,
        segments + segments_again
    );
}
