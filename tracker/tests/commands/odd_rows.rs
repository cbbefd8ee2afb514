//! Rows that only a foreign tool can have written: the cluster works with what they say, or without them.

use mogul_tracker::{
    command::classes::CreateClass,
    meta::{Db, Sql, Value, sql::sql},
    model::ClassName,
};

use crate::{engines::for_each_engine, world::World};

const CLASS: Sql =
    sql("insert into class (dmid, classid, classname, mindevcount, hashtype) values (?, ?, ?, 2, ?)");
const DOMAIN: Sql = sql("insert into domain (dmid, namespace) values (?, ?)");
const DEVICE: Sql = sql("insert into device (devid, hostid, status, weight) values (0, 1, 'alive', 100)");

async fn write(db: &Db, statement: &'static Sql, args: Vec<Value>) {
    let written = db.write(move |tx| {
        let args = args.clone();
        Box::pin(async move {
            tx.run(statement, args).await?;
            Ok::<_, mogul_tracker::Error>(())
        })
    });
    written.await.unwrap();
}

async fn class_names(world: &World) -> Vec<String> {
    let domains = world.tracker.domains().await;
    let bucket = domains
        .iter()
        .find(|domain| domain.bucket.domain.name.as_str() == "bucket");
    let classes = bucket.unwrap().classes.values();
    classes.map(|class| class.name.to_string()).collect()
}

#[tokio::test]
async fn odd_names_and_numbers_do_not_stop_the_cluster() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1, 2]]).await;
        let domain = i64::from(world.domain.0);
        write(
            &world.db,
            &CLASS,
            vec![domain.into(), 7.into(), "tab\there".into(), 1.into()],
        )
        .await;
        write(
            &world.db,
            &CLASS,
            vec![domain.into(), 8.into(), "".into(), 5.into()],
        )
        .await;
        write(&world.db, &DOMAIN, vec![900.into(), Value::Text(None)]).await;
        write(&world.db, &DOMAIN, vec![901.into(), "line\nfeed".into()]).await;
        write(&world.db, &DEVICE, vec![]).await;

        world.tracker.look_now().await.unwrap();

        assert_eq!(class_names(&world).await, ["default", "tab?here", "class 8"]);
        let domains = world.tracker.domains().await;
        let named = domains.iter().map(|domain| domain.bucket.domain.name.as_str());
        assert_eq!(named.collect::<Vec<_>>(), ["bucket", "line?feed"]);
        assert_eq!(world.tracker.devices().await.len(), 2);
        world.put("k", b"hello").await;
        assert_eq!(world.read("k").await, b"hello");

        let request = CreateClass {
            domain: "bucket".to_owned(),
            name: ClassName::parse("new").unwrap(),
            mindevcount: 2,
            policy: None,
            hash: None,
        };
        world.tracker.create_class(request).await.unwrap();
        assert_eq!(
            class_names(&world).await,
            ["default", "tab?here", "class 8", "new"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_name_longer_than_we_would_give_is_kept() {
    let world = World::new(&[&[1]]).await;
    let long = "x".repeat(300);
    let args = vec![
        i64::from(world.domain.0).into(),
        7.into(),
        long.as_str().into(),
        1.into(),
    ];
    write(&world.db, &CLASS, args).await;
    write(&world.db, &DOMAIN, vec![900.into(), long.as_str().into()]).await;

    world.tracker.look_now().await.unwrap();

    assert_eq!(class_names(&world).await, ["default", &long]);
    let found = world.tracker.domain_named(&long).await.unwrap();
    assert_eq!(found.bucket.domain.id.0, 900);
}
