//! Tags signed for real, with GnuPG and with SSH.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use windlass_engine::action::Probe;
use windlass_testkit::repo::RepoBuilder;

use crate::world::Setting;

#[tokio::test]
async fn gpg_signs_and_is_verified() {
    let repo = RepoBuilder::with_commit();
    // The agent's socket has a short limit on its path's length.
    let home = tempfile::Builder::new().prefix("wl-gpg").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let made = repo
        .command("gpg")
        .env("GNUPGHOME", home.path())
        .args([
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-gen-key",
            "Carl Committer <carl@example.com>",
        ])
        .args(["ed25519", "sign", "never"])
        .output()
        .expect("the tests need gpg");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let setting = Setting::releasing(repo).with_env("GNUPGHOME", home.path());
    let params = json!({ "sign": "gpg" });
    setting.run("git.tag", &params).await.unwrap();
    assert!(setting.repo.git(&["cat-file", "tag", "v0.2.0"]).contains("BEGIN PGP SIGNATURE"));
    assert!(matches!(setting.probe("git.tag", &params).await, Ok(Probe::Done(_))));

    // Unsigned is not signed, and a stranger's key is nobody's.
    setting.run("git.tag", &json!({ "name": "plain" })).await.unwrap();
    let message = setting.final_refusal("git.tag", &json!({ "name": "plain", "sign": "gpg" })).await;
    assert!(message.contains("not signed as asked"), "{message}");
    let commit = json!({ "message": "feat: signed", "paths": ["x"], "sign": "gpg" });
    setting.repo.file("x", "1");
    setting.run("git.commit", &commit).await.unwrap();
    assert!(setting.repo.git(&["cat-file", "commit", "HEAD"]).contains("BEGIN PGP SIGNATURE"));
    let _ = setting.repo.command("gpgconf").env("GNUPGHOME", home.path()).args(["--kill", "all"]).status();

    let empty = tempfile::Builder::new().prefix("wl-gpg").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(empty.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let stranger = Setting::releasing(RepoBuilder::with_commit()).with_env("GNUPGHOME", empty.path());
    let message = stranger.refusal("git.tag", &params).await;
    assert!(message.contains("git tag failed"), "{message}");
    assert!(stranger.repo.git(&["tag", "--list"]).is_empty());
    let _ = stranger.repo.command("gpgconf").env("GNUPGHOME", empty.path()).args(["--kill", "all"]).status();
}

#[tokio::test]
async fn ssh_signs_and_is_verified() {
    let repo = RepoBuilder::with_commit();
    let key = |name: &str| {
        let key = repo.outside().join(name);
        let made = repo
            .command("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&key)
            .status()
            .expect("the tests need ssh-keygen");
        assert!(made.success());
        key.display().to_string()
    };
    let (ours, other) = (key("ours"), key("other"));
    let signers = repo.outside().join("signers").display().to_string();
    let public = std::fs::read_to_string(format!("{other}.pub")).unwrap();
    std::fs::write(&signers, format!("carl@example.com {public}")).unwrap();
    let setting = Setting::releasing(repo);
    let repo = &setting.repo;
    let params = json!({ "sign": "ssh" });
    let message = setting.refusal("git.tag", &params).await;
    assert!(message.contains("git tag failed"), "{message}");

    repo.git(&["config", "user.signingKey", &ours]);
    setting.run("git.tag", &params).await.unwrap();
    assert!(repo.git(&["cat-file", "tag", "v0.2.0"]).contains("BEGIN SSH SIGNATURE"));
    assert!(matches!(setting.probe("git.tag", &params).await, Ok(Probe::Done(_))));

    // Made by a key that the team does not allow: not kept.
    repo.git(&["config", "gpg.ssh.allowedSignersFile", &signers]);
    let message = setting.final_refusal("git.tag", &json!({ "name": "v0.3.0", "sign": "ssh" })).await;
    assert!(message.contains("its signature does not hold"), "{message}");
    assert_eq!(repo.git(&["tag", "--list"]), "v0.2.0");
    repo.git(&["config", "user.signingKey", &format!("{other}.pub")]);
    // The private key lies next to the public one.
    setting.run("git.tag", &json!({ "name": "v0.3.0", "sign": "ssh" })).await.unwrap();
}

#[tokio::test]
async fn the_users_configuration_makes_no_other_tag_than_planned() {
    let repo = RepoBuilder::with_commit();
    for (key, value) in [("tag.gpgSign", "true"), ("gpg.format", "ssh"), ("user.signingKey", "/no/such/key")]
    {
        repo.git(&["config", key, value]);
    }
    let setting = Setting::releasing(repo);
    setting.run("git.tag", &json!({})).await.unwrap();
    setting.run("git.tag", &json!({ "name": "light", "annotate": false })).await.unwrap();
    assert_eq!(setting.repo.git(&["cat-file", "-t", "light"]), "commit");
}
