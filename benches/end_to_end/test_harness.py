#!/usr/bin/env python3
"""Tests of what the harness concludes. `tests/end_to_end.rs` runs them with the others."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import chart
import measure
import sealing
import store
import verdict
from rows import ROWS, Check


def samples(**of):
    return {name: {"f": values} for name, values in of.items()}


class Verdicts(unittest.TestCase):
    def test_the_bound_is_the_better_of_those_it_names(self):
        one = Check("t", "f", 0.8, ("haproxy", "nginx"))
        found = verdict.check(one, "g", samples(g=[7.9] * 3, haproxy=[12.0] * 3, nginx=[10.0] * 3))
        self.assertEqual((found["against"], found["verdict"]), ("nginx", "held"))
        self.assertAlmostEqual(found["ratio"], 0.79)
        found = verdict.check(one, "g", samples(g=[8.1] * 3, haproxy=[12.0] * 3, nginx=[10.0] * 3))
        self.assertEqual(found["verdict"], "missed")

    def test_a_bound_may_be_a_number_or_have_something_on_top(self):
        most = Check("t", "f", at_most=400)
        self.assertEqual(verdict.check(most, "g", samples(g=[400, 400]))["verdict"], "held")
        self.assertEqual(verdict.check(most, "g", samples(g=[401, 401]))["verdict"], "missed")
        plus = Check("t", "f", 1.0, ("relay",), plus=50)
        found = verdict.check(plus, "g", samples(g=[140], relay=[100]))
        self.assertEqual((found["verdict"], found["bound"]), ("held", 150))

    def test_what_was_not_measured_has_no_verdict(self):
        one = Check("t", "f", 1.0, ("relay", "haproxy"))
        for seen in (samples(g=[1.0], relay=[2.0]), samples(relay=[2.0], haproxy=[2.0])):
            self.assertEqual(verdict.check(one, "g", seen)["verdict"], "not measured")

    def test_rounds_that_disagree_are_told(self):
        one = Check("t", "f", 1.0, ("relay",))
        calm = verdict.check(one, "g", samples(g=[90, 91, 90, 91], relay=[100] * 4))
        self.assertEqual((calm["noisy"], calm["close"]), (False, False))
        wild = verdict.check(one, "g", samples(g=[60, 70, 110, 120], relay=[100] * 4))
        self.assertEqual((wild["noisy"], wild["close"]), (True, True))
        # One round out of seven is no reason.
        self.assertLess(verdict.spread([10, 10, 10, 10, 10, 10, 90]), 0.01)


class Figures(unittest.TestCase):
    def round(self, **of):
        none = {"token_latency": None, "request_latency": None, "process": None}
        counts = {"tokens": 0, "requests": 0, "bytes": 0, "seconds": 2.0}
        return {**counts, **none, **of}

    def test_cpu_is_divided_by_what_arrived(self):
        figures = measure.of_round(self.round(tokens=100, process={"cpu_ns": 5_000}))
        self.assertEqual((figures["cpu_ns_per_token"], figures["tokens_per_second"]), (50, 50))
        self.assertNotIn("cpu_ns_per_request", figures)

    def test_one_median_is_taken_from_all_percentiles(self):
        direct = self.round(token_latency={"p50": 10, "p99": 1_000})
        through = self.round(token_latency={"p50": 30, "p99": 500})
        self.assertEqual(measure.added(through, direct), {"added_p50_ns": 20, "added_p99_ns": 490})
        self.assertEqual(measure.added(self.round(), direct), {})


class Charts(unittest.TestCase):
    def row(self, **of):
        samples = {name: {"cpu_ns_per_request": values} for name, values in of.items()}
        return {"samples": samples, "verdicts": [{"figure": "cpu_ns_per_request"}]}

    def test_bars_are_multiples_of_the_relay_s(self):
        row = self.row(relay=[10.0, 20.0], sluicegate=[12.0, 18.0])
        self.assertEqual(chart.bars(row)["sluicegate"], (1.0, 0.9, 1.2))
        self.assertEqual(chart.bars(self.row(sluicegate=[1.0])), {})

    def test_a_bar_as_long_as_its_ratio_and_none_beyond_the_frame(self):
        stored = {"unary-32": self.row(relay=[10.0], sluicegate=[20.0], envoy=[90.0])}
        picture = chart.svg(stored)
        for ratio in (1.0, 2.0, chart.MOST):
            self.assertIn(f'width="{chart.x(ratio) - chart.LEFT:.1f}"', picture)
        self.assertIn(">9.00<", picture)
        self.assertEqual(picture.count("<rect"), 1 + 3 + 3)


class Seals(unittest.TestCase):
    def sections(self):
        return {"server": {"listen": '["127.0.0.1:1"]'}, "upstream": {}}

    def test_a_plain_row_is_told_nothing_of_tls(self):
        sections = self.sections()
        self.assertEqual(sealing.PLAIN.sluicegate(sections, 1, 2), "127.0.0.1:2")
        self.assertEqual(sections, self.sections())
        self.assertEqual(sealing.PLAIN.haproxy(), ("", "", ""))
        self.assertEqual(sealing.PLAIN.nginx(), ("", "", "http", ""))
        self.assertEqual(sealing.PLAIN.envoy(), ("", ""))

    def test_each_side_is_sealed_by_itself(self):
        files = {"certificate": Path("c.pem"), "key": Path("k.pem"), "both": Path("b.pem")}
        clients, server = sealing.Seal(clients=True, **files), sealing.Seal(server=True, **files)
        sections = self.sections()
        self.assertEqual(clients.sluicegate(sections, 1, 2), "127.0.0.1:2")
        self.assertNotIn("listen", sections["server"])
        self.assertIn('"127.0.0.1:1"', sections["server.tls"]["listen"])
        sections = self.sections()
        self.assertEqual(server.sluicegate(sections, 1, 2), "https://127.0.0.1:2")
        self.assertIn("ca = \"c.pem\"", sections["upstream"]["tls"])
        for proxy in ("haproxy", "nginx", "envoy"):
            of_clients, of_server = (str(getattr(seal, proxy)()) for seal in (clients, server))
            self.assertIn("b.pem" if proxy == "haproxy" else "k.pem", of_clients, proxy)
            self.assertNotIn("k.pem", of_server, proxy)
            self.assertIn("c.pem", of_server, proxy)


class Table(unittest.TestCase):
    def test_rows_have_names_of_their_own_and_show_what_they_check(self):
        names = [row.name for row in ROWS]
        self.assertEqual(len(names), len(set(names)))
        for row in ROWS:
            for check in row.checks:
                self.assertIn(check.figure, row.show, row.name)
                self.assertTrue(set(check.against) <= set(row.proxies), row.name)
                self.assertTrue((check.factor is None) != (check.at_most is None), row.name)

    def test_a_row_is_replaced_and_the_others_stay(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "below" / "results.json"
            store.put(path, "a", {"samples": {"x": {"f": [1.23456789, 2]}}})
            store.put(path, "b", {"v": 1})
            store.put(path, "b", {"v": 2})
            self.assertIn("[1.23457, 2]", path.read_text())
            self.assertEqual(store.read(path)["rows"]["b"], {"v": 2})
            self.assertEqual(list(store.read(path)["rows"]), ["a", "b"])


if __name__ == "__main__":
    unittest.main()
