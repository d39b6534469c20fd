//! A cluster of etcd, of the real binary, on loopback, killed when the test ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;

/// Some members that know each other.
pub struct EtcdCluster {
    folder: PathBuf,
    /// For clients and for the other members.
    ports: Vec<(u16, u16)>,
    members: Vec<Option<Child>>,
    /// Clusters that had the same ports before.
    renewed: u32,
    sealed: Option<SealedPort>,
}

/// Where the one member of a cluster speaks TLS, and with what.
struct SealedPort {
    port: u16,
    certificate: PathBuf,
    key: PathBuf,
    /// Who has to have signed the certificates of its clients.
    ca: PathBuf,
}

impl EtcdCluster {
    /// Starts so many members, and waits until they have a leader.
    pub fn start(members: usize) -> EtcdCluster {
        EtcdCluster::start_with(members, None)
    }

    /// Starts one member that speaks TLS on a second port, to clients whose certificates `ca` has
    /// signed.
    pub fn start_sealed(certificate: &Path, key: &Path, ca: &Path) -> EtcdCluster {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = held.local_addr().expect("it is bound").port();
        drop(held);
        let (certificate, key, ca) = (certificate.into(), key.into(), ca.into());
        EtcdCluster::start_with(1, Some(SealedPort { port, certificate, key, ca }))
    }

    fn start_with(members: usize, sealed: Option<SealedPort>) -> EtcdCluster {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-etcd-{}-{number}", std::process::id());
        // All are held until all are known, so that none comes twice.
        let held: Vec<[TcpListener; 2]> = (0..members)
            .map(|_| [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free")))
            .collect();
        let port = |held: &TcpListener| held.local_addr().expect("it is bound").port();
        let ports = held.iter().map(|[one, two]| (port(one), port(two))).collect();
        let mut cluster = EtcdCluster {
            folder: std::env::temp_dir().join(name),
            ports,
            members: (0..members).map(|_| None).collect(),
            renewed: 0,
            sealed,
        };
        drop(held);
        (0..members).for_each(|index| cluster.start_member(index));
        cluster.wait_until_ready();
        cluster
    }

    /// Where a gateway finds what stands below this prefix.
    pub fn place(&self, prefix: &str) -> String {
        let members = self.ports.iter().map(|(client, _)| format!("127.0.0.1:{client}"));
        format!("etcd://{}/{prefix}", members.collect::<Vec<_>>().join(","))
    }

    /// The same of one that speaks TLS, reached by the name `localhost`.
    pub fn sealed_place(&self, prefix: &str, query: &str) -> String {
        let port = self.sealed.as_ref().expect("it was started so").port;
        format!("etcds://localhost:{port}/{prefix}?{query}")
    }

    pub fn start_member(&mut self, index: usize) {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (client, peer) = self.ports[index];
        let name = |index: usize| format!("m{}-{index}", self.renewed);
        let all = self.ports.iter().enumerate();
        let all = all.map(|(index, (_, peer))| format!("{}={}", name(index), url(*peer)));
        let mut listen = url(client);
        let mut command = Command::new("etcd");
        if let Some(SealedPort { port, certificate, key, ca }) = &self.sealed {
            listen = format!("{listen},https://127.0.0.1:{port}");
            command.arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca);
        }
        let child = command
            .args(["--name", &name(index), "--data-dir"])
            .arg(self.folder.join(name(index)))
            .args(["--listen-client-urls", &listen, "--advertise-client-urls", &url(client)])
            .args(["--listen-peer-urls", &url(peer)])
            .args(["--initial-advertise-peer-urls", &url(peer)])
            .args(["--initial-cluster", &all.collect::<Vec<_>>().join(",")])
            .args(["--initial-cluster-token", &format!("{}", self.renewed)])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500", "--unsafe-no-fsync"])
            // For values that nobody should write.
            .args(["--max-request-bytes", "4194304"])
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd is installed: tests/run --install");
        self.members[index] = Some(child);
    }

    /// Kills a member, as a power cut does.
    pub fn kill(&mut self, index: usize) {
        let mut child = self.members[index].take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// A new cluster at the same addresses, which knows nothing of the old one's keys.
    pub fn renew(&mut self) {
        for index in 0..self.members.len() {
            if self.members[index].is_some() {
                self.kill(index);
            }
        }
        self.renewed += 1;
        (0..self.members.len()).for_each(|index| self.start_member(index));
        self.wait_until_ready();
    }

    /// Which member leads.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in (0..self.members.len()).filter(|index| self.members[*index].is_some()) {
                let told = self.post(index, "/v3/maintenance/status", &json!({}));
                let told = told.unwrap_or_default();
                let (leader, member) = (&told["leader"], &told["header"]["member_id"]);
                if leader.is_string() && leader == member {
                    return index;
                }
            }
            assert!(Instant::now() < deadline, "there is no leader");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until most members agree on something.
    pub fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        let question = json!({ "key": encoded(b"x") });
        while self.ask("/v3/kv/range", &question).is_none() {
            assert!(Instant::now() < deadline, "the cluster does not get ready");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes a key, whatever it says.
    pub fn put(&self, key: &[u8], value: &[u8]) {
        let question = json!({ "key": encoded(key), "value": encoded(value) });
        self.ask("/v3/kv/put", &question).expect("most members run");
    }

    /// The values of the keys that begin so.
    pub fn values(&self, prefix: &str) -> Vec<String> {
        let end = format!("{prefix}\u{7f}");
        let question =
            json!({ "key": encoded(prefix.as_bytes()), "range_end": encoded(end.as_bytes()) });
        let told = self.ask("/v3/kv/range", &question).expect("most members run");
        let entries = told["kvs"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| decoded(entry["value"].as_str().unwrap_or_default())).collect()
    }

    /// What the first member says that answers.
    pub fn ask(&self, path: &str, question: &Value) -> Option<Value> {
        let running = (0..self.members.len()).filter(|index| self.members[*index].is_some());
        running.into_iter().find_map(|index| self.post(index, path, question))
    }

    fn post(&self, index: usize, path: &str, question: &Value) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[index].0)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let body = question.to_string();
        let head =
            format!("POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.lines().next()?.contains(" 200 ").then(|| serde_json::from_str(body).ok())?
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for child in self.members.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64.
pub fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let bits = piece.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - piece.len()));
        for at in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= piece.len() { letter.into() } else { '=' });
        }
    }
    text
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let (mut bits, mut have) = (0u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = ALPHABET.iter().position(|it| *it == letter).expect("base64");
        (bits, have) = (bits << 6 | value as u32, have + 6);
        if have >= 8 {
            have -= 8;
            bytes.push((bits >> have) as u8);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
