//! The admin face beside the S3 face, over the same tracker and the same authenticator.

use axum::body::Body;
use mogul_api::admin::{self, MetricsAccess};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::world::{Call, World, call};

impl World {
    /// Sends a call to the admin port; status and JSON.
    async fn admin(&self, call: Call) -> (u16, Value) {
        let (parts, body) = self.answer_of_admin(call).await.into_parts();
        assert!(parts.headers.contains_key("x-request-id"));
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        if parts.status.is_client_error() {
            assert_eq!(parts.headers["content-type"], "application/problem+json");
        }
        let document = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        (parts.status.as_u16(), document)
    }

    async fn answer_of_admin(&self, call: Call) -> axum::response::Response {
        let request = call.request(Body::from(call.payload()));
        let face = admin::router(self.s3.clone(), MetricsAccess::Open);
        face.oneshot(request).await.unwrap()
    }

    async fn metrics(&self) -> String {
        let answer = self.answer_of_admin(call("GET", "/metrics").anonymous()).await;
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    async fn problem(&self, call: Call) -> (u16, String) {
        let (status, problem) = self.admin(call).await;
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"].as_str().unwrap().len(), 16);
        (status, problem["type"].as_str().unwrap().to_owned())
    }
}

fn post(path: &str, body: &Value) -> Call {
    call("POST", path)
        .header("content-type", "application/json")
        .body(body.to_string())
}

fn refused(status: u16, name: &str) -> (u16, String) {
    (status, format!("/errors/{name}"))
}

#[tokio::test]
async fn health_needs_no_key_and_names_what_is_missing() {
    let world = World::new().await;

    let live = world.admin(call("GET", "/health/live").anonymous()).await;
    assert_eq!(live, (200, json!({"status": "live"})));
    let ready = world.admin(call("GET", "/health/ready").anonymous()).await;
    assert_eq!(ready, (200, json!({"status": "ready"})));
}

#[tokio::test]
async fn only_root_gets_in() {
    let world = World::new().await;
    let ann = world.user("ann").await;

    for path in [
        "/admin/v1/users",
        "/admin/v1/keys",
        "/admin/v1/users/ann",
        "/admin/v1/nothing",
    ] {
        let anonymous = world.problem(call("GET", path).anonymous()).await;
        assert_eq!(anonymous, refused(401, "unauthenticated"), "{path}");
        let user = world.problem(call("GET", path).by(&ann)).await;
        assert_eq!(user, refused(403, "access-denied"), "{path}");
    }
    let mut stranger = ann.clone();
    stranger.access_key.0 = "stranger".to_owned();
    let unknown = world.problem(call("GET", "/admin/v1/users").by(&stranger)).await;
    assert_eq!(unknown, refused(403, "invalid-access-key-id"));
    let mut forger = ann;
    forger.secret_key.0 = "guessed-secret".to_owned();
    let guessed = world.problem(call("GET", "/admin/v1/users").by(&forger)).await;
    assert_eq!(guessed, refused(403, "signature-does-not-match"));
}

#[tokio::test]
async fn a_user_comes_and_goes() {
    let world = World::new().await;
    let path = "/admin/v1/users/a%2Bb%40c";

    let body = json!({"name": "a+b@c", "access_key": "AKEY", "secret_key": "a-secret-key"});
    let (status, added) = world.admin(post("/admin/v1/users", &body)).await;
    assert_eq!((status, &added["secret_key"]), (201, &json!("a-secret-key")));
    let (_, found) = world.admin(call("GET", path)).await;
    assert_eq!(found, added["user"]);

    let (status, _) = world.admin(call("DELETE", path)).await;
    assert_eq!(status, 204);
    let gone = world.problem(call("GET", path)).await;
    assert_eq!(gone, refused(404, "unknown-user"));
    let (_, keys) = world.admin(call("GET", "/admin/v1/keys")).await;
    assert_eq!(keys, json!({"keys": []}));
}

#[tokio::test]
async fn a_key_comes_and_goes_and_only_its_making_tells_the_secret() {
    let world = World::new().await;
    world.user("ann").await;

    let (status, made) = world.admin(post("/admin/v1/users/ann/keys", &json!({}))).await;
    assert_eq!(status, 201);
    assert_eq!(made["secret_key"].as_str().unwrap().len(), 40);
    let name = made["access_key"].as_str().unwrap();
    let path = format!("/admin/v1/keys/{name}");
    let (_, keys) = world.admin(call("GET", "/admin/v1/users/ann/keys")).await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert!(!keys.to_string().contains("secret"));
    let (_, key) = world.admin(call("GET", &path)).await;
    assert_eq!(key, json!({"access_key": name, "user": "ann"}));

    let (status, _) = world.admin(call("DELETE", &path)).await;
    assert_eq!(status, 204);
    let gone = world.problem(call("GET", &path)).await;
    assert_eq!(gone, refused(404, "unknown-access-key"));
}

#[tokio::test]
async fn users_are_listed_in_pages() {
    let world = World::new().await;
    for name in ["e", "b", "d", "a", "c"] {
        world.user(name).await;
    }

    let names = in_pages(&world, "/admin/v1/users", "users", "name").await;

    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn keys_are_listed_in_pages() {
    let world = World::new().await;
    for name in ["ann", "bob"] {
        world.user(name).await;
    }
    for key in ["KEY4", "KEY2", "KEY3", "KEY1"] {
        let body = json!({"access_key": key, "secret_key": "a-secret-key"});
        world.admin(post("/admin/v1/users/ann/keys", &body)).await;
    }

    let of_ann = in_pages(&world, "/admin/v1/users/ann/keys", "keys", "access_key").await;
    let all = in_pages(&world, "/admin/v1/keys", "keys", "access_key").await;

    assert_eq!(of_ann[..4], ["KEY1", "KEY2", "KEY3", "KEY4"]);
    assert_eq!((of_ann.len(), all.len()), (5, 6));
    assert!(all.is_sorted());
}

/// A member of all entries of a collection, read two at a time.
async fn in_pages(world: &World, path: &str, collection: &str, member: &str) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (_, page) = world
            .admin(call("GET", format!("{path}?after={after}&limit=2")))
            .await;
        let entries = page[collection].as_array().unwrap();
        assert!(entries.len() <= 2);
        found.extend(
            entries
                .iter()
                .map(|entry| entry[member].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return found,
        }
    }
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let world = World::new().await;
    world.user("ann").await;

    let again = world
        .problem(post("/admin/v1/users", &json!({"name": "ann"})))
        .await;
    assert_eq!(again, refused(409, "exists"));
    let blank = world
        .problem(post("/admin/v1/users", &json!({"name": "a b"})))
        .await;
    assert_eq!(blank, refused(400, "invalid"));
    let half = world
        .problem(post(
            "/admin/v1/users",
            &json!({"name": "x", "access_key": "AKEY"}),
        ))
        .await;
    assert_eq!(half, refused(400, "invalid"));
    let unknown = world
        .problem(post("/admin/v1/users", &json!({"name": "x", "colour": "red"})))
        .await;
    assert_eq!(unknown, refused(422, "invalid-body"));
    let no_json = world.problem(call("POST", "/admin/v1/users").body("{")).await;
    assert_eq!(no_json, refused(415, "invalid-body"));
    let query = world.problem(call("GET", "/admin/v1/users?limit=many")).await;
    assert_eq!(query, refused(400, "invalid-query"));
    let method = world.problem(call("PUT", "/admin/v1/users")).await;
    assert_eq!(method, refused(405, "method-not-allowed"));
    let path = world.problem(call("GET", "/admin/v1/nothing")).await;
    assert_eq!(path, refused(404, "no-such-resource"));
    let long = json!({"name": "x".repeat(100_000)});
    assert_eq!(world.problem(post("/admin/v1/users", &long)).await.0, 400);
}

#[tokio::test]
async fn a_user_that_owns_a_bucket_stays() {
    let world = World::new().await;
    let ann = world.user("ann").await;
    assert_eq!(world.send(call("PUT", "/anns-bucket").by(&ann)).await.status, 200);

    let owner = world.problem(call("DELETE", "/admin/v1/users/ann")).await;

    assert_eq!(owner, refused(409, "user-owns-buckets"));
}

#[tokio::test]
async fn a_token_opens_the_admin_port_until_it_is_removed_and_no_other() {
    let world = World::new().await;
    let (status, made) = world
        .admin(post("/admin/v1/tokens", &json!({"name": "ci"})))
        .await;
    assert_eq!(status, 201);
    let text = made["token"].as_str().unwrap().to_owned();
    let bearing = |method, path, text: &str| {
        call(method, path)
            .anonymous()
            .header("authorization", format!("Bearer {text}"))
    };

    let (status, listed) = world.admin(bearing("GET", "/admin/v1/tokens", &text)).await;
    assert_eq!(status, 200);
    assert_eq!(listed["tokens"][0]["name"], "ci");
    assert!(!listed.to_string().contains(&text));
    let s3 = world.send(bearing("GET", "/", &text)).await;
    assert_eq!(s3.status, 400, "tokens are for the admin port alone");
    let mut forged = text.clone();
    forged.replace_range(text.len() - 1.., if text.ends_with('0') { "1" } else { "0" });
    for wrong in [
        forged.as_str(),
        "",
        "mgt_",
        "mgt__",
        &text[..text.len() - 1],
        &text.to_uppercase(),
    ] {
        let refusal = world.problem(bearing("GET", "/admin/v1/users", wrong)).await;
        assert_eq!(refusal, refused(401, "invalid-token"), "{wrong}");
    }
    let both = call("GET", "/admin/v1/users?AWSAccessKeyId=x&Signature=y&Expires=1")
        .anonymous()
        .header("authorization", format!("Bearer {text}"));
    assert_eq!(world.problem(both).await, refused(400, "invalid-argument"));

    let (status, _) = world.admin(bearing("DELETE", "/admin/v1/tokens/ci", &text)).await;
    assert_eq!(status, 204);
    let gone = world.problem(bearing("GET", "/admin/v1/users", &text)).await;
    assert_eq!(gone, refused(401, "invalid-token"));
    let again = world.problem(call("DELETE", "/admin/v1/tokens/ci")).await;
    assert_eq!(again, refused(404, "unknown-token"));
}

#[tokio::test]
async fn what_was_made_says_where_it_is() {
    let world = World::new().await;

    for (collection, body, place) in [
        ("/admin/v1/users", json!({"name": "a+b"}), "/admin/v1/users/a%2Bb"),
        (
            "/admin/v1/tokens",
            json!({"name": "a,b"}),
            "/admin/v1/tokens/a%2Cb",
        ),
        (
            "/admin/v1/users/a%2Bb/keys",
            json!({"access_key": "AKEY", "secret_key": "a-secret-key"}),
            "/admin/v1/keys/AKEY",
        ),
    ] {
        let made = world.answer_of_admin(post(collection, &body)).await;

        assert_eq!(made.status(), 201);
        assert_eq!(made.headers()["location"], place);
    }
}

#[tokio::test]
async fn a_page_has_one_to_a_thousand_entries() {
    let world = World::new().await;

    for limit in ["0", "1001", "-1", "70000", "x"] {
        let (status, problem) = world
            .admin(call("GET", format!("/admin/v1/tokens?limit={limit}")))
            .await;
        assert_eq!(status, 400, "{limit}");
        if limit == "0" {
            assert_eq!(problem["field"], "limit");
        }
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_names_the_field_that_is_at_fault() {
    let world = World::new().await;

    for (body, field) in [
        (json!({"devid": "one", "host": "h"}), "devid"),
        (json!({"devid": 1, "host": "h", "status": "bogus"}), "status"),
        (json!({"devid": 1, "host": "h", "nonsense": 1}), "nonsense"),
    ] {
        let (status, problem) = world.admin(post("/admin/v1/devices", &body)).await;

        assert_eq!(status, 422, "{body}");
        assert_eq!(problem["field"], field, "{problem}");
    }
}

#[tokio::test]
async fn metrics_count_what_was_asked_for_and_show_the_devices() {
    let world = World::new().await;
    world.bucket("bucket").await;
    world.put("/bucket/key", "four").await;
    world.send(call("GET", "/bucket/missing")).await;
    world.admin(call("GET", "/admin/v1/users/nobody")).await;

    let metrics = world.metrics().await;

    for line in [
        "mogul_requests_total{face=\"s3\",operation=\"PutObject\",outcome=\"2xx\"} 1",
        "mogul_requests_total{face=\"s3\",operation=\"GetObject\",outcome=\"4xx\"} 1",
        "mogul_requests_total{face=\"admin\",operation=\"GET /admin/v1/users/{name}\",outcome=\"4xx\"} 1",
        "mogul_request_seconds_count{face=\"s3\",operation=\"PutObject\"} 1",
        "mogul_received_bytes_total{face=\"s3\"} 4",
        "mogul_queue_fids{queue=\"delete\"} 0",
        "mogul_device_state{devid=\"1\",host=\"local\",status=\"alive\",observed=\"writeable\"} 1",
        "mogul_database_up 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("missing"), "keys are no labels");
}

#[tokio::test]
async fn metrics_are_for_root_alone_where_the_setting_says_so() {
    let world = World::new().await;
    let face = || admin::router(world.s3.clone(), MetricsAccess::Root);
    let ask = |call: Call| call.request(Body::empty());

    let anonymous = face()
        .oneshot(ask(call("GET", "/metrics").anonymous()))
        .await
        .unwrap();
    assert_eq!(anonymous.status(), 401);
    let root = face().oneshot(ask(call("GET", "/metrics"))).await.unwrap();
    assert_eq!(root.status(), 200);
}

#[tokio::test]
async fn the_openapi_document_has_every_operation_once_and_describes_all_of_it() {
    let world = World::new().await;

    let (_, document) = world.admin(call("GET", "/admin/v1/openapi.json")).await;

    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} says nothing");
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            // Of a choice, the branch that is not null says what it is.
            let says = schema["description"].is_string() || schema["oneOf"][0]["description"].is_string();
            assert!(says, "{name}.{member} says nothing");
        }
    }
}

/// What operators can ask wrongly: method and path, body, status, name of the refusal.
const WRONG: &[(&str, &str, u16, &str)] = &[
    ("GET /admin/v1/hosts/none", "", 404, "unknown-host"),
    ("DELETE /admin/v1/hosts/local", "", 409, "host-not-empty"),
    ("PATCH /admin/v1/hosts/local", r#"{"port": 0}"#, 400, "invalid"),
    (
        "PATCH /admin/v1/hosts/local",
        r#"{"port": "x"}"#,
        422,
        "invalid-body",
    ),
    ("PATCH /admin/v1/hosts/local", "[null]", 422, "invalid-body"),
    ("GET /admin/v1/devices/99", "", 404, "unknown-device"),
    ("GET /admin/v1/devices/x", "", 400, "invalid-path"),
    ("GET /admin/v1/devices?after=x", "", 400, "invalid"),
    (
        "POST /admin/v1/domains",
        r#"{"name": "bucket"}"#,
        409,
        "domain-exists",
    ),
    ("DELETE /admin/v1/domains/bucket", "", 409, "domain-not-empty"),
    (
        "DELETE /admin/v1/domains/bucket/classes/default",
        "",
        409,
        "default-class",
    ),
    (
        "PUT /admin/v1/settings/schema_version",
        r#"{"value": "1"}"#,
        403,
        "setting-read-only",
    ),
    ("GET /admin/v1/domains/bucket/files/none", "", 404, "unknown-key"),
    ("GET /admin/v1/domains/none/files", "", 404, "unknown-domain"),
    ("GET /admin/v1/fids/999999", "", 404, "unknown-key"),
    ("GET /admin/v1/rebalance/state", "", 404, "no-rebalance-state"),
    (
        "PATCH /admin/v1/jobs/nosuch",
        r#"{"paused": true}"#,
        404,
        "unknown-job",
    ),
    (
        "PATCH /admin/v1/jobs/monitor",
        r#"{"paused": true}"#,
        400,
        "invalid",
    ),
];

#[tokio::test]
async fn what_is_wrong_with_a_cluster_resource_is_told_by_status_and_name() {
    let world = World::new().await;
    world.bucket("bucket").await;
    world.put("/bucket/key", "four").await;

    for (asked, body, status, name) in WRONG {
        let (method, path) = asked.split_once(' ').unwrap();
        let asking = call(method, path)
            .header("content-type", "application/json")
            .body(*body);

        assert_eq!(world.problem(asking).await, refused(*status, name), "{asked}");
    }
}

#[tokio::test]
async fn a_fid_tells_where_its_copies_are_and_whether_they_are_there() {
    let world = World::new().await;
    world.bucket("bucket").await;
    world.put("/bucket/a/key", "four").await;
    let (_, file) = world
        .admin(call("GET", "/admin/v1/domains/bucket/files/a%2Fkey"))
        .await;
    assert_eq!((&file["length"], &file["class"]), (&json!(4), &json!("default")));
    let path = format!("/admin/v1/fids/{}", file["fid"]);

    let (_, fid) = world.admin(call("GET", path.as_str())).await;
    let found: Vec<&Value> = fid["copies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|copy| &copy["found"])
        .collect();
    assert_eq!(found, ["whole", "whole"]);
    std::fs::remove_file(&world.paths()[0]).unwrap();

    let (_, fid) = world.admin(call("GET", path.as_str())).await;
    let missing = fid["copies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|copy| copy["found"] == "missing");
    assert_eq!(missing.count(), 1, "{fid}");
    assert_eq!(fid["file"]["key"], "a/key");
}
