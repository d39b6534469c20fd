//! Drawing a plan from its seed: how often which kind of trouble comes.
//!
//! One generator, drawn from in one order. A change here makes other worlds of the same seeds.

use std::time::Duration;

use super::faults::Faults;
use super::payload::Kind;
use super::plan::{
    AMPLE, Afterwards, AnswerPlan, ExchangePlan, Framing, GatewayPlan, Leave, Method, Pace, Plan,
    Seals, Upload, VisitPlan, Wrong,
};
use super::random::Random;
use super::script::Death;
use super::toy::Manners;
use super::trouble::Trouble;

/// Heads that every strict server refuses.
const BAD_HEADS: [&[u8]; 6] = [
    b"POST /relay HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nz",
    b"GET /relay HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /relay HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET /relay HTTP/1.1\r\n\r\n",
    b"POST /relay HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    b"GET /nowhere HTTP/2.5\r\nHost: x\r\n\r\n",
];

fn millis(millis: usize) -> Duration {
    Duration::from_millis(millis as u64)
}

impl Plan {
    pub fn draw(seed: u64) -> Plan {
        let mut random = Random::new(seed);
        // One world in eight is perfect: there the floor of calls can be checked.
        let perfect = random.chance(125);
        let faults = if perfect { Faults::none() } else { Faults::draw(&mut random) };
        let mut plan = Plan {
            seed,
            faults,
            perfect,
            visits: Vec::new(),
            exchanges: Vec::new(),
            gateway: GatewayPlan::draw(&mut random, perfect),
            drain_at: None,
            seals: Seals::default(),
        };
        if !perfect && random.chance(80) {
            plan.drain_at = Some(millis(random.between(0..=3000)));
        }
        for _ in 0..random.between(1..=8) {
            let visit = plan.draw_visit(&mut random, perfect);
            plan.visits.push(visit);
        }
        if random.chance(500) {
            plan.gateway.attempts = random.between(2..=4) as u32;
            plan.gateway.upstreams = random.between(1..=3);
            plan.gateway.budget = *random.pick(&[AMPLE, AMPLE, AMPLE, AMPLE, AMPLE, 20, 0]);
            plan.draw_troubles(&mut random);
        }
        plan.gateway.breaker = random.chance(500);
        plan.gateway.panic = seed.is_multiple_of(2);
        // Long, as few events as there are in so small a world.
        plan.gateway.coalesce = random.chance(250).then_some(millis(10));
        plan.seals = Seals::draw(seed, &plan.faults);
        plan
    }

    /// Where there may be further attempts, some exchanges need them.
    fn draw_troubles(&mut self, random: &mut Random) {
        if self.perfect {
            return;
        }
        let most = self.gateway.attempts as usize * self.gateway.upstreams;
        for exchange in &mut self.exchanges {
            // An answer that does not wait, a tunnel and leave to go on cannot be told twice.
            let plain = !exchange.answer.early
                && exchange.tunnel.is_none()
                && !exchange.expects_continue
                && exchange.upload.is_none_or(|upload| !upload.spoiled);
            if plain && random.chance(300) {
                // Mostly fewer than there are attempts, or nobody would be owed anything.
                let few = random.chance(700);
                let count = random.between(1..=if few { most - 1 } else { most });
                let draw = |_| Trouble::draw(random, exchange.is_head());
                exchange.troubles = (0..count).map(draw).collect();
            }
        }
    }

    fn draw_visit(&mut self, random: &mut Random, perfect: bool) -> VisitPlan {
        let rude = !perfect && random.chance(300);
        let http10 = random.chance(100);
        let slow = !perfect && random.chance(200);
        let pace = if slow { Pace::draw(random) } else { Pace::Eager };
        let mut requests = Vec::new();
        let mut tunnel = false;
        for _ in 0..if http10 { 1 } else { random.between(1..=4) } {
            let broken = !perfect && random.chance(300);
            let mut exchange = ExchangePlan::draw(random, broken);
            exchange.bound(self.length_max());
            if !pace.reads() || http10 {
                // Neither can be waited for by who does not read, nor asked for in HTTP/1.0.
                (exchange.tunnel, exchange.expects_continue) = (None, false);
            }
            tunnel = exchange.tunnel.is_some();
            requests.push(self.exchanges.len());
            self.exchanges.push(exchange);
            if tunnel {
                break;
            }
        }
        let leaves = rude && random.chance(500);
        VisitPlan {
            delay: millis(random.below(2000)),
            requests,
            pipelined: random.chance(250),
            http10,
            pace,
            leaves: leaves.then(|| Leave {
                after: match random.chance(100) {
                    true => Duration::from_secs(90),
                    false => Duration::from_micros(random.length(3_000_000) as u64),
                },
                reset: random.chance(500),
                inside_request: random.chance(200),
            }),
            half_closes: rude && !leaves && random.chance(300),
            drips: random.chance(150),
            bad_head: (rude && !tunnel && !http10 && pace.reads() && random.chance(200))
                .then(|| *random.pick(&BAD_HEADS)),
        }
    }

    /// Bodies are short where buffers are tiny: a byte a round trip proves its point early.
    fn length_max(&self) -> usize {
        self.faults.capacity.start().saturating_mul(300).saturating_add(200)
    }
}

impl Seals {
    /// In one world of four, somebody has sessions. Drawn by a voice of its own: worlds without them
    /// stay the ones that their seeds have always meant.
    fn draw(seed: u64, faults: &Faults) -> Seals {
        let mut random = Random::new(seed.rotate_left(16) ^ !0);
        if !random.chance(250) {
            return Seals::default();
        }
        let who = random.below(3);
        let mut manners = || Some(Manners::draw(&mut random, *faults.capacity.start()));
        Seals {
            clients: if who == 1 { None } else { manners() },
            servers: if who == 0 { None } else { manners() },
        }
    }
}

impl Manners {
    /// Where little goes through at once, records and hellos are short: each has to come whole.
    fn draw(random: &mut Random, capacity: usize) -> Manners {
        let bound = capacity.saturating_mul(100);
        Manners {
            record_max: random.pick(&[16 * 1024, 16 * 1024, 1024, 100]).min(&bound).to_owned(),
            hello_max: random.length(4_000).min(bound / 4),
            tickets: random.below(3),
            stalls: false,
        }
    }
}

impl GatewayPlan {
    fn draw(random: &mut Random, perfect: bool) -> GatewayPlan {
        let mut scarce = |few: usize, many: usize| {
            if !perfect && random.chance(60) { random.between(1..=few) } else { many }
        };
        GatewayPlan {
            upstreams: 1,
            endpoints: scarce(3, 1),
            connections: scarce(2, 1000),
            upstream_connections: scarce(2, 1000),
            idle_connections: scarce(1, 20),
            buffers: scarce(8, 4096),
            half_close_allowed: random.chance(300),
            replay_stale_post: !random.chance(100),
            attempts: 1,
            breaker: false,
            // Drawn by nobody, so that the worlds stay the ones that their seeds have always meant.
            panic: false,
            coalesce: None,
            budget: AMPLE,
        }
    }
}

impl Pace {
    fn draw(random: &mut Random) -> Pace {
        match random.below(3) {
            0 => {
                Pace::Slow { sips: random.between(2..=100), every: millis(random.between(1..=100)) }
            }
            1 => Pace::Pauses(millis(random.below(5_000))),
            _ => Pace::NeverReads,
        }
    }
}

impl ExchangePlan {
    fn draw(random: &mut Random, broken: bool) -> ExchangePlan {
        let method = *random.pick(&[Method::Post, Method::Post, Method::Get, Method::Head]);
        let upload = (method == Method::Post).then(|| Upload {
            length: random.length(40_000),
            chunked: random.chance(400),
            spoiled: broken && random.chance(150),
            pause: if random.chance(300) { millis(random.below(2_000)) } else { Duration::ZERO },
        });
        let tunnel = (method == Method::Get && random.chance(150)).then(|| random.length(20_000));
        let mut answer = AnswerPlan::draw(random, broken);
        if tunnel.is_some() || upload.is_none() {
            answer.early = false;
        }
        ExchangePlan {
            method,
            upload,
            expects_continue: upload.is_some() && random.chance(100),
            tunnel,
            troubles: Vec::new(),
            answer,
        }
    }

    fn bound(&mut self, length_max: usize) {
        self.answer.length = self.answer.length.min(length_max);
        if let Some(upload) = &mut self.upload {
            upload.length = upload.length.min(length_max);
        }
        self.tunnel = self.tunnel.map(|length| length.min(length_max));
    }
}

impl AnswerPlan {
    fn draw(random: &mut Random, broken: bool) -> AnswerPlan {
        let framing = *random.pick(&[
            Framing::Chunked,
            Framing::Chunked,
            Framing::Length,
            Framing::UntilClose,
        ]);
        let afterwards = match random.below(16) {
            0 => Afterwards::ClosesAnnounced,
            1 => Afterwards::Closes,
            2 | 3 => Afterwards::ClosesTogether,
            4 => Afterwards::ClosesIdle(millis(random.below(4_000))),
            5 => Afterwards::Strays(millis(random.below(3_000))),
            6 => Afterwards::StraysTogether,
            7 => Afterwards::TimesOut(millis(random.below(3_000))),
            _ => Afterwards::Keeps,
        };
        let death = *random.pick(&[Death::Fin, Death::Reset]);
        AnswerPlan {
            status: *random.pick(&[200, 200, 200, 200, 200, 404, 500, 204, 304]),
            kind: if random.chance(500) { Kind::Events } else { Kind::Plain },
            framing,
            // An answer that is to be cut has something to be cut.
            length: random.length(60_000).max(1),
            pieces: random.between(1..=12),
            pause: Duration::from_micros(random.length(500_000) as u64),
            first_pause: Duration::from_micros(random.length(2_000_000) as u64),
            interims: if random.chance(60) { random.between(1..=2) } else { 0 },
            trailers: random.chance(100),
            early: random.chance(150),
            goes_wrong: broken.then(|| Wrong::draw(random, framing)),
            afterwards,
            dies_if_reused: random.chance(80).then_some(death),
        }
    }
}

impl Wrong {
    fn draw(random: &mut Random, framing: Framing) -> Wrong {
        let at = random.below(1000);
        let death = *random.pick(&[Death::Fin, Death::Reset]);
        match random.below(6) {
            0 => Wrong::Unanswered(death),
            1 => Wrong::Silent,
            2 => Wrong::BadHead,
            3 => Wrong::Stall { at },
            4 if framing == Framing::Chunked => Wrong::BadChunk { at },
            // A FIN is the honest end of a body that lasts until close.
            _ if framing == Framing::UntilClose => Wrong::Cut { at, death: Death::Reset },
            _ => Wrong::Cut { at, death },
        }
    }
}
