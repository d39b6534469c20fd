"""The manifests of docs/deploy/kubernetes.yaml, against the schemas of Kubernetes and against each other.

    manifests.py SLUICEGATE MANIFESTS

Asserts: every object is valid, strictly, in the oldest version that the file names and in the newest
that the schemas are here for; the configuration in the ConfigMap is accepted by `SLUICEGATE check`;
its addresses are the ports of the container and of the probes; what a pod does before it ends fits
into the time that it is given.
"""

import pathlib
import subprocess
import sys
import tempfile
import tomllib

import kubernetes_validate
import yaml

OLDEST, NEWEST = "1.30", "1.37"


def main() -> None:
    binary, path = sys.argv[1:]
    text = pathlib.Path(path).read_text()
    assert f"Kubernetes {OLDEST} or later" in text
    objects = list(yaml.safe_load_all(text))
    for version in (OLDEST, NEWEST):
        for one in objects:
            kubernetes_validate.validate(one, version, strict=True)
    of_kind = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    config_map = of_kind["ConfigMap", "sluicegate"]["data"]["gate.toml"]
    pod = of_kind["Deployment", "sluicegate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    check(binary, config_map)

    config = tomllib.loads(config_map)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config["server"]["listen"] == [f"0.0.0.0:{ports['http']}"]
    assert config["admin"]["listen"] == f"0.0.0.0:{ports['admin']}"
    for probe, call in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == (call, "admin"), probe
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["args"][-1] == f"{mounts['config']}/gate.toml"
    assert config["admin"]["token_file"].startswith(f"{mounts['secret']}/")

    drain = config["timeouts"]["drain"]
    assert drain.endswith("m"), drain
    ends = container["lifecycle"]["preStop"]["sleep"]["seconds"] + 60 * int(drain[:-1])
    assert ends + 10 <= pod["terminationGracePeriodSeconds"], f"{ends} s"
    # A node that looks while the pod still takes connections sees it ready.
    ready = container["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < 10
    print(f"{len(objects)} objects are valid in Kubernetes {OLDEST} and {NEWEST}")


def check(binary: str, config: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        token = pathlib.Path(folder, "admin-token")
        token.write_text("correct-horse-battery\n")
        file = pathlib.Path(folder, "gate.toml")
        file.write_text(config.replace("/etc/sluicegate/secret/admin-token", str(token)))
        subprocess.run([binary, "check", "--config", str(file)], check=True, stdout=subprocess.DEVNULL)


main()
