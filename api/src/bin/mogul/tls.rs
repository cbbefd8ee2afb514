//! TLS of the S3 and admin ports: a certificate and a key from PEM files, read again on SIGHUP.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;

/// Why the files cannot be used. Each is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the TLS {what} {}: {cause}", path.display())]
    Unreadable {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file holds nothing of the kind.
    #[error("{} holds no {what} in PEM form: {reason}", path.display())]
    NotPem {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// The two do not go together, or the key is of an unknown kind.
    #[error("the TLS certificate {} and the key {} cannot be used together: {cause}", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
}

/// The TLS of this process; clones share what [`Tls::reload`] loads.
#[derive(Debug, Clone)]
pub(crate) struct Tls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cert: PathBuf,
    key: PathBuf,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// The TLS that the configuration names, if it does.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn of(config: &Config) -> Result<Option<Tls>, TlsError> {
        match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Tls::load(cert, key).map(Some),
            (None, _) | (_, None) => Ok(None),
        }
    }

    /// Loads a certificate chain and its key.
    ///
    /// # Errors
    /// Any [`TlsError`].
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Tls, TlsError> {
        let current = server_config(cert, key)?;
        Ok(Tls(Arc::new(Inner {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: ArcSwap::from_pointee(current),
        })))
    }

    /// Loads the files again: connections accepted from now on use what they hold now. On an error the old ones stay.
    ///
    /// # Errors
    /// Any [`TlsError`].
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let fresh = server_config(&self.0.cert, &self.0.key)?;
        self.0.current.store(Arc::new(fresh));
        Ok(())
    }

    /// What accepts the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.current.load_full())
    }
}

fn server_config(cert: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| {
            if chain.is_empty() {
                Err(pem::Error::NoItemsFound)
            } else {
                Ok(chain)
            }
        })
        .map_err(|error| refused("certificate", cert, error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refused("key", key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|cause| TlsError::Pair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            cause,
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn refused(what: &'static str, path: &Path, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    if let pem::Error::Io(cause) = error {
        return TlsError::Unreadable { what, path, cause };
    }
    let reason = error.to_string();
    TlsError::NotPem { what, path, reason }
}
