//! The bench in small, as it is run for every change: no request through HAProxy may fail.
#![allow(clippy::unwrap_used, reason = "a failed expectation is the report")]

use std::process::Command;

#[test]
fn no_request_fails_in_a_small_run() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_windlass-switch"));
    bench.args(["--requests", "6000", "--switches", "6", "--kill", "2", "--others", "1", "--rate", "2000"]);
    let output = bench.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let rows: Vec<&str> = out.lines().filter(|line| line.contains("| ")).skip(1).collect();
    for (row, begin) in rows.iter().zip(["| HAProxy", "| nginx", "| Caddy", "| stop and start"]) {
        assert!(row.starts_with(begin), "{out}");
    }
    let cells: Vec<&str> = rows.first().unwrap().split('|').map(str::trim).collect();
    let number = |place: usize| cells.get(place).and_then(|cell| cell.parse::<u64>().ok());
    assert!(number(2) >= Some(6000), "{out}");
    assert_eq!((number(3), number(5)), (Some(6), Some(0)), "{out}");
    // The way that loses requests does: the load is able to see a failure.
    let stopped: Vec<&str> = rows.last().unwrap().split('|').map(str::trim).collect();
    assert_ne!(stopped.get(5), Some(&"0"), "{out}");
}
