//! Odd answers, in bytes; and servers on this machine that say them.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;
use simple_dns::rdata::{A, AAAA, CNAME, RData, SOA, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

use super::message::{self, Reading};
use super::*;

const ID: u16 = 0x1234;

/// What a server says to a question.
type Say = dyn Fn(&mut Packet<'_>) + Send + Sync;

fn record(name: &'static str, ttl: u32, data: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, ttl, data)
}

fn a(last: u8) -> RData<'static> {
    RData::A(A { address: u32::from_be_bytes([10, 0, 0, last]) })
}

fn alias(name: &'static str) -> RData<'static> {
    RData::CNAME(CNAME(Name::new_unchecked(name)))
}

fn srv(target: &'static str) -> SRV<'static> {
    SRV { priority: 5, weight: 9, port: 8000, target: Name::new_unchecked(target) }
}

fn soa(minimum: u32) -> RData<'static> {
    let name = || Name::new_unchecked("ns.test");
    let (serial, refresh, retry, expire) = (1, 1, 1, 1);
    RData::SOA(SOA { mname: name(), rname: name(), serial, refresh, retry, expire, minimum })
}

/// The reply to these bytes.
fn reply(question: &[u8], say: &Say) -> Vec<u8> {
    let packet = Packet::parse(question).expect("we ask well");
    let mut answer = Packet::new_reply(packet.id());
    answer.questions = packet.questions;
    say(&mut answer);
    answer.build_bytes_vec_compressed().expect("it can be written")
}

fn reading(kind: Kind, say: &Say) -> Reading {
    let question = message::question(ID, "a.test", kind).expect("a name");
    message::read(&reply(&question, say), ID, "A.test", kind)
}

fn outcome(say: &Say) -> (Outcome, Option<u32>) {
    match reading(Kind::A, say) {
        Reading::Answer(Answer { outcome, ttl }) => (outcome, ttl),
        other => panic!("{other:?}"),
    }
}

fn addresses(last: &[u8]) -> Outcome {
    let address = |last: &u8| Record::Address(IpAddr::from([10, 0, 0, *last]));
    Outcome::Records(last.iter().map(address).collect())
}

#[test]
fn the_least_time_to_live_holds_and_chains_are_followed() {
    let plain = outcome(&|it| {
        it.answers = vec![record("a.test", 60, a(1)), record("A.TEST", 20, a(2))];
    });
    assert_eq!(plain, (addresses(&[1, 2]), Some(20)));
    // In any order, and only what is at its end.
    let chain = outcome(&|it| {
        it.answers = vec![
            record("c.test", 30, a(3)),
            record("b.test", 9, alias("c.test")),
            record("a.test", 40, alias("b.test")),
            record("other.test", 1, a(9)),
        ];
    });
    assert_eq!(chain, (addresses(&[3]), Some(9)));
    let open = outcome(&|it| it.answers = vec![record("a.test", 7, alias("b.test"))]);
    assert_eq!(open, (Outcome::Alias("b.test".into()), Some(7)));
    let circle = outcome(&|it| {
        it.answers =
            vec![record("a.test", 7, alias("b.test")), record("b.test", 7, alias("a.test"))];
    });
    assert!(matches!(circle.0, Outcome::Alias(_)));
}

#[test]
fn what_is_not_there_is_so_for_as_long_as_its_zone_says() {
    let no_name = outcome(&|it| {
        *it.rcode_mut() = RCODE::NameError;
        it.name_servers = vec![record("test", 300, soa(12))];
    });
    assert_eq!(no_name, (Outcome::Nothing, Some(12)));
    let no_data = outcome(&|it| it.name_servers = vec![record("test", 5, soa(12))]);
    assert_eq!(no_data, (Outcome::Nothing, Some(5)));
    assert_eq!(outcome(&|_| {}), (Outcome::Nothing, None));
    let dangling = outcome(&|it| {
        it.answers = vec![record("a.test", 7, alias("b.test"))];
        it.name_servers = vec![record("test", 5, soa(12))];
    });
    assert_eq!(dangling.0, Outcome::Nothing);
}

#[test]
fn the_root_serves_nobody() {
    let nothing = Answer { outcome: Outcome::Nothing, ttl: None };
    for (kind, data) in
        [(Kind::A, RData::CNAME(CNAME(Name::new_unchecked("")))), (Kind::Srv, RData::SRV(srv("")))]
    {
        let say = move |it: &mut Packet<'_>| {
            it.answers = vec![record("a.test", 60, data.clone())];
        };
        assert_eq!(reading(kind, &say), Reading::Answer(nothing.clone()), "{kind:?}");
    }
    // Beside one that there is, it is passed over.
    let both = reading(Kind::Srv, &|it| {
        it.answers = ["", "b.test"].map(|name| record("a.test", 60, RData::SRV(srv(name)))).into();
    });
    let Reading::Answer(Answer { outcome: Outcome::Records(records), .. }) = both else {
        panic!("{both:?}")
    };
    assert!(
        matches!(&records[..], [Record::Service(one)] if one.target == "b.test"),
        "{records:?}"
    );
}

#[test]
fn what_is_no_answer_to_the_question_is_foreign() {
    let fine = |it: &mut Packet<'_>| it.answers = vec![record("a.test", 60, a(1))];
    assert!(matches!(reading(Kind::A, &fine), Reading::Answer(_)));
    assert_eq!(reading(Kind::A, &|it| it.set_id(1)), Reading::Foreign);
    assert_eq!(reading(Kind::A, &|it| it.questions.clear()), Reading::Foreign);
    assert_eq!(reading(Kind::A, &|it| it.remove_flags(PacketFlag::RESPONSE)), Reading::Foreign);
    let question = message::question(ID, "b.test", Kind::A).expect("a name");
    let bytes = reply(&question, &fine);
    assert_eq!(message::read(&bytes, ID, "a.test", Kind::A), Reading::Foreign);
    assert_eq!(message::read(&bytes, ID, "b.test", Kind::Aaaa), Reading::Foreign);
    assert_eq!(reading(Kind::A, &|it| it.set_flags(PacketFlag::TRUNCATION)), Reading::Truncated);
    for code in [RCODE::ServerFailure, RCODE::Refused, RCODE::NotImplemented] {
        assert!(matches!(reading(Kind::A, &move |it| *it.rcode_mut() = code), Reading::Refused(_)));
    }
    let whole = reply(&message::question(ID, "a.test", Kind::A).expect("a name"), &fine);
    for cut in 0..whole.len() {
        let read = message::read(&whole[..cut], ID, "a.test", Kind::A);
        assert!(!matches!(read, Reading::Answer(_)), "cut at {cut}");
    }
}

#[test]
fn names_that_point_in_circles_end() {
    let mut bytes = message::question(ID, "a.test", Kind::A).expect("a name");
    bytes[2] |= 0x80;
    bytes[7] = 1;
    let place = bytes.len() as u16;
    for pointer in [place, place + 1, place + 4, 0x3fff, 12, 0] {
        let mut odd = bytes.clone();
        odd.extend((0xc000 | pointer).to_be_bytes());
        odd.extend([0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1]);
        let _ = message::read(&odd, ID, "a.test", Kind::A);
    }
    // It points to itself.
    bytes.extend([0xc0, bytes.len() as u8, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0]);
    assert_eq!(message::read(&bytes, ID, "a.test", Kind::A), Reading::Foreign);
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), answers in 0u8..9) {
        let mut answer = message::question(ID, "a.test", Kind::A).expect("a name");
        (answer[2], answer[7]) = (0x81, answers);
        answer.extend(&bytes);
        for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
            let _ = message::read(&answer, ID, "a.test", kind);
            let _ = message::read(&bytes, ID, "a.test", kind);
        }
    }

    #[test]
    fn no_flipped_bit_makes_it_panic(place in 0usize..200, bits in any::<u8>()) {
        let question = message::question(ID, "a.test", Kind::A).expect("a name");
        let mut bytes = reply(&question, &|it| {
            it.answers = vec![
                record("a.test", 1, alias("b.test")),
                record("b.test", 1, a(1)),
                record("b.test", 1, RData::AAAA(AAAA { address: 1 })),
            ];
            it.name_servers = vec![record("test", 300, soa(12))];
        });
        let length = bytes.len();
        bytes[place % length] ^= bits;
        let _ = message::read(&bytes, ID, "a.test", Kind::A);
    }
}

/// A name server on UDP and TCP, which says this; how often it was asked on each.
fn serve(
    udp: impl Fn(&mut Packet<'_>) + Send + Sync + 'static,
    tcp: impl Fn(&mut Packet<'_>) + Send + Sync + 'static,
) -> (SocketAddr, Arc<[AtomicUsize; 2]>) {
    let both = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("a socket");
        Some((socket, address, TcpListener::bind(address).ok()?))
    };
    let (socket, address, listener) =
        std::iter::repeat_with(both).take(100).flatten().next().expect("a port free on both");
    let asked = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (counts, counted) = (Arc::clone(&asked), Arc::clone(&asked));
    thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            counts[0].fetch_add(1, Ordering::SeqCst);
            // Somebody else's answer is first.
            let _ = socket.send_to(&reply(&bytes[..length], &|it| it.set_id(it.id() ^ 1)), from);
            let _ = socket.send_to(&reply(&bytes[..length], &udp), from);
        }
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted[1].fetch_add(1, Ordering::SeqCst);
            let (mut length, mut bytes) = ([0; 2], [0; 512]);
            let _ = stream.read_exact(&mut length);
            let length = usize::from(u16::from_be_bytes(length));
            let _ = stream.read_exact(&mut bytes[..length]);
            let answer = reply(&bytes[..length], &tcp);
            let _ = stream.write_all(&(answer.len() as u16).to_be_bytes());
            // It drips.
            answer.chunks(7).for_each(|piece| drop(stream.write_all(piece)));
        }
    });
    (address, asked)
}

fn resolver(servers: &[SocketAddr]) -> Resolver {
    Resolver::new(DnsSettings { servers: servers.to_vec(), longest: Duration::from_secs(60) })
}

fn has_a(it: &mut Packet<'_>, answers: Vec<ResourceRecord<'static>>) {
    let is_a = it
        .questions
        .first()
        .is_some_and(|question| question.qtype == simple_dns::QTYPE::TYPE(simple_dns::TYPE::A));
    if is_a {
        it.answers = answers;
    }
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_over_tcp_and_remembered() {
    let (server, asked) = serve(
        |it| it.set_flags(PacketFlag::TRUNCATION),
        |it| has_a(it, (1..100).map(|last| record("many.test", 60, a(last))).collect()),
    );
    let resolver = resolver(&[server]);
    let found = resolver.addresses("many.test.").expect("it is there");
    assert_eq!(found.records.len(), 99);
    assert!(found.ttl.is_some_and(|ttl| ttl <= Duration::from_secs(60)));
    let counts = || asked.each_ref().map(|count| count.load(Ordering::SeqCst));
    let before = counts();
    assert_eq!(before, [2, 2], "one for IPv4, one for IPv6");
    resolver.addresses("MANY.test.").expect("it is there");
    assert_eq!(counts(), before, "nobody was asked again");
}

#[test]
fn a_server_that_refuses_or_is_shut_gives_way_to_the_next() {
    let (refuses, _) = serve(|it| *it.rcode_mut() = RCODE::ServerFailure, |_| {});
    let (answers, _) = serve(|it| has_a(it, vec![record("a.test", 60, a(1))]), |_| {});
    let shut = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let resolver = resolver(&[shut.expect("a port"), refuses, answers]);
    let found = resolver.endpoints("a.test.:80").expect("one of them knows");
    assert_eq!(found.records, [SocketAddr::from(([10, 0, 0, 1], 80))]);
    let resolver = super::tests::resolver(&[refuses]);
    let failure = resolver.endpoints("a.test.:80").expect_err("nobody knows");
    assert!(failure.to_string().contains("ServerFailure"), "{failure}");
}

#[test]
fn services_are_told_with_port_priority_and_weight_and_no_name_is_looked_up_twice() {
    let (server, asked) = serve(
        |it| {
            let name = it.questions[0].qname.to_string();
            if name.starts_with("_http") {
                let target = RData::SRV(srv("gpu.test"));
                it.answers = vec![record("_http._tcp.test", 60, target)];
            } else {
                *it.rcode_mut() = RCODE::NameError;
                it.name_servers = vec![record("test", 300, soa(60))];
            }
        },
        |_| {},
    );
    let resolver = resolver(&[server]);
    let found = resolver.services("_http._tcp.test.").expect("it is there");
    let expected = SrvTarget { target: "gpu.test".into(), port: 8000, priority: 5, weight: 9 };
    assert_eq!(found.records, [expected]);
    let before = asked[0].load(Ordering::SeqCst);
    for _ in 0..3 {
        let failure = resolver.addresses("gpu.test.").expect_err("it is not there");
        assert!(matches!(failure, LookupFailure::Nothing(again) if again.as_secs() > 50));
    }
    assert_eq!(asked[0].load(Ordering::SeqCst), before + 2, "that it is not there is known");
}

#[test]
fn the_system_says_whom_to_ask_and_for_what() {
    let hosts = "127.0.0.1 localhost\n10.0.0.5 gpu.test GPU # a comment gpu2\n10.0.0.6 gpu\nx y\n";
    let resolv = "# a comment\nnameserver 10.0.0.53\nnameserver nonsense\nnameserver fe80::1%eth0\n\
                  domain old.test\nsearch one.test two.test.\n\
                  options ndots:2 timeout:1 attempts:9 rotate use-vc\n";
    let system =
        System::of(resolv, hosts.into(), "passwd: files\nhosts: files [!UNAVAIL=return] dns\n");
    let servers: Vec<SocketAddr> =
        ["10.0.0.53:53", "[fe80::1]:53"].map(|it| it.parse().expect("one")).into();
    assert_eq!(system.servers, servers);
    assert_eq!((system.attempts, system.timeout.as_secs()), (5, 1));
    assert!(system.tcp_only && !system.has_others);
    assert_eq!(system.candidates("a.b"), ["a.b.one.test", "a.b.two.test", "a.b"]);
    assert_eq!(system.candidates("a.b.c"), ["a.b.c", "a.b.c.one.test", "a.b.c.two.test"]);
    assert_eq!(system.candidates("a.b."), ["a.b"]);
    let gpu = system.hosts("Gpu").expect("it is there").records;
    assert_eq!(gpu, ["10.0.0.5", "10.0.0.6"].map(|it| it.parse::<IpAddr>().expect("one")));
    assert_eq!((system.hosts("gpu2"), system.hosts("y")), (None, None));
    let bare = System::of("", String::new(), "hosts: dns mdns4\n");
    assert_eq!(bare.servers, ["127.0.0.1:53".parse().expect("one")]);
    assert_eq!(bare.hosts("localhost.").map(|found| found.records.len()), Some(2));
    assert!(bare.has_others);
}
