//! What a server says: its methods, read.

use super::super::error::malformed;
use super::read::Reader;
use super::table;
use crate::error::Result;

/// A method from the server. Arguments that nobody here looks at are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Method {
    /// `connection.start`: the server's properties as JSON, and the login methods it takes.
    Start {
        properties: Vec<u8>,
        mechanisms: String,
    },
    /// `connection.secure`: nothing that we log in with asks twice.
    Secure,
    Tune {
        channels: u16,
        frame_max: u32,
        heartbeat: u16,
    },
    OpenOk,
    /// `connection.close`.
    CloseConnection(Closing),
    CloseConnectionOk,
    Blocked(String),
    Unblocked,
    UpdateSecretOk,
    ChannelOpenOk,
    /// `channel.flow`.
    Flow(bool),
    /// `channel.close`.
    CloseChannel(Closing),
    CloseChannelOk,
    ExchangeDeclareOk,
    ExchangeBindOk,
    QueueDeclareOk {
        queue: String,
        ready: u32,
        consumers: u32,
    },
    QueueBindOk,
    QueuePurgeOk(u32),
    QueueDeleteOk(u32),
    QosOk,
    ConsumeOk(String),
    /// `basic.cancel` from the server: the queue is gone.
    Cancelled(String),
    CancelOk(String),
    Return {
        code: u16,
        exchange: String,
        routing_key: String,
    },
    Deliver {
        consumer: String,
        tag: u64,
        redelivered: bool,
        exchange: String,
        routing_key: String,
    },
    GetOk {
        tag: u64,
        redelivered: bool,
        exchange: String,
        routing_key: String,
    },
    GetEmpty,
    Ack {
        tag: u64,
        multiple: bool,
    },
    Nack {
        tag: u64,
        multiple: bool,
    },
    ConfirmOk,
}

/// Why the server closes a channel or the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Closing {
    pub(in super::super) code: u16,
    pub(in super::super) text: String,
}

impl Method {
    /// Reads the payload of a method frame.
    pub(super) fn read(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (class, method) = (reader.u16()?, reader.u16()?);
        let reader = &mut reader;
        Ok(match class {
            10 => connection(method, reader)?,
            20 => channel(method, reader)?,
            50 => queue(method, reader)?,
            60 => basic(method, reader)?,
            _ => match (class, method) {
                (40, 11) => Self::ExchangeDeclareOk,
                (40, 31) => Self::ExchangeBindOk,
                (85, 11) => Self::ConfirmOk,
                _ => return Err(unknown(class, method)),
            },
        })
    }

    /// Whether a content header and a body follow.
    pub(super) fn has_content(&self) -> bool {
        matches!(self, Self::Return { .. } | Self::Deliver { .. } | Self::GetOk { .. })
    }

    /// Whether it answers what was asked, rather than being said unasked.
    pub(in super::super) fn is_answer(&self) -> bool {
        !matches!(
            self,
            Self::Blocked(_)
                | Self::Unblocked
                | Self::Flow(_)
                | Self::Cancelled(_)
                | Self::Ack { .. }
                | Self::Nack { .. }
                | Self::CloseConnection(_)
                | Self::CloseChannel(_)
        )
    }
}

fn connection(method: u16, reader: &mut Reader<'_>) -> Result<Method> {
    Ok(match method {
        10 => {
            let _version = reader.u16()?;
            let mut properties = Vec::new();
            table::read(reader, &mut properties)?;
            Method::Start { properties, mechanisms: String::from_utf8_lossy(reader.long()?).into_owned() }
        }
        20 => Method::Secure,
        30 => Method::Tune { channels: reader.u16()?, frame_max: reader.u32()?, heartbeat: reader.u16()? },
        41 => Method::OpenOk,
        50 => Method::CloseConnection(closing(reader)?),
        51 => Method::CloseConnectionOk,
        60 => Method::Blocked(reader.short()?.into_owned()),
        61 => Method::Unblocked,
        71 => Method::UpdateSecretOk,
        _ => return Err(unknown(10, method)),
    })
}

fn channel(method: u16, reader: &mut Reader<'_>) -> Result<Method> {
    Ok(match method {
        11 => Method::ChannelOpenOk,
        20 => Method::Flow(reader.u8()? & 1 == 1),
        40 => Method::CloseChannel(closing(reader)?),
        41 => Method::CloseChannelOk,
        _ => return Err(unknown(20, method)),
    })
}

fn queue(method: u16, reader: &mut Reader<'_>) -> Result<Method> {
    Ok(match method {
        11 => Method::QueueDeclareOk {
            queue: reader.short()?.into_owned(),
            ready: reader.u32()?,
            consumers: reader.u32()?,
        },
        21 | 51 => Method::QueueBindOk,
        31 => Method::QueuePurgeOk(reader.u32()?),
        41 => Method::QueueDeleteOk(reader.u32()?),
        _ => return Err(unknown(50, method)),
    })
}

fn basic(method: u16, reader: &mut Reader<'_>) -> Result<Method> {
    Ok(match method {
        11 => Method::QosOk,
        21 => Method::ConsumeOk(reader.short()?.into_owned()),
        30 => Method::Cancelled(reader.short()?.into_owned()),
        31 => Method::CancelOk(reader.short()?.into_owned()),
        50 => {
            let (code, _text) = (reader.u16()?, reader.short()?);
            Method::Return {
                code,
                exchange: reader.short()?.into_owned(),
                routing_key: reader.short()?.into_owned(),
            }
        }
        60 => Method::Deliver {
            consumer: reader.short()?.into_owned(),
            tag: reader.u64()?,
            redelivered: reader.u8()? & 1 == 1,
            exchange: reader.short()?.into_owned(),
            routing_key: reader.short()?.into_owned(),
        },
        71 => Method::GetOk {
            tag: reader.u64()?,
            redelivered: reader.u8()? & 1 == 1,
            exchange: reader.short()?.into_owned(),
            routing_key: reader.short()?.into_owned(),
        },
        72 => Method::GetEmpty,
        80 => Method::Ack { tag: reader.u64()?, multiple: reader.u8()? & 1 == 1 },
        120 => Method::Nack { tag: reader.u64()?, multiple: reader.u8()? & 1 == 1 },
        _ => return Err(unknown(60, method)),
    })
}

fn closing(reader: &mut Reader<'_>) -> Result<Closing> {
    Ok(Closing { code: reader.u16()?, text: reader.short()?.into_owned() })
}

fn unknown(class: u16, method: u16) -> crate::error::Error {
    malformed("a method that nobody knows").with("class", class).with("method", method)
}
