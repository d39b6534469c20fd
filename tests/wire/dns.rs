//! Names that move while the gateway runs: told by dnsmasq, the real one, and by a server that is silent.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Gateway, PATIENCE, Peer};
use crate::members::{ask, expect_answers};

/// A name server that knows what it is told, on a port of its own; killed in the end.
struct Dnsmasq {
    process: Option<Child>,
    folder: PathBuf,
    port: u16,
}

impl Dnsmasq {
    fn start(records: &str) -> Dnsmasq {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-dnsmasq-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        // Free on both.
        let both = || {
            let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
            let address = socket.local_addr().ok()?;
            TcpListener::bind(address).ok().map(|_| address.port())
        };
        let port = std::iter::repeat_with(both).take(100).flatten().next().expect("a port");
        let mut server = Dnsmasq { process: None, folder, port };
        server.tell(records);
        server
    }

    /// It knows these from now on, lines of its configuration, and nothing else.
    fn tell(&mut self, records: &str) {
        self.end();
        let config = self.folder.join("dnsmasq.conf");
        let text = format!(
            "port={}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nlocal-ttl=1\n\
             auth-ttl=1\nlocal=/test/\n{records}\n",
            self.port
        );
        fs::write(&config, text).expect("a temporary file");
        let path = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"]
            .into_iter()
            .find(|it| fs::metadata(it).is_ok());
        let path = path.expect("dnsmasq is not installed: tests/run --install");
        let mut command = Command::new(path);
        command.arg("--keep-in-foreground").arg("--user=").arg("--pid-file=");
        command.arg(format!("--conf-file={}", config.display()));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.expect("it starts"));
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "dnsmasq does not listen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().map(|process| process.id() as i32);
        let pid = id.and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, signal).expect("it runs");
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn gateway(&self, discover: &str) -> Gateway {
        gateway(self.port, discover)
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn gateway(name_server: u16, discover: &str) -> Gateway {
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\nresolve = \"1s\"\n\
         dns = {{ servers = [\"127.0.0.1:{name_server}\"] }}\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"llama\"\nbalance = \"round_robin\"\n{discover}\n\
         [[route]]\npath = \"/*\"\nupstream = \"llama\"\n"
    ))
}

/// Servers on one port of several loopback addresses, each of which answers with its address.
fn servers(count: u8) -> u16 {
    let ports = std::iter::repeat_with(|| servers_on_one_port(count)).take(20);
    ports.flatten().next().expect("a port that is free on each")
}

fn servers_on_one_port(count: u8) -> Option<u16> {
    let first = TcpListener::bind("127.0.0.2:0").expect("a port");
    let port = first.local_addr().expect("a socket").port();
    let rest =
        (1..count).map(|at| TcpListener::bind(SocketAddr::from(([127, 0, 0, 2 + at], port))).ok());
    let rest: Option<Vec<TcpListener>> = rest.collect();
    for listener in [first].into_iter().chain(rest?) {
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let body = stream.local_addr().expect("a socket").ip().to_string();
                    let mut peer = Peer::of(stream);
                    loop {
                        peer.receive(PATIENCE);
                        if peer.unread().is_empty() {
                            return;
                        }
                        peer.read_request();
                        let length = body.len();
                        peer.send(format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                        ));
                    }
                });
            }
        });
    }
    Some(port)
}

#[test]
fn a_name_moves_with_its_records_and_stays_where_it_was_when_nobody_knows() {
    let port = servers(3);
    let mut dns = Dnsmasq::start("host-record=llama.test,127.0.0.2");
    let gateway = dns.gateway(&format!("discover = {{ dns = \"llama.test:{port}\" }}"));
    expect_answers(&gateway, &["127.0.0.2"]);
    dns.tell("host-record=llama.test,127.0.0.2\nhost-record=llama.test,127.0.0.3\nhost-record=llama.test,127.0.0.4");
    expect_answers(&gateway, &["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    // It says that there is no such name: nobody is taken from the upstream.
    dns.tell("");
    gateway.wait_for_log("it is doubted, and 3 are kept");
    expect_answers(&gateway, &["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    dns.tell("host-record=llama.test,127.0.0.3\nhost-record=llama.test,127.0.0.4");
    expect_answers(&gateway, &["127.0.0.3", "127.0.0.4"]);
    // Silent, then gone.
    dns.signal(Signal::STOP);
    gateway.wait_for_log("does not answer; the endpoints it has told are kept");
    expect_answers(&gateway, &["127.0.0.3", "127.0.0.4"]);
    dns.signal(Signal::CONT);
    gateway.wait_for_log("answers again");
    dns.tell("cname=llama.test,other.test\nhost-record=other.test,127.0.0.2\nhost-record=other.test,127.0.0.4");
    expect_answers(&gateway, &["127.0.0.2", "127.0.0.4"]);
}

#[test]
fn a_name_among_the_endpoints_is_looked_up_by_the_same_servers() {
    let port = servers(2);
    let mut dns = Dnsmasq::start("host-record=llama.test,127.0.0.2");
    let gateway = dns.gateway(&format!("endpoints = [\"llama.test:{port}\"]"));
    assert_eq!(ask(&gateway), (200, "127.0.0.2".to_owned()), "it was looked up before it listened");
    dns.tell("host-record=llama.test,127.0.0.3");
    expect_answers(&gateway, &["127.0.0.3"]);
}

#[test]
fn srv_records_tell_ports_and_who_is_asked_first() {
    let port = servers(3);
    let hosts = "host-record=one.test,127.0.0.2\nhost-record=two.test,127.0.0.3\nhost-record=three.test,127.0.0.4\n";
    let srv = |name: &str, priority: u16| {
        format!("srv-host=_http._tcp.llama.test,{name}.test,{port},{priority},10\n")
    };
    let first = format!("{hosts}{}{}{}", srv("one", 1), srv("two", 1), srv("three", 2));
    let mut dns = Dnsmasq::start(&first);
    let gateway = dns.gateway("discover = { srv = \"_http._tcp.llama.test\" }");
    expect_answers(&gateway, &["127.0.0.2", "127.0.0.3"]);
    dns.tell(&format!("{hosts}{}{}", srv("one", 5), srv("three", 2)));
    expect_answers(&gateway, &["127.0.0.4"]);
}

#[test]
fn an_answer_that_is_too_long_for_a_datagram_comes_whole() {
    let port = servers(2);
    // Nobody listens at the others.
    let many: String = (0..60).map(|at| format!("host-record=llama.test,127.9.0.{at}\n")).collect();
    let both = "host-record=llama.test,127.0.0.2\nhost-record=llama.test,127.0.0.3\n";
    let mut dns = Dnsmasq::start(both);
    let gateway = dns.gateway(&format!("discover = {{ dns = \"llama.test:{port}\" }}"));
    assert_eq!(ask(&gateway).0, 200, "it was looked up before it listened");
    dns.tell(&format!("{many}{both}"));
    gateway.expect_in_log("of 62 endpoints", 1);
}

#[test]
fn requests_go_on_while_the_records_change() {
    let port = servers(3);
    let record = |last: u8| format!("host-record=llama.test,127.0.0.{last}\n");
    let mut dns = Dnsmasq::start(&record(2));
    let gateway = dns.gateway(&format!("discover = {{ dns = \"llama.test:{port}\" }}"));
    expect_answers(&gateway, &["127.0.0.2"]);
    let until = Instant::now() + Duration::from_secs(8);
    thread::scope(|scope| {
        let asking = || {
            let mut asked = 0;
            while Instant::now() < until {
                let (status, said) = ask(&gateway);
                assert_eq!(status, 200, "after {asked}: {said}");
                asked += 1;
                // Each is a connection of its own, whose port rests for a minute: without a pause all of
                // them would rest soon.
                thread::sleep(Duration::from_millis(2));
            }
            asked
        };
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(asking)).collect();
        for round in 0..6u8 {
            dns.tell(&(record(2 + round % 3) + &record(2 + (round + 1) % 3)));
            thread::sleep(Duration::from_millis(1_100));
        }
        let asked: usize =
            clients.into_iter().map(|client| client.join().expect("no failure")).sum();
        assert!(asked > 50, "{asked}");
    });
}

#[test]
fn a_start_does_not_wait_for_a_name_server_that_is_silent() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("a socket").port();
    let began = Instant::now();
    let fixed = crate::handover::says("fixed");
    let gateway = gateway(
        port,
        &format!("endpoints = [\"{fixed}\"]\ndiscover = {{ dns = \"llama.test:80\" }}"),
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(ask(&gateway), (200, "fixed".to_owned()), "what is written serves");
}

/// Twenty targets whose name server says nothing, in front of and behind one that has an address.
#[test]
fn targets_that_nobody_knows_hold_up_those_that_are_known_no_longer_than_one() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("a socket").port();
    let port = servers(2);
    let target = |name: &str| format!("srv-host=_http._tcp.llama.test,{name},{port}\n");
    let quiet: String = (0..20).map(|number| target(&format!("s{number}.quiet"))).collect();
    let dns = Dnsmasq::start(&format!(
        "{quiet}{}host-record=known.test,127.0.0.2\nserver=/quiet/127.0.0.1#{silent_port}",
        target("known.test")
    ));
    let gateway = dns.gateway("discover = { srv = \"_http._tcp.llama.test\" }");
    // One after another they would take minutes.
    expect_answers(&gateway, &["127.0.0.2"]);
}
