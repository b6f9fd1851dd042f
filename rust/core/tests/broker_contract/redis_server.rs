//! A Redis server of our own for one test: on a Unix socket and a port in a folder of its own, gone with the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::until;

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

/// Whether there is a server to start. Without one the tests of Redis are left out, loudly; where everything must be
/// tested that is a failure.
pub(crate) fn is_installed() -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var("CI").is_err(), "redis-server is not installed, and CI tests everything");
        let _ = writeln!(std::io::stderr(), "NOT TESTED: Redis, because redis-server is not installed");
    }
    found
}

impl Server {
    /// Starts a server with more arguments, and waits until it answers.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = spawn(&folder, port, &arguments);
        let server = Self { child, port, folder, arguments };
        server.until_it_answers();
        server
    }

    /// The URL of its socket.
    pub(crate) fn url(&self) -> String {
        format!("redis+socket://{}", self.socket().display())
    }

    /// The URL of its port.
    pub(crate) fn tcp_url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn until_it_answers(&self) {
        until("the server answers", || {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let mut answer = [0; 5];
            stream.write_all(b"PING\r\n").is_ok()
                && stream.read_exact(&mut answer).is_ok()
                && matches!(&answer, b"+PONG" | b"-NOAU")
        });
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it and starts it again with what it had written to its disk.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, self.port, &self.arguments);
        self.until_it_answers();
    }

    /// Stops its process, or lets it go on.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Sends one command; the server's answer, as text.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Makes everything that expires so much older.
    pub(crate) fn age(&self, by: Duration) {
        let script = "for _, key in ipairs(redis.call('KEYS', '*')) do
                local left = redis.call('PTTL', key)
                if left > 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
            end";
        assert_eq!(self.command(&["EVAL", script, "0", &by.as_millis().to_string()]), "");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &tempfile::TempDir, port: u16, arguments: &Vec<String>) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--loglevel", "warning"]);
    command.arg("--dir").arg(folder.path()).arg("--unixsocket").arg(folder.path().join("redis.sock"));
    command.args(arguments).stdout(Stdio::null()).stdin(Stdio::null()).spawn().unwrap()
}
