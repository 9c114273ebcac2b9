//! Backups, migrations and restores, on a real PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use windlass_core::plan::StepPath;
use windlass_core::run::RunId;
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_engine::context::Context;
use windlass_engine::mask::Masker;
use windlass_testkit::postgres::{Cluster, PASSWORD};
use windlass_testkit::repo::RepoBuilder;

use crate::world::{Setting, action};

/// A shop with orders, and where its backups go.
pub struct Data {
    pub cluster: &'static Cluster,
    pub setting: Setting,
    pub name: String,
    pub folder: PathBuf,
    pub target: Value,
}

impl Data {
    pub fn new() -> Self {
        Self::on(Cluster::shared())
    }

    fn on(cluster: &'static Cluster) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shop{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = cluster.folder(&format!("backups-{name}")).unwrap();
        cluster.sql("postgres", &format!("create database {name}")).unwrap();
        cluster
            .sql(&name, "create table orders (id int primary key, at timestamptz not null default now())")
            .unwrap();
        cluster.sql(&name, "create table head (version text); insert into head values ('0001')").unwrap();
        cluster
            .sql(
                &name,
                "insert into orders select n, now() - interval '1 day' from generate_series(1, 100) n",
            )
            .unwrap();
        let repo = RepoBuilder::new();
        repo.file("README.md", "x").commit("feat: begin");
        let mut setting = Setting::releasing(repo);
        let secrets = [("DB_PASSWORD".to_owned(), PASSWORD.to_owned())].into();
        setting.world.masker = std::sync::Arc::new(Masker::new(&secrets).unwrap());
        setting.world.secrets = std::sync::Arc::new(secrets);
        let target = json!({ "database": {
            "name": name,
            "address": cluster.path(),
            "user": "postgres",
            "password": "DB_PASSWORD",
            "account": cluster.account(),
            "schema": "select version from head",
            "backup": {
                "folder": folder,
                "check": ["select count(*) >= 100 from orders"],
                "loss": "select count(*) from orders where at > $since",
            },
        }});
        Self { cluster, setting, name, folder, target }
    }

    pub fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.name, sql).unwrap()
    }

    /// Changes one key of the backups' configuration.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.target["database"]["backup"][key] = value;
        self
    }

    pub fn params(&self, more: Value) -> Value {
        let mut params = json!({ "environment": "production", "target": self.target });
        for (key, value) in more.as_object().into_iter().flatten() {
            params[key] = value.clone();
        }
        params
    }

    pub fn context(&self, run: &str) -> Context {
        let world = self.setting.world.clone();
        Context::new(world, RunId(run.into()), StepPath::new("step/1"), 1, 1, Default::default())
    }

    pub async fn run(&self, run: &str, name: &str, more: Value) -> Result<Value, ActionError> {
        action(name).run(&self.params(more), &self.context(run)).await
    }

    pub async fn refused(&self, run: &str, name: &str, more: Value) -> String {
        let error = self.run(run, name, more).await.unwrap_err().to_string();
        assert!(!error.contains(PASSWORD), "{error}");
        error
    }

    pub async fn backup(&self, run: &str) -> Value {
        self.run(run, "backup.create", json!({})).await.unwrap()
    }

    /// Pretends that every backup was taken so many hours earlier.
    fn age(&self, hours: i64) {
        let path = self.folder.join("catalogue.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut aged = String::new();
        for line in text.lines() {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            let taken: jiff::Timestamp = entry["taken"].as_str().unwrap().parse().unwrap();
            entry["taken"] = json!((taken - jiff::SignedDuration::from_hours(hours)).to_string());
            aged += &format!("{entry}\n");
        }
        std::fs::write(path, aged).unwrap();
    }

    fn dump(&self, id: &Value) -> PathBuf {
        self.folder.join(format!("{}.dump", id.as_str().unwrap()))
    }

    /// The databases whose names begin with this one's.
    fn databases(&self) -> Vec<String> {
        let like =
            format!("select datname from pg_database where datname ~ '^{}(_|$)' order by 1", self.name);
        Cluster::shared().sql("postgres", &like).unwrap().lines().map(str::to_owned).collect()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_backup_is_made_whole_and_proven_by_restoring_it() {
    let data = Data::new();
    let made = data.backup("one").await;
    assert_eq!(made["schema"], "0001");
    // Twice is once, and by another run it is another one.
    assert_eq!(data.backup("one").await, made);
    assert_ne!(data.backup("two").await["id"], made["id"]);
    let id = made["id"].as_str().unwrap();
    assert!(data.files().contains(&format!("{id}.dump")), "{:?}", data.files());
    let verified = data.run("three", "backup.verify", json!({})).await.unwrap();
    assert_eq!((&verified["median"], &verified["proof"]["checks"]), (&made["size"], &json!(3)));
    assert!(verified["proof"]["recovery"].as_u64().unwrap() > 0 && verified["age"].as_u64().unwrap() < 60);
    // Proven already: it is not restored again. Nothing but what belongs there is left anywhere.
    let begin = std::time::Instant::now();
    let again = data.run("four", "backup.verify", json!({})).await.unwrap();
    assert_eq!((&again["proof"], begin.elapsed().as_secs() < 2), (&verified["proof"], true));
    assert_eq!(data.databases(), [data.name.as_str()]);
    let odd = |name: &&String| !name.ends_with(".dump") && !name.ends_with(".jsonl") && *name != ".lock";
    assert_eq!(data.files().iter().filter(odd).count(), 0, "{:?}", data.files());
    assert!(!data.setting.log.text().contains(PASSWORD));
}

#[tokio::test]
async fn every_bad_backup_is_told_with_what_to_do() {
    let data = Data::new();
    let verify = async |expect: &str| {
        let told = data.refused("v", "backup.verify", json!({})).await;
        assert!(told.contains(expect), "{expect}: {told}");
        assert!(told.contains(data.folder.to_str().unwrap()) && told.contains(&data.name), "{told}");
        assert!(told.contains("make a new one") || told.contains("make one"), "{told}");
    };
    verify("there is no backup in").await;
    let made = data.backup("one").await;
    data.age(25);
    verify("is 1d1h").await;
    data.age(-25);
    let path = data.dump(&made["id"]);
    let whole = std::fs::read(&path).unwrap();
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    for (bytes, expect) in [
        (Some(&[][..]), "is empty"),
        (Some(&whole[..whole.len() / 2]), "is truncated"),
        (Some(&other), "is not what was written"),
        (None, "is gone"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        verify(expect).await;
    }
    std::fs::write(&path, &whole).unwrap();
    data.run("v", "backup.verify", json!({})).await.unwrap();
    // Of another size than those before it.
    data.sql("insert into orders select n from generate_series(1000, 60000) n");
    data.backup("two").await;
    verify("in the median").await;
}

/// What its catalogue does not show shows when it is restored.
#[tokio::test]
async fn what_cannot_be_restored_or_is_not_true_is_found() {
    let data = Data::new();
    let made = data.backup("one").await;
    let bad = data.with("check", json!(["select count(*) = 7 from orders"]));
    let told = bad.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("the check `select count(*) = 7 from orders` gave `f`, not true"), "{told}");
    let data = bad.with("check", json!(["select * from no_such_table"]));
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("gave `error") && told.contains("no_such_table"), "{told}");
    let mut data = data.with("check", json!([]));
    let schema = data.target["database"]["schema"].take();
    data.target["database"]["schema"] = json!("select version || 'x' from head");
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("its schema was 0001 when it was made, and is 0001x"), "{told}");
    data.target["database"]["schema"] = schema;
    // The catalogue agrees with a file that is no archive any more.
    let path = data.dump(&made["id"]);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let sum = windlass_core::plan::sha256_hex(&bytes);
    let catalogue = data.folder.join("catalogue.jsonl");
    let text = std::fs::read_to_string(&catalogue).unwrap();
    std::fs::write(&catalogue, text.replace(made["sha256"].as_str().unwrap(), &sum)).unwrap();
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("cannot be restored: pg_restore"), "{told}");
    // Without a restore it cannot be known.
    data.run("v", "backup.verify", json!({ "restore": "never" })).await.unwrap();
    // A database without tables.
    let data = Data::new();
    data.sql("drop table orders; drop table head");
    let mut data = data.with("check", json!([]));
    data.target["database"]["schema"] = Value::Null;
    data.backup("one").await;
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("has no tables"), "{told}");
}

#[tokio::test]
async fn a_proof_is_good_for_its_time() {
    let data = Data::new();
    data.backup("one").await;
    let one = data.run("v", "backup.verify", json!({ "restore": "when-due" })).await.unwrap();
    let two = data.backup("two").await;
    let verified = data.run("v", "backup.verify", json!({ "restore": "when-due" })).await.unwrap();
    assert_eq!((&verified["id"], &verified["proof"]), (&two["id"], &one["proof"]));
    let data = data.with("proven_within", json!("0s"));
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let verified = data.run("v", "backup.verify", json!({ "restore": "when-due" })).await.unwrap();
    assert_eq!(verified["proof"]["id"], two["id"]);
}

#[tokio::test]
async fn a_proof_can_be_a_database_beside_the_real_one() {
    let data = Data::new().with("scratch", json!("database"));
    data.backup("one").await;
    let verified = data.run("v", "backup.verify", json!({})).await.unwrap();
    assert_eq!(verified["proof"]["checks"], 3);
    assert_eq!(data.databases(), [data.name.as_str()]);
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_backup_is_told() {
    let data = Data::new();
    let mut wrong = data.params(json!({}));
    wrong["target"]["database"]["address"] = json!("/nowhere");
    let told = action("backup.create").run(&wrong, &data.context("x")).await.unwrap_err().to_string();
    assert!(told.contains("/nowhere") && told.contains("this machine"), "{told}");
    wrong = data.params(json!({}));
    wrong["target"]["database"]["name"] = json!("no_such_shop");
    let told = action("backup.create").run(&wrong, &data.context("x")).await.unwrap_err().to_string();
    assert!(told.contains("no_such_shop"), "{told}");
    wrong = data.params(json!({}));
    wrong["target"]["database"]["password"] = json!("OTHER");
    let told = action("backup.create").run(&wrong, &data.context("x")).await.unwrap_err().to_string();
    assert!(told.contains("the secret `OTHER` is not configured"), "{told}");
    wrong = data.params(json!({}));
    wrong["target"]["database"]["backup"]["folder"] = json!("/proc/backups");
    let told = action("backup.create").run(&wrong, &data.context("x")).await.unwrap_err().to_string();
    assert!(told.contains("/proc/backups cannot be made"), "{told}");
    // Nothing half-made is in the catalogue.
    assert_eq!(data.files(), Vec::<String>::new());
    wrong = json!({ "environment": "production" });
    let told = action("backup.create").effects(&wrong, &data.setting.facts()).unwrap_err().to_string();
    assert!(told.contains("has no database"), "{told}");
}

fn path_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn scripts_are_a_source_too() {
    let data = Data::new();
    let kept = Cluster::shared().folder(&format!("kept-{}", data.name)).unwrap();
    let (kept, programs) = (path_of(&kept), path_of(Cluster::shared().programs()));
    let data = data
        .with("source", json!("script"))
        .with("create", json!(format!("{programs}/pg_dump -Fc -f {kept}/$WINDLASS_BACKUP; date -u +%FT%TZ > {kept}/taken")))
        .with(
            "list",
            json!(format!(
                "for file in {kept}/*-*; do test -e $file || continue; printf '{{\"id\":\"%s\",\"taken\":\"%s\",\"size\":%s}}\\n' \
                 $(basename $file) $(cat {kept}/taken) $(stat -c %s $file); done"
            )),
        )
        .with("fetch", json!(format!("cp {kept}/$WINDLASS_BACKUP $WINDLASS_BACKUP_FILE")));
    let made = data.backup("one").await;
    assert_eq!(data.backup("one").await, made);
    let verified = data.run("v", "backup.verify", json!({})).await.unwrap();
    assert_eq!(verified["proof"]["id"], made["id"]);
    assert!(!data.files().iter().any(|name| name.contains("fetched")), "{:?}", data.files());
    let data = data.with("list", json!("echo nonsense"));
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("it must print JSON"), "{told}");
}

const UP: &str = "test $PGDATABASE = $PGDATABASE; psql -X -q -v ON_ERROR_STOP=1 -c \"alter table orders add note text; update head set version = '0002'\"";
const DOWN: &str =
    "psql -X -q -v ON_ERROR_STOP=1 -c \"alter table orders drop note; update head set version = '0001'\"";

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

/// Puts a program in front of PostgreSQL's own, which kills everything at one call of it: before or after the call;
/// or waits there, once it has said in `came` that it is there, for a word in `gate`.
fn with_mortal_psql(data: &mut Data) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Cluster::shared().folder(&format!("mortal-{}", data.name)).unwrap();
    let real = Cluster::shared().programs().join("psql");
    let text = format!(
        "#!/bin/sh\ncd {}\necho x >>calls\n[ ! -f before ] || [ $(wc -l <calls) -ne $(cat before) ] || kill -9 0\n\
         [ ! -f hold ] || [ $(wc -l <calls) -ne $(cat hold) ] || {{ echo x >came; cat gate; }}\n\
         {} \"$@\"\ncode=$?\n[ ! -f after ] || [ $(wc -l <calls) -ne $(cat after) ] || kill -9 0\nexit $code\n",
        folder.display(),
        real.display()
    );
    let program = folder.join("psql");
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    data.target["database"]["programs"] = json!(folder);
    folder
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

/// For the promises that every action keeps: parameters, and what the world is seen by.
pub fn fixture(name: &str) -> (Setting, Value) {
    let data = Data::new();
    let more = match name {
        "database.migrate" => json!({ "run": UP, "undo": DOWN, "class": "none" }),
        _ => json!({}),
    };
    let (database, folder) = (data.name.clone(), data.folder.clone());
    let params = data.params(more);
    let mut setting = data.setting;
    setting.also = Some(Box::new(move || {
        let columns = "select string_agg(column_name, ',' order by 1) from information_schema.columns where table_name = 'orders'";
        let sql = |sql: &str| Cluster::shared().sql(&database, sql).unwrap();
        let dumps = std::fs::read_dir(&folder).unwrap().filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "dump")
        });
        format!("{} {} {} dumps", sql(columns), sql("select count(*) from orders"), dumps.count())
    }));
    (setting, params)
}

/// As [`fixture`], with a backup, and rows that are not in it.
pub async fn fixture_with_backup(name: &str) -> (Setting, Value) {
    let (setting, params) = fixture(name);
    let mut context = setting.context();
    context.run = RunId("earlier".into());
    let create = json!({ "environment": params["environment"], "target": params["target"] });
    action("backup.create").run(&create, &context).await.unwrap();
    let database = params["target"]["database"]["name"].as_str().unwrap();
    Cluster::shared().sql(database, "insert into orders values (1001)").unwrap();
    (setting, params)
}

/// Adds a secret to the world of a test.
fn with_secret(mut data: Data, name: &str, value: &str) -> Data {
    let mut secrets = (*data.setting.world.secrets).clone();
    secrets.insert(name.into(), value.into());
    data.setting.world.masker = std::sync::Arc::new(Masker::new(&secrets).unwrap());
    data.setting.world.secrets = std::sync::Arc::new(secrets);
    data
}

fn succeeds(cluster: &Cluster, words: &[&str]) {
    let output = cluster.run("/usr/bin/env", words).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {told}; is it installed? apt-get install restic pgbackrest");
}

#[tokio::test]
async fn restic_keeps_backups_too() {
    const KEY: &str = "a-key-of-restic";
    let data = with_secret(Data::new(), "RESTIC_KEY", KEY);
    let repository = data.cluster.folder(&format!("restic-{}", data.name)).unwrap();
    let repository = path_of(&repository).to_owned();
    let data = data
        .with("source", json!("restic"))
        .with("repository", json!(repository))
        .with("password", json!("RESTIC_KEY"));
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("config file") && !told.contains(KEY), "{told}");
    succeeds(
        data.cluster,
        &[&format!("RESTIC_PASSWORD={KEY}"), "restic", "--repo", &repository, "--quiet", "init"],
    );
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("there is no backup in restic's"), "{told}");
    let made = data.backup("one").await;
    assert_eq!(data.backup("one").await, made);
    assert_eq!(made["sha256"].as_str().unwrap().len(), 64);
    let two = data.backup("two").await;
    let verified = data.run("v", "backup.verify", json!({})).await.unwrap();
    assert_eq!((&verified["id"], &verified["median"]), (&two["id"], &made["size"]));
    assert_eq!(verified["proof"]["id"], two["id"]);
    data.sql("delete from orders");
    data.run("back", "database.restore", json!({ "backup": made["id"] })).await.unwrap();
    assert_eq!(data.sql("select count(*) from orders"), "100");
    assert_eq!(data.files(), [".lock", "proofs.jsonl"]);
    // A repository that lost what it kept.
    let three = data.backup("three").await;
    succeeds(data.cluster, &["sh", "-c", &format!("rm -rf {repository}/data/*/*")]);
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains(three["id"].as_str().unwrap()) && told.contains("cannot be restored"), "{told}");
}

#[tokio::test]
async fn pgbackrest_keeps_backups_too() {
    let cluster = Cluster::lasting();
    let place = cluster.folder("pgbackrest").unwrap();
    let place = path_of(&place);
    let config = format!("{place}/pgbackrest.conf");
    std::fs::write(
        &config,
        format!(
            "[global]\nrepo1-path={place}/repo\nlog-path={place}\nlock-path={place}\nspool-path={place}\nlog-level-file=off\n\
             start-fast=y\nrepo1-retention-full=9\n[shop]\npg1-path={0}/data\npg1-socket-path={0}\npg1-user=postgres\n",
            cluster.path().display()
        ),
    )
    .unwrap();
    cluster
        .configure(&format!(
            "archive_mode = on\narchive_command = 'pgbackrest --config={config} --stanza=shop archive-push %p'\nmax_connections = 150\n"
        ))
        .unwrap();
    let password = format!("PGPASSWORD={PASSWORD}");
    succeeds(
        cluster,
        &[&password, "pgbackrest", &format!("--config={config}"), "--stanza=shop", "stanza-create"],
    );
    let data = with_secret(Data::on(cluster), "PGBACKREST_CONFIG", &config)
        .with("source", json!("pgbackrest"))
        .with("stanza", json!("shop"))
        .with("secrets", json!(["PGBACKREST_CONFIG"]));
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("there is no backup in pgBackRest's stanza shop"), "{told}");
    let made = data.backup("one").await;
    assert_eq!(data.backup("one").await, made);
    let verified = data.run("v", "backup.verify", json!({})).await.unwrap();
    assert_eq!((&verified["id"], &verified["proof"]["id"]), (&made["id"], &made["id"]));
    data.sql("delete from orders");
    data.run("back", "database.restore", json!({ "backup": made["id"] })).await.unwrap();
    assert_eq!(data.sql("select count(*) from orders"), "100");
    let data = data.with("stanza", json!("other"));
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("pgBackRest says: missing stanza path"), "{told}");
}

/// On another host everything goes by ssh (here its stand-in), and no password stands in a command line.
#[tokio::test]
async fn the_programs_run_on_the_databases_host() {
    let mut data = Data::new();
    data.setting = crate::standin::with_standins(data.setting);
    data.target["database"]["host"] = json!("db1");
    let made = data.backup("one").await;
    let verified = data.run("v", "backup.verify", json!({})).await.unwrap();
    assert_eq!(verified["id"], made["id"]);
    data.sql("delete from orders");
    data.run("back", "database.restore", json!({})).await.unwrap();
    assert_eq!(data.sql("select count(*) from orders"), "100");
    let outside = data.setting.repo.outside();
    let lines = std::fs::read_to_string(outside.join("ssh.log")).unwrap();
    assert!(lines.contains("db1 ") && lines.contains("dump") && !lines.contains(PASSWORD));
    std::fs::write(outside.join("db1.down"), "").unwrap();
    let told = data.refused("v", "backup.verify", json!({})).await;
    assert!(told.contains("db1") && told.contains("sshd is not running there"), "{told}");
}
