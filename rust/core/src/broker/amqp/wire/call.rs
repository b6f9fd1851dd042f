//! What we say: methods and messages, written as frames into a buffer.

use super::inbox::{BODY, END, HEADER, HEARTBEAT, METHOD};
use super::table;
use super::write::Write;
use crate::error::Result;

/// The first bytes on a connection: AMQP 0-9-1.
pub(in super::super) const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";
/// What a frame has around its payload.
const AROUND: usize = 8;

type Out = Vec<u8>;

fn frame(kind: u8, channel: u16, out: &mut Out, payload: impl FnOnce(&mut Out)) {
    out.push(kind);
    out.u16(channel);
    out.measured(payload);
    out.push(END);
}

fn method(channel: u16, class: u16, method: u16, out: &mut Out, arguments: impl FnOnce(&mut Out)) {
    frame(METHOD, channel, out, |out| {
        out.u16(class);
        out.u16(method);
        arguments(out);
    });
}

/// As [`method`], with a table that may turn out not to be one; nothing is written then.
fn method_with_table(
    (channel, class, number): (u16, u16, u16),
    out: &mut Out,
    table: &str,
    arguments: impl FnOnce(&mut Out),
) -> Result<()> {
    let at = out.len();
    let mut written = Ok(());
    method(channel, class, number, out, |out| {
        arguments(out);
        written = table::write(if table.is_empty() { "{}" } else { table }, out);
    });
    if written.is_err() {
        out.truncate(at);
    }
    written
}

fn flags(bits: &[bool]) -> u8 {
    bits.iter().enumerate().fold(0, |byte, (position, bit)| byte | (u8::from(*bit) << position))
}

pub(in super::super) fn heartbeat(out: &mut Out) {
    frame(HEARTBEAT, 0, out, |_| {});
}

/// `properties`: who we are, as a JSON object.
pub(in super::super) fn start_ok(
    properties: &str,
    mechanism: &str,
    response: &[u8],
    out: &mut Out,
) -> Result<()> {
    let at = out.len();
    let mut written = Ok(());
    method(0, 10, 11, out, |out| {
        written = table::write(properties, out);
        out.short(mechanism);
        out.long(response);
        out.short("en_US");
    });
    if written.is_err() {
        out.truncate(at);
    }
    written
}

/// What AMQPLAIN answers with: a table without its length.
pub(in super::super) fn login_table(json: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    table::write(json, &mut out)?;
    Ok(out.split_off(4))
}

pub(in super::super) fn tune_ok(channels: u16, frame_max: u32, heartbeat: u16, out: &mut Out) {
    method(0, 10, 31, out, |out| {
        out.u16(channels);
        out.u32(frame_max);
        out.u16(heartbeat);
    });
}

pub(in super::super) fn open(vhost: &str, out: &mut Out) {
    method(0, 10, 40, out, |out| {
        out.short(vhost);
        out.short("");
        out.u8(0);
    });
}

pub(in super::super) fn close(out: &mut Out) {
    method(0, 10, 50, out, |out| {
        out.u16(200);
        out.short("bye");
        out.u32(0);
    });
}

pub(in super::super) fn close_ok(out: &mut Out) {
    method(0, 10, 51, out, |_| {});
}

pub(in super::super) fn channel_open(channel: u16, out: &mut Out) {
    method(channel, 20, 10, out, |out| out.short(""));
}

pub(in super::super) fn channel_flow_ok(channel: u16, active: bool, out: &mut Out) {
    method(channel, 20, 21, out, |out| out.u8(u8::from(active)));
}

pub(in super::super) fn channel_close(channel: u16, out: &mut Out) {
    method(channel, 20, 40, out, |out| {
        out.u16(200);
        out.short("bye");
        out.u32(0);
    });
}

pub(in super::super) fn channel_close_ok(channel: u16, out: &mut Out) {
    method(channel, 20, 41, out, |_| {});
}

pub(in super::super) fn exchange_declare(
    channel: u16,
    name: &str,
    kind: &str,
    (passive, durable, auto_delete): (bool, bool, bool),
    arguments: &str,
    out: &mut Out,
) -> Result<()> {
    method_with_table((channel, 40, 10), out, arguments, |out| {
        out.u16(0);
        out.short(name);
        out.short(kind);
        out.u8(flags(&[passive, durable, auto_delete, false, false]));
    })
}

pub(in super::super) fn exchange_bind(
    channel: u16,
    destination: &str,
    source: &str,
    routing_key: &str,
    out: &mut Out,
) {
    method(channel, 40, 30, out, |out| {
        out.u16(0);
        out.short(destination);
        out.short(source);
        out.short(routing_key);
        out.u8(0);
        out.u32(0);
    });
}

/// How a queue is declared.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are bits of a frame")]
pub(in super::super) struct Declared {
    pub(in super::super) passive: bool,
    pub(in super::super) durable: bool,
    pub(in super::super) exclusive: bool,
    pub(in super::super) auto_delete: bool,
}

pub(in super::super) fn queue_declare(
    channel: u16,
    name: &str,
    how: Declared,
    arguments: &str,
    out: &mut Out,
) -> Result<()> {
    method_with_table((channel, 50, 10), out, arguments, |out| {
        out.u16(0);
        out.short(name);
        out.u8(flags(&[how.passive, how.durable, how.exclusive, how.auto_delete, false]));
    })
}

pub(in super::super) fn queue_bind(
    channel: u16,
    queue: &str,
    exchange: &str,
    routing_key: &str,
    arguments: &str,
    out: &mut Out,
) -> Result<()> {
    method_with_table((channel, 50, 20), out, arguments, |out| {
        out.u16(0);
        out.short(queue);
        out.short(exchange);
        out.short(routing_key);
        out.u8(0);
    })
}

pub(in super::super) fn queue_purge(channel: u16, queue: &str, out: &mut Out) {
    method(channel, 50, 30, out, |out| {
        out.u16(0);
        out.short(queue);
        out.u8(0);
    });
}

pub(in super::super) fn qos(channel: u16, prefetch: u16, out: &mut Out) {
    method(channel, 60, 10, out, |out| {
        out.u32(0);
        out.u16(prefetch);
        // Not global: RabbitMQ 4 refuses it, and quorum queues never had it.
        out.u8(0);
    });
}

pub(in super::super) fn consume(
    channel: u16,
    queue: &str,
    consumer: &str,
    (no_ack, exclusive): (bool, bool),
    arguments: &str,
    out: &mut Out,
) -> Result<()> {
    method_with_table((channel, 60, 20), out, arguments, |out| {
        out.u16(0);
        out.short(queue);
        out.short(consumer);
        out.u8(flags(&[false, no_ack, exclusive, false]));
    })
}

pub(in super::super) fn cancel(channel: u16, consumer: &str, out: &mut Out) {
    method(channel, 60, 30, out, |out| {
        out.short(consumer);
        out.u8(0);
    });
}

pub(in super::super) fn get(channel: u16, queue: &str, out: &mut Out) {
    method(channel, 60, 70, out, |out| {
        out.u16(0);
        out.short(queue);
        out.u8(0);
    });
}

pub(in super::super) fn ack(channel: u16, tag: u64, multiple: bool, out: &mut Out) {
    method(channel, 60, 80, out, |out| {
        out.u64(tag);
        out.u8(u8::from(multiple));
    });
}

pub(in super::super) fn nack(channel: u16, tag: u64, multiple: bool, requeue: bool, out: &mut Out) {
    method(channel, 60, 120, out, |out| {
        out.u64(tag);
        out.u8(flags(&[multiple, requeue]));
    });
}

pub(in super::super) fn reject(channel: u16, tag: u64, requeue: bool, out: &mut Out) {
    method(channel, 60, 90, out, |out| {
        out.u64(tag);
        out.u8(u8::from(requeue));
    });
}

pub(in super::super) fn confirm_select(channel: u16, out: &mut Out) {
    method(channel, 85, 10, out, |out| out.u8(0));
}

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct To<'a> {
    pub(in super::super) exchange: &'a str,
    pub(in super::super) routing_key: &'a str,
    /// It comes back when no queue takes it.
    pub(in super::super) mandatory: bool,
}

/// Writes a message: `properties` as [`super::properties::write`] writes them.
pub(in super::super) fn publish(
    channel: u16,
    to: To<'_>,
    properties: &[u8],
    body: &[u8],
    frame_max: usize,
    out: &mut Out,
) {
    method(channel, 60, 40, out, |out| {
        out.u16(0);
        out.short(to.exchange);
        out.short(to.routing_key);
        out.u8(flags(&[to.mandatory, false]));
    });
    frame(HEADER, channel, out, |out| {
        out.u16(60);
        out.u16(0);
        out.u64(body.len() as u64);
        out.extend_from_slice(properties);
    });
    for piece in body.chunks(frame_max.saturating_sub(AROUND).max(1)) {
        frame(BODY, channel, out, |out| out.extend_from_slice(piece));
    }
}
