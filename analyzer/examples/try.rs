#![allow(
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]
use imon_analyze::{
    attribution::AnswerBook,
    commands::{
        self, Sources,
        lines::{LineFormat, Lines},
    },
    ingest::{ReadOptions, read_into},
    range::Range,
    rollup::Rollup,
    site::Sites,
};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let paths: Vec<_> = args[2..].iter().map(Into::into).collect();
    let sources = Sources { paths, options: ReadOptions::default() };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let zone = jiff::tz::TimeZone::UTC;
    match args[1].as_str() {
        "flows" => {
            let mut l = Lines::new(&mut out, "stdout", LineFormat::Json);
            match commands::flows::run(&sources, &Sites::new(), &zone, &mut l) {
                Ok(o) => eprintln!("{o:?}"),
                Err(e) => eprintln!("{e}"),
            }
        }
        "names" => {
            let mut l = Lines::new(&mut out, "stdout", LineFormat::Json);
            match commands::names::run(&sources, &zone, &mut l) {
                Ok(o) => eprintln!("{o:?}"),
                Err(e) => eprintln!("{e}"),
            }
        }
        _ => {
            let mut answers = AnswerBook::default();
            let mut rollup = Rollup::default();
            for p in &sources.paths {
                match read_into(p, &sources.options, &mut answers, &mut rollup) {
                    Ok(_) => {}
                    Err(e) => eprintln!("{e}"),
                }
            }
            let books = rollup.books(&Range::everything(zone));
            println!("{:?} rows {} hosts {}", books.ledger, books.rows.len(), books.hosts.len());
        }
    }
}
