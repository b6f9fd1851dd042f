//! What a server says before it hangs up is heard, also when it hangs up while we write.

use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::*;
use crate::broker::url::BrokerUrl;

static PEER: Peer = Peer { name: "server", plain: "plain://", secure: "secure://", trusting: true };
const LIMIT: Duration = Duration::from_secs(30);

/// A server with a certificate of its own; whether it wants to see one.
fn server(wants_certificate: bool) -> ServerConnection {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let builder = if wants_certificate {
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

/// A connection over TLS to a server that `ends` it, and has by now.
fn ended_by(
    mut server: ServerConnection,
    ends: impl FnOnce(&mut ServerConnection, &mut TcpStream) + Send + 'static,
) -> Stream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer: JoinHandle<()> = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        while server.is_handshaking() && server.complete_io(&mut socket).is_ok() {}
        ends(&mut server, &mut socket);
    });
    let url = BrokerUrl::parse("amqps://localhost").unwrap();
    let mut options = Options::parse("broker_transport_options", "", &url).unwrap();
    let tls = Tls::read(&PEER, true, &mut options).unwrap();
    let dial = Dial { peer: &PEER, tls: tls.as_ref(), keep_alive: None, connect_timeout: LIMIT };
    let stream = Stream::to_host(dial, "127.0.0.1", port, Instant::now() + LIMIT).unwrap();
    peer.join().unwrap();
    stream
}

/// Writes until that is not possible any more.
fn write_to_the_end(stream: &mut Stream) -> Error {
    let until = Instant::now() + LIMIT;
    loop {
        if let Err(error) = stream.write(b"something to say", until) {
            return error;
        }
    }
}

#[test]
fn a_server_that_wants_a_certificate_is_understood_though_it_has_hung_up() {
    let mut stream = ended_by(server(true), |_, _| ());
    let error = write_to_the_end(&mut stream);
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("ssl_certfile and ssl_keyfile"), "{error}");
}

#[test]
fn what_was_said_before_the_end_can_be_read_after_writing_has_failed() {
    let mut stream = ended_by(server(false), |server, socket| {
        server.writer().write_all(b"too many connections").unwrap();
        server.complete_io(socket).unwrap();
    });
    assert_eq!(write_to_the_end(&mut stream).kind(), ErrorKind::Unreachable);
    let mut said = [0; 100];
    let count = stream.read(&mut said, Instant::now() + LIMIT).unwrap();
    assert_eq!(&said[..count], b"too many connections");
    let error = stream.read(&mut said, Instant::now() + LIMIT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}
