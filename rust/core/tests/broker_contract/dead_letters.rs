use fastq_core::error::ErrorKind;
use fastq_core::job::ending::Verdict;

use crate::support::{Subject, brokers, ids, message, run, settle, take};

fn each_with_dead_letters<F: Future<Output = ()>>(story: impl Fn(Subject) -> F) {
    for subject in brokers().into_iter().filter(|subject| subject.broker.capabilities().dead_letters) {
        run(subject, &story);
    }
}

async fn bury(subject: &Subject, queue: &str, id: &str, died: bool) {
    subject.send(queue, id);
    let mut session = subject.session(&[queue]).await;
    let delivery = take(&mut session, 1).await.deliveries.remove(0);
    settle(&mut session, delivery, Verdict::Bury { reason: format!("because of {id}"), died }).await;
    session.close().await.unwrap();
}

#[test]
fn a_buried_message_is_kept_with_its_reason() {
    each_with_dead_letters(|subject| async move {
        bury(&subject, "q", "1", false).await;
        bury(&subject, "q", "2", true).await;
        bury(&subject, "other", "3", false).await;
        let letters = subject.broker.dead_letters(Some("q"), 10).unwrap();
        let newest = &letters[0];
        assert_eq!(letters.len(), 2);
        assert_eq!((newest.task_id.as_str(), newest.task_name.as_str()), ("2", "shop.add"));
        assert_eq!((newest.reason.as_str(), newest.deaths, newest.queue.as_str()), ("because of 2", 1, "q"));
        assert_eq!(newest.message, message("2"));
        let begins = if subject.obeys_clock() { 1_800_000_000.0 } else { 1_700_000_000.0 };
        assert!(newest.buried_at.seconds() >= begins);
        assert_eq!(subject.broker.dead_letters(None, 2).unwrap().len(), 2);
        assert_eq!(
            (subject.depth("q").dead, subject.depth("q").ready, subject.depth("q").in_flight),
            (2, 0, 0)
        );
    });
}

#[test]
fn a_dead_letter_goes_back_to_its_queue_with_its_deaths_forgotten() {
    each_with_dead_letters(|subject| async move {
        bury(&subject, "q", "1", true).await;
        bury(&subject, "q", "2", false).await;
        let letters = subject.broker.dead_letters(None, 10).unwrap();
        let first = letters.iter().find(|letter| letter.task_id == "1").unwrap();
        assert_eq!(subject.broker.requeue_dead(Some("other"), std::slice::from_ref(&first.id)).unwrap(), 0);
        assert_eq!(subject.broker.requeue_dead(None, &[first.id.clone(), "nonsense".into()]).unwrap(), 1);
        assert_eq!(subject.depth("q").dead, 1);
        let mut session = subject.session(&["q"]).await;
        let harvest = take(&mut session, 5).await;
        assert_eq!(ids(&harvest), ["1"]);
        assert_eq!((harvest.deliveries[0].deaths, harvest.deliveries[0].redelivered), (0, false));
    });
}

#[test]
fn all_dead_letters_of_a_queue_go_back_in_their_order_when_none_is_named() {
    each_with_dead_letters(|subject| async move {
        for id in ["1", "2", "3"] {
            bury(&subject, "q", id, false).await;
        }
        bury(&subject, "other", "4", false).await;
        assert_eq!(subject.broker.requeue_dead(Some("q"), &[]).unwrap(), 3);
        let mut session = subject.session(&["q", "other"]).await;
        assert_eq!(ids(&take(&mut session, 5).await), ["1", "2", "3"]);
    });
}

#[test]
fn dead_letters_can_be_dropped() {
    each_with_dead_letters(|subject| async move {
        for id in ["1", "2", "3"] {
            bury(&subject, "q", id, false).await;
        }
        let newest = subject.broker.dead_letters(None, 1).unwrap().remove(0);
        assert_eq!(subject.broker.drop_dead(None, &[newest.id]).unwrap(), 1);
        assert_eq!(subject.broker.drop_dead(Some("unknown"), &[]).unwrap(), 0);
        assert_eq!(subject.broker.drop_dead(None, &[]).unwrap(), 2);
        assert!(subject.broker.dead_letters(None, 10).unwrap().is_empty());
        assert_eq!(subject.depth("q").ready, 0);
    });
}

#[test]
fn a_message_whose_headers_cannot_be_read_is_kept_all_the_same() {
    each_with_dead_letters(|subject| async move {
        let mut publication = crate::support::to("q", "1");
        publication.message.headers = bytes::Bytes::from_static(b"\xff not json");
        if let Err(error) = subject.broker.publish(&[publication]) {
            // Where messages are JSON themselves, such headers cannot even be sent.
            assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
            return;
        }
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        settle(&mut session, delivery, Verdict::Bury { reason: "headers".into(), died: false }).await;
        let letters = subject.broker.dead_letters(None, 10).unwrap();
        assert_eq!((letters[0].task_id.as_str(), letters[0].task_name.as_str()), ("", ""));
        assert_eq!(&letters[0].message.headers[..], b"\xff not json");
    });
}
