//! The service, on a docker that is a script.

use super::*;

#[test]
fn compose_gets_its_files_before_its_arguments() {
    let place = Place { folder: tempfile::tempdir().unwrap(), path: None };
    let tools = place.folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::fs::create_dir(place.folder.path().join("a folder's")).unwrap();
    let docker = "#!/bin/sh\npwd\nprintf '<%s>' \"$@\"\n";
    std::fs::write(tools.join("docker"), docker).unwrap();
    std::fs::set_permissions(tools.join("docker"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let place = Place { path: Some(path.into()), ..place };
    let output = place.call(&["compose", "1", "5", "1.0.0", "a.yml", "sub/b.yml", "--", "up", "-d"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    let folder = place.folder.path().join("a folder's");
    let folder = folder.display();
    let release = format!("{folder}/.windlass/releases/1.0.0");
    assert_eq!(
        text,
        format!(
            "{folder}\n<compose><--ansi><never><--project-directory><{folder}><-f><{release}/a.yml><-f>\
             <{release}/sub/b.yml><up><-d>"
        )
    );
}

/// A `docker` of one container, which says what it is called with, before the other programs of each shell.
fn each_docker(test: impl Fn(&Place)) {
    const DOCKER: &str = r#"#!/bin/sh
printf '<%s>' "$@" >>"$0.asked"
echo >>"$0.asked"
[ ! -e "$0.gone" ] || { echo "it is not running" >&2; exit 1; }
case "$*" in
    *" config "*) printf '{\n  "name": "shop"\n}\n' ;;
    "ps "*) echo one ;;
    "inspect "*) echo '{"id":"one","service":"web","state":"running"}' ;;
    "image inspect"*) echo '["r/web@sha256:aa"]' ;;
esac
"#;
    let place = tempfile::tempdir().unwrap();
    for (name, path) in shells(place.path()) {
        println!("by {name}");
        let tools = place.path().join(format!("docker-{name}"));
        std::fs::create_dir_all(&tools).unwrap();
        std::fs::write(tools.join("docker"), DOCKER).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(tools.join("docker"), executable).unwrap();
        let rest = path.map_or_else(|| std::env::var_os("PATH").unwrap(), Into::into);
        let mut all = vec![tools];
        all.extend(std::env::split_paths(&rest));
        let path = Some(PathBuf::from(std::env::join_paths(all).unwrap()));
        test(&Place { folder: tempfile::tempdir().unwrap(), path });
    }
}

/// The tool that [`each_docker`] has put there.
fn docker(place: &Place, end: &str) -> PathBuf {
    let first = std::env::split_paths(place.path.as_ref().unwrap()).next().unwrap();
    first.join(format!("docker{end}"))
}

const RECORD: &str = r#"{"version":"\"project\":\"no\"","project":"shop","previous":{"project":"old"}}"#;

#[test]
fn one_question_tells_what_is_kept_and_what_runs_and_changes_nothing() {
    each_docker(|place| {
        let survey = || {
            let output = place.call(&["survey", "1.0.0", "compose.yml"], "");
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            (Running::parse(&text), text)
        };
        assert!(
            survey().0.is_none() && !place.folder.path().join("a folder's").exists(),
            "it made something"
        );
        place.expect(&["record", "3", "keep"], 0, "");
        let home = place.folder.path().join("a folder's/.windlass");
        std::fs::write(home.join("record.json"), format!("{RECORD}\n")).unwrap();
        // Another release is there: nothing of docker is asked.
        assert!(survey().0.is_none() && !docker(place, ".asked").exists());
        place.expect(&["put", "3", "0", "1.0.0", "compose.yml", "3"], 0, "");
        let (running, text) = survey();
        let running = running.unwrap();
        assert_eq!(running.config, "{\n  \"name\": \"shop\"\n}\n");
        assert_eq!(running.containers[0].id, "one");
        assert!(
            text.contains("fence 3\n") && text.contains("record {\"version\"") && !text.contains("history"),
            "{text}"
        );
        let asked = std::fs::read_to_string(docker(place, ".asked")).unwrap();
        assert!(asked.contains("/releases/1.0.0/compose.yml><config><--format><json>"), "{asked}");
        assert!(asked.contains("<label=com.docker.compose.project=shop>"), "{asked}");
        // While a record is on its way, and where docker does not tell, nothing is told of what runs, and the rest is.
        std::fs::write(home.join("pending"), "{}\n").unwrap();
        assert!(survey().0.is_none());
        std::fs::remove_file(home.join("pending")).unwrap();
        std::fs::write(docker(place, ".gone"), "").unwrap();
        let (running, text) = survey();
        assert!(running.is_none() && text.contains("fence 3\n"), "{text}");
    });
}

#[test]
fn what_is_sent_together_is_done_in_its_order() {
    each_docker(|place| {
        let home = place.folder.path().join("a folder's/.windlass");
        let reads = |file: &str| std::fs::read_to_string(home.join(file)).unwrap();
        // Many files in one, empty ones too, and what a deployment needs is looked at first.
        let put = ["put", "1", "1", "1.0.0", "a.yml", "2", "empty", "0", "sub folder/b.yml", "1"];
        place.expect(&put, 0, "");
        assert_eq!(reads("releases/1.0.0/a.yml"), "{}");
        assert_eq!(
            (reads("releases/1.0.0/empty"), reads("releases/1.0.0/sub folder/b.yml")),
            ("".into(), "\n".into())
        );
        let too_much = place.call(&["put", "1", "999999999", "1.0.0", "a.yml", "3"], "{}\n");
        assert_eq!(too_much.status.code(), Some(71), "{too_much:?}");
        // The record is there before anything is asked of docker.
        place.expect(&["begin", "2", "shop", "1.0.0", "a.yml"], 0, "container {\"id\":\"one\"");
        assert_eq!(reads("record.json"), "{}\n");
        let told = place.call(&["begin", "2", "shop", "1.0.0", "a.yml"], "");
        assert!(Running::parse(&String::from_utf8(told.stdout).unwrap()).is_some());
        assert_eq!(reads("record.json"), "{}\n", "without one, it stays");
        // The pins are there before compose reads them, and nothing is left of how they came.
        place.expect(&["compose", "2", "5", "1.0.0", "a.yml", "--", "pull"], 0, "");
        assert_eq!(reads("releases/1.0.0/windlass-pins.yml"), "{}\n");
        let names = std::fs::read_dir(&home).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".new.")).collect();
        assert!(left.is_empty(), "{left:?}");
        // What the registry tells, and then who has the environment.
        place.expect(&["lock", "run-1", "1", "ann", "60", "0"], 0, "3");
        let words = ["resolve", "3", "5", "1", "1.0.0", "a.yml", "r/web:1"];
        let output = place.call(&words, "");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("digests [\"r/web@sha256:aa\"]\nfence 3\nlock run-1\n"), "{text}");
        let asked = std::fs::read_to_string(docker(place, ".asked")).unwrap();
        assert_eq!(asked.matches("<pull><--quiet>").count(), 1, "{asked}");
        // Nothing to pull, and it is still told.
        place.expect(&["resolve", "3", "5", "1", "1.0.0", "a.yml"], 0, "fence 3\nlock run-1");
        place.expect(&["resolve", "2", "5", "1", "1.0.0", "a.yml", "r/web:1"], 75, "3");
        place.expect(&["raise", "4", "look"], 0, "fence 4\nlock run-1");
        std::fs::write(docker(place, ".gone"), "").unwrap();
        for words in [
            &["begin", "4", "shop", "1.0.0", "a.yml"][..],
            &["resolve", "4", "5", "1", "1.0.0", "a.yml", "r/web:1"],
        ] {
            let output = place.call(words, "");
            assert!(!output.status.success(), "{words:?}: {output:?}");
        }
    });
}

#[test]
fn lines_of_a_service_end_where_all_was_told() {
    let place = tempfile::tempdir().unwrap();
    for (name, path) in shells(place.path()) {
        let tools = place.path().join(format!("docker-{name}"));
        std::fs::create_dir_all(&tools).unwrap();
        let docker = tools.join("docker");
        let say = |logs: &str| {
            let text = format!(
                "#!/bin/sh\ncase $1 in\nps) echo one; echo two ;;\ninspect) echo made ;;\nlogs) {logs} ;;\nesac\n"
            );
            std::fs::write(&docker, text).unwrap();
            std::fs::set_permissions(&docker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        let rest = path.map_or_else(|| std::env::var_os("PATH").unwrap(), Into::into);
        let mut all = vec![tools.clone()];
        all.extend(std::env::split_paths(&rest));
        let path = Some(PathBuf::from(std::env::join_paths(all).unwrap()));
        let place = Place { folder: tempfile::tempdir().unwrap(), path };
        let lines = |bytes: &str| {
            let output = place.call(&["lines", "shop", "web", "60", bytes], "");
            assert!(output.status.success(), "{name}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        say("echo \"$5 $4\"; echo to the other stream >&2");
        let whole = lines("1000");
        let rest = whole.split_once('\n').unwrap().1;
        assert_eq!(
            rest, "made\none 60s\nto the other stream\ntwo 60s\nto the other stream\n\nend\n",
            "{name}"
        );
        assert!(whole.starts_with("now 1") && !whole.contains('N'), "{name}: {whole}");
        assert!(!lines("20").contains("end"), "{name}");
        say("echo first; [ \"$5\" = one ] || exit 1");
        assert!(!lines("1000").contains("end"), "{name}: one of them could not be asked");
    }
}
