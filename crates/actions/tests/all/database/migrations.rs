//! Migrations and their classes.

use super::*;

#[tokio::test]
async fn a_migration_is_recorded_in_the_database_and_taken_back() {
    let data = Data::new();
    let more = json!({ "run": UP, "undo": DOWN, "class": "backward-compatible" });
    let done = data.run("one", "database.migrate", more.clone()).await.unwrap();
    assert_eq!(
        (&done["before"], &done["after"], &done["backup"]),
        (&json!("0001"), &json!("0002"), &Value::Null)
    );
    assert_eq!(done["version"], "0.2.0");
    let row = "select run, step, class, state, schema_after from windlass_migrations";
    assert_eq!(data.sql(row), "one|step/1|backward-compatible|done|0002");
    // Twice is once: the column cannot be added again.
    assert_eq!(data.run("one", "database.migrate", more.clone()).await.unwrap(), done);
    let undo = async || {
        action("database.migrate")
            .undo(&data.params(more.clone()), &done, &data.context("one"))
            .await
            .unwrap()
    };
    assert!(matches!(undo().await, Undone::Reverted(what) if what.contains("0001")));
    assert_eq!(undo().await, Undone::NothingToDo);
    assert_eq!(data.sql(row), "one|step/1|backward-compatible|undone|0001");
    // And forward again.
    data.run("one", "database.migrate", more.clone()).await.unwrap();
    assert_eq!(data.sql("select version from head"), "0002");
}

#[tokio::test]
async fn a_destructive_migration_has_a_proven_backup_first() {
    let data = Data::new();
    let destroy = "psql -X -q -c \"delete from orders where id > 50; update head set version = '0002'\"";
    let without = json!({ "run": destroy, "class": "destructive", "backup": false });
    let told = data.refused("one", "database.migrate", without.clone()).await;
    assert!(told.contains("nothing was migrated: there is no backup"), "{told}");
    // A backup that cannot be restored is none.
    let bad = Data::new().with("check", json!(["select false"]));
    let told =
        bad.refused("one", "database.migrate", json!({ "run": destroy, "class": "destructive" })).await;
    assert!(told.contains("nothing was migrated") && told.contains("select false"), "{told}");
    assert_eq!(
        (bad.sql("select count(*) from orders"), data.sql("select count(*) from orders")),
        ("100".into(), "100".into())
    );
    let with = json!({ "run": destroy, "class": "destructive" });
    let context = data.context("one");
    let done = action("database.migrate").run(&data.params(with.clone()), &context).await.unwrap();
    assert_eq!(context.changes().len(), 2);
    assert!(done["backup"]["id"].as_str().unwrap().starts_with(&data.name), "{done}");
    assert_eq!(data.sql("select backup from windlass_migrations"), done["backup"]["id"].as_str().unwrap());
    let undone = action("database.migrate")
        .undo(&data.params(with.clone()), &done, &data.context("one"))
        .await
        .unwrap();
    let Undone::NeedsHuman(why) = undone else { panic!("{undone:?}") };
    assert!(why.contains("`database.restore` with { environment: production, backup: shop"), "{why}");
    // Now the newest one is good enough for another.
    data.run("two", "database.migrate", without).await.unwrap();
    // Restored, the database knows nothing of the migration, and there is nothing to take back.
    let restore = json!({ "backup": done["backup"]["id"] });
    data.run("back", "database.restore", restore).await.unwrap();
    assert_eq!(data.sql("select count(*) from orders"), "100");
    let undone =
        action("database.migrate").undo(&data.params(with), &done, &data.context("one")).await.unwrap();
    assert_eq!(undone, Undone::NothingToDo);
    let undo = json!({ "run": "true", "undo": "true", "class": "destructive" });
    let told = action("database.migrate")
        .effects(&data.params(undo), &data.setting.facts())
        .unwrap_err()
        .to_string();
    assert!(told.contains("taken back by its backup"), "{told}");
}

#[tokio::test]
async fn a_migration_that_fails_half_way_says_what_state_it_left() {
    let data = Data::new();
    let half = "psql -X -q -c \"update head set version = '0002'\"; echo boom >&2; false";
    for (class, run, expect) in [
        ("backward-compatible", "one", "a rollback runs its `undo`"),
        ("destructive", "two", "`database.restore` with { environment: production, backup: shop"),
    ] {
        data.sql("update head set version = '0001'");
        let undo = (class != "destructive").then_some("psql -X -q -c \"update head set version = '0001'\"");
        let more = json!({ "run": half, "class": class, "undo": undo });
        let told = data.refused(run, "database.migrate", more.clone()).await;
        for part in ["failed half-way", "boom", "its schema was at 0001 and is at 0002", expect] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let state = format!("select state from windlass_migrations where run = '{run}'");
        assert_eq!(data.sql(&state), "failed");
        // Resumed it runs again; taken back, it is known that something is to be taken back.
        let migrate = action("database.migrate");
        assert_eq!(migrate.probe(&data.params(more.clone()), &data.context(run)).await, Ok(Probe::Absent));
        let mut undoing = data.context(run);
        undoing.path = StepPath::new("undo/step/1");
        let Ok(Probe::Done(output)) = migrate.probe(&data.params(more.clone()), &undoing).await else {
            panic!()
        };
        let undone = migrate.undo(&data.params(more.clone()), &output, &undoing).await.unwrap();
        match class {
            "destructive" => {
                assert!(matches!(undone, Undone::NeedsHuman(why) if why.contains("database.restore")))
            }
            _ => {
                assert!(matches!(undone, Undone::Reverted(_)));
                assert_eq!(data.sql("select version from head"), "0001");
            }
        }
    }
    // Mended, it goes on with the backup of before, not with one of what it left.
    let backup = data.sql("select backup from windlass_migrations where run = 'two'");
    let done =
        data.run("two", "database.migrate", json!({ "run": "true", "class": "destructive" })).await.unwrap();
    assert_eq!((&done["backup"]["id"], &done["before"]), (&json!(backup), &json!("0001")));
}

#[tokio::test]
async fn who_was_overtaken_meanwhile_does_not_touch_the_database() {
    // At the third call of psql the lock is taken, and the script or the swap is still to come.
    for (name, more) in [
        (
            "database.migrate",
            json!({ "run": "psql -X -q -c 'delete from orders'", "class": "backward-compatible" }),
        ),
        ("database.restore", json!({})),
    ] {
        let mut data = Data::new();
        data.backup("one").await;
        data.sql("insert into orders values (201)");
        let folder = with_mortal_psql(&mut data);
        std::fs::write(folder.join("hold"), "3").unwrap();
        for pipe in ["came", "gate"] {
            let made =
                std::process::Command::new("mkfifo").args(["-m", "666"]).arg(folder.join(pipe)).status();
            assert!(made.unwrap().success());
        }
        let fence = data.setting.world.state.join("environments/production/.windlass/fence");
        let overtaking = std::thread::spawn(move || {
            std::fs::read(folder.join("came")).unwrap();
            std::fs::write(fence, "999\n").unwrap();
            std::fs::write(folder.join("gate"), "go").unwrap();
        });
        let told = data.refused("two", name, more).await;
        assert!(overtaking.is_finished(), "{name}: {told}");
        assert!(told.contains("999 was seen there"), "{name}: {told}");
        assert_eq!(data.sql("select count(*) from orders"), "101", "{name}");
    }
}
