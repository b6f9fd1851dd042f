//! The wire limit on RabbitMQ: the frames of publishing and of taking tasks, by a bare client that runs nothing.
//!
//! `amqp_wire PORT COUNT BATCH MESSAGE` prints one line for each of `publish` and `drain`: what it is, and tasks in a
//! second. MESSAGE is a file with the frames of one message, as fastq sends it to the queue `celery`.
//! `make bench-compare-amqp PART=wire` calls it. It is built by rustc alone, so it uses the standard library only.
//!
//! # Format
//!
//! One connection, one channel. A batch of messages is one write; the next one is on its way while confirms are awaited.
//! What is delivered is acknowledged with one `basic.ack` (multiple) for each batch, with as many on their way as a
//! worker of fastq's asks for.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const QUEUE: &[u8] = b"celery";
/// Batches that are sent before the first of them is confirmed.
const AHEAD: usize = 8;
/// How long the server may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
const METHOD: u8 = 1;
const BODY: u8 = 3;
const END: u8 = 0xCE;
const HEAD: usize = 7;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, count, batch, message] = arguments.as_slice() else {
        writeln!(io::stdout(), "amqp_wire PORT COUNT BATCH MESSAGE: see make bench-compare-amqp")?;
        return Ok(());
    };
    let (count, batch) = (count.parse()?, batch.parse()?);
    let mut wire = Wire::connect(port.parse()?)?;
    writeln!(io::stdout(), "publish\t{}", wire.publish(count, batch, &fs::read(message)?)?)?;
    writeln!(io::stdout(), "drain\t{}", wire.drain(count, batch)?)?;
    Ok(())
}

/// A connection with one open channel that confirms, and an empty queue.
struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
    place: usize,
}

/// What the server says, as far as it counts here.
enum Said {
    /// A method: class, method, arguments.
    Method(u16, u16, Vec<u8>),
    /// A message has come whole.
    Message,
}

impl Wire {
    fn connect(port: u16) -> Outcome<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut wire = Self { stream, received: Vec::new(), place: 0 };
        wire.stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        wire.expect(10, 10)?;
        let mut start = vec![0, 0, 0, 0]; // no properties
        short(&mut start, b"PLAIN");
        long(&mut start, b"\x00guest\x00guest");
        short(&mut start, b"en_US");
        wire.method(0, 10, 11, &start)?;
        let mut tune = wire.expect(10, 30)?;
        tune.truncate(6);
        tune.extend_from_slice(&[0, 0]); // no heartbeats
        wire.method(0, 10, 31, &tune)?;
        let mut open = Vec::new();
        short(&mut open, b"/");
        open.extend_from_slice(&[0, 0]);
        wire.method(0, 10, 40, &open)?;
        wire.expect(10, 41)?;
        wire.method(1, 20, 10, &[0])?;
        wire.expect(20, 11)?;
        let mut declare = vec![0, 0];
        short(&mut declare, QUEUE);
        declare.extend_from_slice(&[0b10, 0, 0, 0, 0]); // durable
        wire.method(1, 50, 10, &declare)?;
        wire.expect(50, 11)?;
        let mut purge = vec![0, 0];
        short(&mut purge, QUEUE);
        purge.push(0);
        wire.method(1, 50, 30, &purge)?;
        wire.expect(50, 31)?;
        wire.method(1, 85, 10, &[0])?;
        wire.expect(85, 11)?;
        Ok(wire)
    }

    /// Publish messages, confirmed; return how many in a second.
    fn publish(&mut self, count: usize, batch: usize, message: &[u8]) -> Outcome<f64> {
        let message = on_channel_one(message)?;
        let began = Instant::now();
        let (mut sent, mut confirmed, mut out) = (0, 0, Vec::new());
        while confirmed < count {
            while sent < count && sent - confirmed < AHEAD * batch {
                out.clear();
                for _ in 0..batch.min(count - sent) {
                    out.extend_from_slice(&message);
                }
                sent += batch.min(count - sent);
                self.stream.write_all(&out)?;
            }
            if let Said::Method(60, 80, arguments) = self.next()? {
                let tag = number(&arguments)?;
                let multiple = arguments.get(8).is_some_and(|bits| bits & 1 == 1);
                // Confirms of one channel come in order but for those that are told one by one: the count is what matters.
                confirmed = if multiple { confirmed.max(tag) } else { confirmed + 1 };
            }
        }
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    /// Take and acknowledge all messages; return how many in a second.
    fn drain(&mut self, count: usize, batch: usize) -> Outcome<f64> {
        let prefetch = u16::try_from((AHEAD * batch).min(usize::from(u16::MAX)))?;
        let mut qos = vec![0, 0, 0, 0];
        qos.extend_from_slice(&prefetch.to_be_bytes());
        qos.push(0);
        self.method(1, 60, 10, &qos)?;
        self.expect(60, 11)?;
        let mut consume = vec![0, 0];
        short(&mut consume, QUEUE);
        consume.extend_from_slice(&[0, 0, 0, 0, 0, 0]); // tag, bits, arguments
        let began = Instant::now();
        self.method(1, 60, 20, &consume)?;
        let (mut taken, mut tag, mut settled) = (0, 0, 0);
        while taken < count {
            match self.next()? {
                Said::Message => taken += 1,
                Said::Method(60, 60, arguments) => {
                    let name = usize::from(*arguments.first().ok_or("a delivery without a tag")?);
                    tag = number(arguments.get(1 + name..).unwrap_or_default())?;
                    continue;
                }
                Said::Method(..) => continue,
            }
            if taken - settled >= batch || taken == count {
                settled = taken;
                let mut ack = (tag as u64).to_be_bytes().to_vec();
                ack.push(1);
                self.method(1, 60, 80, &ack)?;
            }
        }
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) -> Outcome<()> {
        let mut frame = vec![METHOD];
        frame.extend_from_slice(&channel.to_be_bytes());
        frame.extend_from_slice(&u32::try_from(arguments.len() + 4)?.to_be_bytes());
        frame.extend_from_slice(&class.to_be_bytes());
        frame.extend_from_slice(&method.to_be_bytes());
        frame.extend_from_slice(arguments);
        frame.push(END);
        Ok(self.stream.write_all(&frame)?)
    }

    /// The arguments of a method that must come next.
    fn expect(&mut self, class: u16, method: u16) -> Outcome<Vec<u8>> {
        match self.next()? {
            Said::Method(came_class, came, arguments) if (came_class, came) == (class, method) => {
                Ok(arguments)
            }
            _ => Err(format!("the server did not answer with {class}.{method}").into()),
        }
    }

    fn next(&mut self) -> Outcome<Said> {
        loop {
            let ready = &self.received[self.place..];
            if let Some(head) = ready.get(..HEAD) {
                let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
                if let Some(payload) = ready.get(HEAD..HEAD + size).filter(|_| ready.len() > HEAD + size) {
                    let said = match head[0] {
                        METHOD => Some(method_of(payload)?),
                        BODY => Some(Said::Message),
                        _ => None,
                    };
                    self.place += HEAD + size + 1;
                    if let Some(said) = said {
                        return Ok(said);
                    }
                    continue;
                }
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> Outcome<()> {
        self.received.drain(..self.place);
        self.place = 0;
        let filled = self.received.len();
        self.received.resize(filled + 65_536, 0);
        let read = self.stream.read(&mut self.received[filled..])?;
        self.received.truncate(filled + read);
        if read == 0 { Err("the server closed the connection".into()) } else { Ok(()) }
    }
}

fn method_of(payload: &[u8]) -> Outcome<Said> {
    let [a, b, c, d, arguments @ ..] = payload else { return Err("a method without a number".into()) };
    Ok(Said::Method(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]), arguments.to_vec()))
}

/// The frames of a message, on this program's channel.
fn on_channel_one(frames: &[u8]) -> Outcome<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), frames);
    while !rest.is_empty() {
        let head = rest.get(..HEAD).ok_or("the file of the message is no frames")?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize + HEAD + 1;
        let frame = rest.get(..size).ok_or("the file of the message is cut")?;
        out.extend_from_slice(&[frame[0], 0, 1]);
        out.extend_from_slice(&frame[3..]);
        rest = &rest[size..];
    }
    Ok(out)
}

fn number(bytes: &[u8]) -> Outcome<usize> {
    let bytes: [u8; 8] = bytes.get(..8).ok_or("a number is cut")?.try_into()?;
    Ok(usize::try_from(u64::from_be_bytes(bytes))?)
}

fn short(out: &mut Vec<u8>, text: &[u8]) {
    out.push(text.len() as u8);
    out.extend_from_slice(text);
}

fn long(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
}
