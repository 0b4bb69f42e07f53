//! Child processes that do not outlive their test.

use std::io;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use super::wait_up_to;

/// A child that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command`. `package` is Debian's package of the program, where it is not ours.
    pub(crate) fn start(command: &mut Command, package: Option<&str>) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        match command.spawn() {
            Ok(child) => Self { name, child },
            Err(error) => panic!("{}", hint(&name, &error, package)),
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; nothing when it does not come in time.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        wait_up_to(patience, || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by its id.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{}: SIG{name} not sent", self.name);
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end and returns what it printed; panics when it fails.
pub(crate) fn output(command: &mut Command, package: Option<&str>) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => panic!("{}", hint(&name, &error, package)),
    };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {told}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hint(name: &str, error: &io::Error, package: Option<&str>) -> String {
    match package {
        Some(package) if error.kind() == io::ErrorKind::NotFound => {
            format!("{name} is missing; this installs it: apt-get install {package}")
        }
        _ => format!("{name} cannot be started: {error}"),
    }
}
