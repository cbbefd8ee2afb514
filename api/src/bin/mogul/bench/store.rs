//! The few S3 requests of the benchmark.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use sha2::Digest as _;

use crate::client::{
    Call, ClientError, Connection, Endpoint, Payload,
    sign::{self, Signer},
};

/// Largest answer that is read into memory in bytes: a page of 1,000 keys of 1,024 bytes, escaped.
const DOCUMENT_BYTES_MAX: usize = 8 << 20;

/// Keys of one page and of one `DeleteObjects`.
const PAGE: usize = 1000;

/// Why a request did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The server refused.
    #[error("the server answered {status} {code}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// S3's error code, if there was a document.
        code: String,
    },
    /// The answer is not what was stored.
    #[error("{actual} bytes came instead of {expected}")]
    Length {
        /// What was stored.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// The answer's body failed, or is too long to be one of S3's documents.
    #[error("the answer could not be read: {0}")]
    Answer(Box<dyn std::error::Error + Send + Sync>),
    /// The connection failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl StoreError {
    /// The name under which it is counted.
    pub(super) fn code(&self) -> String {
        match self {
            StoreError::Refused { status, code } if code.is_empty() => status.as_u16().to_string(),
            StoreError::Refused { code, .. } => code.clone(),
            StoreError::Length { .. } => "ShortBody".to_owned(),
            StoreError::Answer(_) | StoreError::Client(_) => "Connection".to_owned(),
        }
    }
}

/// Whether the bucket was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// It was made by this run.
    Made,
    /// It was there.
    Found,
}

/// Where the benchmark works: a bucket of a server, and below it a prefix of this run alone.
#[derive(Clone)]
pub(super) struct Store {
    endpoint: Endpoint,
    signer: Signer,
    bucket_path: Arc<str>,
    prefix: Arc<str>,
}

/// A connection to the [`Store`].
pub(super) struct Caller {
    store: Store,
    connection: Connection,
}

/// One page of a listing.
#[derive(Debug)]
pub(super) struct Listed {
    /// Keys on it.
    pub(super) keys: Vec<String>,
    /// Where the next one begins, if there is one.
    pub(super) next: Option<String>,
    /// Bytes of the document.
    pub(super) bytes: u64,
}

impl Store {
    pub(super) fn new(endpoint: Endpoint, signer: Signer, bucket: &str, run: &str) -> Store {
        Store {
            endpoint,
            signer,
            bucket_path: format!("/{}", sign::encode(bucket)).into(),
            prefix: format!("mogul-bench-{run}/").into(),
        }
    }

    pub(super) async fn connect(&self) -> Result<Caller, StoreError> {
        let connection = self.endpoint.connect().await?;
        Ok(Caller {
            store: self.clone(),
            connection,
        })
    }

    /// The key of a prepared object.
    pub(super) fn prepared_key(&self, index: usize) -> String {
        format!("{}prepared/{index:08}", self.prefix)
    }

    /// The key of an object that a worker makes.
    pub(super) fn own_key(&self, worker: usize, index: usize) -> String {
        format!("{}worker-{worker:04}/{index:08}", self.prefix)
    }
}

impl Caller {
    /// Opens the connection anew, after an error.
    pub(super) async fn reconnect(&mut self) -> Result<(), StoreError> {
        self.connection = self.store.endpoint.connect().await?;
        Ok(())
    }

    pub(super) async fn put(&mut self, key: &str, payload: Payload) -> Result<(), StoreError> {
        let answer = self.object(Method::PUT, key, payload).await?;
        drain(checked(answer).await?).await.map(drop)
    }

    /// Reads an object and checks its length, which is answered.
    pub(super) async fn get(&mut self, key: &str, expected: u64) -> Result<u64, StoreError> {
        let answer = self.object(Method::GET, key, Payload::empty()).await?;
        let actual = drain(checked(answer).await?).await?;
        if actual == expected {
            Ok(actual)
        } else {
            Err(StoreError::Length { expected, actual })
        }
    }

    /// Asks for an object's head and checks the length that it tells.
    pub(super) async fn head(&mut self, key: &str, expected: u64) -> Result<(), StoreError> {
        let answer = checked(self.object(Method::HEAD, key, Payload::empty()).await?).await?;
        let actual = answer
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        drain(answer).await?;
        match actual {
            Some(actual) if actual == expected => Ok(()),
            other => Err(StoreError::Length {
                expected,
                actual: other.unwrap_or(0),
            }),
        }
    }

    pub(super) async fn delete(&mut self, key: &str) -> Result<(), StoreError> {
        let answer = self.object(Method::DELETE, key, Payload::empty()).await?;
        drain(checked(answer).await?).await.map(drop)
    }

    /// One page of everything that this run made.
    pub(super) async fn list(&mut self, from: Option<&str>) -> Result<Listed, StoreError> {
        let prefix = self.store.prefix.clone();
        let mut query = vec![("list-type", "2"), ("prefix", &*prefix), ("max-keys", "1000")];
        query.extend(from.map(|token| ("continuation-token", token)));
        let answer = self.bucket(Method::GET, &query, &[], Payload::empty()).await?;
        let document = document(checked(answer).await?).await?;
        let truncated = element(&document, "IsTruncated").next() == Some("true");
        Ok(Listed {
            keys: element(&document, "Key").map(str::to_owned).collect(),
            next: element(&document, "NextContinuationToken")
                .next()
                .filter(|_| truncated)
                .map(unescape),
            bytes: u64::try_from(document.len()).expect("memory is smaller than 2^64 bytes"),
        })
    }

    /// Makes the bucket if it is missing.
    pub(super) async fn make_bucket(&mut self) -> Result<Bucket, StoreError> {
        let answer = self.bucket(Method::HEAD, &[], &[], Payload::empty()).await?;
        match checked(answer).await {
            Ok(answer) => drain(answer).await.map(|_| Bucket::Found),
            Err(StoreError::Refused {
                status: StatusCode::NOT_FOUND,
                ..
            }) => {
                let answer = self.bucket(Method::PUT, &[], &[], Payload::empty()).await?;
                drain(checked(answer).await?).await.map(|_| Bucket::Made)
            }
            Err(other) => Err(other),
        }
    }

    pub(super) async fn remove_bucket(&mut self) -> Result<(), StoreError> {
        let answer = self.bucket(Method::DELETE, &[], &[], Payload::empty()).await?;
        drain(checked(answer).await?).await.map(drop)
    }

    /// Removes everything that this run made, a page at a time.
    pub(super) async fn remove_objects(&mut self) -> Result<(), StoreError> {
        // The connection may have been idle for the whole run.
        self.reconnect().await?;
        loop {
            let page = self.list(None).await?;
            if page.keys.is_empty() {
                return Ok(());
            }
            self.remove(&page.keys).await?;
        }
    }

    async fn remove(&mut self, keys: &[String]) -> Result<(), StoreError> {
        debug_assert!(keys.len() <= PAGE, "S3 takes no more at once");
        // Our keys need no escaping: see `Store`.
        let objects: Vec<String> = keys
            .iter()
            .map(|key| format!("<Object><Key>{key}</Key></Object>"))
            .collect();
        let body = Bytes::from(format!(
            "<Delete><Quiet>true</Quiet>{}</Delete>",
            objects.concat()
        ));
        let checksum = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&body));
        let headers = [("x-amz-checksum-sha256", checksum.as_str())];
        let answer = self
            .bucket(Method::POST, &[("delete", "")], &headers, Payload::once(body))
            .await?;
        let document = document(checked(answer).await?).await?;
        match element(&document, "Code").next() {
            None => Ok(()),
            Some(code) => Err(StoreError::Refused {
                status: StatusCode::OK,
                code: code.to_owned(),
            }),
        }
    }

    async fn object(
        &mut self,
        method: Method,
        key: &str,
        payload: Payload,
    ) -> Result<Response<Incoming>, StoreError> {
        let path = format!("{}/{key}", self.store.bucket_path);
        self.call(Call {
            method,
            path: &path,
            query: &[],
            plain: &[],
            signed: &[],
            payload,
        })
        .await
    }

    async fn bucket(
        &mut self,
        method: Method,
        query: &[(&str, &str)],
        signed: &[(&'static str, &str)],
        payload: Payload,
    ) -> Result<Response<Incoming>, StoreError> {
        let path = self.store.bucket_path.clone();
        self.call(Call {
            method,
            path: &path,
            query,
            plain: &[],
            signed,
            payload,
        })
        .await
    }

    async fn call(&mut self, call: Call<'_>) -> Result<Response<Incoming>, StoreError> {
        Ok(self
            .connection
            .call(&self.store.endpoint, &mut self.store.signer, call)
            .await?)
    }
}

/// The answer, if it is a success.
async fn checked(answer: Response<Incoming>) -> Result<Response<Incoming>, StoreError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let document = document(answer).await?;
    let code = element(&document, "Code").next().unwrap_or_default().to_owned();
    Err(StoreError::Refused { status, code })
}

/// Reads a body to its end and answers its length in bytes.
async fn drain(answer: Response<Incoming>) -> Result<u64, StoreError> {
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(ClientError::from)?;
        let piece = frame.data_ref().map_or(0, Bytes::len);
        length += u64::try_from(piece).expect("memory is smaller than 2^64 bytes");
    }
    Ok(length)
}

async fn document(answer: Response<Incoming>) -> Result<String, StoreError> {
    let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX);
    let collected = body.collect().await.map_err(StoreError::Answer)?;
    String::from_utf8(collected.to_bytes().into()).map_err(|error| StoreError::Answer(error.into()))
}

/// The texts of an element that has no attributes and no children. Enough for the documents that are asked for here, and
/// cheap: the listing is measured with it.
fn element<'a>(document: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = document;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (text, after) = after.split_once(&close)?;
        rest = after;
        Some(text)
    })
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_order() {
        let document = "<R><Key>a</Key><Size>1</Size><Key>b&amp;c</Key><IsTruncated>false</IsTruncated></R>";

        assert_eq!(element(document, "Key").collect::<Vec<_>>(), ["a", "b&amp;c"]);
        assert_eq!(element(document, "Code").next(), None);
        assert_eq!(unescape("b&amp;lt;"), "b&lt;");
    }
}
