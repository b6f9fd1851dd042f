//! Where the database lies: private files and folders, on a file system that can lock.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The folder that fastq makes by itself, because the default URL names it.
const DEFAULT_FOLDER: &str = ".fastq";

/// Makes the file and its folders exist, readable by their owner only, where SQLite can work.
///
/// # Errors
/// `Config` when the folder is missing, the path is a folder or the file system is a network's; `Denied` when it
/// cannot be written.
pub(super) fn prepare(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.exists() && folder.file_name().is_some_and(|name| name == DEFAULT_FOLDER) {
        make_folder(folder)?;
    }
    if !folder.is_dir() {
        return Err(Error::new(
            ErrorKind::Config,
            "the folder of the file in broker_url does not exist; make it first",
        )
        .with("folder", folder.display()));
    }
    if path.is_dir() {
        return Err(Error::new(ErrorKind::Config, "broker_url names a folder; name a file in it")
            .with("path", path.display()));
    }
    refuse_network(folder)?;
    // Exclusive creation never opens a file that exists. That matters: closing any descriptor of a database drops
    // the locks of every connection this process has to it (sqlite.org/howtocorrupt.html §2.2).
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unwritable(path, error)),
    }
    make_folder(&run_directory(path))
}

/// The folder for what lives beside the file: bells and slot pages.
pub(super) fn run_directory(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".fq");
    PathBuf::from(name)
}

fn make_folder(folder: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unwritable(folder, error)),
    }
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    let (kind, sentence) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Denied, "the folder of the file in broker_url cannot be written")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Busy, "the disk of the file in broker_url is full")
        }
        _ => (ErrorKind::Config, "the file in broker_url cannot be made"),
    };
    Error::new(kind, sentence).with("path", path.display()).because(error)
}

/// Locks and shared memory do not work over a network: two hosts would corrupt the file.
fn refuse_network(folder: &Path) -> Result<()> {
    let Some(kind) = network_kind(folder) else { return Ok(()) };
    Err(Error::new(
        ErrorKind::Config,
        "broker_url names a file on a network file system, where SQLite loses data; use a local disk, or a server",
    )
    .with("file_system", kind)
    .with("folder", folder.display()))
}

#[cfg(target_os = "linux")]
fn network_kind(folder: &Path) -> Option<String> {
    const NETWORK: [(u32, &str); 10] = [
        (0x6969, "nfs"),
        (0x517B, "smb"),
        (0xFF53_4D42, "cifs"),
        (0xFE53_4D42, "smb2"),
        (0x0102_1997, "9p"),
        (0x00C3_6400, "ceph"),
        (0x5346_414F, "afs"),
        (0x0BD0_0BD0, "lustre"),
        (0x4750_4653, "gpfs"),
        (0x7375_7245, "coda"),
    ];
    const FUSE: u32 = 0x6573_5546;
    let magic = rustix::fs::statfs(folder).ok()?.f_type as u32;
    if magic == FUSE {
        return fuse_kind(folder).filter(|kind| is_network_fuse(kind));
    }
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| (*name).to_owned())
}

/// The mount's type as the kernel lists it, such as `fuse.sshfs`: the magic number of all of them is the same.
#[cfg(target_os = "linux")]
fn fuse_kind(folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(folder).ok()?.dev();
    let wanted = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    kind_of_device(&fs::read_to_string("/proc/self/mountinfo").ok()?, &wanted)
}

#[cfg(target_os = "linux")]
fn kind_of_device(mounts: &str, device: &str) -> Option<String> {
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(device))?;
    let (_, after) = line.split_once(" - ")?;
    after.split(' ').next().map(str::to_owned)
}

#[cfg(target_os = "linux")]
fn is_network_fuse(kind: &str) -> bool {
    const REMOTE: [&str; 10] = [
        "sshfs",
        "s3fs",
        "gcsfuse",
        "rclone",
        "glusterfs",
        "ceph",
        "davfs",
        "curlftpfs",
        "blobfuse",
        "juicefs",
    ];
    REMOTE.iter().any(|remote| kind.contains(remote))
}

#[cfg(target_vendor = "apple")]
fn network_kind(folder: &Path) -> Option<String> {
    let answer = rustix::fs::statfs(folder).ok()?;
    let name: String =
        answer.f_fstypename.iter().map(|c| *c as u8 as char).take_while(|c| *c != '\0').collect();
    ["nfs", "smbfs", "afpfs", "webdav", "macfuse", "osxfuse"].contains(&name.as_str()).then_some(name)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn network_kind(_folder: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn file_and_folders_are_made_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".fastq/queue.db");
        prepare(&path).unwrap();
        prepare(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&run_directory(&path)), 0o700);
    }

    #[test]
    fn a_missing_folder_and_a_folder_as_file_are_configuration_errors() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("missing/queue.db"), folder.path().to_owned()] {
            assert_eq!(prepare(&path).unwrap_err().kind(), ErrorKind::Config);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_type_of_a_mount_is_found_by_its_device() {
        let mounts = "25 1 254:0 / / rw - ext4 /dev/vda rw\n40 25 0:44 / /mnt/far rw,nosuid shared:9 - fuse.sshfs u@h: rw\n";
        assert_eq!(kind_of_device(mounts, "0:44").as_deref(), Some("fuse.sshfs"));
        assert_eq!(kind_of_device(mounts, "0:45"), None);
        assert!(is_network_fuse("fuse.sshfs"));
        assert!(!is_network_fuse("fuseblk"));
    }
}
