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

mod backups;
mod migrations;
mod restores;

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

const UP: &str = "test $PGDATABASE = $PGDATABASE; psql -X -q -v ON_ERROR_STOP=1 -c \"alter table orders add note text; update head set version = '0002'\"";
const DOWN: &str =
    "psql -X -q -v ON_ERROR_STOP=1 -c \"alter table orders drop note; update head set version = '0001'\"";

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
