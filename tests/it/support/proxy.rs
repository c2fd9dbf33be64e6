//! A proxy of TCP that a test can hold, cut and slow down.
//!
//! ```ignore
//! let proxy = Proxy::to(&node.address);                  // pass `proxy.address` to the client
//! proxy.hold();                                          // bytes wait in both directions
//! proxy.hold_answers();                                  // bytes wait that the target sent
//! proxy.cut();                                           // connections end, and new ones end at once
//! proxy.pass(Duration::ZERO);                            // bytes pass again, what was held first
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A proxy before one address. Its connections end when it is dropped.
pub struct Proxy {
    /// The address that it listens on.
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    traffic: Traffic,
    /// Both ends of each connection since the last cut.
    open: Vec<TcpStream>,
}

#[derive(Clone, Copy, PartialEq)]
enum Traffic {
    /// Each piece passes after this time.
    Passes(Duration),
    Held,
    /// What the target sends is held.
    AnswersHeld,
    Cut,
    /// The proxy was dropped.
    Ended,
}

impl Proxy {
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = State { traffic: Traffic::Passes(Duration::ZERO), open: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (accepting, target) = (Arc::clone(&shared), target.to_owned());
        std::thread::spawn(move || {
            for near in listener.incoming() {
                if !connect(&accepting, near.expect("accepted"), &target) {
                    return;
                }
            }
        });
        Self { address, shared }
    }

    /// Lets bytes pass, each piece after this time.
    pub fn pass(&self, delay: Duration) {
        self.set(Traffic::Passes(delay));
    }

    /// Keeps bytes back, in both directions. New connections are accepted, and their bytes are kept back, too.
    pub fn hold(&self) {
        self.set(Traffic::Held);
    }

    /// Keeps back what the target sends, but not what is sent to it.
    pub fn hold_answers(&self) {
        self.set(Traffic::AnswersHeld);
    }

    /// Ends all connections, and each new one at once.
    pub fn cut(&self) {
        self.set(Traffic::Cut);
    }

    fn set(&self, traffic: Traffic) {
        let mut state = self.shared.state.lock().expect("no thread panics");
        state.traffic = traffic;
        if matches!(traffic, Traffic::Cut | Traffic::Ended) {
            state.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Traffic::Ended);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(&self.address));
    }
}

/// Connects to the target, and carries bytes in both directions. Returns `false` after the proxy was dropped.
fn connect(shared: &Arc<Shared>, near: TcpStream, target: &str) -> bool {
    let mut state = shared.state.lock().expect("no thread panics");
    match state.traffic {
        Traffic::Ended => return false,
        Traffic::Cut => return true,
        Traffic::Passes(_) | Traffic::Held | Traffic::AnswersHeld => {}
    }
    let Ok(far) = TcpStream::connect(target) else { return true };
    let copies = [&near, &far].map(|stream| {
        stream.set_nodelay(true).expect("set");
        stream.try_clone().expect("a second handle")
    });
    for (from, to, holds) in [
        (near.try_clone(), far.try_clone(), &[Traffic::Held][..]),
        (Ok(far), Ok(near), &[Traffic::Held, Traffic::AnswersHeld]),
    ] {
        let (shared, from, to) = (Arc::clone(shared), from.expect("a handle"), to.expect("a handle"));
        std::thread::spawn(move || carry(&shared, from, to, holds));
    }
    state.open.extend(copies);
    true
}

/// Carries bytes until one end is closed, but not while one of these holds.
fn carry(shared: &Shared, mut from: TcpStream, mut to: TcpStream, holds: &[Traffic]) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let state = shared.state.lock().expect("no thread panics");
        let held = |state: &mut State| holds.contains(&state.traffic);
        let traffic = shared.changed.wait_while(state, held).expect("no thread panics").traffic;
        if let Traffic::Passes(delay) = traffic {
            std::thread::sleep(delay);
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // Both fail harmlessly if the other end is closed already.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
