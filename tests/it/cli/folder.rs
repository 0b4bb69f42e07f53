//! A folder with the configuration and prompts that we ship, and the program run in it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The folder; it goes with the value.
pub(super) struct Folder(TempDir);

/// What a run of the program left.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) errors: String,
}

impl Ran {
    /// The lines of `--json`.
    pub(super) fn json(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).expect("each line is JSON");
        self.out.lines().map(read).collect()
    }
}

impl Folder {
    /// What we ship, on ports that nobody else has.
    pub(super) fn shipped() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in ["config", "config/campaigns", "audio/es"] {
            fs::create_dir_all(folder.path(part)).expect("the folder can be made");
            for entry in fs::read_dir(root.join(part)).expect("it is shipped") {
                let entry = entry.expect("it can be read");
                if entry.path().is_file() {
                    let to = folder.path(part).join(entry.file_name());
                    fs::copy(entry.path(), to).expect("it can be copied");
                }
            }
        }
        folder.replace("config/bajavoz.toml", "127.0.0.1:5060", "127.0.0.1:0");
        let http = "\n[http]\nbind = \"127.0.0.1:0\"\n";
        let file = folder.path("config/bajavoz.toml");
        let text = fs::read_to_string(&file).expect("it was copied");
        fs::write(file, text + http).expect("it can be written");
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Changes what stands in a file.
    pub(super) fn replace(&self, name: &str, from: &str, to: &str) {
        let file = self.path(name);
        let text = fs::read_to_string(&file).expect("the file is there");
        assert!(text.contains(from), "{from} stands in {name}");
        fs::write(file, text.replace(from, to)).expect("it can be written");
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bajavoz"));
        command.current_dir(self.0.path()).args(args).env("NO_COLOR", "1");
        command
    }

    /// Runs the program to its end.
    pub(super) fn bajavoz(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            errors: text(output.stderr),
        }
    }
}
