//! The first words on a connection: who we are, how long frames may be, which virtual host. Pure: each step takes what
//! the server said and writes what is to be said next.

use serde_json::{Value, json};

use super::address::Place;
use super::config::{AmqpConfig, Login};
use super::error::{closed, silent_refusal, unexpected};
use super::wire::{Method, call};
use crate::error::{Error, ErrorKind, Result};

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The longest frame.
    pub(super) frame_max: usize,
    /// Seconds without a word after which the connection is broken; 0: never.
    pub(super) heartbeat: u16,
    /// Channels there may be.
    pub(super) channels: u16,
}

/// A connection on its way to be opened.
pub(super) struct Greeting<'a> {
    config: &'a AmqpConfig,
    place: &'a Place,
    name: &'a str,
    heartbeat: u16,
    was_asked: bool,
    agreed: Option<Agreed>,
}

impl<'a> Greeting<'a> {
    /// A connection that others see under `name`; `heartbeat`: how many seconds without a word we can bear, 0 for any.
    pub(super) fn new(config: &'a AmqpConfig, place: &'a Place, name: &'a str, heartbeat: u16) -> Self {
        Self { config, place, name, heartbeat, was_asked: false, agreed: None }
    }

    /// Writes the first bytes.
    pub(super) fn begin(out: &mut Vec<u8>) {
        out.extend_from_slice(call::GREETING);
    }

    /// Takes what the server said and writes the answer; what was agreed on when the connection is open.
    ///
    /// # Errors
    /// `Denied`, `NotFound` when the server refuses; `Unsupported` when it has not the login method.
    pub(super) fn hear(&mut self, method: &Method, out: &mut Vec<u8>) -> Result<Option<Agreed>> {
        self.was_asked = true;
        match method {
            Method::Start { mechanisms, .. } => {
                let login = self.config.login;
                if !mechanisms.split(' ').any(|known| known.eq_ignore_ascii_case(login.name())) {
                    return Err(no_such_login(login, mechanisms));
                }
                call::start_ok(&self.properties(), login.name(), &self.response()?, out)?;
            }
            Method::Tune { channels, frame_max, heartbeat } => {
                let agreed = self.tune(*channels, *frame_max, *heartbeat);
                call::tune_ok(agreed.channels, agreed.frame_max as u32, agreed.heartbeat, out);
                call::open(&self.place.vhost, out);
                self.agreed = Some(agreed);
            }
            Method::OpenOk if self.agreed.is_some() => return Ok(self.agreed),
            Method::CloseConnection(closing) => {
                call::close_ok(out);
                return Err(closed(closing));
            }
            other => return Err(unexpected(other)),
        }
        Ok(None)
    }

    /// What it means that nothing more came: old servers hang up in the place of saying that a password is wrong.
    pub(super) fn ended(&self, error: Error) -> Error {
        let is_refused = self.was_asked && self.agreed.is_none() && error.kind() == ErrorKind::Unreachable;
        if is_refused { silent_refusal().because(error) } else { error }
    }

    /// The smaller of what both can do; 0 is no limit.
    fn tune(&self, channels: u16, frame_max: u32, heartbeat: u16) -> Agreed {
        let least = |ours: u32, theirs: u32| match (ours, theirs) {
            (0, other) | (other, 0) => other,
            (ours, theirs) => ours.min(theirs),
        };
        // A client cannot send heartbeats while nobody calls it, so it asks for none; the server takes that.
        let heartbeat =
            if self.heartbeat == 0 { 0 } else { least(u32::from(self.heartbeat), u32::from(heartbeat)) };
        Agreed {
            frame_max: least(self.config.frame_max as u32, frame_max) as usize,
            heartbeat: heartbeat as u16,
            channels: if channels == 0 { u16::MAX } else { channels },
        }
    }

    fn response(&self) -> Result<Vec<u8>> {
        let Place { user, password, .. } = self.place;
        match self.config.login {
            Login::Plain => Ok(format!("\0{user}\0{password}").into_bytes()),
            Login::AmqPlain => call::login_table(&json!({"LOGIN": user, "PASSWORD": password}).to_string()),
            Login::External => Ok(Vec::new()),
        }
    }

    /// Who we are, and what we understand.
    fn properties(&self) -> String {
        let mut properties = json!({
            "product": "fastq",
            "version": env!("CARGO_PKG_VERSION"),
            "platform": "Rust",
            "connection_name": self.name,
            "capabilities": {
                "authentication_failure_close": true,
                "basic.nack": true,
                "connection.blocked": true,
                "consumer_cancel_notify": true,
                "exchange_exchange_bindings": true,
                "per_consumer_qos": true,
                "publisher_confirms": true,
            },
        });
        if let (Some(Value::Object(more)), Some(known)) =
            (&self.config.client_properties, properties.as_object_mut())
        {
            known.extend(more.clone());
        }
        properties.to_string()
    }
}

fn no_such_login(login: Login, mechanisms: &str) -> Error {
    let sentence = "the RabbitMQ server has not this login method: set broker_login_method to one it has";
    Error::new(ErrorKind::Unsupported, sentence).with("login_method", login.name()).with("it has", mechanisms)
}

#[cfg(test)]
mod tests {
    use super::super::wire::method::Closing;
    use super::*;

    fn start(mechanisms: &str) -> Method {
        Method::Start { properties: b"{}".to_vec(), mechanisms: mechanisms.into() }
    }

    fn said(bytes: &[u8], part: &[u8]) -> bool {
        memchr::memmem::find(bytes, part).is_some()
    }

    #[test]
    fn a_connection_is_opened_with_the_smaller_of_what_both_can_do() {
        let config = AmqpConfig::at("amqp://me:secret@h/app", "").unwrap();
        let mut greeting = Greeting::new(&config, &config.places.all[0], "fastq@h", 20);
        let mut out = Vec::new();
        Greeting::begin(&mut out);
        assert_eq!(out, b"AMQP\x00\x00\x09\x01");
        assert_eq!(greeting.hear(&start("AMQPLAIN PLAIN"), &mut out).unwrap(), None);
        assert!(said(&out, b"\0me\0secret") && said(&out, b"fastq@h"));
        let tune = Method::Tune { channels: 2047, frame_max: 8192, heartbeat: 60 };
        assert_eq!(greeting.hear(&tune, &mut out).unwrap(), None);
        assert!(said(&out, b"\x03app"));
        let agreed = greeting.hear(&Method::OpenOk, &mut out).unwrap().unwrap();
        assert_eq!(agreed, Agreed { frame_max: 8192, heartbeat: 20, channels: 2047 });
    }

    #[test]
    fn a_client_asks_for_no_heartbeats() {
        let config = AmqpConfig::at("amqp://h", "").unwrap();
        let greeting = Greeting::new(&config, &config.places.all[0], "", 0);
        assert_eq!(greeting.tune(0, 0, 60), Agreed { frame_max: 131_072, heartbeat: 0, channels: u16::MAX });
    }

    #[test]
    fn every_login_method_says_what_it_should() {
        for (method, response) in [
            ("PLAIN", &b"\0me\0pw"[..]),
            ("AMQPLAIN", b"\x05LOGINS\x00\x00\x00\x02me\x08PASSWORDS\x00\x00\x00\x02pw"),
            ("EXTERNAL", b""),
        ] {
            let url = format!("amqp://me:pw@h?login_method={method}");
            let config = AmqpConfig::at(&url, "").unwrap();
            let greeting = Greeting::new(&config, &config.places.all[0], "", 0);
            assert_eq!(greeting.response().unwrap(), response, "{method}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let config = AmqpConfig::at("amqp://h?login_method=EXTERNAL", "").unwrap();
        let mut greeting = Greeting::new(&config, &config.places.all[0], "", 0);
        let error = greeting.hear(&start("PLAIN"), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("broker_login_method"), "{error}");
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.".to_owned();
        let refused = Method::CloseConnection(Closing { code: 403, text });
        assert_eq!(greeting.hear(&refused, &mut Vec::new()).unwrap_err().kind(), ErrorKind::Denied);
    }

    #[test]
    fn a_server_that_hangs_up_between_question_and_agreement_has_refused_the_password() {
        let config = AmqpConfig::at("amqp://h", "").unwrap();
        let mut greeting = Greeting::new(&config, &config.places.all[0], "", 0);
        let kind_of = |greeting: &Greeting<'_>, kind| greeting.ended(Error::new(kind, "")).kind();
        assert_eq!(kind_of(&greeting, ErrorKind::Unreachable), ErrorKind::Unreachable);
        greeting.hear(&start("PLAIN"), &mut Vec::new()).unwrap();
        assert_eq!(kind_of(&greeting, ErrorKind::Unreachable), ErrorKind::Denied);
        assert_eq!(kind_of(&greeting, ErrorKind::Timeout), ErrorKind::Timeout);
        let tune = Method::Tune { channels: 0, frame_max: 0, heartbeat: 0 };
        greeting.hear(&tune, &mut Vec::new()).unwrap();
        assert_eq!(kind_of(&greeting, ErrorKind::Unreachable), ErrorKind::Unreachable);
    }
}
