//! TLS: all that holds for connections without it, and the certificate, which is replaced while the server runs.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::support::{
    CALLS, CertificateFiles, Client, Identity, RawConnection, Scene, TestServer, TlsConnection, binary, head,
    post, run_to_end,
};

/// The time within which the server does what it does at once.
const SOON: Duration = Duration::from_secs(20);

async fn metric(client: &Client, name: &str) -> Option<u64> {
    let metrics = client.get("/metrics").await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

async fn wait_for_metric(client: &Client, name: &str, value: u64, time: Duration) {
    let began = Instant::now();
    while metric(client, name).await != Some(value) {
        assert!(began.elapsed() < time, "{name} is not {value}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn every_call_is_answered_over_tls() {
    let files = CertificateFiles::new();
    let scene = Scene::on(files.server(&[])).await;
    let mut stream = scene.server.follow(&scene.ann, Some(0)).await;
    for path in CALLS {
        let reply = scene.post_over(path, json!({})).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text);
    }
    for path in ["/", "/health", "/metrics", "/docs", "/openapi.json"] {
        assert!(scene.server.get(path).await.status.is_success(), "{path}");
    }
    // Requests and answers of many records.
    let long = json!({ "chat": scene.den, "author": scene.ann, "text": "x".repeat(16_000) });
    for _ in 0..2 {
        let batch = json!({ "messages": vec![&long; 60] });
        assert_eq!(scene.server.post("/messages/batch", &batch).await.status, 201);
    }
    let messages = scene.server.messages(&scene.den).await;
    assert_eq!(messages.iter().filter(|message| message["text"] == long["text"]).count(), 120);
    let mut streamed = 0;
    while streamed < 120 {
        let event = stream.next().await.expect("the stream goes on");
        streamed += usize::from(event.data["text"] == long["text"]);
    }
    let (_, ended) = scene.server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn http_1_1_is_spoken_over_tls_1_2_and_1_3() {
    let files = CertificateFiles::new();
    let server = files.server(&[]);
    for version in [&TLS12, &TLS13] {
        for offered in [&[][..], &["h2", "http/1.1"]] {
            let opened = TlsConnection::try_open(&server.address, &files.served, &[version], offered);
            let mut connection = opened.expect("connected");
            let chosen = offered.last().map(|protocol| protocol.as_bytes());
            assert_eq!(connection.0.conn.alpn_protocol(), chosen);
            assert_eq!(connection.0.conn.protocol_version(), Some(version.version));
            connection.send(head("GET", "/health", &["Connection: close"]));
            assert!(connection.rest().starts_with("HTTP/1.1 200"));
        }
        let refused = TlsConnection::try_open(&server.address, &files.served, &[version], &["h2"]);
        let refused = refused.err().expect("HTTP/2 is not spoken").to_string();
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    }
}

#[tokio::test]
async fn plain_http_is_closed() {
    let files = CertificateFiles::new();
    let server = files.server(&["--log", "chinwag::http=debug"]);
    let mut connection = RawConnection::open(&server.address);
    connection.send(head("GET", "/health", &[]));
    let rest = connection.rest();
    assert!(!rest.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(server.get("/health").await.status, 200);
    let (_, ended) = server.terminate();
    assert!(ended.stderr.contains("a handshake failed"), "{}", ended.stderr);
}

/// Waits until new connections get this certificate.
fn wait_until_served(server: &TestServer, expected: &Identity) {
    let began = Instant::now();
    while let Err(error) = TlsConnection::try_open(&server.address, expected, &[], &[]) {
        assert!(began.elapsed() < SOON, "another certificate is served: {error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_served() {
    let files = CertificateFiles::new();
    let server = files.server(&[]);
    let mut before = TlsConnection::open(&server.address, &files.served);
    let renewed = Identity::new();
    files.replace(&renewed.certificate_pem(), &renewed.key_pem());
    wait_until_served(&server, &renewed);
    assert!(TlsConnection::try_open(&server.address, &files.served, &[], &[]).is_err());
    // A connection from before goes on.
    before.send(head("GET", "/health", &["Connection: close"]));
    assert!(before.rest().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_bad_certificate_keeps_the_one_before() {
    let files = CertificateFiles::new();
    let server = files.server(&[]);
    assert_eq!(metric(&server, "chinwag_tls_stale").await, Some(0));
    let other = Identity::new();
    for (certificate, key) in [
        (other.certificate_pem(), files.served.key_pem()),
        ("-----BEGIN A SECRET\n".to_owned(), other.key_pem()),
        (other.certificate_pem(), other.key_pem().replace('M', "A SECRET ")),
        (String::new(), String::new()),
    ] {
        files.replace(&certificate, &key);
        server.signal(Signal::HUP);
        wait_for_metric(&server, "chinwag_tls_stale", 1, SOON).await;
        TlsConnection::open(&server.address, &files.served);
        files.replace(&files.served.certificate_pem(), &files.served.key_pem());
        server.signal(Signal::HUP);
        wait_for_metric(&server, "chinwag_tls_stale", 0, SOON).await;
    }
    let (_, ended) = server.terminate();
    assert!(ended.stderr.contains("the certificate from before is served"), "{}", ended.stderr);
    // The message of the parser would show the bytes of a line.
    assert!(ended.stderr.contains("names: it is not well-formed PEM"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("A SECRET"), "{}", ended.stderr);
    assert_eq!(metric(&TestServer::start(), "chinwag_tls_stale").await, None);
}

fn start_fails(files: &CertificateFiles, words: &[&str]) {
    let dir = tempfile::TempDir::new().unwrap();
    let data = dir.path().join("data");
    let ended = run_to_end(
        binary().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(files.flags()),
    );
    ended.expect(2, words);
    assert!(!data.exists(), "it leaves no directory");
}

#[test]
fn files_without_a_certificate_and_its_key_are_exit_2() {
    let (files, other) = (CertificateFiles::new(), Identity::new());
    let (certificate, key) = (files.served.certificate_pem(), files.served.key_pem());
    let cut = certificate.replace("-----END CERTIFICATE-----", "");
    let no_certificate = certificate.replace("MII", "AAA");
    let no_key = key.replace("MI", "AA");
    let passphrase = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (certificate, key, words) in [
        ("", &*key, ["--tls-cert", "cert.pem", "is empty"]),
        ("hello", &key, ["--tls-cert", "cert.pem", "no certificate"]),
        (&cut, &key, ["--tls-cert", "cert.pem", "well-formed"]),
        (&no_certificate, &key, ["--tls-cert", "cert.pem", "malformed"]),
        (&certificate, "", ["--tls-key", "key.pem", "is empty"]),
        (&certificate, &certificate, ["--tls-key", "key.pem", "no private key"]),
        (&certificate, &passphrase, ["--tls-key", "key.pem", "without a passphrase"]),
        (&certificate, &no_key, ["--tls-key", "key.pem", "malformed"]),
        (&certificate, &other.key_pem(), ["--tls-key", "key.pem", "not the key of the certificate in"]),
    ] {
        files.replace(certificate, key);
        start_fails(&files, &words);
    }
    for (path, flag) in [(files.key(), "--tls-key"), (files.certificate(), "--tls-cert")] {
        std::fs::remove_file(&path).unwrap();
        start_fails(&files, &[flag, path.to_str().unwrap(), "No such file"]);
        std::fs::create_dir(&path).unwrap();
        start_fails(&files, &[flag, path.to_str().unwrap(), "s a directory"]);
    }
    for one in ["--tls-cert", "--tls-key"] {
        run_to_end(binary().args(["serve", one, "a.pem"])).expect(2, &["--tls-cert", "--tls-key"]);
    }
}

#[test]
fn a_key_that_others_may_read_is_warned_of() {
    let files = CertificateFiles::new();
    for (mode, is_warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(files.key(), std::fs::Permissions::from_mode(mode)).unwrap();
        let (_, ended) = files.server(&[]).terminate();
        let warned = ended.stderr.contains("may read the private key");
        assert_eq!(warned, is_warned, "{mode:o}: {}", ended.stderr);
    }
}

#[test]
fn healthcheck_trusts_exactly_the_certificate() {
    let files = CertificateFiles::new();
    let server = files.server(&[]);
    let check = || {
        let mut command = binary();
        command.args(["healthcheck", "--listen", &server.address]);
        command
    };
    run_to_end(check().arg("--tls-cert").arg(files.certificate())).expect(0, &[]);
    // One variable serves both, and the key may be named or not.
    let mut by_variable = check();
    by_variable.env("CHINWAG_TLS_CERT", files.certificate());
    run_to_end(&mut by_variable).expect(0, &[]);
    by_variable.env("CHINWAG_TLS_KEY", files.key());
    run_to_end(&mut by_variable).expect(0, &[]);
    // Another certificate of the same name is not trusted, and nothing is trusted without one.
    let others = CertificateFiles::new();
    let refused = run_to_end(check().arg("--tls-cert").arg(others.certificate()));
    refused.expect(1, &[&server.address, "another certificate"]);
    run_to_end(&mut check()).expect(1, &[&server.address]);
    let missing = run_to_end(check().args(["--tls-cert", "/nowhere.pem"]));
    missing.expect(1, &["/nowhere.pem", "No such file"]);
    let without = TestServer::start();
    let mut plain = binary();
    plain.args(["healthcheck", "--listen", &without.address, "--tls-cert"]).arg(files.certificate());
    run_to_end(&mut plain).expect(1, &[&without.address, "TLS"]);
}

#[test]
fn handshakes_and_key_updates_begin_no_request() {
    let files = CertificateFiles::new();
    let server = files.server(&["--request-timeout-s", "1"]);
    let mut connection = TlsConnection::open(&server.address, &files.served);
    connection.0.conn.refresh_traffic_keys().unwrap();
    connection.0.flush().unwrap();
    std::thread::sleep(Duration::from_millis(1_300));
    connection.send(head("GET", "/health", &["Connection: close"]));
    assert!(connection.rest().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_request_that_stops_halfway_times_out() {
    let files = CertificateFiles::new();
    let server = files.server(&["--idle-timeout-s", "1", "--request-timeout-s", "1"]);
    let mut body = TlsConnection::open(&server.address, &files.served);
    body.send(head("POST", "/users/add", &["Content-Type: application/json", "Content-Length: 20"]) + "{");
    let mut idle = TlsConnection::open(&server.address, &files.served);
    let mut record = TlsConnection::open(&server.address, &files.served);
    let sealed = record.sealed(head("GET", "/health", &[]));
    record.0.sock.write_all(&sealed[..sealed.len() - 1]).unwrap();
    assert!(body.rest().starts_with("HTTP/1.1 408"));
    while !record.is_closed() {}
    assert_eq!(idle.rest(), "");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let files = CertificateFiles::new();
    let scene = Scene::on(files.server(&["--request-timeout-s", "1"])).await;
    let long = json!({ "chat": scene.den, "author": scene.ann, "text": "x".repeat(16_000) });
    let batch = json!({ "messages": vec![long; 500] });
    assert_eq!(scene.server.post("/messages/batch", &batch).await.status, 201);
    let before = metric(&scene.server, "chinwag_http_connections").await.unwrap();
    let mut connection = TlsConnection::open(&scene.server.address, &files.served);
    connection.send(post("/messages/get", &json!({ "chat": scene.den })));
    wait_for_metric(&scene.server, "chinwag_http_connections", before + 1, SOON).await;
    wait_for_metric(&scene.server, "chinwag_http_connections", before, SOON).await;
}

#[test]
fn a_half_closed_client_is_answered_over_tls() {
    let files = CertificateFiles::new();
    let server = files.server(&[]);
    for version in [&TLS12, &TLS13] {
        let opened = TlsConnection::try_open(&server.address, &files.served, &[version], &[]);
        let mut connection = opened.unwrap();
        let requests = [head("GET", "/health", &[]), head("GET", "/nothing", &[])];
        let mut sealed = connection.sealed(requests.concat());
        connection.0.conn.send_close_notify();
        connection.0.conn.write_tls(&mut sealed).unwrap();
        connection.0.sock.write_all(&sealed).unwrap();
        let answers = connection.rest();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    }
    // So is one that closes its side of the socket without a word of TLS.
    let mut connection = TlsConnection::open(&server.address, &files.served);
    connection.send(head("GET", "/health", &[]));
    connection.0.sock.shutdown(Shutdown::Write).unwrap();
    assert!(connection.rest().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stream_ends_when_its_client_goes() {
    let files = CertificateFiles::new();
    let scene = Scene::on(files.server(&[])).await;
    let follow = head("GET", &format!("/events?user={}", scene.ann), &[]);
    let goodbyes: [fn(&mut TlsConnection); 3] = [
        // With an open socket; without a word; with a change of keys before.
        TlsConnection::finish,
        |connection| connection.0.sock.shutdown(Shutdown::Write).unwrap(),
        |connection| {
            connection.0.conn.refresh_traffic_keys().unwrap();
            connection.0.flush().unwrap();
            std::thread::sleep(Duration::from_millis(50));
            connection.finish();
        },
    ];
    for goodbye in goodbyes {
        let mut connection = TlsConnection::open(&scene.server.address, &files.served);
        connection.send(&follow);
        connection.expect("event: begin");
        wait_for_metric(&scene.server, "chinwag_streams", 1, SOON).await;
        goodbye(&mut connection);
        // A write to the client would notice it only after 15 s.
        wait_for_metric(&scene.server, "chinwag_streams", 0, Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn a_stream_outlasts_the_deadlines_of_requests() {
    let files = CertificateFiles::new();
    let server = files.server(&["--idle-timeout-s", "1", "--request-timeout-s", "1"]);
    let scene = Scene::on(server).await;
    let mut connection = TlsConnection::open(&scene.server.address, &files.served);
    connection.send(head("GET", &format!("/events?user={}", scene.ann), &[]));
    connection.expect("event: begin");
    connection.0.conn.refresh_traffic_keys().unwrap();
    connection.0.flush().unwrap();
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    scene.server.add_message(&scene.den, &scene.ann, "still there?").await;
    connection.expect("still there?");
}

#[test]
fn a_stop_answers_what_has_begun_and_says_goodbye() {
    let files = CertificateFiles::new();
    let server = files.server(&[]);
    let open = || TlsConnection::open(&server.address, &files.served);
    let (mut idle, mut body, mut record) = (open(), open(), open());
    let request = post("/users/add", &json!({ "username": "ann" }));
    let (first, last) = request.split_at(request.len() - 1);
    body.send(first);
    // The head of this request is in a record that has not arrived whole.
    let sealed = record.sealed(head("GET", "/nothing", &[]));
    let (first_of_record, last_of_record) = sealed.split_at(sealed.len() - 1);
    record.0.sock.write_all(first_of_record).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    server.signal(Signal::TERM);
    // When nothing has arrived on a connection, it is closed.
    assert_eq!(idle.rest(), "");
    // By then, the others are waited for.
    body.send(last);
    record.0.sock.write_all(last_of_record).unwrap();
    assert!(body.rest().starts_with("HTTP/1.1 201"));
    assert!(record.rest().starts_with("HTTP/1.1 404"));
    let (_, ended) = server.ended(Duration::from_secs(10));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn handshakes_do_not_delay_a_stop() {
    let files = CertificateFiles::new();
    let server = files.server(&[]);
    let _silent = RawConnection::open(&server.address);
    let mut begun = RawConnection::open(&server.address);
    begun.send(b"\x16\x03\x01\x02\x00\x01\x00");
    std::thread::sleep(Duration::from_millis(50));
    let asked = Instant::now();
    let (_, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}
