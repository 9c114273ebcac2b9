//! What a host tells about how much the containers of a service use of what they may.
//!
//! The numbers are those of `docker stats`, and no arithmetic over the kernel's files: docker knows where those are with
//! each version of control groups and each driver, leaves the page cache out of the memory, takes the host's memory where
//! a container has no limit, and measures the CPU between two moments of its own, about a second apart
//! (<https://docs.docker.com/reference/cli/docker/container/stats/>). Of the CPU it says how many are used, 100 % for each
//! one; how many a container may use stands in its configuration.

use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::{Host, RemoteError, Result};

/// What a container that runs uses, as shares of what it may.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    /// Its id.
    pub id: String,
    /// Of the CPUs that its limits leave it, or else of the host's.
    pub cpu: f64,
    /// Of its limit, or else of the host's memory; without the page cache.
    pub memory: f64,
}

impl Host {
    /// What the containers of a service (`*` for every one) of a compose project use, those that run.
    ///
    /// # Errors
    /// When the host or its docker cannot be asked, or docker does not tell it of one of them.
    pub async fn usage(&self, context: &Context, project: &str, service: &str) -> Result<Vec<Used>> {
        let text = self.call(context, "usage", &[project, service], None, true).await?;
        parse_usage(&text)
            .map_err(|why| RemoteError::Failed(format!("{}: {}", self.name, context.world.masker.mask(&why))))
    }
}

fn parse_usage(text: &str) -> std::result::Result<Vec<Used>, String> {
    let strange = |line: &str| {
        let line: String = sanitize_line(line).chars().take(120).collect();
        format!("docker told of its containers what is not understood: `{line}`")
    };
    let mut cpus = 0.0;
    let mut allowed: Vec<(&str, f64)> = Vec::new();
    let mut used = Vec::new();
    let mut is_whole = false;
    for line in text.lines() {
        is_whole = line == "end";
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["cpus", number] => {
                cpus = number.parse().ok().filter(|cpus| *cpus >= 1.0).ok_or_else(|| strange(line))?;
            }
            ["container", id, _, limits @ ..] => {
                allowed.push((id, may_use(cpus, limits).ok_or_else(|| strange(line))?));
            }
            // It ended meanwhile, so docker has nothing to measure.
            ["used", _, _, _, .., "/", "0B"] => {}
            ["used", id, cpu, memory, ..] => {
                let limit = allowed.iter().find(|(known, _)| known == id).map(|(_, limit)| limit);
                let percent = |text: &str| {
                    text.strip_suffix('%')?.parse::<f64>().ok().filter(|it| (0.0..1e9).contains(it))
                };
                let (Some(limit), Some(cpu), Some(memory)) = (limit, percent(cpu), percent(memory)) else {
                    return Err(strange(line));
                };
                used.push(Used { id: sanitize_line(id), cpu: cpu / 100.0 / limit, memory: memory / 100.0 });
            }
            _ if is_whole || line.is_empty() => {}
            _ => return Err(strange(line)),
        }
    }
    if is_whole { Ok(used) } else { Err("docker told of its containers only in part".into()) }
}

/// How many CPUs a container may use: the fewest that `--cpus`, a quota, `--cpuset-cpus` and the host leave it.
fn may_use(cpus: f64, limits: &[&str]) -> Option<f64> {
    let [nano, quota, period, set] = limits else { return None };
    let [nano, quota, period]: [f64; 3] = [nano.parse().ok()?, quota.parse().ok()?, period.parse().ok()?];
    let mut may = cpus;
    if nano > 0.0 {
        may = may.min(nano / 1e9);
    }
    if quota > 0.0 {
        // A period of 100 ms is docker's own when none is given.
        may = may.min(quota / if period > 0.0 { period } else { 100_000.0 });
    }
    if !set.is_empty() {
        let mut count = 0.0;
        for part in set.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            count += f64::from(last.checked_sub(first)?) + 1.0;
        }
        may = may.min(count);
    }
    (may > 0.0).then_some(may)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_a_container_may_use() {
        let check = |limits: &str, cpu: &str, expect: f64| {
            let text =
                format!("cpus 4\ncontainer a running {limits}\nused a {cpu} 12.50% 10MiB / 80MiB\nend\n");
            let used = parse_usage(&text).unwrap();
            assert!((used[0].cpu - expect).abs() < 1e-9, "{limits}: {used:?}");
            assert!((used[0].memory - 0.125).abs() < 1e-9, "{used:?}");
        };
        check("0 0 0 ", "100.00%", 0.25);
        check("500000000 0 0 ", "45.00%", 0.9);
        check("0 50000 100000 ", "45.00%", 0.9);
        check("0 20000 0 ", "10.00%", 0.5);
        check("0 -1 0 ", "400.00%", 1.0);
        check("0 0 0 0-1", "100.00%", 0.5);
        check("0 0 0 1,3", "100.00%", 0.5);
        check("1500000000 0 0 0-2", "150.00%", 1.0);
        // A limit above what the host has is none.
        check("64000000000 0 0 ", "200.00%", 0.5);
    }

    #[test]
    fn what_docker_does_not_tell_is_not_zero() {
        let head = "cpus 2\ncontainer a running 0 0 0 \ncontainer b exited 0 0 0 \n";
        let check = |rest: &str, expect: std::result::Result<usize, &str>| {
            let found = parse_usage(&format!("{head}{rest}")).map(|used| used.len());
            match expect {
                Ok(count) => assert_eq!(found, Ok(count), "{rest}"),
                Err(why) => {
                    assert!(found.as_ref().is_err_and(|told| told.contains(why)), "{rest}: {found:?}")
                }
            }
        };
        check("used a 0.50% 1.00% 1MiB / 100MiB\nend\n", Ok(1));
        check("end\n", Ok(0));
        // It ended between the two questions.
        check("used a 0.00% 0.00% 0B / 0B\nend\n", Ok(0));
        // Docker did not get the numbers in its time.
        check("used a -- -- -- / --\nend\n", Err("not understood: `used a"));
        check("used c 1.00% 1.00% 1MiB / 100MiB\nend\n", Err("not understood"));
        check("used a 1.00% NaN% 1MiB / 100MiB\nend\n", Err("not understood"));
        check("used a 1.00% 1.00% 1MiB / 100MiB\n", Err("only in part"));
        check("Error response from daemon\nend\n", Err("not understood: `Error response"));
        for wrong in
            ["", "cpus 0\nend\n", "cpus x\nend\n", "cpus 1\ncontainer a running <no value> 0 0 \nend\n"]
        {
            assert!(parse_usage(wrong).is_err(), "{wrong}");
        }
    }
}
