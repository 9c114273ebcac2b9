//! Images in a real registry: a tag moved back by digest, and whether all of an image can be had.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
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
    let kept = || std::fs::read_dir(setting.world.state.join("images")).unwrap().count();
    assert_eq!(kept(), 1);
    let undone = setting.undo("image.tag", &params, &output).await.unwrap();
    assert_eq!(undone, Undone::Reverted(format!("{at}/shop:latest names {latest} again")));
    assert_eq!(kept(), 0);
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
        setting.world.release = Some(Arc::new(release));
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
async fn latest_is_not_for_a_pre_release_by_another_name() {
    let registry = Registry::start();
    let good = registry.push("shop", "0.1.0", "0.1.0").await;
    let preview = registry.push("shop", "v0.2.0", "0.2.0").await;
    registry.push("shop", "latest", "0.0.9").await;
    let latest = registry.digest("shop", "latest").await;
    let mut setting = Setting::releasing(RepoBuilder::new());
    let mut release = crate::world::release();
    release.channel = "rc".into();
    setting.world.release = Some(Arc::new(release));
    let to = |to: &str| tag(&registry.address, to, json!({}));
    let told = setting.final_refusal("image.tag", &to(digest(&preview))).await;
    assert!(told.contains("v0.2.0 is a pre-release, which `latest` must not name"), "{told}");
    assert_eq!(registry.digest("shop", "latest").await, latest);
    // Another tag may name it, and `latest` another image.
    let mut other = to(digest(&preview));
    other["tag"] = "next".into();
    setting.run("image.tag", &other).await.unwrap();
    setting.run("image.tag", &to(digest(&good))).await.unwrap();
    assert_eq!(registry.digest("shop", "latest").await.as_deref(), Some(digest(&good)));
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

    // The digest may stand behind a name, as hosts remember it.
    let named = format!("{}/shop@{}", other.address, digest(&elsewhere));
    setting.run("image.verify", &json!({ "images": [&there], "digest": named })).await.unwrap();

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
    setting.world.secrets = Arc::new(
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

fn knowing_docker() -> Setting {
    let mut setting = Setting::new(RepoBuilder::new());
    let secrets = std::collections::BTreeMap::from([("PASSWORD".to_owned(), "open-sesame-7".to_owned())]);
    setting.world.masker = Arc::new(windlass_engine::mask::Masker::new(&secrets).unwrap());
    setting.world.secrets = Arc::new(secrets);
    setting
}

fn verify(images: &[&str]) -> Value {
    json!({ "images": images, "user": "docker", "password": "PASSWORD" })
}

#[tokio::test]
async fn a_password_is_for_one_registry() {
    let setting = knowing_docker();
    let refuses = |_: &str, _: &str| (401, "www-authenticate: Basic realm=here\r\n".to_owned(), Vec::new());
    let (one, two) = (Liar::start(refuses).await, Liar::start(refuses).await);
    let names = [format!("{}/shop:1", one.address), format!("{}/shop:1", two.address)];
    let told = setting.final_refusal("image.verify", &verify(&[&names[0], &names[1]])).await;
    assert!(told.contains("write one step per registry, each with its own"), "{told}");
    assert_eq!((one.heads(), two.heads()), (String::new(), String::new()));
    for (images, expect) in [
        (["r.example/shop:1", "ghcr.io/shop:1"], Some("would be sent to ghcr.io and r.example")),
        (["shop:1", "r.example/shop:1"], Some("would be sent to docker.io and r.example")),
        (["r.example/shop:1", "r.example/tool:1"], None),
        (["shop:1", "docker.io/library/tool:1"], None),
        (["r.example/shop:1", "{{ outputs.build.image }}"], None),
    ] {
        let found = setting.effects("image.verify", &verify(&images)).map_err(|error| error.to_string());
        match expect {
            Some(expect) => assert!(found.as_ref().is_err_and(|told| told.contains(expect)), "{found:?}"),
            None => assert!(found.is_ok(), "{found:?}"),
        }
        let as_nobody = json!({ "images": images });
        setting.effects("image.verify", &as_nobody).unwrap();
    }
}

#[tokio::test]
async fn whoever_keeps_the_layers_may_not_ask_who_we_are() {
    let setting = knowing_docker();
    let open = Registry::start();
    open.push("shop", "0.1.0", "0.1.0").await;
    for challenge in ["Basic realm=here".to_owned(), "Bearer realm=\"http://OWN/token\"".to_owned()] {
        let store = Liar::start(move |own, _| {
            let ask = format!("www-authenticate: {}\r\n", challenge.replace("OWN", own));
            (401, ask, Vec::new())
        });
        let store = store.await;
        for wants_token in [true, false] {
            let door =
                Door::before(&open, Manners { wants_token, blobs_at: Some(store.address.clone()) }).await;
            let name = format!("{}/shop:0.1.0", door.address);
            let told = setting.final_refusal("image.verify", &verify(&[&name])).await;
            let place = format!("http://{}/v2/shop/blobs/", store.address);
            assert!(told.starts_with(&place) && told.contains("sends to, answered 401"), "{told}");
            let heads = store.heads();
            assert!(heads.contains("/blobs/") && !heads.contains("uthorization"), "{heads}");
            assert!(!heads.contains("/token"), "{heads}");
        }
    }
}

#[tokio::test]
async fn what_a_registry_sends_back_of_our_secrets_is_not_told() {
    let setting = knowing_docker();
    // Longer than what is told of an answer: a part of it must not be told either.
    let token = "ticket-for-one.".repeat(30);
    for (challenge, secret) in
        [("Basic realm=here", "ZG9ja2VyOm9"), ("Bearer realm=\"http://OWN/token\"", "ticket-for-one")]
    {
        let token = token.clone();
        let registry = Liar::start(move |own, head| {
            let sent = head.lines().find_map(|line| line.strip_prefix("authorization: "));
            match sent {
                _ if head.starts_with("GET /token") => {
                    (200, String::new(), json!({ "token": token }).to_string().into_bytes())
                }
                None => {
                    let ask = format!("www-authenticate: {}\r\n", challenge.replace("OWN", own));
                    (401, ask, Vec::new())
                }
                Some(sent) => {
                    let errors = json!({ "errors": [{ "code": "DENIED", "message": sent }] });
                    (403, String::new(), errors.to_string().into_bytes())
                }
            }
        });
        let name = format!("{}/shop:1", registry.await.address);
        let told = setting.final_refusal("image.verify", &verify(&[&name])).await;
        assert!(told.contains("DENIED: ") && told.contains("***") && !told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn registries_are_neither_believed_nor_waited_for() {
    const MANIFEST: &str = "content-type: application/vnd.oci.image.manifest.v1+json\r\n";
    const INDEX: &str = "content-type: application/vnd.oci.image.index.v1+json\r\n";
    let setting = Setting::new(RepoBuilder::new());
    let some = |digit: usize| format!("sha256:{digit:064x}");
    let check = async |manifest: (u16, String, Vec<u8>), rest: (u16, String, Vec<u8>), expect: &str| {
        let registry =
            Liar::start(
                move |_, head| {
                    if head.contains("/manifests/1 ") { manifest.clone() } else { rest.clone() }
                },
            )
            .await;
        let params = json!({ "images": [format!("{}/shop:1", registry.address)], "timeout": "20s" });
        let told = setting.final_refusal("image.verify", &params).await;
        assert!(told.contains(expect), "{told}");
        registry.heads()
    };
    let none = || (404, String::new(), Vec::new());
    let bytes = |value: Value| value.to_string().into_bytes();

    let lie = format!("{MANIFEST}docker-content-digest: {}\r\n", some(1));
    check((200, lie, bytes(json!({}))), none(), "what the registry gives is not what it says").await;
    // It says that far more comes, and then sends nothing more: nobody waits for it.
    let endless = || format!("content-length: {}\r\n", 1_u64 << 40);
    let large = || vec![b' '; (4 << 20) + 1];
    check((200, endless() + MANIFEST, large()), none(), "larger than 4 MiB").await;
    let part = json!({ "digest": some(2), "size": 5 });
    let manifest = || (200, MANIFEST.to_owned(), bytes(json!({ "config": part, "layers": [] })));
    check(manifest(), (200, endless(), large()), "is longer than the 5 bytes that the image says").await;
    let short = format!("sha256:{}", windlass_core::plan::sha256_hex(b"{}"));
    let manifest = bytes(json!({ "config": { "digest": short, "size": 5 }, "layers": [] }));
    let rest = (200, String::new(), b"{}".to_vec());
    check((200, MANIFEST.to_owned(), manifest), rest, "has 2 bytes, and the image says 5").await;
    let without = bytes(json!({ "config": { "digest": some(2) }, "layers": [] }));
    check((200, MANIFEST.to_owned(), without), none(), "does not say how long sha256:").await;

    // None of too many manifests is asked for.
    let parts = |count: usize| -> Vec<Value> { (0..count).map(|at| json!({ "digest": some(at) })).collect() };
    let index = |count: usize| (200, INDEX.to_owned(), bytes(json!({ "manifests": parts(count) })));
    let heads = check(index(200), none(), "has more than 200 manifests").await;
    assert_eq!(heads.matches("GET ").count(), 1, "{heads}");
    let heads = check(index(199), none(), "which it names").await;
    assert_eq!(heads.matches("GET ").count(), 2, "{heads}");
}

#[tokio::test]
async fn a_token_has_an_end() {
    let setting = knowing_docker();
    let registry = Liar::start(|own, head| {
        if head.starts_with("GET /token") {
            return (200, format!("content-length: {}\r\n", 1_u64 << 40), vec![b'x'; 128 << 10]);
        }
        (401, format!("www-authenticate: Bearer realm=\"http://{own}/token\"\r\n"), Vec::new())
    });
    let name = format!("{}/shop:1", registry.await.address);
    let told = setting.final_refusal("image.verify", &verify(&[&name])).await;
    assert!(told.contains("answered with more than 65536 bytes for a token"), "{told}");
}

/// A registry that answers what it is told to, by its own address and the head of what it is asked.
struct Liar {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    async fn start(answer: impl Fn(&str, &str) -> (u16, String, Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (own, kept, answer) = (address.clone(), Arc::clone(&heads), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (own, kept, answer) = (own.clone(), Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(head) = head(&mut stream).await else { return };
                    kept.lock().unwrap().push(head.clone());
                    let (status, mut headers, body) = answer(&own, &head);
                    if !headers.contains("content-length") {
                        headers += &format!("content-length: {}\r\n", body.len());
                    }
                    let text = format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\n\r\n");
                    let _gone = stream.write_all(text.as_bytes()).await;
                    let _gone = stream.write_all(&body).await;
                    // It is the other side that goes.
                    let _gone = stream.read_u8().await;
                });
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> String {
        self.heads.lock().unwrap().join("\n")
    }
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
