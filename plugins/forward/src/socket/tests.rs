use super::*;
use std::future::poll_fn;
use std::net::UdpSocket;
use std::time::Duration;
use tokio::time::timeout;

/// The ID of the query that is asked first.
const ID: u16 = 1;

async fn received(socket: &Socket, id: u16) -> Result<Vec<u8>, Fault> {
    let message = poll_fn(|cx| socket.poll_receive(id, cx));
    timeout(Duration::from_secs(60), message).await.expect("something comes")
}

/// An upstream, and a socket with queries that have these IDs, of which the first one was sent.
fn upstream(ids: &[u16]) -> (UdpSocket, Arc<Socket>) {
    let upstream = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let metrics = Arc::new(metrics::Upstream::new("upstream"));
    let address = upstream.local_addr().expect("an address");
    let socket = Socket::open(address, None, &metrics, &Arc::default(), api::Clock::manual().now()).expect("opened");
    ids.iter().for_each(|&id| assert!(socket.enter(id)));
    socket.send(b"query").expect("sent");
    (upstream, socket)
}

/// Sends messages to who has sent the query.
fn reply(upstream: &UdpSocket, messages: &[&[u8]]) {
    let (_, client) = upstream.recv_from(&mut [0; 16]).expect("a query");
    messages.iter().for_each(|message| assert_eq!(upstream.send_to(message, client).expect("sent"), message.len()));
}

#[tokio::test]
async fn datagrams_that_arrive_together_are_all_received() {
    let (upstream, socket) = upstream(&[ID]);
    reply(&upstream, &[b"one", b"two"]);
    assert_eq!(received(&socket, ID).await.expect("a message"), b"one");
    socket.look_again();
    assert_eq!(received(&socket, ID).await.expect("a message"), b"two");
    socket.look_again();
    let nothing = timeout(Duration::from_millis(20), poll_fn(|cx| socket.poll_receive(ID, cx))).await;
    assert!(nothing.is_err());
    socket.send(b"again").expect("sent");
    reply(&upstream, &[b"three"]);
    assert_eq!(received(&socket, ID).await.expect("a message"), b"three");
    assert!(!socket.has_failed());
}

#[tokio::test]
async fn one_reads_for_all() {
    let (upstream, socket) = upstream(&[1, 2, 3]);
    assert!(!socket.enter(2), "it has a seat");
    let answers = async {
        let one = async {
            let message = received(&socket, 1).await.expect("a message");
            (message, socket.leave(1, true))
        };
        let other = async |id| {
            let message = received(&socket, id).await.expect("a message");
            (message, socket.leave(id, true))
        };
        tokio::join!(one, other(2), other(3))
    };
    let replies = async {
        tokio::task::yield_now().await;
        reply(&upstream, &[b"\0\x01one", b"\0\x09nobody's"]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        // The one that has read until now is gone.
        socket.send(b"again").expect("sent");
        reply(&upstream, &[b"\0\x03three", b"\0\x02two"]);
    };
    let ((one, two, three), ()) = tokio::join!(answers, replies);
    assert_eq!(one, (b"\0\x01one".to_vec(), Left::InUse));
    assert_eq!((&*two.0, &*three.0), (&b"\0\x02two"[..], &b"\0\x03three"[..]));
    assert!([two.1, three.1].contains(&Left::Free { exchanges: 3 }), "{two:?} {three:?}");
}

/// Whether the query with this ID waits, once it has been looked at.
async fn waits(socket: &Socket, id: u16) -> bool {
    poll_fn(|cx| Poll::Ready(socket.poll_receive(id, cx).is_pending())).await
}

/// How many messages an upstream has received, with that of [`upstream`].
fn count(upstream: &UdpSocket) -> usize {
    upstream.set_nonblocking(true).expect("set");
    std::iter::from_fn(|| upstream.recv(&mut [0; 16]).ok()).count()
}

#[tokio::test]
async fn what_is_sent_in_one_turn_leaves_together() {
    let (upstream, socket) = upstream(&[1, 2, 3]);
    assert_eq!(count(&upstream), 1);
    for id in 1..=3 {
        socket.send_soon(id, b"query");
        assert!(waits(&socket, id).await);
    }
    assert_eq!(count(&upstream), 0, "it is another one's turn");
    assert!(waits(&socket, 2).await && waits(&socket, 3).await);
    assert_eq!(count(&upstream), 0, "it is for the first one to see to it");
    assert!(waits(&socket, 1).await);
    assert_eq!(count(&upstream), 3);
}

#[tokio::test]
async fn as_many_as_leave_together_do_not_wait() {
    let (upstream, socket) = upstream(&[1]);
    for n in 1..=BATCH + 1 {
        socket.send_soon(1, b"query");
        assert_eq!(
            count(&upstream),
            if n == 1 {
                1
            } else if n == BATCH {
                BATCH
            } else {
                0
            },
            "{n}"
        );
    }
    let woken = timeout(Duration::from_millis(20), poll_fn(|cx| socket.poll_receive(1, cx))).await;
    assert!(woken.is_err());
    assert_eq!(count(&upstream), 1);
}

#[tokio::test]
async fn who_is_given_up_sends_for_the_others() {
    let (upstream, socket) = upstream(&[1, 2]);
    [1, 2].into_iter().for_each(|id| socket.send_soon(id, b"query"));
    assert!(waits(&socket, 1).await && waits(&socket, 2).await);
    assert_eq!((socket.leave(1, false), count(&upstream)), (Left::InUse, 3));
}

/// Has messages of these queries leave together; the first one is the longest.
async fn send_together(socket: &Socket, ids: &[u16]) {
    for (&id, length) in ids.iter().zip((2..=16).rev()) {
        let mut message = vec![0; length];
        message[..2].copy_from_slice(&id.to_be_bytes());
        socket.send_soon(id, &message);
    }
    assert!(waits(socket, ids[0]).await && waits(socket, ids[0]).await);
}

#[tokio::test]
async fn messages_leave_as_segments_once_one_was_answered() {
    let (upstream, socket) = upstream(&[1, 2, 3]);
    send_together(&socket, &[2, 1, 3]).await;
    assert_eq!((count(&upstream), socket.segments.way()), (4, Way::OneByOne));
    socket.leave(1, true);
    assert_eq!(socket.segments.way(), Way::OneByOne, "it was another one");
    socket.leave(2, true);
    assert_eq!(socket.segments.way(), Way::Segments);
    socket.leave(3, false);
    assert_eq!(socket.segments.way(), Way::Trial);
}

#[tokio::test]
async fn a_trial_fails_where_its_query_is_given_up() {
    let (_upstream, socket) = upstream(&[1, 2]);
    send_together(&socket, &[2, 1]).await;
    assert_eq!(socket.segments.way(), Way::OneByOne);
    socket.leave(2, false);
    assert_eq!(socket.segments.way(), Way::Trial, "the second one");
}

#[tokio::test]
async fn a_trial_fails_where_its_query_is_sent_again() {
    let (upstream, socket) = upstream(&[1, 2]);
    send_together(&socket, &[2, 1]).await;
    assert_eq!(count(&upstream), 3);
    socket.send_again(2, b"\0\x02").expect("sent");
    assert_eq!(count(&upstream), 1, "by itself, and at once");
    assert_eq!(socket.segments.way(), Way::Trial);
    socket.leave(2, true);
    assert_eq!(socket.segments.way(), Way::OneByOne, "the one by itself was answered");
}

#[tokio::test]
async fn a_way_that_loses_segments_gets_no_more_of_them() {
    let (upstream, socket) = upstream(&[1, 2]);
    batch::tests::keep_segments_together(&upstream);
    assert_eq!(count(&upstream), 1);
    let mut lost = 0;
    loop {
        send_together(&socket, &[2, 1]).await;
        if count(&upstream) == 2 {
            break;
        }
        lost += 1;
        for id in [1, 2] {
            socket.send_again(id, b"query").expect("sent");
        }
        assert_eq!(count(&upstream), 2, "these arrive");
    }
    assert_eq!((lost, socket.segments.way()), (segments::MAX_FAILURES, Way::OneByOne));
}

#[tokio::test]
async fn a_trial_fails_where_its_query_was_given_up_before() {
    let (upstream, socket) = upstream(&[1, 2]);
    socket.send_soon(1, b"\0\x01");
    socket.send_soon(2, b"\0\x02 is longer");
    socket.leave(2, false);
    assert!(waits(&socket, 1).await && waits(&socket, 1).await);
    assert_eq!((count(&upstream), socket.segments.way()), (3, Way::Trial));
}

#[tokio::test]
async fn what_cannot_be_sent_later_is_told_to_all() {
    let (_upstream, socket) = upstream(&[1, 2]);
    socket.send_soon(1, &[0; 65_530]);
    socket.send_soon(2, b"query");
    for fault in [received(&socket, 1).await, received(&socket, 2).await] {
        let Err(Fault::Failed(error)) = fault else { panic!("it is too long: {fault:?}") };
        assert!(error.to_string().starts_with("write udp 127.0.0.1:"), "{error}");
        assert!(error.to_string().ends_with("write: message too long"), "{error}");
    }
}

#[tokio::test]
async fn who_is_given_up_leaves_the_reading_to_others() {
    let (upstream, socket) = upstream(&[1, 2]);
    let mut reads = Box::pin(received(&socket, 1));
    let waits = received(&socket, 2);
    let gives_up = async {
        assert!(timeout(Duration::from_millis(10), &mut reads).await.is_err());
        assert_eq!(socket.leave(1, false), Left::InUse);
        reply(&upstream, &[b"\0\x02two"]);
    };
    let (_, two) = tokio::join!(gives_up, waits);
    assert_eq!(two.expect("a message"), b"\0\x02two");
    assert!(!socket.enter(3), "late replies may come");
    assert_eq!(socket.leave(2, true), Left::Spoilt);
}

#[tokio::test]
async fn a_query_has_few_messages_unread() {
    let (upstream, socket) = upstream(&[1, 2]);
    reply(&upstream, &[&b"\0\x01"[..]; 2 * MAX_UNREAD]);
    for _ in 0..MAX_UNREAD {
        received(&socket, 1).await.expect("a message");
    }
    socket.look_again();
    let more = timeout(Duration::from_millis(20), poll_fn(|cx| socket.poll_receive(1, cx))).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_closed_port_is_told_to_all() {
    let (closed, socket) = upstream(&[1, 2]);
    drop(closed);
    socket.send(b"query").expect("sent");
    let faults = tokio::join!(received(&socket, 1), received(&socket, 2));
    for fault in [faults.0, faults.1] {
        let Err(Fault::Failed(error)) = fault else { panic!("nobody is there: {fault:?}") };
        assert!(error.to_string().ends_with("read: connection refused"), "{error}");
    }
    assert!(socket.has_failed() && !socket.enter(3), "it is not used again");
}
