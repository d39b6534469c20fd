use super::*;
use crate::wire::buffer::{CAPACITY, WIDE};

fn drain(outbox: &mut Outbox, pool: &mut BufferPool, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !outbox.is_empty() {
        let count = outbox.pending().len().min(step);
        all.extend_from_slice(&outbox.pending()[..count]);
        outbox.sent(count, pool);
    }
    all
}

fn long() -> Vec<u8> {
    (0..3 * CAPACITY + 7).map(|i| (i % 251) as u8).collect()
}

#[test]
fn bytes_leave_in_order_and_buffers_go_home() {
    let mut pool = BufferPool::new(1 << 20);
    let mut outbox = Outbox::default();
    outbox.push(b"head", &mut pool);
    outbox.push(&long(), &mut pool);
    assert_eq!(drain(&mut outbox, &mut pool, 1000), [b"head", &long()[..]].concat());
    assert_eq!(pool.out(), 0);
}

#[test]
fn a_request_is_sent_again_with_another_opening_until_it_is_forgotten() {
    let mut pool = BufferPool::new(1 << 20);
    // Drafts that fill their last buffer, or nearly, are among them.
    for draft in [1, 300, CAPACITY - 1, CAPACITY, CAPACITY + 1, 2 * CAPACITY, 3 * CAPACITY - 7] {
        for body in [0, 5, CAPACITY - 1, CAPACITY, 2 * CAPACITY] {
            let (draft, body) = (vec![b'd'; draft], &long()[..body]);
            let mut outbox = Outbox::keeping(&mut pool);
            outbox.stow(&draft, &mut pool);
            assert_eq!((outbox.pending(), outbox.held()), (&b""[..], 0), "it is not sent");
            outbox.push(body, &mut pool);
            for opening in [&b"one"[..], &draft, &[b'2'; CAPACITY], &draft, b"the fifth"] {
                match opening == draft {
                    true => outbox.put_draft(),
                    false => outbox.put_opening(opening, &mut pool),
                }
                assert_eq!((outbox.opening(), &*outbox.draft()), (opening.len(), &*draft));
                outbox.push(b"more", &mut pool);
                let expected = [opening, body, b"more"].concat();
                assert_eq!(outbox.held(), expected.len());
                assert!(drain(&mut outbox, &mut pool, 5_000) == expected, "as a whole");
                outbox.strip(&mut pool);
                assert_eq!(outbox.opening(), 0);
                assert!(outbox.copy(usize::MAX) == [body, b"more"].concat());
                outbox.splice(body.len()..body.len() + 4, b"", &mut pool);
                assert_eq!(outbox.length(), draft.len() + body.len());
            }
            outbox.put_opening(b"last", &mut pool);
            assert_eq!(drain(&mut outbox, &mut pool, 999).len(), 4 + body.len());
            outbox.forget(&mut pool);
            assert_eq!((pool.out(), outbox.has_draft()), (0, false));
        }
    }
}

#[test]
fn a_request_that_is_not_kept_can_be_taken_back_until_a_byte_is_sent() {
    let mut pool = BufferPool::new(1 << 20);
    for (draft, sent, taken) in [(10, 0, true), (2 * CAPACITY, 0, true), (10, 1, false)] {
        let draft = vec![b'd'; draft];
        for forgotten_first in [false, true] {
            let mut outbox = Outbox::keeping(&mut pool);
            outbox.stow(&draft, &mut pool);
            if forgotten_first {
                outbox.forget(&mut pool);
            }
            match forgotten_first {
                true => outbox.put_opening(b"opening ", &mut pool),
                false => outbox.put_draft(),
            }
            outbox.push(b"body", &mut pool);
            outbox.forget(&mut pool);
            outbox.sent(sent, &mut pool);
            outbox.strip(&mut pool);
            assert_eq!((outbox.opening() == 0, outbox.copy(usize::MAX)), (taken, b"body".to_vec()));
            if taken {
                assert_eq!(&*outbox.draft(), &*draft);
                outbox.put_opening(b"another ", &mut pool);
                assert_eq!(drain(&mut outbox, &mut pool, 7), b"another body");
            }
            outbox.clear(&mut pool);
            assert_eq!(pool.out(), 0);
        }
    }
}

#[test]
fn a_draft_counts_among_what_is_kept_as_its_opening_does() {
    let mut pool = BufferPool::new(1 << 20);
    let mut outbox = Outbox::keeping_within(20, &mut pool);
    outbox.stow(b"ten bytes.", &mut pool);
    assert!(outbox.may_keep(10) && !outbox.may_keep(11));
    outbox.put_opening(b"ten others", &mut pool);
    assert!(outbox.may_keep(10) && !outbox.may_keep(11));
    outbox.clear(&mut pool);
}

#[test]
fn what_comes_behind_a_kept_and_full_segment_is_sent() {
    let mut pool = BufferPool::new(1 << 20);
    let mut outbox = Outbox::keeping(&mut pool);
    outbox.push(&[7; CAPACITY], &mut pool);
    outbox.sent(CAPACITY, &mut pool);
    outbox.push(b"more", &mut pool);
    assert_eq!(outbox.pending(), b"more");
    outbox.clear(&mut pool);
}

#[test]
fn forgetting_half_way_keeps_what_is_unsent() {
    let mut pool = BufferPool::new(1 << 20);
    let mut outbox = Outbox::keeping(&mut pool);
    outbox.push(&long(), &mut pool);
    let first = outbox.pending().len();
    outbox.sent(first, &mut pool);
    outbox.sent(5, &mut pool);
    outbox.forget(&mut pool);
    assert_eq!(drain(&mut outbox, &mut pool, 777), &long()[first + 5..]);
    assert_eq!(pool.out(), 0);
}

#[test]
fn a_part_is_replaced_wherever_it_lies() {
    let mut pool = BufferPool::new(1 << 20);
    let seams = [0, 1, CAPACITY - 1, CAPACITY, CAPACITY + 1, 3 * CAPACITY, 3 * CAPACITY + 7];
    for start in seams {
        for end in seams.into_iter().filter(|end| *end >= start) {
            for with in [&b""[..], b"x", &[1; 2 * CAPACITY]] {
                let mut outbox = Outbox::keeping(&mut pool);
                outbox.push(&long(), &mut pool);
                outbox.splice(start..end, with, &mut pool);
                outbox.push(b"more", &mut pool);
                let expected = [&long()[..start], with, &long()[end..], b"more"].concat();
                assert_eq!(outbox.held(), expected.len());
                assert!(drain(&mut outbox, &mut pool, 5_000) == expected, "{start}..{end}");
                outbox.clear(&mut pool);
                assert_eq!(pool.out(), 0);
            }
        }
    }
}

#[test]
fn what_was_held_back_follows_what_is_on_its_way() {
    let mut pool = BufferPool::new(1 << 20);
    for ahead in [&b""[..], b"interim"] {
        let (mut held, mut outbox) = (Outbox::default(), Outbox::default());
        outbox.push(ahead, &mut pool);
        held.push(&long(), &mut pool);
        held.append_to(&mut outbox, &mut pool);
        assert_eq!(held.held(), 0);
        assert_eq!(drain(&mut outbox, &mut pool, 4096), [ahead, &long()[..]].concat());
        assert_eq!(pool.out(), 0);
    }
}

#[test]
fn clearing_gives_everything_home() {
    let mut pool = BufferPool::new(1 << 20);
    let mut outbox = Outbox::keeping(&mut pool);
    outbox.push(&long(), &mut pool);
    outbox.sent(10, &mut pool);
    outbox.clear(&mut pool);
    assert_eq!((pool.out(), outbox.held()), (0, 0));
}

#[test]
fn buffers_that_are_taken_over_are_sent_again_byte_for_byte() {
    let mut pool = BufferPool::new(8 << 20);
    let body: Vec<u8> = (0..=WIDE + CAPACITY).map(|index| (index % 251) as u8).collect();
    let mut outbox = Outbox::keeping(&mut pool);
    outbox.stow(b"draft", &mut pool);
    let read = |mut buffer: Buffer, bytes: &[u8]| {
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.received(bytes.len());
        buffer.clear(bytes.len());
        assert!(buffer.is_well_filled());
        buffer
    };
    // Some is sent before more comes, and what is copied comes behind what is taken over.
    outbox.put_draft();
    let (first, others) = body.split_at(1);
    let (wide, rest) = others.split_at(WIDE);
    let mut sent = Vec::new();
    assert!(!outbox.may_adopt(), "it would stand where another opening belongs");
    outbox.push(first, &mut pool);
    assert!(outbox.may_adopt());
    let buffer = read(pool.take_for_plenty(), wide);
    outbox.adopt(buffer, &mut pool);
    sent.extend(drain(&mut outbox, &mut pool, 100_000));
    let buffer = read(pool.take(), &rest[..CAPACITY - 9]);
    outbox.adopt(buffer, &mut pool);
    outbox.push(&rest[CAPACITY - 9..], &mut pool);
    sent.extend(drain(&mut outbox, &mut pool, 7_000));
    assert!(sent == [b"draft", &body[..]].concat());
    assert_eq!((outbox.held(), pool.out()), (sent.len(), 1 + WIDE / CAPACITY + 1));
    outbox.strip(&mut pool);
    outbox.put_opening(b"another", &mut pool);
    assert!(drain(&mut outbox, &mut pool, 50_000) == [b"another", &body[..]].concat());
    outbox.clear(&mut pool);
    assert_eq!(pool.out(), 0);
}
