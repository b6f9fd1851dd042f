//! The slot page: a mapped file that a worker shares with its children (`fastq_core::pool::page`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastq_core::error::{Error, ErrorKind, Result};
use fastq_core::ident::session_id;
use fastq_core::pool::page::{PAGE_BYTES, Page};
use fastq_core::worker::config::SlotPage;
use memmap2::MmapRaw;

/// The mapped words.
pub(crate) struct MappedPage {
    map: MmapRaw,
}

/// Makes a worker's page: in `directory` where a reaper may read it, else in a file that has no name.
pub(crate) fn create(directory: Option<&Path>) -> Result<SlotPage> {
    let failed = |error: io::Error| {
        let place = directory.map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
        Error::new(ErrorKind::Unreachable, "cannot make the slot page").with("in", place).because(error)
    };
    let (file, path) = match directory {
        Some(directory) => named(directory).map_err(failed)?,
        None => (nameless().map_err(failed)?, None),
    };
    // Written, not only sized: a page of a sparse file on a full disk would end the process at its first use.
    let made = (&file).write_all(&vec![0; PAGE_BYTES]).map_err(failed).and_then(|()| MappedPage::over(&file));
    let words = made.inspect_err(|_| {
        path.as_deref().map(std::fs::remove_file);
    })?;
    Ok(SlotPage { words: Arc::new(words), file: Some(file.into()), path })
}

/// Maps the page behind a descriptor that a child was given.
pub(crate) fn open(descriptor: OwnedFd) -> Result<Arc<dyn Page>> {
    Ok(Arc::new(MappedPage::over(&File::from(descriptor))?))
}

impl MappedPage {
    fn over(file: &File) -> Result<Self> {
        let failed =
            |error: io::Error| Error::new(ErrorKind::Unreachable, "cannot map the slot page").because(error);
        let length = file.metadata().map_err(failed)?.len();
        if length < PAGE_BYTES as u64 {
            return Err(Error::new(ErrorKind::Config, "the slot page is too small").with("bytes", length));
        }
        Ok(Self { map: MmapRaw::map_raw(file).map_err(failed)? })
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= PAGE_BYTES / size_of::<u64>() {
            return None;
        }
        // SAFETY: the map lives as long as `self`, is at least PAGE_BYTES long (checked in `over`; the file is private
        // to the worker and nothing shrinks it) and page-aligned, so the word lies inside and is aligned. Every
        // access by any process goes through atomics.
        #[expect(unsafe_code, reason = "shared memory as atomic words")]
        #[expect(clippy::cast_ptr_alignment, reason = "a map begins at a page")]
        let word = unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index)) };
        Some(word)
    }
}

impl Page for MappedPage {
    fn load(&self, word: usize) -> u64 {
        self.word(word).map_or(0, |word| word.load(Ordering::SeqCst))
    }

    fn store(&self, word: usize, value: u64) {
        if let Some(word) = self.word(word) {
            word.store(value, Ordering::SeqCst);
        }
    }

    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> std::result::Result<u64, u64> {
        let word = self.word(word).ok_or(0_u64)?;
        word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }
}

fn named(directory: &Path) -> io::Result<(File, Option<PathBuf>)> {
    let path = directory.join(format!("w-{}-{}.page", std::process::id(), session_id()));
    Ok((private_file(&path)?, Some(path)))
}

#[cfg(target_os = "linux")]
fn nameless() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("fastq-page", rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn nameless() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("fastq-{}-{}.page", std::process::id(), session_id()));
    let file = private_file(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}
