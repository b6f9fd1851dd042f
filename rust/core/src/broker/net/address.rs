//! The parts of a server's URL: credentials, host and port, percent signs.

use crate::error::{Error, ErrorKind, Result};

/// User and password, where there are some, and what follows. The last `@` ends them: a password may hold unescaped
/// ones.
///
/// # Errors
/// `Config` when a percent sign does not stand for UTF-8.
pub(crate) fn credentials(address: &str) -> Result<(Option<String>, Option<String>, &str)> {
    let Some((credentials, rest)) = address.rsplit_once('@') else { return Ok((None, None, address)) };
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (credentials, None),
    };
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    Ok((user, password.filter(|password| !password.is_empty()), rest))
}

/// Host and port; `localhost` and `default` where they are not named.
///
/// # Errors
/// `Config` when the port is no number.
pub(crate) fn host_and_port(text: &str, default: u16) -> Result<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None | Some("") => default,
        Some(port) => port.parse().map_err(|_| malformed("the port in a URL is no number"))?,
    };
    let host = if host.is_empty() { "localhost" } else { host };
    Ok((decoded(host)?, port))
}

/// Resolves percent signs.
///
/// # Errors
/// `Config` when they do not stand for UTF-8.
pub(crate) fn decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            (byte == b'%').then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok())).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).map_err(|_| malformed("a percent sign in a URL does not stand for UTF-8"))
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Config, message)
}
