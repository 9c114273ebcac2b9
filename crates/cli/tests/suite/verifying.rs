//! Verifying a deployment on a service that answers: smoke scripts, time-boxed lists, expected results, health with its
//! version, and what is said when one of them is not as it should be.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use windlass_testkit::repo::RepoBuilder;

use crate::support::{expect, windlass};

/// A service that says of itself what the test tells it.
struct Service {
    address: String,
    says: Arc<Mutex<(&'static str, &'static str)>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new(("healthy", "1.1.0")));
        let shared = says.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut asked = [0; 2048];
                let length = stream.read(&mut asked).unwrap_or(0);
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                let (status, version) = *shared.lock().unwrap();
                let (code, body) = match asked.split(' ').nth(1).unwrap_or_default() {
                    "/health" => (200, format!("{{\"status\":\"{status}\",\"version\":\"{version}\"}}")),
                    "/ready" | "/login" | "/" => (200, "here".to_owned()),
                    "/api/orders" if status == "healthy" => (200, "[]".to_owned()),
                    "/api/orders" => (503, "no".to_owned()),
                    "/docs" => (200, format!("The manual of {version}")),
                    // What is published: a program that people install from here.
                    "/tool" => (
                        200,
                        format!("case $1 in --version) echo {version} ;; *) echo would run \"$2\" ;; esac\n"),
                    ),
                    _ => (404, "none".to_owned()),
                };
                let head = format!(
                    "HTTP/1.1 {code} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _gone = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { address, says }
    }

    fn say(&self, status: &'static str, version: &'static str) {
        *self.says.lock().unwrap() = (status, version);
    }

    /// A repository whose runbook verifies this service.
    fn verified_by(&self, steps: &str) -> RepoBuilder {
        let repo = RepoBuilder::new();
        let smoke = "#!/bin/sh\nfor path in health login api/orders; do\n  if curl -fsS \"$PROD_URL/$path\" >/dev/null; then \
                     echo \"OK $path\"; else echo \"KO $path\"; ko=1; fi\ndone\nexit ${ko-0}\n";
        repo.file("smoke-test.sh", smoke);
        let address = &self.address;
        let text = format!(
            "---\nname: verify\nroles: [qa]\nenv: {{ PROD_URL: \"{address}\" }}\n---\n# Verify\n\n## Steps\n\n{steps}\n## Common \
             errors\n\n| Error | Cause | Solution |\n|---|---|---|\n| Orders KO | the queue is full | drain it |\n| Pods crash | no \
             memory | more memory |\n"
        );
        repo.file("runbooks/verify.md", text);
        repo.file(
            "windlass.toml",
            format!("[environments.production]\nurl = \"{address}\"\nhealth = \"/health\"\n"),
        );
        repo.commit("feat: begin");
        repo
    }
}

const SMOKE: &str = "### Smoke test\n\n```sh {id=smoke}\nsh smoke-test.sh\n```\n\n";

/// The lists of the documents, with boxes of so long.
fn lists(critical: &str, full: &str) -> String {
    format!(
        "### Check\n- Owner: qa\n\n**Critical checklist ({critical})**:\n\n- [ ] Reachable: `curl -fsS \"$PROD_URL/\"`\n\
         - [ ] Login works: `curl -fsS \"$PROD_URL/login\"`\n- [ ] API health: `curl -fsS \"$PROD_URL/health\"`\n\
         - [ ] No 5xx errors: `curl -fsS \"$PROD_URL/api/orders\"`\n\n**Full checklist ({full})**:\n\n\
         - [ ] Main journey: `sh smoke-test.sh`\n- [ ] The UI looks right\n\n"
    )
}

/// What health answers, with its version.
const EXPECTED: &str = "### Expect\n\n```yaml\nuses: http.check\nwith:\n  url: \"{{ env.PROD_URL }}/health\"\n  expect: { json: { \
                        \"$.status\": healthy, \"$.version\": 1.1.0 } }\n```\n\n";

/// The last step: what is there is what was deployed.
const VALIDATED: &str = "### Validate\n\n```yaml\nuses: deploy.verify\nwith: { environment: production, version: 1.1.0 }\n```\n\n";

#[test]
fn a_deployment_is_verified_by_scripts_lists_and_people() {
    let service = Service::start();
    let repo = service.verified_by(&format!("{SMOKE}{}{EXPECTED}{VALIDATED}", lists("5 min", "30 min")));
    expect(
        &windlass(&repo, &["plan", "verify"]),
        0,
        &["Critical checklist", "within 5m", "Full checklist", "within 30m", "verify 1.1.0 in production"],
    );
    // People are waited for within the box; what commands can tell, commands tell.
    let ran = windlass(&repo, &["run", "verify"]);
    expect(
        &ran,
        4,
        &["OK health", "OK api/orders", "✓ No 5xx errors", "waits for qa: The UI looks right", "until "],
    );
    let gate = windlass(&repo, &["status", "--json"]).json()["gates"][0].clone();
    assert!(gate["deadline"].is_string(), "{gate}");
    let item = gate["path"].as_str().unwrap();
    expect(&windlass(&repo, &["confirm", item]), 0, &[]);
    expect(&windlass(&repo, &["resume"]), 0, &["✓ verify 1.1.0 in production", "verify succeeded"]);
}

#[test]
fn what_is_not_as_expected_stops_and_says_so() {
    let service = Service::start();
    let check = |steps: &str, texts: &[&str]| {
        let repo = service.verified_by(steps);
        expect(&windlass(&repo, &["run", "verify"]), 1, texts);
        repo
    };
    // The version before still serves.
    service.say("healthy", "1.0.0");
    check(EXPECTED, &["answered with \"1.0.0\" at $.version, not \"1.1.0\""]);
    check(
        VALIDATED,
        &["production is not 1.1.0 as deployed: ", "answered with the version \"1.0.0\", not 1.1.0"],
    );
    service.say("sick", "1.1.0");
    check(EXPECTED, &["answered with \"sick\" at $.status, not \"healthy\""]);
    // The smoke script's own words choose the row of the known errors, now and whenever somebody asks.
    let repo = check(
        SMOKE,
        &[
            "OK login",
            "KO api/orders",
            "known error: Orders KO",
            "cause:    the queue is full",
            "solution: drain it",
        ],
    );
    let status = windlass(&repo, &["status"]);
    expect(&status, 0, &["known error: Orders KO\n", "  solution: drain it"]);
    assert!(!status.out.contains("Pods crash"), "{}", status.out);
    let data = windlass(&repo, &["status", "--json"]).json();
    assert_eq!(data["known_errors"][0]["cause"], "the queue is full");
    check(&lists("5 min", "30 min"), &["No 5xx errors", "503"]);
}

#[test]
fn a_box_that_is_over_is_over() {
    let service = Service::start();
    // What runs at its end is stopped.
    let slow = "### Check\n\n**Critical (1 s)**:\n\n- [ ] Slow: `sleep 60`\n- [ ] After: `touch after`\n\n";
    let repo = service.verified_by(slow);
    let began = std::time::Instant::now();
    expect(&windlass(&repo, &["run", "verify"]), 1, &["✗", "Slow", "it took longer than"]);
    assert!(began.elapsed().as_secs() < 20 && !repo.path().join("after").exists());
    // Nobody answered in time, and nobody was there to see the time pass; an answer after it counts for nothing.
    let repo = service.verified_by(&lists("5 min", "2 s"));
    expect(&windlass(&repo, &["run", "verify"]), 4, &["waits for qa: The UI looks right"]);
    let item = windlass(&repo, &["status", "--json"]).json()["gates"][0]["path"].as_str().unwrap().to_owned();
    std::thread::sleep(std::time::Duration::from_millis(2200));
    let late = windlass(&repo, &["confirm", &item]);
    println!("{}{}", late.out, late.err);
    expect(&windlass(&repo, &["resume"]), 1, &["nobody confirmed in time that “The UI looks right”"]);
}

/// What was published, looked at as its users get it.
const PUBLISHED: &str = "### Published

```yaml
uses: http.check
with: { url: \"{{ env.PROD_URL }}/docs\", expect: { body: \"manual of 1\\\\.1\\\\.0\" } }
```
```sh {id=install effects=none}
folder=$(mktemp -d)
curl -fsS \"$PROD_URL/tool\" -o \"$folder/tool\"
found=$(sh \"$folder/tool\" --version)
echo \"installed $found\"
test \"$found\" = 1.1.0
sh \"$folder/tool\" --dry-run \"a task\"
```

**After the release (10 min)**:

- [ ] The release is published: `curl -fsS \"$PROD_URL/\"`
- [ ] The documentation is there: `curl -fsS \"$PROD_URL/docs\"`
- [ ] The package can be had: `curl -fsS \"$PROD_URL/tool\"`
- [ ] Smoke tests pass: `sh smoke-test.sh`

";

#[test]
fn what_was_published_is_installed_and_tried() {
    let service = Service::start();
    let repo = service.verified_by(PUBLISHED);
    let good =
        ["✓ check http://", "installed 1.1.0", "would run a task", "✓ Smoke tests pass", "verify succeeded"];
    expect(&windlass(&repo, &["run", "verify"]), 0, &good);
    // The documentation is of the version before, and so is the program.
    service.say("healthy", "1.0.0");
    expect(&windlass(&repo, &["run", "verify"]), 1, &["answered without a match of `manual of 1\\.1\\.0`"]);
    let repo = service.verified_by(&PUBLISHED.replace("manual of 1\\\\.1\\\\.0", "manual"));
    let ran = windlass(&repo, &["run", "verify"]);
    expect(&ran, 1, &["installed 1.0.0"]);
    assert!(!ran.err.contains("would run"), "{}", ran.err);
}

#[test]
fn destructive_and_impossible_commands_are_pointed_at_when_planned() {
    let service = Service::start();
    let repo = service.verified_by(
        "### Clean\n\n```sh\ndocker system prune -a\ndocker build --dry-run .\ndocker tag app:old app:latest\ndocker push \
         user/app:latest\n```\n\n",
    );
    for command in [&["check"][..], &["plan", "verify"]] {
        let ran = windlass(&repo, command);
        let all = format!("{}{}", ran.out, ran.err);
        for text in [
            "this deletes every image no container uses",
            "`docker build` has no --dry-run",
            "`user/app:latest` is not what was tagged here: `app:latest` is, and stays on this machine",
        ] {
            assert!(all.contains(text), "{command:?}: no `{text}` in:\n{all}");
        }
    }
}
