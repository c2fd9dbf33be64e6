//! A server in this process, and connections to it.

use std::net::SocketAddr;

use chinwag::config::ServeConfig;
use chinwag::domain::{ChatId, UserId};
use chinwag::log::EventLog;
use chinwag::server::{Files, ServeError, serve};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::text;

pub(crate) type Connection = SendRequest<Full<Bytes>>;

/// A server in this process. It stops when it is dropped, after the connections to it.
pub(crate) struct HttpServer<'r> {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
    pub(crate) runtime: &'r Runtime,
}

impl<'r> HttpServer<'r> {
    pub(crate) fn start(
        log: Box<dyn EventLog>,
        config: ServeConfig,
        files: Files,
        runtime: &'r Runtime,
    ) -> Self {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            let (stop, stopped) = oneshot::channel();
            let (ready, is_ready) = oneshot::channel();
            let ready = || ready.send(()).expect("awaited");
            let stopped = async { drop(stopped.await) };
            let serving =
                tokio::spawn(async move { serve(listener, log, &config, files, ready, stopped).await });
            is_ready.await.expect("the log can be replayed");
            Self { address, stop: Some(stop), serving: Some(serving), runtime }
        })
    }

    pub(crate) fn connect(&self, connections: usize) -> Vec<Connection> {
        self.runtime.block_on(async {
            let mut connected = Vec::new();
            for _ in 0..connections {
                let stream = TcpStream::connect(self.address).await.expect("accepted");
                stream.set_nodelay(true).expect("a socket");
                let (connection, driver) = handshake(TokioIo::new(stream)).await.expect("no bytes yet");
                tokio::spawn(driver);
                connected.push(connection);
            }
            connected
        })
    }
}

impl Drop for HttpServer<'_> {
    fn drop(&mut self) {
        drop(self.stop.take());
        let serving = self.serving.take().expect("dropped once");
        self.runtime.block_on(serving).expect("no panic").expect("nothing failed");
    }
}

/// Sends the message with this number, perhaps with a credential.
pub(crate) async fn post(
    connection: &mut Connection,
    chat: ChatId,
    author: UserId,
    number: u64,
    authorization: Option<&str>,
) {
    let body = serde_json::json!({ "chat": chat, "author": author, "text": text(number) }).to_string();
    let mut request =
        Request::post("/messages/add").header("Host", "localhost").header("Content-Type", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    let request = request.body(Full::from(body)).expect("a valid request");
    connection.ready().await.expect("kept alive");
    let response = connection.send_request(request).await.expect("answered");
    assert_eq!(response.status(), StatusCode::CREATED);
    response.into_body().collect().await.expect("a whole answer");
}
