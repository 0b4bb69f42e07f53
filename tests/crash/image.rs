//! A disk as a power cut may leave it, reckoned from what was done on it.
//!
//! Nothing is assumed that POSIX does not promise: octets are safe once their file was synced, and
//! names once their folder was. What is not safe is lost, kept, or lost in part: sectors of 512
//! octets each for itself, names in the order in which they were made, as journals of file systems
//! keep them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::dice::Dice;
use crate::watch::Deed;

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// What a name stands for: a file or a folder, by its place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir(usize),
    File(usize),
}

/// The names in a folder.
type Names = BTreeMap<OsString, Node>;

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Arc<[u8]>),
    Resize(u64),
}

#[derive(Clone, Debug, Default)]
struct File {
    safe: Vec<u8>,
    /// What is not safe, in order; and whether the system has forgotten to write it.
    pending: Vec<(Change, bool)>,
}

/// A change of the names in one folder or in two.
#[derive(Clone, Debug)]
struct Naming {
    /// What goes.
    from: Option<Place>,
    /// What comes, and what it is.
    to: Option<(Place, Node)>,
}

/// A name in a folder.
#[derive(Clone, Debug)]
struct Place {
    dir: usize,
    name: OsString,
}

/// A disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    files: Vec<File>,
    /// The names in each folder as a process sees them; the watched one is the first.
    now: Vec<Names>,
    /// Those that are safe; what is in a folder whose own name is not cannot be reached.
    safe: Vec<Names>,
    /// What is between the two, in order.
    pending: Vec<Naming>,
}

impl Default for Disk {
    fn default() -> Self {
        let (now, safe) = (vec![Names::new()], vec![Names::new()]);
        Self { files: Vec::new(), now, safe, pending: Vec::new() }
    }
}

/// What is left of what was not safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// As where a process ends and the system goes on.
    All,
    /// What the dice say.
    Some,
}

impl Disk {
    /// The folder `dir`, all of which is safe.
    pub(crate) fn of(dir: &Path) -> Self {
        let mut disk = Self::default();
        let mut open = vec![(dir.to_owned(), 0)];
        while let Some((folder, at)) = open.pop() {
            for entry in fs::read_dir(&folder).expect("the folder can be read") {
                let path = entry.expect("the folder can be read").path();
                let name = path.file_name().expect("it has a name").to_owned();
                let node = if path.is_dir() {
                    let node = disk.new_dir();
                    open.push((path, disk.now.len() - 1));
                    node
                } else {
                    let safe = fs::read(&path).expect("the file can be read");
                    disk.files.push(File { safe, pending: Vec::new() });
                    Node::File(disk.files.len() - 1)
                };
                disk.now[at].insert(name, node);
            }
        }
        disk.safe = disk.now.clone();
        disk
    }

    fn new_dir(&mut self) -> Node {
        self.now.push(Names::new());
        self.safe.push(Names::new());
        Node::Dir(self.now.len() - 1)
    }

    /// What a path stands for, as a process sees it.
    fn node(&self, path: &Path) -> Option<Node> {
        path.iter().try_fold(Node::Dir(0), |node, name| match node {
            Node::Dir(at) => self.now[at].get(name).copied(),
            Node::File(_) => None,
        })
    }

    fn place(&self, path: &Path) -> Option<Place> {
        match self.node(path.parent()?)? {
            Node::Dir(dir) => Some(Place { dir, name: path.file_name()?.to_owned() }),
            Node::File(_) => None,
        }
    }

    /// Takes what was done next.
    pub(crate) fn take(&mut self, deed: &Deed) {
        match deed {
            Deed::Make(path) => {
                self.files.push(File::default());
                self.name(None, Some((path, Node::File(self.files.len() - 1))));
            }
            Deed::MakeDir(path) => {
                let dir = self.new_dir();
                self.name(None, Some((path, dir)));
            }
            Deed::Rename(from, to) => {
                let node = self.node(from);
                self.name(Some(from), node.map(|node| (to.as_path(), node)));
            }
            Deed::Remove(path) => self.name(Some(path), None),
            Deed::Write(path, at, octets) => {
                self.change(path, Change::Write(*at, Arc::clone(octets)));
            }
            Deed::Resize(path, len) => self.change(path, Change::Resize(*len)),
            Deed::Sync(path) => self.sync(path),
            Deed::Forget(path) => {
                if let Some(file) = self.file(path) {
                    let is_write = |change: &Change| matches!(change, Change::Write(..));
                    file.pending.iter_mut().for_each(|(change, lost)| *lost |= is_write(change));
                }
            }
            Deed::Note(_) => {}
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.node(path)? {
            Node::File(at) => self.files.get_mut(at),
            Node::Dir(_) => None,
        }
    }

    fn change(&mut self, path: &Path, change: Change) {
        if let Some(file) = self.file(path) {
            file.pending.push((change, false));
        }
    }

    fn name(&mut self, from: Option<&Path>, to: Option<(&Path, Node)>) {
        let from = from.and_then(|from| self.place(from));
        let to = to.and_then(|(to, node)| Some((self.place(to)?, node)));
        let naming = Naming { from, to };
        naming.apply(&mut self.now);
        self.pending.push(naming);
    }

    fn sync(&mut self, path: &Path) {
        if let Some(file) = self.file(path) {
            let mut forgotten: Vec<(Change, bool)> = Vec::new();
            for (change, is_forgotten) in file.pending.drain(..) {
                if is_forgotten {
                    forgotten.push((change, true));
                } else {
                    // What was forgotten comes no more where it was written anew.
                    forgotten.retain(|(old, _)| !old.meets(&change));
                    change.apply(&mut file.safe, |_sector| true);
                }
            }
            file.pending = forgotten;
            return;
        }
        let Some(Node::Dir(dir)) = self.node(path) else { return };
        let pending = std::mem::take(&mut self.pending);
        for naming in pending {
            if naming.is_in(dir) {
                naming.apply(&mut self.safe);
            } else {
                self.pending.push(naming);
            }
        }
    }

    /// Writes what a power cut now leaves into the empty folder `dir`.
    pub(crate) fn write(&self, dir: &Path, left: Left, dice: &mut Dice) {
        let mut names = if left == Left::All { self.now.clone() } else { self.safe.clone() };
        if left == Left::Some {
            let count = dice.roll(self.pending.len() as u64 + 1) as usize;
            self.pending.iter().take(count).for_each(|naming| naming.apply(&mut names));
        }
        let mut open = vec![(dir.to_owned(), 0)];
        while let Some((folder, at)) = open.pop() {
            for (name, node) in &names[at] {
                let path = folder.join(name);
                match node {
                    Node::Dir(at) => {
                        fs::create_dir(&path).expect("a new folder");
                        open.push((path, *at));
                    }
                    Node::File(at) => {
                        let octets = self.files[*at].left(left, dice);
                        fs::write(path, octets).expect("a new file");
                    }
                }
            }
        }
    }
}

impl File {
    fn left(&self, left: Left, dice: &mut Dice) -> Vec<u8> {
        let mut octets = self.safe.clone();
        for (change, _is_forgotten) in &self.pending {
            match left {
                Left::Nothing => {}
                Left::All => change.apply(&mut octets, |_sector| true),
                Left::Some => {
                    let is_resized = dice.roll(2) == 0;
                    match change {
                        Change::Resize(_) if !is_resized => {}
                        change => change.apply(&mut octets, |_sector| dice.roll(2) == 0),
                    }
                }
            }
        }
        octets
    }
}

impl Change {
    /// Whether both write the same octets, or one of them cuts them off.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Write(at, one), Self::Write(other_at, other)) => {
                *at < other_at + other.len() as u64 && *other_at < at + one.len() as u64
            }
            _ => true,
        }
    }

    /// Changes `octets`, of a write the sectors that are `kept`.
    fn apply(&self, octets: &mut Vec<u8>, mut kept: impl FnMut(u64) -> bool) {
        match self {
            Self::Resize(len) => octets.resize(usize::try_from(*len).expect("it is small"), 0),
            Self::Write(at, new) => {
                let end = at + new.len() as u64;
                for sector in at / SECTOR..end.div_ceil(SECTOR) {
                    if !kept(sector) {
                        continue;
                    }
                    let from = (sector * SECTOR).max(*at);
                    let to = ((sector + 1) * SECTOR).min(end);
                    let place = from as usize..to as usize;
                    if octets.len() < place.end {
                        octets.resize(place.end, 0);
                    }
                    octets[place].copy_from_slice(&new[(from - at) as usize..(to - at) as usize]);
                }
            }
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut [Names]) {
        if let Some(Place { dir, name }) = &self.from {
            names[*dir].remove(name);
        }
        if let Some((Place { dir, name }, node)) = &self.to {
            names[*dir].insert(name.clone(), *node);
        }
    }

    /// Whether it is about a name in the folder `dir`.
    fn is_in(&self, dir: usize) -> bool {
        let to = self.to.as_ref().map(|(place, _node)| place);
        self.from.iter().chain(to).any(|place| place.dir == dir)
    }
}
