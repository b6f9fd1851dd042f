//! Which results a group has, kept under the group's id where Celery keeps it. Pure.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// A store that has a place of its own for groups: one that is shared with Celery. On others Python keeps them among the
/// results.
pub trait GroupStore {
    /// Keeps a group's document, over one that is there. `expires` is how long it lives; `None` for ever.
    ///
    /// # Errors
    /// `Unsupported` where groups have no place of their own.
    fn save_group(&self, _group_id: &str, _document: &[u8], _expires: Option<Duration>) -> Result<()> {
        Err(nowhere())
    }

    /// A group's document; `None` when there is none.
    ///
    /// # Errors
    /// As [`GroupStore::save_group`].
    fn load_group(&self, _group_id: &str) -> Result<Option<Vec<u8>>> {
        Err(nowhere())
    }

    /// Deletes a group's document.
    ///
    /// # Errors
    /// As [`GroupStore::save_group`].
    fn forget_group(&self, _group_id: &str) -> Result<()> {
        Err(nowhere())
    }
}

fn nowhere() -> Error {
    Error::new(ErrorKind::Unsupported, "groups have no place of their own here")
}
