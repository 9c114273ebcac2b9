//! `cargo run --release -p windlass-switch -- [OPTIONS]`

use std::io::{self, Write as _};
use std::process::ExitCode;

use windlass_switch::{Result, orchestrate, report, round};

const HELP: &str = "\
Takes traffic from one server to another through HAProxy, nginx and Caddy, as Windlass does it, and by stopping one
server and starting the other, all under keep-alive POST requests; counts every request that fails.

cargo run --release -p windlass-switch -- [OPTIONS]

  --requests N     requests through HAProxy, at least (20000)
  --switches N     switches of HAProxy (20)
  --kill N         every Nth of them has its orchestrator killed in the middle and resumed (5); 0: none
  --others N       switches of each of the others (5)
  --connections N  connections that are kept open (64)
  --rate N         requests each second, all connections together; 0: as many as go (4000)
  --start MS       how long a server that was stopped takes to start (200)
  --seed N         when orchestrators are killed (1)
  --markdown       begin with the machine, ready for benches/README.md

The figures of the issue: --requests 1000000 --switches 500. HAProxy, nginx and Caddy must be installed. Exit code 1: a
request through HAProxy failed, or a switch did not happen. 2: the bench itself failed.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        let _closed = io::stdout().write_all(HELP.as_bytes());
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let worked = match (runtime, arguments.split_first()) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(runtime), Some((first, rest))) if first == orchestrate::WORD => {
            runtime.block_on(orchestrate::obey(rest)).map(|()| true)
        }
        (Ok(runtime), _) => runtime.block_on(measure(&arguments)),
    };
    match worked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            let _closed = writeln!(io::stderr(), "{why}");
            ExitCode::from(2)
        }
    }
}

async fn measure(arguments: &[String]) -> Result<bool> {
    let (plan, markdown) = plan(arguments)?;
    let rounds = round::all(&plan).await?;
    let text = report::text(&plan, &rounds, markdown);
    io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(rounds.iter().all(|round| round.is_good()))
}

fn plan(arguments: &[String]) -> Result<(round::Plan, bool)> {
    let mut plan = round::Plan::default();
    let mut markdown = false;
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        if name == "--markdown" {
            markdown = true;
            continue;
        }
        let value = rest.next().and_then(|value| value.parse::<u64>().ok());
        let value = value.ok_or_else(|| format!("`{name}` needs a number; --help tells the options"))?;
        match name.as_str() {
            "--requests" => plan.requests = value,
            "--switches" => plan.switches = value,
            "--kill" => plan.kill = value,
            "--others" => plan.others = value,
            "--connections" => plan.connections = value.max(1),
            "--rate" => plan.rate = value,
            "--start" => plan.start = value,
            "--seed" => plan.seed = value,
            _ => return Err(format!("there is no option `{name}`; --help tells them")),
        }
    }
    Ok((plan, markdown))
}
