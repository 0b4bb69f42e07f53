//! A disk whose power can be cut: a file as a disk, with a file system of its own on it.
//!
//! To mount needs root; where the tests are not, sudo must do without a password.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::process;

/// Its size in MiB: two journal segments, and the database, which may be a server's with its logs.
const SIZE_MIB: u64 = 1024;

/// The journal of the file system in MiB, so that it is not what fills the disk.
const JOURNAL_MIB: u64 = 16;

/// Has ext4 stop at once, without writing what it still has in its journal (`EXT4_IOC_SHUTDOWN`,
/// linux/ext4.h, with `EXT4_GOING_FLAGS_NOLOGFLUSH`): for the file system that is a power cut.
const CUT: &str = "import fcntl, os, struct, sys
EXT4_IOC_SHUTDOWN = 2 << 30 | 4 << 16 | ord('X') << 8 | 125
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), EXT4_IOC_SHUTDOWN, struct.pack('I', 2))";

/// A disk, mounted until it is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    at: PathBuf,
}

impl Disk {
    /// A new one, mounted at the empty folder `at`, which belongs to whoever runs the tests.
    pub(crate) fn mount(at: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let disk = Self { folder, at: at.to_owned() };
        let file = std::fs::File::create(disk.image()).expect("the disk's file");
        file.set_len(SIZE_MIB << 20).expect("the disk's size");
        let journal = format!("size={JOURNAL_MIB}");
        let mut make = Command::new("/sbin/mkfs.ext4");
        let make = make.args(["-q", "-F", "-m", "0", "-J", &journal]).arg(disk.image());
        process::output(make, Some("e2fsprogs"));
        disk.mount_again_as(true);
        disk
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Returns once everything that was written so far is on it.
    pub(crate) fn settle(&self) {
        process::output(Command::new("sync").arg("-f").arg(&self.at), None);
    }

    /// Cuts its power: nothing is written from now on, and every step on it fails.
    pub(crate) fn cut(&self) {
        as_root(Command::new("python3").args(["-c", CUT]).arg(&self.at));
    }

    /// Power is back: mounts it again as the cut left it. Nobody may have a file of it open.
    pub(crate) fn mount_again(&self) {
        as_root(Command::new("umount").arg(&self.at));
        self.mount_again_as(false);
    }

    fn mount_again_as(&self, is_new: bool) {
        as_root(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(&self.at));
        if is_new {
            as_root(Command::new("chmod").arg("777").arg(&self.at));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may be in use where a test has failed: then it goes with its last user.
        let mut unmount = root_command();
        let _ = unmount.args(["umount", "--lazy"]).arg(&self.at).status();
    }
}

/// `env`, or that by sudo.
fn root_command() -> Command {
    let id = process::output(Command::new("id").arg("-u"), None);
    let mut command = Command::new(if id.trim() == "0" { "env" } else { "sudo" });
    if id.trim() != "0" {
        command.args(["-n", "env"]);
    }
    command
}

fn as_root(command: &Command) {
    let mut root = root_command();
    root.arg(command.get_program()).args(command.get_args());
    let told = root.output();
    let told = told.unwrap_or_else(|error| panic!("{root:?}: {error}; run the tests as root"));
    let errors = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{root:?}: {errors}; run the tests as root, or `sudo -v` first");
}
