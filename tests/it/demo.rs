//! The demo of the README ends well, and says what it showed.

use std::process::Command;

use crate::harness::machine;

#[test]
fn the_demo_shows_the_whole_job() {
    // It makes calls, whose ports are of the range that an engine has by default.
    let _machine = machine();
    let output = Command::new(env!("CARGO_BIN_EXE_bajavoz"))
        .args(["demo", "--once"])
        .output()
        .expect("the program starts");
    let shown = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{errors}");
    for number in ["+34600000001", "+34600000002", "+34600000003", "+34600000004"] {
        let refused = format!("{number}: 603, suppressed;list=comercial");
        assert!(shown.contains(&refused), "expected `{refused}` in:\n{shown}");
    }
    for method in ["method=event", "method=tone", "method=info"] {
        assert!(shown.contains(method), "expected a record by {method} in:\n{shown}");
    }
}
