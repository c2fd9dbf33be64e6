//! The process: its flags and exit codes, how it stops, and what it refuses to start on.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{RawConnection, StoppedServer, TestServer, binary, head, run_to_end, serve_to_end};

#[tokio::test]
async fn sigterm_sigint_and_sigquit_end_the_process_cleanly() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut server = TestServer::start();
        server.add_user("ann").await;
        server.signal(signal);
        let status = server.wait_at_most(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn sighup_does_not_end_the_process() {
    let server = TestServer::start();
    for number in 0..3 {
        server.signal(Signal::HUP);
        server.add_user(&format!("user {number}")).await;
    }
    assert_eq!(server.position().await, 3);
}

#[tokio::test]
async fn a_request_in_flight_at_sigterm_is_answered_and_kept() {
    let server = TestServer::start();
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    let body = r#"{"username":"ann"}"#;
    let head = format!(
        "POST /users/add HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    server.signal(Signal::TERM);
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(&server.address).await.is_ok() {
        assert!(Instant::now() < deadline, "it still accepts connections");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let again = stopped.restart().post("/users/add", &json!({ "username": "ann" })).await;
    assert_eq!(again.status, 409);
}

#[tokio::test]
async fn idle_connections_do_not_delay_a_stop() {
    let server = TestServer::start();
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(&server.address).await.unwrap());
    }
    idle[0].write_all(b"POST /users/add HTTP/1.1\r\ncontent-len").await.unwrap();
    let asked = Instant::now();
    let (_, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_directory_in_use_is_exit_4() {
    let server = TestServer::start();
    let in_use = ["in use", server.data.to_str().unwrap()];
    serve_to_end(&server.data, &[]).expect(4, &in_use);
    // Also if the address is in use.
    let mut command = binary();
    command.args(["--listen", &server.address, "--data"]).arg(&server.data);
    run_to_end(&mut command).expect(4, &in_use);
}

#[test]
fn an_address_in_use_is_exit_2_and_leaves_no_directory() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let (parent, data) = (dir.path().join("parent"), dir.path().join("parent/data"));
    let ended = run_to_end(binary().args(["--listen", &address, "--data"]).arg(data));
    ended.expect(2, &[&address]);
    assert!(!parent.exists());
}

#[test]
fn a_data_path_that_is_a_file_is_exit_2() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    serve_to_end(&file, &[]).expect(2, &[file.to_str().unwrap()]);
    serve_to_end(&file.join("below"), &[]).expect(2, &[file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn bad_usage_is_exit_2_and_names_the_value() {
    let dir = TempDir::new().unwrap();
    serve_to_end(dir.path(), &["--nonsense"]).expect(2, &["--nonsense"]);
    serve_to_end(dir.path(), &["--segment-bytes", "65535"])
        .expect(2, &["65535", "--segment-bytes", "as in 64MiB"]);
    serve_to_end(dir.path(), &["--body-bytes-max", "1MB"])
        .expect(2, &["1MB", "--body-bytes-max", "as in 1MiB"]);
    serve_to_end(dir.path(), &["--queue-max", "0"]).expect(2, &["--queue-max"]);
    serve_to_end(dir.path(), &["--body-bytes-max", "many"]).expect(2, &["many"]);
    run_to_end(binary().args(["--listen", "nowhere"])).expect(2, &["nowhere", "as in 127.0.0.1:9000"]);
    let unknown = "no-such-host.invalid:9000";
    run_to_end(binary().args(["--ephemeral", "--listen", unknown])).expect(2, &[unknown]);
    run_to_end(binary().env("CHINWAG_LISTEN", "nowhere")).expect(2, &["nowhere"]);
    run_to_end(binary().arg("nonsense")).expect(2, &["nonsense"]);
    serve_to_end(dir.path(), &["--log", "chinwag=loud"]).expect(2, &["chinwag=loud", "--log"]);
    run_to_end(binary().env("CHINWAG_LOG", "chinwag=loud")).expect(2, &["chinwag=loud"]);
    for wrong in ["warning", "loud", "hyper=debug"] {
        serve_to_end(dir.path(), &["--log", wrong]).expect(2, &["--log", wrong, "as in info"]);
    }
    serve_to_end(dir.path(), &["--log-format", "xml"]).expect(2, &["xml", "text", "json"]);
    let contradiction = ["--cors-origins", "*,https://example.com"];
    serve_to_end(dir.path(), &contradiction).expect(2, &["--cors-origins", "combined with other origins"]);
    for bad in ["http://chat.example.com", "chat.example.com:9000", "", "chinwag,", "*"] {
        serve_to_end(dir.path(), &["--hosts", bad]).expect(2, &["--hosts", "as in chat.example.com"]);
    }
}

#[test]
fn the_log_goes_where_the_environment_says() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("by-environment");
    std::fs::write(&data, "a file, to be refused").unwrap();
    let ended = run_to_end(binary().env("CHINWAG_DATA", &data).env("CHINWAG_LISTEN", "127.0.0.1:0"));
    ended.expect(2, &[data.to_str().unwrap()]);
}

/// A flag: its name, its environment variable, its default.
type Flag = [String; 3];

/// Returns the flags that `chinwag serve --help` lists.
fn flags_of_help() -> Vec<Flag> {
    let help = binary().args(["serve", "--help"]).output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.split_once("\nOptions:\n").expect("options").1;
    // Each option begins with a line of its own; its description is indented more.
    let options = options.split("\n      --").map(|option| option.trim_start().trim_start_matches("--"));
    let flag = |option: &str| {
        let name = option.split([' ', '\n']).next().unwrap();
        let value = |of: &str| Some(option.split_once(&format!("[{of}: "))?.1.split_once(']')?.0);
        let variable = value("env").unwrap_or_default().trim_end_matches('=');
        [format!("--{name}"), variable.to_owned(), value("default").unwrap_or_default().to_owned()]
    };
    options.map(flag).collect()
}

/// Returns the flags of the table in `docs/operations.md`.
fn flags_of_operations() -> Vec<Flag> {
    let operations = include_str!("../../docs/operations.md");
    let table = operations.split_once("| flag | environment | default | |\n").expect("a table").1;
    let rows = table.lines().skip(1).map_while(|row| row.strip_prefix("| "));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()));
    cells.map(|cells| cells.take(3).collect::<Vec<_>>().try_into().expect("three cells and more")).collect()
}

#[test]
fn help_and_docs_list_the_same_flags() {
    let mut of_help = flags_of_help();
    of_help.sort();
    let mut of_operations = flags_of_operations();
    of_operations.sort();
    assert_eq!(of_help, of_operations);
    for [name, variable, _] in &of_help {
        assert_eq!(*variable, format!("CHINWAG_{}", name[2..].replace('-', "_").to_uppercase()));
    }
    assert!(of_help.len() >= 8, "{of_help:?}");
}

#[test]
fn a_flag_in_the_environment_can_say_no() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // Without a log on disk, the server looks at the address first.
    for (value, complaint) in [("1", &address), ("true", &address), ("0", &file.display().to_string())] {
        let mut command = binary();
        command.args(["--listen", &address, "--data"]).arg(&file).env("CHINWAG_EPHEMERAL", value);
        run_to_end(&mut command).expect(2, &[complaint]);
    }
}

#[tokio::test]
async fn open_files_limit_the_connections() {
    const FILES_MAX: usize = 100;
    const CONNECTIONS_MAX: usize = 36;
    let dir = TempDir::new().unwrap();
    let limited = format!("ulimit -n {FILES_MAX} && exec \"$0\" \"$@\"");
    let server = TestServer::start_under(&["sh", "-c", &limited], &dir.path().join("data"), &[]);
    let mut connections: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| {
            let mut connection = RawConnection::open(&server.address);
            connection.send(head("GET", "/health", &[]));
            assert_eq!(connection.reply().status, 200);
            connection
        })
        .collect();
    // More than there are files for. They wait until others close, and none fails.
    for _ in 0..FILES_MAX {
        let mut connection = RawConnection::open(&server.address);
        connection.send(head("GET", "/health", &[]));
        connections.push(connection);
    }
    for mut connection in connections.drain(..).skip(CONNECTIONS_MAX) {
        assert_eq!(connection.reply().status, 200);
    }
    let (_, ended) = server.terminate();
    ended.expect(0, &["limited to 36 connections"]);
    assert!(!ended.stderr.contains("failed to accept"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_ephemeral_server_keeps_nothing() {
    let server = TestServer::start_with(&["--ephemeral"]);
    server.add_user("ann").await;
    assert!(!server.data.exists());
    server.kill().restart().add_user("ann").await;
}

#[tokio::test]
async fn foreign_files_in_the_directory_are_left_alone() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let stopped = server.kill();
    std::fs::create_dir(stopped.data.join("lost+found")).unwrap();
    std::fs::write(stopped.data.join("notes.txt"), "mine").unwrap();
    let server = stopped.restart();
    assert_eq!(std::fs::read_to_string(server.data.join("notes.txt")).unwrap(), "mine");
    assert!(server.data.join("lost+found").is_dir());
    assert_eq!(server.get("/health").await.json()["position"], 1);
}

async fn stopped_with_users(count: usize) -> StoppedServer {
    let server = TestServer::start();
    for number in 0..count {
        server.add_user(&format!("user {number}")).await;
    }
    server.terminate().0
}

#[tokio::test]
async fn a_damaged_log_is_exit_3_and_left_untouched() {
    let stopped = stopped_with_users(20).await;
    let segment = stopped.segments().remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[8192 + 40] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    serve_to_end(&stopped.data, &[]).expect(3, &[segment.to_str().unwrap(), "8192", "event"]);
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
}

#[tokio::test]
async fn a_torn_end_is_cut_off_copied_and_reported() {
    let stopped = stopped_with_users(20).await;
    let segment = stopped.segments().remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[used] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let server = stopped.restart();
    assert_eq!(server.get("/health").await.json()["position"], 19);
    server.add_user("user 19").await;
    let (stopped, ended) = server.terminate();
    assert!(ended.stderr.contains("torn"), "{}", ended.stderr);
    let names = std::fs::read_dir(&stopped.data).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains(".torn-")).count(), 1);
    assert_eq!(stopped.restart().get("/health").await.json()["position"], 20);
}

#[tokio::test]
async fn a_new_log_takes_little_of_the_disk() {
    let server = TestServer::start_with(&["--segment-bytes", "64MiB"]);
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    // More than fits the first segment.
    let message = json!({ "chat": den, "author": ann, "text": "x".repeat(16_000) });
    for _ in 0..3 {
        let batch = json!({ "messages": vec![&message; 60] });
        assert_eq!(server.post("/messages/batch", &batch).await.status, 201);
    }
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(stopped.segments().len(), 2);
    let entries = std::fs::read_dir(&stopped.data).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    let on_disk: u64 = entries.map(|metadata| metadata.blocks() * 512).sum();
    assert!((4 << 20..=8 << 20).contains(&on_disk), "{on_disk}");
    assert_eq!(stopped.restart().messages(&den).await.len(), 180);
}

#[tokio::test]
async fn a_name_is_listened_on() {
    let server = TestServer::start_with(&["--listen", "localhost:0"]);
    let address: std::net::SocketAddr = server.address.parse().expect("the ready line names an address");
    assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
    server.add_user("ann").await;
    let by_name = format!("localhost:{}", address.port());
    run_to_end(binary().args(["healthcheck", "--listen", &by_name])).expect(0, &[]);
    // The directory is another one, but the address is in use.
    let second = run_to_end(binary().args(["--ephemeral", "--listen", &by_name]));
    second.expect(2, &[&by_name, &server.address]);
}

/// Receives the next message to a service manager.
fn notified(manager: &UnixDatagram) -> String {
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut message = [0; 100];
    let bytes = manager.recv(&mut message).expect("a message in time");
    String::from_utf8(message[..bytes].to_vec()).unwrap()
}

#[tokio::test]
async fn the_service_manager_is_notified() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("notify");
    let name = format!("chinwag-test-{}", std::process::id());
    let managers = [
        (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
        (
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            format!("@{name}"),
        ),
    ];
    for (manager, socket) in managers {
        let variable = format!("NOTIFY_SOCKET={socket}");
        let server = TestServer::start_under(&["env", &variable], &dir.path().join("data"), &[]);
        assert_eq!(notified(&manager), "READY=1");
        assert_eq!(server.get("/health").await.status, 200, "it serves");
        let (_, ended) = server.terminate();
        assert_eq!(notified(&manager), "STOPPING=1");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_missing_service_manager_does_no_harm() {
    let dir = TempDir::new().unwrap();
    for socket in ["/nowhere/to/be/found", "@nobody-listens-here", "vsock:2:1234"] {
        let variable = format!("NOTIFY_SOCKET={socket}");
        let server = TestServer::start_under(&["env", &variable], &dir.path().join("data"), &[]);
        let (_, ended) = server.terminate();
        ended.expect(0, &[socket, "READY=1", "STOPPING=1"]);
    }
}

#[test]
fn healthcheck_is_exit_0_only_for_a_ready_server() {
    let server = TestServer::start();
    let check = |address: &str| run_to_end(binary().args(["healthcheck", "--listen", address]));
    check(&server.address).expect(0, &[]);
    let everywhere = server.address.replace("127.0.0.1", "0.0.0.0");
    check(&everywhere).expect(0, &[]);
    let address = server.address.clone();
    drop(server);
    check(&address).expect(1, &[&address]);
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    check(&address).expect(1, &[&address, "did not answer"]);
}
