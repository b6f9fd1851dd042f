//! Wake-ups: datagram sockets beside the file, so that nobody has to poll it.
//!
//! A worker binds a *bell* `w-…` in the run directory; whoever has committed a message rings every bell with one
//! byte. It binds a second one, `c-…`, that is rung when tasks are called off. A client that waits for results binds `r-…`; a worker sends the ids of the tasks that have ended. Nothing
//! depends on a datagram's arrival: each listener also looks at the file now and then.

use std::collections::HashMap;
use std::fs::{DirEntry, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest datagram with task ids: well below the default send buffer.
pub(crate) const LONGEST_DATAGRAM: usize = 32 * 1024;
/// A listing younger than this may have missed a bell: the clock of a folder's times is coarse.
const SETTLED_AFTER: Duration = Duration::from_millis(50);
/// Bells rung at most; more listeners than that find their messages by looking.
const MOST_BELLS: usize = 256;
const RING: [u8; 1] = [b'!'];

/// First letters of a bell's name: who listens.
const WORKERS: &str = "w-";
const WAITERS: &str = "r-";
const EARS: &str = "c-";

/// A socket to listen at. Its name goes when it is dropped, by the process that bound it.
pub(crate) struct Bell {
    pub(crate) socket: UnixDatagram,
    place: BellPlace,
}

/// Where a bell is bound.
pub(crate) struct BellPlace {
    path: PathBuf,
    pid: u32,
}

impl Bell {
    /// Binds a worker's bell. `session` makes its name unique.
    pub(crate) fn of_worker(directory: &Path, session: &str) -> io::Result<Self> {
        Self::bind(directory, &format!("{WORKERS}{}-{session}", std::process::id()))
    }

    /// Binds the bell of a client that waits for results.
    pub(crate) fn of_waiter(directory: &Path, number: u64) -> io::Result<Self> {
        Self::bind(directory, &format!("{WAITERS}{}-{number}", std::process::id()))
    }

    /// Binds a worker's bell for what is called off. `session` makes its name unique.
    pub(crate) fn of_ear(directory: &Path, session: &str) -> io::Result<Self> {
        Self::bind(directory, &format!("{EARS}{}-{session}", std::process::id()))
    }

    fn bind(directory: &Path, name: &str) -> io::Result<Self> {
        let folder = open_folder(directory)?;
        let path = directory.join(name);
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(short_path(&folder, directory, name))?;
        Ok(Self { socket, place: BellPlace { path, pid: std::process::id() } })
    }

    /// The socket, and what takes its name away.
    pub(crate) fn into_parts(self) -> (UnixDatagram, BellPlace) {
        (self.socket, self.place)
    }

    /// Where it is bound.
    pub(crate) fn path(&self) -> &Path {
        &self.place.path
    }
}

impl Drop for BellPlace {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Rings the bells of one run directory. Knows who listens from the folder's listing, read anew when it changed.
pub(crate) struct Ringer {
    directory: PathBuf,
    folder: Option<File>,
    /// Modification time of the folder when it was listed, if it had settled by then.
    listed: Option<(i64, i64)>,
    bells: HashMap<String, Option<UnixDatagram>>,
}

impl Ringer {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, folder: None, listed: None, bells: HashMap::new() }
    }

    /// The run directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Wakes every worker: there is something to take.
    pub(crate) fn ring_workers(&mut self) {
        self.send(WORKERS, &[&RING]);
    }

    /// Wakes every worker's ear: tasks were called off.
    pub(crate) fn ring_ears(&mut self) {
        self.send(EARS, &[&RING]);
    }

    /// Tells every waiting client which tasks have ended.
    pub(crate) fn tell_waiters<'a>(&mut self, ended: impl Iterator<Item = &'a str>) {
        let mut ended = ended.peekable();
        if ended.peek().is_none() {
            return;
        }
        self.refresh();
        if !self.bells.keys().any(|name| name.starts_with(WAITERS)) {
            return;
        }
        let mut datagrams = vec![Vec::new()];
        for id in ended.filter(|id| id.len() < LONGEST_DATAGRAM) {
            if datagrams.last().is_some_and(|last| last.len() + id.len() >= LONGEST_DATAGRAM) {
                datagrams.push(Vec::new());
            }
            if let Some(last) = datagrams.last_mut() {
                last.extend_from_slice(id.as_bytes());
                last.push(b'\n');
            }
        }
        let datagrams: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
        self.send(WAITERS, &datagrams);
    }

    fn send(&mut self, listeners: &str, datagrams: &[&[u8]]) {
        self.refresh();
        let Some(folder) = &self.folder else { return };
        let directory = &self.directory;
        self.bells.retain(|name, socket| {
            if !name.starts_with(listeners) {
                return true;
            }
            if socket.is_none() {
                *socket = connect(&short_path(folder, directory, name)).ok();
            }
            let Some(socket) = socket else { return false };
            // A full queue is a bell that rings already. Refused: nobody listens there any more.
            let deaf = |datagram: &&[u8]| {
                socket.send(datagram).is_err_and(|error| {
                    !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
                        && error.raw_os_error() != Some(rustix::io::Errno::NOBUFS.raw_os_error())
                })
            };
            !datagrams.iter().any(deaf)
        });
    }

    /// Reads the listing again if the folder has changed: one `fstat` when it has not.
    fn refresh(&mut self) {
        let metadata = self.folder.as_ref().and_then(|folder| folder.metadata().ok());
        let Some(metadata) = metadata.filter(|metadata| metadata.nlink() > 0) else {
            self.bells.clear();
            self.listed = None;
            self.folder = open_folder(&self.directory).ok();
            if self.folder.is_some() {
                self.list();
            }
            return;
        };
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        if self.listed == Some(changed) {
            return;
        }
        self.list();
        let age = since_1970().saturating_sub(Duration::new(changed.0 as u64, changed.1 as u32));
        self.listed = (age > SETTLED_AFTER).then_some(changed);
    }

    fn list(&mut self) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        let present: Vec<String> =
            entries.filter_map(|entry| bell_name(&entry.ok()?)).take(MOST_BELLS).collect();
        self.bells.retain(|name, _| present.contains(name));
        for name in present {
            self.bells.entry(name).or_insert(None);
        }
    }
}

/// Removes the bells nobody listens at any more. One that is being bound right now is left alone.
pub(crate) fn sweep(directory: &Path) {
    const BEING_BOUND: Duration = Duration::from_secs(5);
    let (Ok(folder), Ok(entries)) = (open_folder(directory), std::fs::read_dir(directory)) else { return };
    for entry in entries.flatten() {
        let Some(name) = bell_name(&entry) else { continue };
        let made = entry.metadata().ok().and_then(|metadata| metadata.modified().ok());
        let is_old = made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > BEING_BOUND);
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if is_old && connect(&short_path(&folder, directory, &name)).is_err_and(refused) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The name of what lies there, if it is a bell. Slot pages lie there too, and a worker's begins as its bell does:
/// to connect to one is refused, like to a bell that nobody listens at.
fn bell_name(entry: &DirEntry) -> Option<String> {
    let name = entry.file_name().into_string().ok()?;
    let is_named = [WORKERS, WAITERS, EARS].iter().any(|listeners| name.starts_with(listeners));
    (is_named && entry.file_type().ok()?.is_socket()).then_some(name)
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

fn open_folder(directory: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECTORY.bits();
    File::options().read(true).custom_flags(flags as i32).open(directory)
}

/// A socket's path has room for 107 bytes, so the folder goes by its descriptor where the system offers that.
fn short_path(folder: &File, directory: &Path, name: &str) -> PathBuf {
    if cfg!(target_os = "linux") {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
    } else {
        directory.join(name)
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_reaches_every_worker_and_no_waiter_even_in_a_deep_folder() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let bells = ["a", "b"].map(|session| Bell::of_worker(&deep, session).unwrap());
        let waiter = Bell::of_waiter(&deep, 1).unwrap();
        let mut ringer = Ringer::new(deep);
        ringer.ring_workers();
        ringer.tell_waiters(["one", "two"].into_iter());
        let mut buffer = [0; 64];
        for bell in &bells {
            assert_eq!(bell.socket.recv(&mut buffer).unwrap(), 1);
        }
        let length = waiter.socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"one\ntwo\n");
    }

    #[test]
    fn a_bell_that_comes_later_is_found_and_one_that_went_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut ringer = Ringer::new(folder.path().to_owned());
        ringer.ring_workers();
        let bell = Bell::of_worker(folder.path(), "late").unwrap();
        ringer.ring_workers();
        assert_eq!(bell.socket.recv(&mut [0; 4]).unwrap(), 1);
        let path = bell.path().to_owned();
        drop(bell);
        assert!(!path.exists());
        ringer.ring_workers();
        assert!(ringer.bells.is_empty());
    }

    #[test]
    fn sweeping_takes_bells_nobody_listens_at_and_no_page_of_a_living_worker() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("w-1-a.page");
        std::fs::write(&page, "what had started").unwrap();
        let heard = Bell::of_worker(folder.path(), "heard").unwrap();
        let deaf = folder.path().join("w-1-deaf");
        drop(UnixDatagram::bind(&deaf).unwrap());
        sweep(folder.path());
        assert!(deaf.exists(), "it may be being bound right now");
        for path in [&page, heard.path(), &deaf] {
            make_old(path);
        }
        sweep(folder.path());
        assert!(page.exists() && heard.path().exists());
        assert!(!deaf.exists());
        let mut ringer = Ringer::new(folder.path().to_owned());
        ringer.refresh();
        assert_eq!(ringer.bells.len(), 1, "a page is no bell to ring");
    }

    fn make_old(path: &Path) {
        use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
        let long_ago = Timespec { tv_sec: 1, tv_nsec: 0 };
        let times = Timestamps { last_access: long_ago, last_modification: long_ago };
        utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
    }

    #[test]
    fn many_ids_are_split_into_datagrams_a_socket_takes() {
        let folder = tempfile::tempdir().unwrap();
        let waiter = Bell::of_waiter(folder.path(), 1).unwrap();
        waiter.socket.set_nonblocking(true).unwrap();
        let ids: Vec<String> = (0..2000).map(|number| format!("{number:036}")).collect();
        Ringer::new(folder.path().to_owned()).tell_waiters(ids.iter().map(String::as_str));
        let mut heard = Vec::new();
        let mut buffer = vec![0; 2 * LONGEST_DATAGRAM];
        while let Ok(length) = waiter.socket.recv(&mut buffer) {
            assert!(length <= LONGEST_DATAGRAM);
            heard.extend(String::from_utf8(buffer[..length].to_vec()).unwrap().lines().map(str::to_owned));
        }
        assert_eq!(heard, ids);
    }
}
