//! Restores: to a new name, and swapped.

use super::*;

#[tokio::test]
async fn a_restore_changes_places_and_back() {
    let data = Data::new();
    data.sql(&format!(
        "alter database {0} set work_mem = '7MB'; alter database {0} set search_path = public, pg_catalog; \
         create role reader_{0}; grant temporary on database {0} to reader_{0}; alter database {0} connection limit 33",
        data.name
    ));
    let made = data.backup("one").await;
    data.sql("insert into orders select n from generate_series(201, 207) n");
    let restore = json!({ "backup": made["id"] });
    let context = data.context("back-1.0.0");
    let restored = action("database.restore").run(&data.params(restore.clone()), &context).await.unwrap();
    assert_eq!((&restored["loss"]["rows"], &restored["backup"]["id"]), (&json!(7), &made["id"]));
    assert_eq!(data.sql("select count(*) from orders"), "100");
    let before = restored["before"].as_str().unwrap();
    assert!(before.starts_with(&format!("{}_before_back_1_0_0", data.name)), "{before}");
    assert_eq!(data.databases(), [data.name.as_str(), before]);
    // What is in no dump is there too.
    assert_eq!(data.sql("show work_mem") + &data.sql("show search_path"), "7MBpublic, pg_catalog");
    let known = format!(
        "select datconnlimit, has_database_privilege('reader_{0}', '{0}', 'temporary'), has_database_privilege('reader_{0}', '{0}', 'create') \
         from pg_database where datname = '{0}'",
        data.name
    );
    assert_eq!(data.sql(&known), "33|t|f");
    // Nobody writes to the one of before by mistake.
    assert!(
        Cluster::shared()
            .sql(before, "select 1")
            .unwrap_err()
            .to_string()
            .contains("not currently accepting")
    );
    // Twice is once, also when nobody remembers.
    assert_eq!(data.run("back-1.0.0", "database.restore", restore.clone()).await.unwrap(), restored);
    let undo = async || {
        action("database.restore")
            .undo(&data.params(restore.clone()), &restored, &data.context("back-1.0.0"))
            .await
            .unwrap()
    };
    let undone = undo().await;
    let Undone::Reverted(told) = undone else { panic!("{undone:?}") };
    assert!(told.contains("_undone_"), "{told}");
    assert_eq!(data.sql("select count(*) from orders"), "107");
    assert_eq!(undo().await, Undone::NothingToDo);
    // And once more.
    data.run("back-1.0.0", "database.restore", restore.clone()).await.unwrap();
    assert_eq!(data.sql("select count(*) from orders"), "100");
    assert!(matches!(undo().await, Undone::Reverted(_)));
    assert_eq!(data.sql("select count(*) from orders"), "107");
}

/// Killed at every call of psql, before it or after it, a restore goes on to one database of that name, or back to it.
#[tokio::test]
async fn a_restore_survives_being_killed_at_any_point() {
    let mut data = Data::new();
    data.backup("one").await;
    data.sql("insert into orders values (101)");
    let folder = with_mortal_psql(&mut data);
    let restore = action("database.restore");
    let params = data.params(json!({}));
    let mut seen = std::collections::BTreeSet::new();
    for (round, when) in (1..40).flat_map(|call| [(call, "before"), (call, "after")]) {
        let run = format!("r{round}{when}");
        std::fs::write(folder.join("calls"), "").unwrap();
        Cluster::shared().give(&folder.join("calls")).unwrap();
        std::fs::write(folder.join(when), round.to_string()).unwrap();
        let _killed = restore.run(&params, &data.context(&run)).await;
        std::fs::remove_file(folder.join(when)).unwrap();
        // What only counts the loss may die without stopping it, so the calls tell whether any was killed.
        let was_killed = std::fs::read_to_string(folder.join("calls")).unwrap().lines().count() >= round;
        let databases: Vec<String> =
            data.databases().into_iter().map(|name| name.replace(&format!("_{run}"), "")).collect();
        seen.insert(
            databases
                .iter()
                .map(|name| name.rsplit_once('_').map_or(name.clone(), |(stem, _)| stem.to_owned()))
                .collect::<Vec<_>>(),
        );
        // Half of them are taken back from where they stopped, the others go on first.
        let goes_on = round % 2 == 0;
        if goes_on {
            restore.run(&params, &data.context(&run)).await.unwrap_or_else(|error| panic!("{run}: {error}"));
            assert_eq!(data.sql("select count(*) from orders"), "100", "{run}");
            assert_eq!(data.databases().len(), 2, "{run}: {:?}", data.databases());
        }
        let mut undoing = data.context(&run);
        undoing.path = StepPath::new("undo/step/1");
        if let Probe::Done(output) = restore.probe(&params, &undoing).await.unwrap() {
            let undone = restore.undo(&params, &output, &undoing).await.unwrap();
            assert!(matches!(undone, Undone::Reverted(_)), "{run}: {undone:?}");
        }
        assert_eq!(data.sql("select count(*) from orders"), "101", "{run}");
        for left in data.databases().iter().filter(|name| **name != data.name) {
            assert!(left.contains("_undone_") || left.contains("_restored_"), "{run}: {left}");
            Cluster::shared().sql("postgres", &format!("drop database {left} with (force)")).unwrap();
        }
        if !was_killed && when == "after" {
            assert!(round > 8 && seen.len() >= 3, "it was killed {round} times only: {seen:?}");
            return;
        }
    }
    panic!("it never came to its end");
}

/// Whoever writes while databases change places is told that it did not work, or it is kept.
#[test]
fn no_write_is_lost_between_two_databases() {
    use std::sync::atomic::AtomicBool;
    let data = Data::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(data.backup("one"));
    let stop = AtomicBool::new(false);
    let (restored, kept) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut kept = 0;
            let mut refused = 0;
            for id in 1000.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match Cluster::shared().sql(&data.name, &format!("insert into orders values ({id})")) {
                    Ok(_) => kept += 1,
                    Err(_) => refused += 1,
                }
            }
            assert!(kept > 0, "nothing was written, {refused} were refused");
            kept
        });
        let restored = runtime.block_on(data.run("back", "database.restore", json!({})));
        stop.store(true, Ordering::Relaxed);
        (restored.unwrap(), writer.join().unwrap())
    });
    let before = restored["before"].as_str().unwrap();
    Cluster::shared().sql("postgres", &format!("alter database {before} allow_connections true")).unwrap();
    let count = "select count(*) from orders where id >= 1000";
    let of = |database: &str| Cluster::shared().sql(database, count).unwrap().parse::<i32>().unwrap();
    assert_eq!(of(before) + of(&data.name), kept);
    assert!(of(before) > 0);
}

#[tokio::test]
async fn a_restore_that_cannot_be_touches_nothing() {
    let data = Data::new();
    let told = data.refused("x", "database.restore", json!({})).await;
    assert!(told.contains("there is no backup in"), "{told}");
    let made = data.backup("one").await;
    let told = data.refused("x", "database.restore", json!({ "backup": "../../etc/passwd" })).await;
    assert!(
        told.contains("there is no backup ../../etc/passwd") && told.contains(made["id"].as_str().unwrap()),
        "{told}"
    );
    let data = data.with("check", json!(["select false"]));
    let told = data.refused("x", "database.restore", json!({})).await;
    assert!(told.contains("was not touched") && told.contains("select false"), "{told}");
    let path = data.dump(&made["id"]);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..100]).unwrap();
    let told = data.refused("x", "database.restore", json!({})).await;
    assert!(told.contains("is truncated") && told.contains("was not touched"), "{told}");
    assert_eq!(data.databases(), [data.name.as_str()]);
    // Where the database itself is gone, it comes back.
    std::fs::write(&path, &whole).unwrap();
    let data = data.with("check", json!([]));
    Cluster::shared().sql("postgres", &format!("drop database {}", data.name)).unwrap();
    let restored = data.run("x", "database.restore", json!({})).await.unwrap();
    assert_eq!((&restored["before"], &restored["loss"]), (&Value::Null, &Value::Null));
    assert_eq!(data.sql("select count(*) from orders"), "100");
}

#[tokio::test]
async fn what_would_be_lost_is_estimated() {
    let data = Data::new();
    let made = data.backup("one").await;
    data.sql("insert into orders values (1001), (1002)");
    data.sql("insert into orders values (1003, now() - interval '2 days')");
    let target = serde_json::from_value(data.target.clone()).unwrap();
    let backup = serde_json::from_value(json!({ "id": made["id"], "taken": made["taken"] })).unwrap();
    let loss =
        windlass_actions::database::loss("production", &target, &backup, &data.context("x")).await.unwrap();
    assert_eq!((loss.rows, loss.seconds < 60), (Some(2), true));
    let data = data.with("loss", json!("select 'many' || $since"));
    let target = serde_json::from_value(data.target.clone()).unwrap();
    let loss =
        windlass_actions::database::loss("production", &target, &backup, &data.context("x")).await.unwrap();
    let told = loss.unknown.unwrap();
    assert!(
        loss.rows.is_none() && told.contains("gave `many") && told.contains("must give a number"),
        "{told}"
    );
    // A migration took away what is asked for: that is no reason not to go back.
    let data = data.with("loss", json!("select count(*) from no_such_table where at > $since"));
    let restored = data.run("back", "database.restore", json!({})).await.unwrap();
    assert!(restored["loss"]["unknown"].as_str().unwrap().contains("no_such_table"), "{restored}");
    assert_eq!(data.sql("select count(*) from orders"), "100");
}
