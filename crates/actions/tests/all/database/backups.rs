//! Backups: made, proven, found bad, and kept by other programs.

use super::*;

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
