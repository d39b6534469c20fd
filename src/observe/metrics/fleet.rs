//! What a gateway knows of its fleet.

use super::super::exposition::{MetricType, Page};
use super::super::fleet::FleetKnowledge;

pub(super) fn write(page: &mut Page, known: Option<&FleetKnowledge>) {
    let Some(known) = known else { return };
    let gauge = MetricType::Gauge;
    page.family("sluicegate_fleet_members", gauge, "Gateways of the fleet that have a lease.");
    page.sample(&[], known.members.len() as u64);
    page.family("sluicegate_fleet_away", gauge, "1 while the fleet's store does not answer.");
    page.sample(&[], u64::from(known.away));
    page.family("sluicegate_fleet_share", gauge, "This gateway's share of a limit of a key.");
    for (id, share) in &known.in_force {
        page.sample(&[("key", &id.key), ("limit", id.kind.name())], *share);
    }
    page.family("sluicegate_fleet_limit", gauge, "A limit of a key that the fleet shares.");
    for (id, limit) in &known.limits {
        page.sample(&[("key", &id.key), ("limit", id.kind.name())], *limit);
    }
    if known.shares_verdicts {
        let help =
            "Endpoints that other gateways of the fleet call broken, by whether that is heard.";
        page.family("sluicegate_fleet_hints", gauge, help);
        for (name, heard) in [("yes", true), ("no", false)] {
            let count = known.hints.iter().filter(|hint| hint.heard == heard).count();
            page.sample(&[("heard", name)], count as u64);
        }
        let help = "Endpoints that were looked at because other gateways call them broken.";
        page.family("sluicegate_fleet_hints_heard_total", MetricType::Counter, help);
        page.sample(&[], known.hints_heard);
    }
    let help = "Looks at the fleet's store, by what became of them.";
    page.family("sluicegate_fleet_rounds_total", MetricType::Counter, help);
    let rounds = known.rounds;
    let results =
        [("done", rounds.done), ("contended", rounds.contended), ("failed", rounds.failed)];
    for (result, count) in results {
        page.sample(&[("result", result)], count);
    }
}
