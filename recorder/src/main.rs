//! imon-record: packets of an interface, or of a capture file, become segment files. Stores no
//! payload, sends nothing.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    imon_record::main()
}
