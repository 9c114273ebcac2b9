//! What planning reads from git.

use std::collections::BTreeMap;

use windlass_actions::adapters::git::Git;
use windlass_testkit::repo::RepoBuilder;

fn git(repo: &RepoBuilder) -> Git {
    Git::at(repo.path(), repo.environment())
}

#[tokio::test]
async fn an_empty_repository_has_no_commits() {
    let repo = RepoBuilder::new();
    let git = git(&repo);
    assert_eq!(git.head().await, Ok(None));
    assert_eq!(git.branch().await.unwrap().as_deref(), Some("main"));
    assert!(git.tags().await.unwrap().is_empty() && git.dirty().await.unwrap().is_empty());
    assert!(
        git.commits(None, "HEAD", 10).await.unwrap_err().to_string().contains("there is no commit `HEAD`")
    );
    assert_eq!(git.remotes().await.unwrap(), Vec::<String>::new());
    assert_eq!(git.remote_url("origin").await, Ok(None));
    assert_eq!(git.top_level().await.unwrap(), repo.path().canonicalize().unwrap());
}

#[tokio::test]
async fn places_outside_are_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let repo = RepoBuilder::with_commit();
    repo.remote();
    let environment =
        BTreeMap::from([("GIT_CEILING_DIRECTORIES".to_owned(), folder.path().display().to_string())]);
    let outside = Git::at(folder.path(), environment).top_level().await.unwrap_err().to_string();
    assert!(outside.contains("run `git init`"), "{outside}");
    let bare = Git::at(repo.remote_path(), repo.environment()).top_level().await.unwrap_err().to_string();
    assert!(bare.contains("bare"), "{bare}");
}

#[tokio::test]
async fn facts_of_a_history() {
    let repo = RepoBuilder::with_commit();
    let first = repo.head();
    repo.tag("v0.1.0").light_tag("light");
    repo.git(&["tag", "--annotate", "--message=nested", "nested", "v0.1.0"]);
    repo.git(&["tag", "tree", "HEAD^{tree}"]);
    repo.git(&["switch", "--quiet", "--create", "side"]);
    repo.commit("feat: side");
    repo.tag("v9.0.0-side");
    repo.git(&["switch", "--quiet", "main"]);
    repo.file("a file", "1")
        .file("b", "1")
        .commit("feat(api)!: \u{1b}[31mred\u{202e}\n\nBody\0 text\n\nRefs: #1".replace('\0', "").as_str());
    repo.commit("fix: é");
    repo.file("a file", "2").file("untracked", "x");
    repo.git(&["rm", "--quiet", "--cached", "b"]);
    repo.remote();
    let git = git(&repo);

    assert_eq!(git.dirty().await.unwrap(), ["a file", "b"]);
    assert_eq!(git.head().await.unwrap(), Some(repo.head()));
    let tags = git.tags().await.unwrap();
    let told: Vec<_> = tags.iter().map(|(name, tag)| (name.as_str(), tag.annotated, tag.reachable)).collect();
    assert_eq!(
        told,
        [
            ("light", false, true),
            ("nested", true, true),
            ("v0.1.0", true, true),
            ("v9.0.0-side", true, false)
        ]
    );
    assert!(["light", "nested", "v0.1.0"].iter().all(|name| tags[*name].commit == first));
    assert_eq!(tags["light"].object, first);
    assert_ne!(tags["v0.1.0"].object, first);

    let commits = git.commits(Some("v0.1.0"), "HEAD", 10).await.unwrap();
    let subjects: Vec<_> = commits.commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(subjects, ["fix: é", "feat(api)!: [31mred"]);
    assert!(!commits.truncated);
    assert_eq!(commits.commits[1].message, "feat(api)!: [31mred\n\nBody text\n\nRefs: #1");
    assert_eq!(
        (commits.commits[0].author.as_str(), commits.commits[0].author_name.as_str()),
        ("ada@example.com", "Ada Author")
    );
    let one = git.commits(None, "HEAD", 1).await.unwrap();
    assert!(one.truncated && one.commits.len() == 1);
    assert_eq!(git.count("v0.1.0", "HEAD").await, Ok(2));
    assert!(
        git.commits(Some("--output=x"), "HEAD", 1).await.unwrap_err().to_string().contains("like an option")
    );
    assert!(git.commits(Some("v0.9.9"), "HEAD", 1).await.is_err());

    let person = git.person().await.unwrap().unwrap();
    assert_eq!((person.name.as_str(), person.email.as_str()), ("Ada Author", "ada@example.com"));
    assert_eq!(git.remotes().await.unwrap(), ["origin"]);
    let remote = git.remote_tags("origin").await.unwrap();
    assert_eq!((&remote["v0.1.0"].commit, &remote["v0.1.0"].object), (&first, &tags["v0.1.0"].object));
    assert_eq!(git.published(&first).await.unwrap().as_deref(), Some("origin"));
    repo.git(&["switch", "--quiet", "--detach", "HEAD"]);
    assert_eq!(git.branch().await, Ok(None));
}

#[tokio::test]
async fn shallow_clones_and_dead_remotes_are_seen() {
    let repo = RepoBuilder::with_commit();
    repo.commit("feat: two");
    repo.remote();
    assert!(!git(&repo).is_shallow().await.unwrap());
    let clone = repo.shallow_clone();
    assert!(git(&clone).is_shallow().await.unwrap());
    repo.git(&["remote", "add", "dead", "https://user:secret@127.0.0.1:1/x.git"]);
    let error = git(&repo).remote_tags("dead").await.unwrap_err();
    assert!(error.is_retryable() && !error.to_string().contains("secret"), "{error}");
    assert_eq!(git(&repo).remote_url("dead").await.unwrap().as_deref(), Some("https://127.0.0.1:1/x.git"));
    let error = git(&repo).remote_tags("none").await.unwrap_err().to_string();
    assert!(error.contains("no remote `none`"), "{error}");
    assert!(git(&repo).remote_tags("--upload-pack=x").await.is_err());
}
