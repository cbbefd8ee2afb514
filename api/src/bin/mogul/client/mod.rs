//! Our own HTTP client for the operator's tools: one signed connection at a time, and little of anything else.
//!
//! The benchmark shares its machine with the server that it measures, so what is here must be cheap: one connection per
//! worker, no pool, a signature of a few microseconds ([`sign`]). `mogul admin` uses the same. [`tracker`] is the client of
//! the tracker port.

pub(crate) mod sign;
pub(crate) mod tracker;
mod trust;

use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use mogul_tracker::clock::{Clock, SystemClock};
use sign::{Signer, ToSign};

/// What goes wrong between us and a server, apart from the server's own answers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Not a URL of a server.
    #[error("'{0}' is not an endpoint: give http://HOST:PORT or https://HOST:PORT")]
    Endpoint(String),
    /// The trusted certificates cannot be read.
    #[error("cannot read trusted certificates from {}: {reason}; name the file with --ca-file", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No connection.
    #[error("cannot connect to {endpoint}: {cause}")]
    Connect {
        /// Where to.
        endpoint: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection to the server broke")]
    Broken(#[from] hyper::Error),
    /// The answer's body broke off or is longer than it may be.
    #[error("the answer cannot be read: {0}")]
    Body(String),
    /// The request cannot be written as HTTP.
    #[error("the request cannot be sent")]
    Request(#[from] http::Error),
}

/// A server: where it is, and how to trust it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    /// `Host` as it is sent and signed: without the scheme's own port.
    authority: String,
    tls: Option<TlsConnector>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl Endpoint {
    /// Parses a URL. `ca_file` holds the certificates to trust instead of the machine's.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`], [`ClientError::CaFile`].
    pub(crate) fn parse(url: &str, ca_file: Option<&Path>) -> Result<Endpoint, ClientError> {
        let wrong = || ClientError::Endpoint(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let (tls, standard) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(trust::connector(ca_file)?), 443),
            _ => return Err(wrong()),
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(standard);
        let host = authority.host().to_owned();
        let authority = if port == standard {
            host.clone()
        } else {
            format!("{host}:{port}")
        };
        Ok(Endpoint {
            host,
            port,
            authority,
            tls,
        })
    }

    /// A request to this server, not signed.
    ///
    /// # Errors
    /// [`ClientError::Request`].
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<Request<Payload>, ClientError> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::HOST, self.authority.as_str());
        Ok(request.body(payload)?)
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Broken`].
    pub(crate) async fn connect(&self) -> Result<Connection, ClientError> {
        let failed = |cause| ClientError::Connect {
            endpoint: self.to_string(),
            cause,
        };
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((address, self.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => Connection::open(TokioIo::new(stream)).await,
            Some(tls) => {
                let name = ServerName::try_from(address.to_owned())
                    .map_err(|error| failed(std::io::Error::other(error)))?;
                let stream = tls.connect(name, stream).await.map_err(failed)?;
                Connection::open(TokioIo::new(stream)).await
            }
        }
    }
}

/// One open connection, for one request at a time.
#[derive(Debug)]
pub(crate) struct Connection(http1::SendRequest<Payload>);

/// A request, not yet signed.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The path as it is sent, percent-encoded.
    pub(crate) path: &'a str,
    /// Name and value of each parameter, not yet encoded.
    pub(crate) query: &'a [(&'a str, &'a str)],
    /// Headers that are sent and not signed: nothing that begins with `x-amz-`.
    pub(crate) plain: &'a [(&'static str, &'a str)],
    /// `x-amz-…` headers besides those of the signature.
    pub(crate) signed: &'a [(&'static str, &'a str)],
    /// The body.
    pub(crate) payload: Payload,
}

impl Connection {
    async fn open<T>(io: T) -> Result<Connection, ClientError>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(io).await?;
        // It ends with the sender, and the sender tells of its errors.
        tokio::spawn(connection);
        Ok(Connection(sender))
    }

    /// Signs a request, sends it, and answers with the head of the answer. The body of the answer must be read to its end
    /// before the next call.
    ///
    /// # Errors
    /// [`ClientError::Broken`], [`ClientError::Request`].
    pub(crate) async fn call(
        &mut self,
        endpoint: &Endpoint,
        signer: &mut Signer,
        call: Call<'_>,
    ) -> Result<Response<Incoming>, ClientError> {
        let query = sign::canonical_query(call.query);
        let signature = signer.sign(
            SystemClock.now(),
            &ToSign {
                method: call.method.as_str(),
                path: call.path,
                query: &query,
                host: &endpoint.authority,
                headers: call.signed,
                payload_sha256: call.payload.sha256(),
            },
        );
        let target = if query.is_empty() {
            call.path.to_owned()
        } else {
            format!("{}?{query}", call.path)
        };
        let mut request = Request::builder()
            .method(call.method)
            .uri(target)
            .header(header::HOST, endpoint.authority.as_str())
            .header(header::AUTHORIZATION, signature.authorization)
            .header("x-amz-date", signature.date)
            .header("x-amz-content-sha256", call.payload.sha256());
        for (name, value) in call.plain.iter().chain(call.signed) {
            request = request.header(*name, *value);
        }
        self.send(request.body(call.payload)?).await
    }

    /// Sends a request without a signature, as storage nodes take it. The body of the answer must be read to its end before
    /// the next request.
    ///
    /// # Errors
    /// [`ClientError::Broken`].
    pub(crate) async fn send(
        &mut self,
        request: Request<Payload>,
    ) -> Result<Response<Incoming>, ClientError> {
        self.0.ready().await?;
        Ok(self.0.send_request(request).await?)
    }

    /// Reads what a path of a storage node holds, `bytes_max` at most.
    ///
    /// # Errors
    /// [`ClientError::Broken`], [`ClientError::Request`], [`ClientError::Body`].
    pub(crate) async fn fetch(
        &mut self,
        node: &Endpoint,
        path: &str,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let request = node.request(Method::GET, path, Payload::empty())?;
        let answer = self.send(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), bytes_max).collect().await;
        let body = body.map_err(|error| ClientError::Body(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }
}

/// A body: a block, sent again and again until the length is reached.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    block: Bytes,
    left: u64,
    sha256: Arc<str>,
}

impl Payload {
    /// No body.
    pub(crate) fn empty() -> Payload {
        Payload::once(Bytes::new())
    }

    /// This body, once.
    pub(crate) fn once(block: Bytes) -> Payload {
        let length = u64::try_from(block.len()).expect("memory is smaller than 2^64 bytes");
        Payload::repeated(block, length)
    }

    /// `length` bytes made of repetitions of `block`, which is empty only if `length` is 0. Its digest is computed here,
    /// once; clones share it.
    pub(crate) fn repeated(block: Bytes, length: u64) -> Payload {
        use sha2::Digest as _;
        let mut hasher = sha2::Sha256::new();
        let mut payload = Payload {
            block,
            left: length,
            sha256: "".into(),
        };
        while let Some(piece) = payload.next_piece() {
            hasher.update(&piece);
        }
        Payload {
            left: length,
            sha256: hex::encode(hasher.finalize()).into(),
            ..payload
        }
    }

    /// The same, and nobody signs it: what SDKs send over https.
    pub(crate) fn unsigned(self) -> Payload {
        Payload {
            sha256: "UNSIGNED-PAYLOAD".into(),
            ..self
        }
    }

    /// What is signed of the body: hex SHA-256 of the whole, or that it is not signed.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let whole = u64::try_from(self.block.len()).expect("memory is smaller than 2^64 bytes");
        let piece = match usize::try_from(self.left) {
            Ok(left) if left < self.block.len() => self.block.slice(..left),
            Ok(_) | Err(_) => self.block.clone(),
        };
        self.left = self.left.saturating_sub(whole);
        Some(piece)
    }
}

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host() {
        let authority = |url| Endpoint::parse(url, None).map(|endpoint| endpoint.authority);
        assert_eq!(authority("http://127.0.0.1:9000").unwrap(), "127.0.0.1:9000");
        assert_eq!(authority("http://example.com:80/").unwrap(), "example.com");
        assert_eq!(authority("http://[::1]:9000").unwrap(), "[::1]:9000");
        for wrong in [
            "127.0.0.1:9000",
            "ftp://h",
            "http://",
            "http://h/path",
            "http://h/?q",
            "http://u@h",
            "",
        ] {
            assert!(
                matches!(authority(wrong), Err(ClientError::Endpoint(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_payload_repeats_its_block_to_the_byte() {
        let mut payload = Payload::repeated(Bytes::from_static(b"abc"), 8);
        let digest = payload.sha256().to_owned();

        let mut sent = Vec::new();
        while let Some(piece) = payload.next_piece() {
            sent.extend_from_slice(&piece);
        }

        assert_eq!(sent, b"abcabcab");
        assert_eq!(digest, Payload::once(Bytes::from_static(b"abcabcab")).sha256());
    }
}
