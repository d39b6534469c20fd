"""TLS of the rows that have it: one certificate for all, and what each proxy is told of it.

A `Seal` says which side of the proxies is sealed. The certificate is ECDSA P-256 and signed with its own
key; every side that has to believe somebody is given its file. All of them speak TLS 1.3 with whatever
both sides prefer, and hand out tickets, each by its defaults.
"""

from dataclasses import dataclass
from pathlib import Path

import process


@dataclass(frozen=True)
class Seal:
    # Sealed towards clients, towards the server.
    clients: bool = False
    server: bool = False
    # Certificate, key, and both in one file, as HAProxy wants them.
    certificate: Path = None
    key: Path = None
    both: Path = None

    @property
    def scheme(self):
        return "https" if self.clients else "http"

    def haproxy(self):
        bind = f" ssl crt {self.both} alpn http/1.1" if self.clients else ""
        server = f" ssl verify required ca-file {self.certificate} verifyhost localhost"
        # One line is all that 2.6 asks for, and it warns without.
        tune = "    tune.ssl.default-dh-param 2048\n" if self.clients else ""
        return bind, server + " sni str(localhost)" if self.server else "", tune

    def nginx(self):
        """The word behind `listen`, the lines of the server, the scheme and the lines of the location."""
        word = " ssl" if self.clients else ""
        lines = ""
        if self.clients:
            lines = f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key};"
            lines += " ssl_protocols TLSv1.2 TLSv1.3;"
        if not self.server:
            return word, lines, "http", ""
        trusted = f"proxy_ssl_trusted_certificate {self.certificate};"
        trusted += " proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_name localhost;"
        return word, lines, "https", trusted + " proxy_ssl_protocols TLSv1.2 TLSv1.3;"

    def envoy(self):
        """The transport sockets of the listener and of the cluster, as lines of YAML."""
        kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
        listener = cluster = ""
        if self.clients:
            chain = f"certificate_chain: {{ filename: {self.certificate} }}"
            listener = f"""\
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": {kind}.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_certificates: [{{ {chain}, private_key: {{ filename: {self.key} }} }}]
"""
        if self.server:
            cluster = f"""\
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": {kind}.UpstreamTlsContext
        sni: localhost
        common_tls_context:
          validation_context: {{ trusted_ca: {{ filename: {self.certificate} }} }}
"""
        return listener, cluster

    def sluicegate(self, sections, port, server):
        """Changes the sections of a gateway's configuration; gives its endpoint."""
        if self.clients:
            del sections["server"]["listen"]
            files = f'certificate = "{self.certificate}", key = "{self.key}"'
            sections["server.tls"] = {
                "listen": f'["127.0.0.1:{port}"]',
                "certificates": f"[{{ {files} }}]",
            }
        if not self.server:
            return f"127.0.0.1:{server}"
        sections["upstream"]["tls"] = f'{{ ca = "{self.certificate}", server_name = "localhost" }}'
        return f"https://127.0.0.1:{server}"


PLAIN = Seal()


def make(binary, folder):
    """A certificate for this host, made once; seals of it by the word of a row."""
    certificate, key, both = (folder / name for name in ("tls.pem", "tls.key", "tls.both.pem"))
    if not both.exists():
        for old in (certificate, key):
            old.unlink(missing_ok=True)
        command = [binary, "cert", "--self-signed", "--certificate", certificate, "--key", key]
        process.run(command)
        both.write_text(certificate.read_text() + key.read_text())
    files = {"certificate": certificate, "key": key, "both": both}
    return {
        "": PLAIN,
        "clients": Seal(clients=True, **files),
        "server": Seal(server=True, **files),
    }
