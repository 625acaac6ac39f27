//! What was found once is not found again: every file of `testdata/fuzz/TARGET/` through its
//! target, and every capture and segment that is kept with the sources through the targets for
//! those.

use imon_fuzz::targets::by_name;
use std::fs;
use std::path::{Path, PathBuf};

fn testdata(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(folder)
}

/// The files in a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder of testdata").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn former_findings_are_found_no_more() {
    let mut inputs = 0;
    for folder in files(&testdata("fuzz")) {
        let target = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let run = by_name(&target).unwrap_or_else(|| panic!("testdata/fuzz/{target}: no target has that name"));
        for file in files(&folder) {
            println!("{}", file.display());
            run(&fs::read(&file).expect("a readable file"));
            inputs += 1;
        }
    }
    assert!(inputs >= 5, "{inputs} inputs");
}

#[test]
fn captures_and_segments_of_testdata_pass_their_targets() {
    let capture = by_name("capture_file").expect("a target");
    for file in files(&testdata("pcap")).into_iter().chain(files(&testdata("field"))) {
        println!("{}", file.display());
        capture(&fs::read(&file).expect("a readable file"));
    }
    let segment = by_name("segment").expect("a target");
    for file in files(&testdata("segments")).iter().filter(|f| f.extension().is_some_and(|e| e == "seg")) {
        println!("{}", file.display());
        let bytes = fs::read(file).expect("a readable file");
        // As it is, with checksums put right, and with blocks put in order.
        for mode in [0, 1, 3] {
            segment(&[&[mode], &bytes[..]].concat());
        }
    }
}
