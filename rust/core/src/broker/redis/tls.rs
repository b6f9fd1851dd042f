//! The TLS side of `rediss://` and `broker_use_ssl` (kombu-layouts.md §2.7).

use std::fs;

use redis::{ClientTlsConfig, TlsCertificates};

use crate::broker::options::Options;
use crate::error::{Error, ErrorKind, Result};

/// How the server is trusted, and what it is shown of us.
#[derive(Clone)]
pub(super) struct Tls {
    /// Certificates are not looked at, as kombu does without `ssl_cert_reqs`.
    pub(super) insecure: bool,
    pub(super) certificates: TlsCertificates,
}

impl Tls {
    /// TLS for `rediss`, or wherever an option of it is given; `None` without.
    pub(super) fn read(scheme: &str, options: &mut Options) -> Result<Option<Self>> {
        let required = options.text("ssl_cert_reqs")?;
        let root = options.text("ssl_ca_certs")?;
        let (certificate, key) = (options.text("ssl_certfile")?, options.text("ssl_keyfile")?);
        let wanted = options.flag("ssl", false)?;
        options.leave(&["ssl_check_hostname"]);
        let wanted =
            wanted || scheme == "rediss" || required.is_some() || root.is_some() || certificate.is_some();
        if !wanted {
            return Ok(None);
        }
        let insecure = match required.as_deref().map(str::to_ascii_lowercase).as_deref() {
            // With an authority to check against, silence means yes.
            None => root.is_none(),
            Some("none" | "cert_none") => true,
            Some("required" | "cert_required" | "optional" | "cert_optional") => false,
            Some(_) => {
                return Err(Error::new(ErrorKind::Config, "ssl_cert_reqs is required, optional or none"));
            }
        };
        let client_tls = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(ClientTlsConfig { client_cert: file(&certificate)?, client_key: file(&key)? })
            }
            (Some(both), None) => {
                Some(ClientTlsConfig { client_cert: file(&both)?, client_key: file(&both)? })
            }
            (None, _) => None,
        };
        let root_cert = root.as_deref().map(file).transpose()?;
        Ok(Some(Self { insecure, certificates: TlsCertificates { client_tls, root_cert } }))
    }
}

fn file(path: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        Error::new(ErrorKind::Config, "a file named in the TLS options cannot be read")
            .with("file", path)
            .because(error)
    })
}
