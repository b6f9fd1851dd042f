//! `fastq._core`: the core as a Python module. What crosses is on one page, `python/fastq/_core.pyi`.
//!
//! Python polls; the core never calls it. Everything here converts, releases the interpreter and maps errors.

mod convert;
mod errors;
mod page;
mod port;
mod producer;
mod results;
mod runtime;
mod seam;
mod stepper;
mod watch;
mod worker;

use fastq_core::broker::url::BrokerUrl;
use fastq_core::{fork, ident};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::OrRaise;

/// The C library's allocator takes a quarter of the parent's time: each message makes and frees a dozen small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The seam between Python and the Rust core of fastq.
#[pymodule(name = "_core", gil_used = false)]
mod module {
    #[pymodule_export]
    use super::port::{Job, Port};
    #[pymodule_export]
    use super::producer::Producer;
    #[pymodule_export]
    use super::results::Results;
    #[pymodule_export]
    use super::stepper::Stepper;
    #[pymodule_export]
    use super::watch::Watch;
    #[pymodule_export]
    use super::worker::Worker;
    #[pymodule_export]
    use super::{build_info, new_id, url_info};
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    /// Puts the core's connections in order around every fork of this process.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let hooks = PyDict::new(py);
        hooks.set_item("before", wrap_pyfunction!(super::before_fork, module)?)?;
        hooks.set_item("after_in_parent", wrap_pyfunction!(super::after_fork_parent, module)?)?;
        hooks.set_item("after_in_child", wrap_pyfunction!(super::after_fork_child, module)?)?;
        py.import("os")?.getattr("register_at_fork")?.call((), Some(&hooks))?;
        Ok(())
    }
}

/// What this module was built from.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    info.set_item("system", std::env::consts::OS)?;
    info.set_item("machine", std::env::consts::ARCH)?;
    Ok(info)
}

/// Return a new task id: 36 characters, a UUID version 7.
#[pyfunction]
fn new_id() -> String {
    ident::task_id()
}

/// Return what a broker or store URL names, secrets hidden.
#[pyfunction]
fn url_info<'py>(py: Python<'py>, url: &str) -> PyResult<Bound<'py, PyDict>> {
    let url = BrokerUrl::parse(url).or_raise(py)?;
    let info = PyDict::new(py);
    info.set_item("scheme", url.scheme())?;
    info.set_item("display", url.to_string())?;
    info.set_item("supported", url.is_supported())?;
    info.set_item("native_store", url.has_native_store())?;
    Ok(info)
}

#[pyfunction]
fn before_fork(py: Python<'_>) {
    // Waits for calls in flight, which need no interpreter but may be long.
    py.detach(fork::before_fork);
}

#[pyfunction]
fn after_fork_parent() {
    fork::after_fork_parent();
}

#[pyfunction]
fn after_fork_child() {
    runtime::forked();
    fork::after_fork_child();
}
