//! The program on a host, run for real by the shells it must work with.

use std::path::Path;
use std::process::{Command as Process, Output};

use super::record::Record;
use super::*;

mod compose;
mod edge;
mod keep;

/// dash or whatever `sh` is here, and busybox with nothing else to call but flock, which Debian builds it without.
fn shells(place: &Path) -> [(&'static str, Option<PathBuf>); 2] {
    let folder = place.join("busybox-only");
    std::fs::create_dir_all(&folder).unwrap();
    let find = |name: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("the tests need {name}"))
    };
    let busybox = find("busybox");
    let _there = std::os::unix::fs::symlink(find("flock"), folder.join("flock"));
    for applet in [
        "sh",
        "cat",
        "mv",
        "rm",
        "mkdir",
        "sync",
        "date",
        "sed",
        "tail",
        "sleep",
        "df",
        "awk",
        "printf",
        "cp",
        "cmp",
        "readlink",
        "tr",
        "id",
        "sha256sum",
        "grep",
        "cut",
        "sort",
        "wc",
        "nc",
        "head",
    ] {
        let _there = std::os::unix::fs::symlink(&busybox, folder.join(applet));
    }
    [("sh", None), ("busybox", Some(folder))]
}

struct Place {
    folder: tempfile::TempDir,
    path: Option<PathBuf>,
}

impl Place {
    fn call(&self, words: &[&str], stdin: &str) -> Output {
        self.call_by(&["sh"], words, stdin)
    }

    /// In a group of its own, with `two` on its standard input.
    fn spawn(&self, words: &[String]) -> std::process::Child {
        use std::io::Write as _;
        use std::os::unix::process::CommandExt as _;
        let mut command = Process::new("sh");
        command.args(["-c", PROGRAM, "windlass", &words[0]]);
        command.arg(self.folder.path().join("a folder's")).arg("4").args(&words[1..]).process_group(0);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"two\n").unwrap();
        child
    }

    fn call_by(&self, shell: &[&str], words: &[&str], stdin: &str) -> Output {
        self.send(shell, words, stdin, stdin.len())
    }

    /// With `bytes` announced on standard input.
    fn send(&self, shell: &[&str], words: &[&str], stdin: &str, bytes: usize) -> Output {
        use std::io::Write as _;
        let mut command = Process::new(shell[0]);
        command.args(&shell[1..]).args(["-c", PROGRAM, "windlass", words[0]]);
        command.arg(self.folder.path().join("a folder's")).arg(bytes.to_string()).args(&words[1..]);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let _unread = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn expect(&self, words: &[&str], code: i32, out: &str) {
        let output = self.call(words, "{}\n");
        let text = String::from_utf8_lossy(&output.stdout);
        let shown = format!("{words:?}: {output:?}");
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(text.contains(out), "{shown}");
    }

    fn kept(&self) -> String {
        String::from_utf8(self.call(&["look"], "").stdout).unwrap()
    }
}

fn each_shell(test: impl Fn(&Place)) {
    let place = tempfile::tempdir().unwrap();
    for (name, path) in shells(place.path()) {
        println!("by {name}");
        test(&Place { folder: tempfile::tempdir().unwrap(), path });
    }
}

#[tokio::test]
async fn the_types_say_what_the_program_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut context = looking(folder.path().to_owned(), folder.path().to_owned(), Default::default());
    let host = Host::here(folder.path(), "production");
    assert_eq!(host.look(&context).await.unwrap().record, None);
    (context.run, context.epoch) = (RunId("run-1".into()), 1);
    assert_eq!(host.lock(&context, "ann", 60, 4).await.unwrap(), 5);
    let mut other = context.clone();
    other.run = RunId("run-2".into());
    let Err(RemoteError::Locked(lock)) = host.lock(&other, "bob", 60, 0).await else {
        panic!("two have the lock")
    };
    assert_eq!((lock.run.as_str(), lock.person.as_str(), lock.fence), ("run-1", "ann", 5));
    assert_eq!(host.renew(&other, 60).await, Err(RemoteError::NotOurs));
    let record = Record {
        schema: SCHEMA,
        environment: "production".into(),
        run: "run-1".into(),
        step: "deploy/1".into(),
        fence: 5,
        version: "1.0.0".into(),
        tag: "v1.0.0".into(),
        release: "1.0.0".into(),
        files: Vec::new(),
        project: String::new(),
        images: Default::default(),
        colour: None,
        idle: None,
        made: None,
        state: State::Live,
        at: jiff::Timestamp::UNIX_EPOCH,
        previous: None,
    };
    host.write(&context, &record, true).await.unwrap();
    let kept = host.look(&context).await.unwrap();
    assert_eq!((kept.record.as_ref(), kept.fence), (Some(&record), 5));
    assert!(kept.has_passed("1.0.0") && kept.held().is_some());
    let (broken, fence) = host.break_lock(&context, "carl", "gone", 0).await.unwrap();
    assert_eq!((broken.unwrap().run.as_str(), fence), ("run-1", 6));
    let refused = host.write(&context, &record, false).await.unwrap_err();
    assert!(matches!(refused, RemoteError::Fenced { given: 5, highest: 6, .. }), "{refused}");
    assert!(matches!(ActionError::from(refused), ActionError::Final(_)));
}
