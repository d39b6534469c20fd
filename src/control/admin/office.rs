//! The office: what the admin pages ask of the process, answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use log::LevelFilter;
use serde_json::json;

use super::WorkerHandles;
use super::clerk::Clerk;
use super::feeds::{Tail, View};
use super::inquiry::{FromSurveys, Killing, Reloading, StoreAsking, Surveys};
use crate::config::show;
use crate::config::snapshot::Snapshot;
use crate::control::models;
use crate::gateway::command::Command;
use crate::measure::live::{Adjustment, Inquiry};
use crate::observe::recordings::Recordings;
use crate::observe::time::Utc;
use crate::observe::{history, metrics, view};
use crate::responder::admin::{
    Adjust, Exposition, Feed, Pending, PlaygroundCall, Process, Question, Reply, TailForm,
};
use crate::sys;

/// Rows of each worker in the table of streams.
const ROWS_MAX: usize = 1000;

#[derive(Debug)]
pub(super) struct Office {
    clerk: Arc<Clerk>,
    snapshot: Arc<Snapshot>,
}

impl Office {
    pub fn new(clerk: Arc<Clerk>, snapshot: Arc<Snapshot>) -> Office {
        Office { clerk, snapshot }
    }
}

impl Process for Office {
    fn is_ready(&self) -> bool {
        self.clerk.is_ready()
    }

    fn configuration(&self) -> String {
        show::effective(&self.snapshot)
    }

    fn configuration_state(&self) -> Reply {
        Reply::json(200, &self.clerk.workers.config.document())
    }

    fn log_level(&self) -> &'static str {
        match log::max_level() {
            LevelFilter::Off => "off",
            LevelFilter::Error => "error",
            LevelFilter::Warn => "warn",
            LevelFilter::Info => "info",
            LevelFilter::Debug => "debug",
            LevelFilter::Trace => "trace",
        }
    }

    fn set_log_level(&self, level: &str) -> bool {
        let level: Result<LevelFilter, _> = level.parse();
        if let Ok(level) = level {
            log::set_max_level(level);
        }
        level.is_ok()
    }

    fn recordings(&self) -> Reply {
        let recordings = self.clerk.workers.recordings.as_deref();
        let list = recordings.map_or_else(|| json!([]), Recordings::list);
        Reply::json(200, &json!({ "recording": recordings.is_some(), "recordings": list }))
    }

    fn recording(&self, id: &str, plain: bool) -> Option<Reply> {
        let document = self.clerk.workers.recordings.as_ref()?.document(id, plain)?;
        Some(Reply::json(200, &document))
    }

    fn fleet(&self) -> Reply {
        Reply::json(200, &self.clerk.workers.known_fleet.document(sys::now()))
    }

    fn usage(&self) -> Reply {
        match &self.clerk.workers.usage {
            Some(book) => Reply::json(200, &book.document()),
            None => Reply::error(404, "no_usage", "nothing is added up"),
        }
    }

    fn history(&self, range: &str, upstream: Option<&str>) -> Reply {
        let until = Utc::at(SystemTime::now()).to_string();
        let history = self.clerk.workers.history.as_ref();
        match history.and_then(|history| history.document(range, upstream, &until)) {
            Some(document) => Reply::json(200, &document),
            None => Reply::error(404, "no_history", "nothing is known of an upstream of this name"),
        }
    }

    fn exchanges(&self, request_id: Option<&str>) -> Reply {
        match &self.clerk.workers.recent {
            Some(recent) => Reply::json(200, &recent.exchanges(request_id)),
            None => Reply::error(404, "no_usage", "nothing is added up"),
        }
    }

    fn errors(&self) -> Reply {
        let WorkerHandles { recent, counters, .. } = &self.clerk.workers;
        match recent {
            Some(recent) => Reply::json(200, &recent.errors(&history::ends(counters))),
            None => Reply::error(404, "no_usage", "nothing is added up"),
        }
    }

    fn plugins(&self) -> Reply {
        Reply::json(200, &metrics::plugins::document(&self.snapshot.plugins.active))
    }

    fn adjust(&self, order: &Adjust) -> Result<(), &'static str> {
        let upstreams = &self.snapshot.upstreams;
        let upstream = upstreams.iter().find(|upstream| upstream.name == order.upstream);
        let upstream = upstream.ok_or("there is no upstream of this name")?;
        let known = upstream.endpoints.iter().filter(|known| known.answers_to(&order.endpoint));
        let endpoints: Vec<_> = known.map(|known| known.id).collect();
        if endpoints.is_empty() {
            return Err("the upstream has no endpoint of this address");
        }
        let draining = order.draining.map(|draining| match draining {
            true => Adjustment::Drain,
            false => Adjustment::Undrain,
        });
        for adjustment in draining.into_iter().chain(order.weight.map(Adjustment::Weight)) {
            log::info!("{} {}: {adjustment:?} by the admin API", order.upstream, order.endpoint);
            let posts = self.clerk.workers.posts.iter();
            for (post, &endpoint) in
                posts.flat_map(|post| endpoints.iter().map(move |id| (post, id)))
            {
                let adjust = Inquiry::Adjust { upstream: upstream.id, endpoint, adjustment };
                // A worker that is gone needs to be told nothing.
                let _ = post.send(Command::Inquire(adjust));
            }
        }
        Ok(())
    }

    fn has_playground(&self) -> bool {
        self.snapshot.admin.playground
    }

    fn play(&self, call: PlaygroundCall) -> Result<Box<dyn Feed>, Reply> {
        Ok(Box::new(self.clerk.playground.play(call)?))
    }

    fn ask(&self, question: Question) -> Box<dyn Pending> {
        let workers = &self.clerk.workers;
        match question {
            Question::Metrics(form) => {
                let clerk = Arc::clone(&self.clerk);
                let snapshot = Arc::clone(&self.snapshot);
                Box::new(FromSurveys {
                    surveys: Surveys::ask(workers, 0),
                    make: move |surveys: &[(usize, _)]| {
                        let models = models::learnt(&clerk.workers.models);
                        let known = clerk.workers.known_fleet.read(sys::now());
                        let sources = metrics::Sources {
                            fleet: known.as_ref(),
                            models: &models,
                            counters: &clerk.workers.counters,
                            surveys,
                            is_ready: clerk.is_ready(),
                            config: &clerk.workers.config,
                            discovery: (&clerk.workers.discovered, sys::time_of_day().as_secs()),
                            spans: clerk.workers.spans.as_deref(),
                            recordings: clerk.workers.recordings.as_deref(),
                            usage: clerk.workers.usage.as_deref(),
                            plugins: &snapshot.plugins.active,
                        };
                        let body = metrics::page(&sources, form);
                        let content_type = content_type(form);
                        Reply { status: 200, content_type, body: body.into() }
                    },
                })
            }
            Question::Endpoints => {
                let discovered = Arc::clone(&workers.discovered);
                Box::new(FromSurveys {
                    surveys: Surveys::ask(workers, ROWS_MAX),
                    make: move |surveys: &[(usize, _)]| {
                        let discovery = discovered.document(sys::time_of_day().as_secs());
                        let upstreams = view::upstreams(surveys);
                        Reply::json(200, &json!({ "upstreams": upstreams, "discovery": discovery }))
                    },
                })
            }
            Question::Streams => Box::new(FromSurveys {
                surveys: Surveys::ask(workers, ROWS_MAX),
                make: |surveys: &[(usize, crate::measure::live::Survey)]| {
                    let active: u64 = surveys.iter().map(|(_, survey)| survey.active).sum();
                    let streams = view::streams(surveys);
                    Reply::json(200, &json!({ "active": active, "streams": streams }))
                },
            }),
            Question::StoreHistory => Box::new(StoreAsking::ask(&self.clerk.workers)),
            Question::Reload => Box::new(Reloading::ask(&self.clerk.workers)),
            Question::Kill(id) => Box::new(Killing::of(workers, id)),
        }
    }

    fn view(&self, period: Duration) -> Box<dyn Feed> {
        Box::new(View::new(Arc::clone(&self.clerk), period))
    }

    fn tail(&self, stream: &str, form: TailForm) -> Box<dyn Feed> {
        Box::new(Tail::of(&self.clerk.workers, stream, form))
    }
}

fn content_type(form: Exposition) -> &'static str {
    match form {
        Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }
}
