//! Virtual hosts of the RabbitMQ that `scripts/services` runs: a new and empty one for each broker under test.
//!
//! A node takes seconds to start and each test is a process of its own, so they share one. Making a virtual host takes
//! a second, too, mostly that of the tool: so many are made at once, and whoever needs one takes it from the pool.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many virtual hosts are made at once.
const AT_ONCE: usize = 24;

/// Whether there is a server. Without one the tests of RabbitMQ are left out, loudly; where everything must be tested
/// that is a failure.
pub(crate) fn is_running() -> bool {
    let found = control().is_some();
    if !found {
        assert!(std::env::var("CI").is_err(), "no RabbitMQ runs, and CI tests everything");
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: RabbitMQ. Run the tests by `scripts/services run rabbitmq -- cargo nextest run …`"
        );
    }
    found
}

/// The rabbitmqctl that knows this node only.
fn control() -> Option<PathBuf> {
    std::env::var_os("FASTQ_TEST_RABBITMQ_CTL").map(PathBuf::from).filter(|path| path.exists())
}

/// Name and URL of an empty virtual host.
pub(crate) fn place() -> (String, String) {
    let server = std::env::var("FASTQ_TEST_RABBITMQ_URL").expect("the services name it");
    let name = vhost();
    let url = format!("{}/{name}", server.trim_end_matches('/'));
    (name, url)
}

/// The name of a virtual host that nobody else gets.
fn vhost() -> String {
    let control = control().expect("a server runs");
    let pool = control.parent().expect("a file is in a folder").join("vhosts");
    fs::create_dir_all(&pool).unwrap();
    loop {
        for entry in fs::read_dir(&pool).unwrap().flatten() {
            // Whoever removes the file has it.
            if fs::remove_file(entry.path()).is_ok() {
                return entry.file_name().to_string_lossy().into_owned();
            }
        }
        make(&control, &pool);
    }
}

fn make(control: &Path, pool: &Path) {
    let prefix = format!("contract-{}-", uuid::Uuid::new_v4().simple());
    let expression = format!(
        "[begin N = list_to_binary(\"{prefix}\" ++ integer_to_list(I)), rabbit_vhost:add(N, <<\"tests\">>), \
         rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, N, <<\".*\">>, <<\".*\">>, <<\".*\">>, \
         <<\"tests\">>) end || I <- lists:seq(1, {AT_ONCE})], ok."
    );
    run(control, &["eval", &expression]);
    for number in 1..=AT_ONCE {
        fs::write(pool.join(format!("{prefix}{number}")), "").unwrap();
    }
}

/// Runs a command of rabbitmqctl.
pub(crate) fn command(words: &[&str]) -> String {
    run(&control().expect("a server runs"), words)
}

fn run(control: &Path, words: &[&str]) -> String {
    let output = Command::new(control).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
