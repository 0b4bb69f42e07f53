//! Watched folders: what was done below each, in its order, and which step is to fail.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use crate::image::Disk;

/// A call that changes a file, or makes a change durable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call<'a> {
    /// Opens for writing, and makes the file where it is missing.
    Open {
        path: &'a Path,
        truncates: bool,
    },
    Write {
        path: &'a Path,
        at: u64,
        octets: &'a [u8],
    },
    /// Of a file, or of a folder's names.
    Sync {
        path: &'a Path,
    },
    Resize {
        path: &'a Path,
        len: u64,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    Remove {
        path: &'a Path,
    },
    MakeDir {
        path: &'a Path,
    },
}

/// What was done, with paths from the watched folder on.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Make(PathBuf),
    Write(PathBuf, u64, Arc<[u8]>),
    Resize(PathBuf, u64),
    Sync(PathBuf),
    /// A sync that failed, after which the system shows what it will never write.
    Forget(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeDir(PathBuf),
    /// The test's own: so many were asked for and so many promised by now.
    Note(Note),
}

/// What a test notes in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Asked(u64),
    Promised(u64),
}

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing is done.
    Refused,
    /// A write stops half way.
    Half,
    /// It is done, and the answer is an error.
    Done,
    /// A sync fails, and what it should have kept will never be written, though it can be read.
    Forgotten,
    /// No failure: a write takes half of what it is given, as any may.
    Short,
}

/// A step of one thread, by its place among that thread's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) thread: String,
    pub(crate) at: u64,
    /// What it did in the run that was counted.
    pub(crate) what: What,
    pub(crate) path: PathBuf,
}

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Open,
    Write,
    Sync,
    Resize,
    Rename,
    Remove,
    MakeDir,
}

impl What {
    /// The ways in which it can fail.
    pub(crate) const fn ways(self) -> &'static [Way] {
        match self {
            Self::Write => &[Way::Refused, Way::Half, Way::Short],
            Self::Sync => &[Way::Refused, Way::Done, Way::Forgotten],
            _ => &[Way::Refused, Way::Done],
        }
    }
}

/// Which steps fail, and how.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) step: Step,
    pub(crate) way: Way,
    pub(crate) code: i32,
    /// How many steps of that thread from there on.
    pub(crate) lasts: u64,
}

impl Fault {
    /// Whether a step of `thread` fails, `hit` having been the first: the one that was counted, or
    /// the next of its kind where threads share their work otherwise than in the run that was
    /// counted; and so many behind it.
    fn is_due(&self, hit: Option<u64>, thread: &str, at: u64, what: What) -> bool {
        let is_in_time = match hit {
            Some(hit) => at < hit + self.lasts,
            None => at >= self.step.at && what == self.step.what,
        };
        is_in_time && thread == self.step.thread
    }
}

#[derive(Debug, Default)]
struct State {
    deeds: Vec<Deed>,
    steps: Vec<Step>,
    counts: BTreeMap<String, u64>,
    fault: Option<Fault>,
    /// The step that failed first.
    hit: Option<u64>,
    /// How many steps there were when everything was to work again.
    mended_at: Option<usize>,
}

/// A folder that is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    dir: TempDir,
    /// What it held when it was begun, as a disk.
    pub(crate) before: Disk,
    state: Arc<Mutex<State>>,
}

type Watched = (PathBuf, Arc<Mutex<State>>);

static ALL: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is at work here, and is not watched itself.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder in memory where the system has such, since nothing here has to outlive the test.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a temporary folder")
}

impl Watch {
    /// The folder `dir`, which holds what `before` shows.
    pub(crate) fn of(dir: TempDir, before: Disk) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        lock(&ALL).push((dir.path().to_owned(), Arc::clone(&state)));
        COUNT.fetch_add(1, Ordering::SeqCst);
        Self { dir, before, state }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Has a step fail.
    pub(crate) fn fail(&self, fault: Fault) {
        lock(&self.state).fault = Some(fault);
    }

    /// Lets everything work; whether the fault was met.
    pub(crate) fn mend(&self) -> bool {
        let mut state = lock(&self.state);
        state.fault = None;
        state.mended_at = state.mended_at.or(Some(state.steps.len()));
        state.hit.is_some()
    }

    /// Where something is noted between the deeds.
    pub(crate) fn notes(&self) -> Notes {
        Notes(Arc::clone(&self.state))
    }

    /// What was done so far.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        lock(&self.state).deeds.clone()
    }

    /// The steps until it was mended.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let state = lock(&self.state);
        state.steps[..state.mended_at.unwrap_or(state.steps.len())].to_vec()
    }

    /// The disk as it is now.
    pub(crate) fn disk(&self) -> Disk {
        let mut disk = self.before.clone();
        self.deeds().iter().for_each(|deed| disk.take(deed));
        disk
    }
}

/// Takes notes for a watched folder.
#[derive(Clone, Debug)]
pub(crate) struct Notes(Arc<Mutex<State>>);

impl Notes {
    pub(crate) fn note(&self, note: Note) {
        lock(&self.0).deeds.push(Deed::Note(note));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&ALL).retain(|(dir, _state)| dir != self.dir.path());
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether any folder is watched.
pub(crate) fn is_on() -> bool {
    COUNT.load(Ordering::Relaxed) > 0 && !IS_INSIDE.get()
}

/// The path of an open file, as the system says it.
pub(crate) fn path_of(fd: RawFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// The same, of a file that may be watched.
pub(crate) fn watched(fd: RawFd) -> Option<PathBuf> {
    if fd <= 2 || !is_on() {
        return None;
    }
    path_of(fd).filter(|path| find(path).is_some())
}

fn find(path: &Path) -> Option<Watched> {
    lock(&ALL).iter().find(|(dir, _state)| path.starts_with(dir)).cloned()
}

impl Call<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::Open { path, .. } | Self::Write { path, .. } | Self::Sync { path } => path,
            Self::Resize { path, .. } | Self::Remove { path } | Self::MakeDir { path } => path,
            Self::Rename { from, .. } => from,
        }
    }

    const fn what(&self) -> What {
        match self {
            Self::Open { .. } => What::Open,
            Self::Write { .. } => What::Write,
            Self::Sync { .. } => What::Sync,
            Self::Resize { .. } => What::Resize,
            Self::Rename { .. } => What::Rename,
            Self::Remove { .. } => What::Remove,
            Self::MakeDir { .. } => What::MakeDir,
        }
    }

    /// What it did, where it is of a file that a power cut leaves something of; `len` octets of a
    /// write are done.
    fn deeds(&self, dir: &Path, is_new: bool, len: usize) -> Vec<Deed> {
        let below = |path: &Path| path.strip_prefix(dir).unwrap_or(path).to_owned();
        let path = below(self.path());
        match self {
            Self::Open { truncates, .. } => {
                let made = is_new.then(|| Deed::Make(path.clone()));
                made.into_iter().chain(truncates.then_some(Deed::Resize(path, 0))).collect()
            }
            Self::Write { at, octets, .. } => vec![Deed::Write(path, *at, octets[..len].into())],
            Self::Sync { .. } => vec![Deed::Sync(path)],
            Self::Resize { len, .. } => vec![Deed::Resize(path, *len)],
            Self::Rename { to, .. } => vec![Deed::Rename(path, below(to))],
            Self::Remove { .. } => vec![Deed::Remove(path)],
            Self::MakeDir { .. } => vec![Deed::MakeDir(path)],
        }
    }
}

/// Whether a power cut leaves nothing of it: files without a name, and SQLite's shared memory,
/// which is made anew.
fn is_passing(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(" (deleted)") || name.ends_with("-shm")
}

/// Hands a call on by `real`, which takes the octets that a write may write; or has it fail.
pub(crate) fn pass(call: Call<'_>, real: impl Fn(usize) -> io::Result<i64>) -> io::Result<i64> {
    let len = if let Call::Write { octets, .. } = call { octets.len() } else { 0 };
    let found = if is_on() { find(call.path()) } else { None };
    let Some((dir, state)) = found else { return real(len) };
    IS_INSIDE.set(true);
    let done = through(&mut lock(&state), &dir, call, len, real);
    IS_INSIDE.set(false);
    done
}

fn through(
    state: &mut State,
    dir: &Path,
    call: Call<'_>,
    len: usize,
    real: impl Fn(usize) -> io::Result<i64>,
) -> io::Result<i64> {
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    let count = state.counts.entry(thread.clone()).or_default();
    let at = *count;
    *count += 1;
    let path = call.path().to_owned();
    state.steps.push(Step { thread: thread.clone(), at, what: call.what(), path });
    let is_due = |fault: &&Fault| fault.is_due(state.hit, &thread, at, call.what());
    let fault = state.fault.as_ref().filter(is_due).map(|fault| (fault.way, fault.code));
    if fault.is_some() {
        state.hit = state.hit.or(Some(at));
    }
    let is_new = matches!(call, Call::Open { path, .. } if !path.exists());
    let does = match fault.map(|(way, _code)| way) {
        None | Some(Way::Done) => Some(len),
        Some(Way::Half | Way::Short) if len > 1 => Some(len / 2),
        Some(Way::Short) => Some(len),
        Some(Way::Half | Way::Refused) => None,
        Some(Way::Forgotten) => {
            let path = call.path().strip_prefix(dir).unwrap_or(dir).to_owned();
            state.deeds.push(Deed::Forget(path));
            None
        }
    };
    let done = does.map(&real).transpose()?;
    if let Some(done) = done
        && !is_passing(call.path())
    {
        state.deeds.extend(call.deeds(dir, is_new, usize::try_from(done).unwrap_or(0)));
    }
    match (fault, done) {
        (None | Some((Way::Short, _)), Some(done)) => Ok(done),
        (Some((_way, code)), _) => Err(io::Error::from_raw_os_error(code)),
        (None, None) => Ok(0),
    }
}
