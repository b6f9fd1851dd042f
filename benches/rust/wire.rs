//! The wire limit: the Redis commands of publishing and of running tasks, sent by a bare client that runs nothing.
//!
//! `wire PORT COUNT BATCH MESSAGE RECORD` prints one line for each of `publish`, `drain` and `drain, results`: what it
//! is, and tasks in a second. MESSAGE and RECORD are files with the bytes of one message and one stored result.
//! `make bench-compare PART=wire` calls it. It is built by rustc alone, so it uses the standard library only.
//!
//! # Format
//!
//! One connection; the commands of a batch are one write, and the next batch is on its way while the replies to the
//! last one are read. A batch is, as a worker sends it:
//!
//! ```text
//! SETEX celery-task-meta-ID 86400 RECORD   PUBLISH celery-task-meta-ID RECORD   (each finished task, with results)
//! LTRIM P BATCH -1                                                              (acknowledges them)
//! LMOVE celery P RIGHT RIGHT                                                    (claims the next, each)
//! ```

use std::collections::VecDeque;
use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

const QUEUE: &str = "celery";
const HELD: &str = "{celery}:fastq:p:0123456789abcdef0123456789abcdef";
const EXPIRES: &str = "86400";
/// Batches that are sent before the replies to the first of them are read.
const AHEAD: usize = 2;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, count, batch, message, record] = arguments.as_slice() else {
        writeln!(io::stdout(), "wire PORT COUNT BATCH MESSAGE RECORD: see make bench-compare")?;
        return Ok(());
    };
    let (count, batch) = (count.parse()?, batch.parse()?);
    let mut wire = Wire::connect(port.parse()?, fs::read(message)?, &fs::read_to_string(record)?)?;
    for (what, results) in [("drain", false), ("drain, results", true)] {
        let published = wire.publish(count, batch)?;
        let drained = wire.drain(count, batch, results)?;
        if !results {
            writeln!(io::stdout(), "publish\t{published}")?;
        }
        writeln!(io::stdout(), "{what}\t{drained}")?;
    }
    Ok(())
}

/// A connection, and what is sent over it.
struct Wire {
    stream: TcpStream,
    message: Vec<u8>,
    record: Record,
    received: Vec<u8>,
}

impl Wire {
    fn connect(port: u16, message: Vec<u8>, record: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, message, record: Record::new(record)?, received: Vec::new() })
    }

    /// Push messages; return how many in a second.
    fn publish(&mut self, count: usize, batch: usize) -> Outcome<f64> {
        let mut push = Vec::new();
        command(&mut push, &[b"LPUSH", QUEUE.as_bytes(), &self.message]);
        let batches = (0..count).step_by(batch).map(|first| batch.min(count - first));
        self.run(count, batches, |size, out| {
            for _ in 0..size {
                out.extend_from_slice(&push);
            }
            size
        })
    }

    /// Claim and acknowledge all messages, perhaps with a result for each; return how many in a second.
    fn drain(&mut self, count: usize, batch: usize, results: bool) -> Outcome<f64> {
        let mut claim = Vec::new();
        command(&mut claim, &[b"LMOVE", QUEUE.as_bytes(), HELD.as_bytes(), b"RIGHT", b"RIGHT"]);
        let (mut record, mut number) = (self.record.clone(), 0_u64);
        let mut held = 0;
        // One turn more than there are batches: the last one acknowledges and finds nothing more to claim.
        let sizes = (0..count).step_by(batch).map(|first| batch.min(count - first)).chain([0]);
        self.run(count, sizes, |size, out| {
            let mut commands = size;
            if held > 0 {
                for _ in 0..if results { held } else { 0 } {
                    record.write(number, out);
                    number += 1;
                    commands += 2;
                }
                command(out, &[b"LTRIM", HELD.as_bytes(), held.to_string().as_bytes(), b"-1"]);
                commands += 1;
            }
            for _ in 0..size {
                out.extend_from_slice(&claim);
            }
            held = size;
            commands
        })
    }

    /// Send batches, read the replies to each; `compose` appends a batch's commands and returns their number.
    fn run(
        &mut self,
        count: usize,
        sizes: impl Iterator<Item = usize>,
        mut compose: impl FnMut(usize, &mut Vec<u8>) -> usize,
    ) -> Outcome<f64> {
        let began = Instant::now();
        let (mut out, mut expected) = (Vec::new(), VecDeque::new());
        for size in sizes {
            out.clear();
            expected.push_back(compose(size, &mut out));
            self.stream.write_all(&out)?;
            if expected.len() == AHEAD {
                self.replies(expected.pop_front().unwrap_or_default())?;
            }
        }
        for commands in expected {
            self.replies(commands)?;
        }
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    /// Read that many replies; an error or a message that is not there ends the run.
    fn replies(&mut self, count: usize) -> Outcome<()> {
        let (mut seen, mut place) = (0, 0);
        while seen < count {
            if let Some(end) = reply(&self.received, place)? {
                (seen, place) = (seen + 1, end);
                continue;
            }
            self.received.drain(..place);
            place = 0;
            let filled = self.received.len();
            self.received.resize(filled + 65_536, 0);
            let read = self.stream.read(&mut self.received[filled..])?;
            self.received.truncate(filled + read);
            if read == 0 {
                return Err("the server closed the connection".into());
            }
        }
        self.received.drain(..place);
        Ok(())
    }
}

/// A stored result whose id can be changed in place.
#[derive(Clone)]
struct Record {
    /// The commands SETEX and PUBLISH.
    commands: Vec<u8>,
    /// Where the id stands in them.
    places: Vec<usize>,
}

impl Record {
    fn new(record: &str) -> Outcome<Self> {
        let marker = "\"task_id\":\"";
        let start = record.find(marker).ok_or("the record has no task_id")? + marker.len();
        let id = record.get(start..start + 36).ok_or("the record's task_id is too short")?.to_owned();
        let key = format!("celery-task-meta-{id}");
        let mut commands = Vec::new();
        command(&mut commands, &[b"SETEX", key.as_bytes(), EXPIRES.as_bytes(), record.as_bytes()]);
        command(&mut commands, &[b"PUBLISH", key.as_bytes(), record.as_bytes()]);
        let places =
            (0..commands.len()).filter(|place| commands[*place..].starts_with(id.as_bytes())).collect();
        Ok(Self { commands, places })
    }

    /// Append the commands for a task of its own.
    fn write(&mut self, number: u64, out: &mut Vec<u8>) {
        let digits = format!("{number:012}");
        for place in &self.places {
            self.commands[place + 24..place + 36].copy_from_slice(digits.as_bytes());
        }
        out.extend_from_slice(&self.commands);
    }
}

/// Append a command in the form of the protocol.
fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Where the reply that begins at `start` ends; None: not all of it is there.
fn reply(received: &[u8], start: usize) -> Outcome<Option<usize>> {
    let rest = &received[start..];
    let Some(line_end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let line = std::str::from_utf8(&rest[..line_end])?;
    let end = match line.split_at_checked(1) {
        Some(("+" | ":", _)) => start + line_end + 2,
        Some(("$", "-1")) => return Err("a message is missing".into()),
        Some(("$", length)) => start + line_end + 2 + length.parse::<usize>()? + 2,
        _ => return Err(format!("the server answered {line}").into()),
    };
    Ok((end <= received.len()).then_some(end))
}
