//! A wire to the server that can be cut in the middle of anything.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Passes bytes on to a server, until so many of its answers have passed.
pub(super) struct Proxy {
    pub(super) port: u16,
    /// Bytes of answers left before every connection is cut; negative: for ever.
    left: Arc<AtomicI64>,
}

impl Proxy {
    pub(super) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicI64::new(i64::MIN));
        let budget = Arc::clone(&left);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, None));
                let budget = Arc::clone(&budget);
                std::thread::spawn(move || pass(upstream, client, Some(&budget)));
            }
        });
        Self { port, left }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Cuts every connection that answers after so many more bytes.
    pub(super) fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// Whether the cut was made.
    pub(super) fn was_cut(&self) -> bool {
        (i64::MIN / 2..=0).contains(&self.left.load(Ordering::SeqCst))
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, budget: Option<&AtomicI64>) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let mut allowed = count;
        if let Some(budget) = budget
            && budget.load(Ordering::SeqCst) > i64::MIN / 2
        {
            let before = budget.fetch_sub(count as i64, Ordering::SeqCst);
            allowed = usize::try_from(before.max(0)).unwrap().min(count);
        }
        if to.write_all(&buffer[..allowed]).is_err() || allowed < count {
            break;
        }
    }
    if let Some(budget) = budget {
        // One cut, then all is well again.
        let _ =
            budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left <= 0).then_some(i64::MIN));
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
