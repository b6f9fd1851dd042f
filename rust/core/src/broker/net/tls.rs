//! The TLS side of `rediss://`, `amqps://` and `broker_use_ssl` (kombu-layouts.md §2.7, §3.3).

use std::fs;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Peer;
use crate::broker::options::Options;
use crate::error::{Error, ErrorKind, Result};

/// How the server is trusted, and what it is shown of us.
#[derive(Clone)]
pub(crate) struct Tls {
    peer: &'static Peer,
    /// Certificates are not looked at.
    pub(crate) insecure: bool,
    /// The authorities that are believed, as PEM; `None`: the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// What the server is shown of us, as PEM.
    pub(crate) own: Option<Own>,
    /// The name that the server's certificate must have, where it is not that of the host.
    pub(crate) server_name: Option<String>,
    checks_name: bool,
    /// Made when first needed: it may read the system's authorities.
    client: OnceLock<Arc<ClientConfig>>,
}

/// A certificate with its chain, and its key.
#[derive(Clone)]
pub(crate) struct Own {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Tls {
    /// TLS where the scheme `implies` it, or an option of it is given; `None` without.
    pub(crate) fn read(peer: &'static Peer, implied: bool, options: &mut Options) -> Result<Option<Self>> {
        let required = options.text("ssl_cert_reqs")?;
        let root = options.text("ssl_ca_certs")?;
        let (certificate, key) = (options.text("ssl_certfile")?, options.text("ssl_keyfile")?);
        let wanted = options.flag("ssl", false)?;
        let server_name = options.text("ssl_server_hostname")?;
        let checks_name = options.flag("ssl_check_hostname", true)?;
        let wanted = wanted || implied || required.is_some() || root.is_some() || certificate.is_some();
        if !wanted {
            return Ok(None);
        }
        let insecure = match required.as_deref().map(str::to_ascii_lowercase).as_deref() {
            // With an authority to check against, silence means yes; without one it does where kombu's does.
            None => root.is_none() && peer.trusting,
            Some("none" | "cert_none") => true,
            Some("required" | "cert_required" | "optional" | "cert_optional") => false,
            Some(_) => {
                return Err(Error::new(ErrorKind::Config, "ssl_cert_reqs is required, optional or none"));
            }
        };
        let own = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Own { chain: file(&certificate)?, key: file(&key)? }),
            (Some(both), None) => Some(Own { chain: file(&both)?, key: file(&both)? }),
            (None, _) => None,
        };
        let authorities = root.as_deref().map(file).transpose()?;
        let client = OnceLock::new();
        Ok(Some(Self { peer, insecure, authorities, own, server_name, checks_name, client }))
    }

    /// What the connections of clients are made with.
    ///
    /// # Errors
    /// `Config` when a file is not what it should be.
    pub(crate) fn client(&self) -> Result<&Arc<ClientConfig>> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = Arc::new(self.make()?);
        Ok(self.client.get_or_init(|| made))
    }

    fn make(&self) -> Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if self.insecure {
            Arc::new(Anybody(Arc::clone(&provider)))
        } else {
            let roots = Arc::new(self.roots()?);
            let strict = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| self.unusable("ssl_ca_certs").because(error))?;
            if self.checks_name { strict } else { Arc::new(AnyName(strict)) }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable("ssl").because(error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let Some(own) = &self.own else { return Ok(builder.with_no_client_auth()) };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&own.chain)
            .collect::<Result<_, _>>()
            .map_err(|error| self.unusable("ssl_certfile").because(error))?;
        let key = PrivateKeyDer::from_pem_slice(&own.key)
            .map_err(|error| self.unusable("ssl_keyfile").because(error))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| self.unusable("ssl_certfile").because(error))
    }

    fn unusable(&self, option: &'static str) -> Error {
        let sentence = format!("a TLS option of the {} cannot work", self.peer.name);
        Error::new(ErrorKind::Config, sentence).with("option", option)
    }

    /// The authorities that are believed: those named, else the system's.
    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(named) => {
                for authority in CertificateDer::pem_slice_iter(named) {
                    let authority =
                        authority.map_err(|error| self.unusable("ssl_ca_certs").because(error))?;
                    roots.add(authority).map_err(|error| self.unusable("ssl_ca_certs").because(error))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        Ok(roots)
    }
}

fn file(path: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        Error::new(ErrorKind::Config, "a file named in the TLS options cannot be read")
            .with("file", path)
            .because(error)
    })
}

/// Believes everybody who holds the key of whatever certificate is shown.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes a certificate of an authority whatever host it was made for (`ssl_check_hostname` is false).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(shown, chain, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
