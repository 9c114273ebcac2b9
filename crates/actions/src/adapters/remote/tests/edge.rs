//! The proxies: files that are rendered, sockets that are talked to.

use super::*;

/// What a rendering is called with, for a file that holds `before`.
fn render<'a>(file: &'a str, sum: &'a str, test: &'a [&'a str], reload: &'a [&'a str]) -> Vec<&'a str> {
    const COUNTS: [&str; 4] = ["0", "1", "2", "3"];
    let mut words = vec!["render", "1", file, sum, COUNTS[test.len()]];
    words.extend(test.iter().chain(reload));
    words
}

#[test]
fn a_file_is_rendered_whole_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt as _;
    each_shell(|place| {
        let folder = place.folder.path().join("etc of it's");
        std::fs::create_dir(&folder).unwrap();
        let (real, link) = (folder.join("real.cfg"), folder.join("link.cfg"));
        std::fs::write(&real, "one\n").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let file = link.display().to_string();
        let says = |expect: &str| {
            assert_eq!(std::fs::read_to_string(&real).unwrap(), expect);
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
            let names: Vec<_> =
                std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
            assert_eq!(names.len(), 2, "{names:?}");
        };
        let one = windlass_core::plan::sha256_hex(b"one\n");
        let run = |words: &[&str], code: i32, told: &str| {
            let output = place.call(words, "two\n");
            let shown = format!("{words:?}: {output:?}");
            assert_eq!(output.status.code(), Some(code), "{shown}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{shown}");
        };
        place.expect(&["show", &file], 0, "one");
        place.expect(&["settle", "1", &file], 0, "one");
        // Refused by the test, by the reload, and because it is not what was looked at.
        let fails = ["sh", "-c", "echo 'no $(id) good' >&2; exit 3"];
        run(&render(&file, &one, &fails, &[]), 77, "no $(id) good");
        says("one\n");
        run(&render(&file, &one, &[], &fails), 77, "no $(id) good");
        says("one\n");
        run(&render(&file, "0", &[], &[]), 78, "changed meanwhile");
        says("one\n");
        // The test sees the new file, each word as it is; the reload comes after it.
        let mark = place.folder.path().join("a mark");
        let mark = mark.display().to_string();
        let test = ["grep", "two", &file];
        run(&render(&file, &one, &test, &["cp", &file, &mark]), 0, "");
        says("two\n");
        assert_eq!(std::fs::read_to_string(&mark).unwrap(), "two\n");
        place.expect(&["render", "0", &file, "x", "0"], 75, "1");
        run(&["show", "/nowhere/at all"], 71, "there is no file /nowhere/at all");
        run(&["settle", "1", "/nowhere/at all"], 71, "there is no file");
    });
}

#[test]
fn an_interrupted_rendering_goes_back_unless_somebody_wrote_since() {
    each_shell(|place| {
        for (since, expect) in [(None, "one\n"), (Some("three\n"), "three\n")] {
            let file = place.folder.path().join("file.cfg");
            std::fs::write(&file, "one\n").unwrap();
            let name = file.display().to_string();
            let one = windlass_core::plan::sha256_hex(b"one\n");
            // The program is ended while it waits for the test, by the process that is its parent's leader here.
            let test =
                ["sh", "-c", "echo >\"$0\"; exec sleep 60", &format!("{name}.begun")].map(str::to_owned);
            let mut words = vec!["render".to_owned(), "1".into(), name.clone(), one, "4".into()];
            words.extend(test);
            let mut child = place.spawn(&words);
            let begun = format!("{name}.begun");
            while !Path::new(&begun).exists() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let group = format!("-{}", child.id());
            let killed = Process::new("kill").args(["-KILL", "--", &group]).status().unwrap();
            assert!(killed.success());
            child.wait().unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "two\n");
            if let Some(since) = since {
                std::fs::write(&file, since).unwrap();
            }
            place.expect(&["settle", "1", &name], 0, expect.trim());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), expect);
            std::fs::remove_file(begun).unwrap();
        }
    });
}

#[test]
fn a_socket_is_talked_to_with_whatever_is_there() {
    use std::io::{Read as _, Write as _};
    let python = Process::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    let python = PathBuf::from(String::from_utf8(python.stdout).unwrap().trim());
    for (name, program) in
        [("perl", PathBuf::from("/usr/bin/perl")), ("python3", python), ("nothing", PathBuf::new())]
    {
        println!("with {name}");
        let tools = tempfile::tempdir().unwrap();
        for tool in ["sh", "cat", "id", "mkdir", "grep", "flock", "date", "rm", "sync", "mv", "wc"] {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
            let found = found.iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(found, tools.path().join(tool)).unwrap();
        }
        if program.is_file() {
            std::os::unix::fs::symlink(program, tools.path().join(name)).unwrap();
        }
        let place = Place { folder: tempfile::tempdir().unwrap(), path: Some(tools.path().to_owned()) };
        let socket = place.folder.path().join("a socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let address = socket.display().to_string();
        if name == "nothing" {
            let output = place.call(&["ask", &address], "how are you\n");
            assert_eq!(output.status.code(), Some(71));
            assert!(String::from_utf8_lossy(&output.stderr).contains("install socat"), "{output:?}");
            continue;
        }
        let server = std::thread::spawn(move || {
            for mut stream in listener.incoming().take(2).flatten() {
                let mut read = [0; 64];
                let length = stream.read(&mut read).unwrap();
                stream.write_all(b"you said: ").unwrap();
                stream.write_all(&read[..length]).unwrap();
            }
        });
        place.expect(&["ask", &address], 0, "you said: {}\n");
        place.expect(&["tell", "3", &address], 0, "you said: {}\n");
        server.join().unwrap();
        // A lower fence is not even heard; nobody answers any more, and then there is no socket.
        place.expect(&["tell", "2", &address], 75, "3");
        let refused = place.call(&["ask", &address], "");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("nobody answers"), "{refused:?}");
        std::fs::remove_file(&socket).unwrap();
        let missing = place.call(&["ask", &address], "");
        assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no socket"), "{missing:?}");
        assert_eq!((refused.status.code(), missing.status.code()), (Some(71), Some(71)));
    }
}
