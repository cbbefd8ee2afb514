//! The requests of `mogul admin`, and of the benchmark of the jobs, to the admin REST.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use mogul_tracker::clock::{Clock, SystemClock};
use serde::Serialize;
use serde_json::Value;

use crate::client::{
    Call, Connection, Endpoint, Payload,
    sign::{Signer, encode},
};

/// Largest answer in bytes: a page of a thousand users, or ten thousand keys.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How long the server may take to begin its answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Entries on a page.
const PAGE: &str = "1000";

/// A connection to the admin port.
pub(crate) struct Admin {
    endpoint: Endpoint,
    signer: Signer,
    connection: Connection,
}

/// The key that a request brings along, if any.
#[derive(Debug, Serialize)]
pub(super) struct KeyPair {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret_key: Option<String>,
}

/// A user to be added.
#[derive(Debug, Serialize)]
pub(super) struct NewUser {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    #[serde(flatten)]
    pub(super) key: KeyPair,
}

impl Admin {
    pub(crate) async fn connect(endpoint: Endpoint, signer: Signer) -> anyhow::Result<Admin> {
        let connection = endpoint.connect().await?;
        Ok(Admin {
            endpoint,
            signer,
            connection,
        })
    }

    pub(super) async fn add_user(&mut self, user: &NewUser) -> anyhow::Result<Value> {
        self.call(Method::POST, "/admin/v1/users", &[], serde_json::to_vec(user)?)
            .await
    }

    pub(super) async fn users(&mut self) -> anyhow::Result<Vec<Value>> {
        self.all("/admin/v1/users", "users").await
    }

    /// All entries of the collection at a path, page by page; `name` is the member of the answers that has them.
    async fn all(&mut self, path: &str, name: &str) -> anyhow::Result<Vec<Value>> {
        let (mut entries, mut after) = (Vec::new(), String::new());
        loop {
            let query = [("after", after.as_str()), ("limit", PAGE)];
            let mut page = self.call(Method::GET, path, &query, Vec::new()).await?;
            entries.append(&mut listed(&mut page, name)?);
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => return Ok(entries),
            }
        }
    }

    pub(super) async fn remove_user(&mut self, name: &str) -> anyhow::Result<()> {
        let path = format!("/admin/v1/users/{}", encode(name));
        self.call(Method::DELETE, &path, &[], Vec::new()).await.map(drop)
    }

    pub(super) async fn add_key(&mut self, user: &str, key: &KeyPair) -> anyhow::Result<Value> {
        let path = format!("/admin/v1/users/{}/keys", encode(user));
        self.call(Method::POST, &path, &[], serde_json::to_vec(key)?)
            .await
    }

    pub(super) async fn keys(&mut self, user: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let path = match user {
            Some(user) => format!("/admin/v1/users/{}/keys", encode(user)),
            None => "/admin/v1/keys".to_owned(),
        };
        self.all(&path, "keys").await
    }

    pub(super) async fn remove_key(&mut self, access_key: &str) -> anyhow::Result<()> {
        let path = format!("/admin/v1/keys/{}", encode(access_key));
        self.call(Method::DELETE, &path, &[], Vec::new()).await.map(drop)
    }

    pub(super) async fn forget_mark(&mut self, device: u32) -> anyhow::Result<()> {
        let path = format!("/admin/v1/devices/{device}/mark");
        self.call(Method::DELETE, &path, &[], Vec::new()).await.map(drop)
    }

    pub(super) async fn add_token(&mut self, name: &str) -> anyhow::Result<Value> {
        let token = serde_json::to_vec(&serde_json::json!({ "name": name }))?;
        self.call(Method::POST, "/admin/v1/tokens", &[], token).await
    }

    pub(super) async fn tokens(&mut self) -> anyhow::Result<Vec<Value>> {
        self.all("/admin/v1/tokens", "tokens").await
    }

    pub(super) async fn remove_token(&mut self, name: &str) -> anyhow::Result<()> {
        let path = format!("/admin/v1/tokens/{}", encode(name));
        self.call(Method::DELETE, &path, &[], Vec::new()).await.map(drop)
    }

    pub(super) async fn jobs(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut answer = self.call(Method::GET, "/admin/v1/jobs", &[], Vec::new()).await?;
        listed(&mut answer, "jobs")
    }

    pub(super) async fn change_job(&mut self, name: &str, paused: bool) -> anyhow::Result<()> {
        let path = format!("/admin/v1/jobs/{}", encode(name));
        let change = serde_json::to_vec(&serde_json::json!({ "paused": paused }))?;
        self.call(Method::PATCH, &path, &[], change).await.map(drop)
    }

    pub(crate) async fn scrub(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut status = self.call(Method::GET, "/admin/v1/scrub", &[], Vec::new()).await?;
        listed(&mut status, "devices")
    }

    pub(crate) async fn scrub_now(&mut self, devices: &[u32]) -> anyhow::Result<()> {
        let run = serde_json::to_vec(&serde_json::json!({ "devices": devices }))?;
        self.call(Method::PUT, "/admin/v1/scrub/run", &[], run)
            .await
            .map(drop)
    }

    /// One request; the JSON of its answer, null if there is none.
    async fn call(
        &mut self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let call = Call {
            method,
            path,
            query,
            plain: &[("content-type", "application/json")],
            signed: &[],
            payload: Payload::once(Bytes::from(body)),
        };
        let answer = tokio::select! {
            answer = self.connection.call(&self.endpoint, &mut self.signer, call) => answer?,
            () = SystemClock.sleep(ANSWER_MAX) => bail!("{} does not answer", self.endpoint),
        };
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("the answer could not be read: {error}"))?
            .to_bytes();
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let answer: Value = serde_json::from_slice(&body).with_context(|| {
            format!(
                "{} is no admin port of mogul: it answered {status}",
                self.endpoint
            )
        })?;
        if !status.is_success() {
            bail!("{}", refusal(&answer, status));
        }
        Ok(answer)
    }
}

/// The server's own words.
fn refusal(problem: &Value, status: StatusCode) -> String {
    match (problem["detail"].as_str(), problem["request_id"].as_str()) {
        (Some(detail), Some(id)) => format!("{detail} (status {}, request {id})", status.as_u16()),
        _ => format!("the server answered {status}"),
    }
}

fn listed(answer: &mut Value, name: &str) -> anyhow::Result<Vec<Value>> {
    let Value::Array(entries) = answer[name].take() else {
        bail!("the server's answer has no list of {name}");
    };
    Ok(entries)
}
