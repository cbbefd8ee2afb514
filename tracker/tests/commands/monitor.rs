//! What the monitor makes of disks and of what others change: whose a disk is when the database does not know the name of its
//! cluster any more.

use std::time::Duration;

use mogul_tracker::{
    jobs::{Job as _, monitor::Monitor},
    meta::{Engine, Sql, sql::sql},
    model::Refusal,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World},
};

const NAME: Sql = sql("select cluster_id from mogul_cluster order by cluster_id limit 10");
const SETTING: Sql = sql("insert into server_settings (field, value) values ('colour', 'green')");
const NO_NAME: Sql = sql("delete from mogul_cluster");
const NO_MARKS: Sql = sql("delete from mogul_mark");

impl World {
    /// The database is restored from before there were marks.
    async fn restored(&mut self) {
        for statement in [&NO_NAME, &NO_MARKS] {
            self.run_sql(statement, vec![]).await;
        }
        self.restart().await;
        self.monitor().await;
    }

    async fn names(&self) -> Vec<String> {
        let mut tx = self.db.reader().await.unwrap();
        let rows = tx.rows(&NAME, vec![]).await.unwrap();
        rows.iter().map(|row| row.text(0).unwrap()).collect()
    }

    fn refusals(&self) -> Vec<Option<Refusal>> {
        let view = self.tracker.view();
        view.devices().map(|device| device.refused).collect()
    }
}

#[tokio::test]
async fn a_restored_database_takes_the_name_that_its_disks_bear() {
    for_each_engine(async |db| {
        let mut world = World::on(db, &[&[1], &[2], &[3]]).await;
        world.put("k", b"bytes").await;
        let names = world.names().await;
        assert_eq!(names.len(), 1);

        world.restored().await;

        assert_eq!(world.names().await, names);
        assert_eq!(world.refusals(), [None, None, None]);
        assert_eq!(world.read("k").await, b"bytes");
        world.put("another", b"bytes").await;
    })
    .await;
}

#[tokio::test]
async fn what_others_change_while_a_node_hangs_is_known_when_the_look_at_it_ends() {
    for_each_engine(async |db| {
        if db.engine() == Engine::Sqlite {
            // Nobody else changes an embedded database.
            return;
        }
        let world = World::on(db, &[&[1], &[2]]).await;
        world.mood(2, Mood::Hung);
        let mut monitor = Monitor::new(&world.tracker);
        let mut step = std::pin::pin!(monitor.step());
        while !world.is_awaited(2) {
            assert!(futures_util::poll!(&mut step).is_pending());
            tokio::task::yield_now().await;
        }

        world.run_sql(&SETTING, vec![]).await;
        world.clock.advance(Duration::from_secs(2));
        step.await.unwrap();

        assert_eq!(world.tracker.view().setting("colour"), Some("green"));
    })
    .await;
}

#[tokio::test]
async fn a_new_database_takes_no_name_from_disks_whose_files_it_does_not_know() {
    let mut world = World::new(&[&[1], &[2]]).await;
    let names = world.names().await;

    world.restored().await;

    assert_ne!(world.names().await, names);
    assert_eq!(world.refusals(), [Some(Refusal::OtherCluster); 2]);
}

#[tokio::test]
async fn a_database_takes_no_name_from_disks_that_hold_other_files_than_it_knows() {
    let mut world = World::new(&[&[1], &[2]]).await;
    world.put("k", b"bytes").await;
    let fid = world.object("k").await.fid;
    for device in world.object("k").await.replicas {
        std::fs::write(world.path(device, fid), b"another cluster's").unwrap();
    }
    let names = world.names().await;

    world.restored().await;

    assert_ne!(world.names().await, names);
    assert_eq!(world.refusals(), [Some(Refusal::OtherCluster); 2]);
}
