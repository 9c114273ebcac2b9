//! Images in a real registry: a tag moved back by digest, and whether all of an image can be had.

use serde_json::{Value, json};
use windlass_engine::action::{Probe, Undone};
use windlass_testkit::repo::RepoBuilder;

use crate::registry::{Door, Manners, Registry};
use crate::world::{SECRET, Setting};

fn tag(registry: &str, to: &str, more: Value) -> Value {
    let mut params = json!({ "image": format!("{registry}/shop"), "tag": "latest", "to": to });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

fn digest(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap()
}

#[tokio::test]
async fn latest_goes_back_by_digest() {
    let registry = Registry::start();
    let good = registry.push("shop", "0.1.0", "0.1.0").await;
    let bad = registry.push("shop", "0.2.0", "0.2.0").await;
    registry.push("shop", "latest", "0.2.0").await;
    let latest = registry.digest("shop", "latest").await.unwrap();
    let setting = Setting::releasing(RepoBuilder::new());
    let at = registry.address.as_str();

    // What is not there, or is not what was meant, changes nothing.
    for (params, expect) in [
        (tag(at, "0.0.9", json!({})), "has no 0.0.9: nothing was changed, latest stays"),
        (
            tag(at, "0.1.0", json!({ "digest": digest(&bad) })),
            "somebody has moved it, so latest stays as it is",
        ),
        (tag(at, "not a tag", json!({})), "is neither a tag nor a digest"),
        (
            json!({ "image": format!("{at}/shop:1"), "tag": "latest", "to": "0.1.0" }),
            "without a tag or digest",
        ),
        (tag(at, "0.1.0", json!({ "user": "docker" })), "belong together"),
    ] {
        let told = setting.final_refusal("image.tag", &params).await;
        assert!(told.contains(expect), "{told}");
        assert_eq!(registry.digest("shop", "latest").await.unwrap(), latest);
    }

    // As a deployment remembers it: an image with its digest.
    let params = tag(at, &format!("{at}/shop@{}", digest(&good)), json!({ "digest": digest(&good) }));
    let output = setting.run("image.tag", &params).await.unwrap();
    assert_eq!(registry.digest("shop", "latest").await.as_deref(), Some(digest(&good)));
    assert_eq!((&output["digest"], &output["before"]), (&good["digest"], &json!(latest)));
    // A run that was killed after it still knows what to give back.
    assert_eq!(setting.probe("image.tag", &params).await.unwrap(), Probe::Done(output.clone()));
    let undone = setting.undo("image.tag", &params, &output).await.unwrap();
    assert_eq!(undone, Undone::Reverted(format!("{at}/shop:latest names {latest} again")));
    assert_eq!(registry.digest("shop", "latest").await.unwrap(), latest);

    // Somebody else's move is left alone.
    setting.run("image.tag", &params).await.unwrap();
    registry.push("shop", "latest", "0.3.0").await;
    let undone = setting.undo("image.tag", &params, &output).await.unwrap();
    assert!(
        matches!(&undone, Undone::NeedsHuman(why) if why.contains("somebody has moved it")),
        "{undone:?}"
    );

    // A new tag, of an image for several platforms.
    let several = registry.push_index("shop", "0.4.0", &[good, bad]).await;
    let params = json!({ "image": format!("{at}/shop"), "tag": "0.4.0-rollback", "to": "0.4.0" });
    let output = setting.run("image.tag", &params).await.unwrap();
    assert_eq!(registry.digest("shop", "0.4.0-rollback").await.as_deref(), Some(digest(&several)));
    let undone = setting.undo("image.tag", &params, &output).await.unwrap();
    assert!(matches!(&undone, Undone::NeedsHuman(why) if why.contains("was not there before")), "{undone:?}");
}

#[test]
fn latest_is_not_for_a_pre_release() {
    let mut setting = Setting::releasing(RepoBuilder::new());
    let mut check = |channel: &str, to: &str, expect: Option<&str>| {
        let mut release = crate::world::release();
        release.channel = channel.into();
        setting.world.release = Some(std::sync::Arc::new(release));
        let found = setting.effects("image.tag", &tag("r.example", to, json!({})));
        assert_eq!(found.is_err(), expect.is_some(), "{channel} {to}");
        if let (Err(error), Some(expect)) = (found, expect) {
            assert!(error.to_string().contains(expect), "{error}");
        }
    };
    check("stable", "0.2.0", None);
    check("hotfix", "0.2.0", None);
    check("rc", "0.2.0", Some("0.2.0 is a pre-release, which `latest` must not name"));
    check("beta", "v0.2.0", Some("is a pre-release"));
    check("rc", "0.1.0", None);
    check("rc", "{{ outputs.choose.to }}", None);
}

#[tokio::test]
async fn an_image_is_had_whole_from_each_registry() {
    let (registry, other) = (Registry::start(), Registry::start());
    let one = registry.push("shop", "arm", "0.2.0").await;
    let two = registry.push("shop", "x86", "0.2.0").await;
    registry.push_index("shop", "0.2.0", &[one.clone(), two]).await;
    let elsewhere = other.push("shop", "0.2.0", "0.2.0").await;
    let setting = Setting::releasing(RepoBuilder::new());
    let images = |names: &[String]| json!({ "images": names, "version": "0.2.0" });
    let here = format!("{}/shop:0.2.0", registry.address);
    let there = format!("{}/shop:0.2.0", other.address);
    let both = images(&[here.clone(), there.clone()]);
    let output = setting.run("image.verify", &both).await.unwrap();
    assert_eq!(output["digests"][&there], elsewhere["digest"], "{output}");
    assert!(output["bytes"].as_u64().unwrap() > 1000, "{output}");

    // Not there, of another version, another image.
    let told =
        setting.refusal("image.verify", &images(&[here.clone(), format!("{}/none:1", other.address)])).await;
    assert!(told.ends_with("/none:1 is not there"), "{told}");
    let told = setting.refusal("image.verify", &json!({ "images": [&there], "version": "0.2.1" })).await;
    assert!(told.contains("says that it is 0.2.0, not 0.2.1"), "{told}");
    let told = setting.refusal("image.verify", &json!({ "images": [&there], "digest": one["digest"] })).await;
    assert!(told.contains(&format!("is {} and not {}", digest(&elsewhere), digest(&one))), "{told}");

    // A layer that was damaged, and one that is gone: asking whether it is there finds only the second.
    let layer = format!("sha256:{}", windlass_core::plan::sha256_hex(b"layer of 0.2.0"));
    std::fs::write(other.file(&layer), "layer of 0.2.1").unwrap();
    let only = |pull: bool| json!({ "images": [&there], "pull": pull });
    let told = setting.refusal("image.verify", &only(true)).await;
    assert!(told.contains(&format!("what {}/shop has as {layer} is sha256:", other.address)), "{told}");
    setting.run("image.verify", &only(false)).await.unwrap();
    std::fs::remove_file(other.file(&layer)).unwrap();
    for pull in [true, false] {
        let told = setting.refusal("image.verify", &only(pull)).await;
        assert!(told.contains(&layer), "{told}");
    }
    // The other registry has it still.
    setting.run("image.verify", &images(&[here])).await.unwrap();

    for (params, expect) in [
        (json!({ "images": [] }), "names none"),
        (json!({ "images": ["shop"] }), "`shop:VERSION`"),
        (json!({ "images": ["Shop:1"] }), "no name of an image"),
    ] {
        let error = setting.effects("image.verify", &params).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    let away = json!({ "images": ["127.0.0.1:1/shop:1"] });
    let told = setting.refusal("image.verify", &away).await;
    assert!(told.contains("did not answer"), "{told}");
}

#[tokio::test]
async fn registries_are_told_who_we_are_and_nobody_else_is() {
    let registry = Registry::guarded();
    let good = registry.push("shop", "0.1.0", "0.1.0").await;
    registry.push("shop", "latest", "0.2.0").await;
    let mut setting = Setting::new(RepoBuilder::new());
    setting.world.secrets = std::sync::Arc::new(
        [("PASSWORD".to_owned(), "open-sesame-7".to_owned()), ("TOKEN".to_owned(), SECRET.to_owned())].into(),
    );
    let as_docker = json!({ "user": "docker", "password": "PASSWORD" });
    let at = registry.address.clone();

    // By name and password.
    let told = setting.final_refusal("image.tag", &tag(&at, "0.1.0", json!({}))).await;
    assert!(told.contains("lets in only those it knows: give the step `user` and `password`"), "{told}");
    let wrong = tag(&at, "0.1.0", json!({ "user": "docker", "password": "TOKEN" }));
    let told = setting.final_refusal("image.tag", &wrong).await;
    assert!(told.contains("does not let us in") && !told.contains(SECRET), "{told}");
    setting.run("image.tag", &tag(&at, "0.1.0", as_docker.clone())).await.unwrap();
    assert_eq!(registry.digest("shop", "latest").await.as_deref(), Some(digest(&good)));

    // By a token that the password gives; whoever keeps the layers hears of neither.
    let open = Registry::start();
    open.push("shop", "0.1.0", "0.1.0").await;
    let store = Door::before(&open, Manners::default()).await;
    let manners = Manners { wants_token: true, blobs_at: Some(store.address.clone()) };
    let door = Door::before(&open, manners).await;
    let mut verify = as_docker.clone();
    verify["images"] = json!([format!("{}/shop:0.1.0", door.address)]);
    setting.run("image.verify", &verify).await.unwrap();
    let scope = "scope=repository%3Ashop%3Apull";
    assert!(
        door.heads().contains(scope) && door.heads().contains("Bearer ticket-for-one"),
        "{}",
        door.heads()
    );
    assert!(
        store.heads().contains("/blobs/sha256:") && !store.heads().contains("uthorization"),
        "{}",
        store.heads()
    );
    setting.run("image.tag", &tag(&door.address, "0.1.0", as_docker)).await.unwrap();
    assert!(open.digest("shop", "latest").await.is_some());
    let told = setting.final_refusal("image.tag", &tag(&door.address, "0.1.0", json!({}))).await;
    assert!(told.contains("/token gives no token (401): give the step `user` and `password`"), "{told}");
    for text in ["open-sesame-7", "ticket-for-one"] {
        assert!(!setting.log.text().contains(text));
    }
}
