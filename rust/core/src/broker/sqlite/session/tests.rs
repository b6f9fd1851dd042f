//! Commits are never lost on the way to a session's thread.

use super::*;

fn session(orders: Sender<Order>) -> SqliteSession {
    SqliteSession {
        orders,
        bell: None,
        _place: None,
        clock: Clock::system(),
        pid: std::process::id(),
        lease: Duration::from_secs(10),
        more: true,
        next_due: None,
        look_at: Instant::now(),
        pace: LOOK_SOON,
        looking: None,
        ears: None,
        lines: Lines::default(),
        is_called: false,
    }
}

/// What is left of one Commit after an exchange that must fail.
async fn fail(session: &mut SqliteSession) -> (ErrorKind, usize) {
    let mut commits = vec![Commit::store(Vec::new())];
    let error = session.exchange(&mut commits, 1).await.unwrap_err();
    assert!(!error.is_temporary(), "{error}");
    (error.kind(), commits.len())
}

#[tokio::test]
async fn commits_come_back_from_a_thread_that_has_ended() {
    let (orders, receiver) = channel();
    drop(receiver);
    assert_eq!(fail(&mut session(orders)).await, (ErrorKind::Unexpected, 1));
}

#[tokio::test]
async fn commits_come_back_from_a_thread_that_dies_of_them() {
    let (orders, receiver) = channel::<Order>();
    let thread = std::thread::spawn(move || {
        let _order = receiver.recv();
        std::panic::resume_unwind(Box::new("a bug"));
    });
    assert_eq!(fail(&mut session(orders)).await, (ErrorKind::Unexpected, 1));
    assert!(thread.join().is_err());
}

#[tokio::test]
async fn commits_stay_with_a_forked_process_that_has_no_thread() {
    let (orders, _receiver) = channel();
    let mut session = session(orders);
    session.pid += 1;
    assert_eq!(fail(&mut session).await, (ErrorKind::Forked, 1));
}
