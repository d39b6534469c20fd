//! Routes that tell which models there are.

use std::sync::Arc;

use super::{Snapshot, Target};
use crate::responder::models::ModelList;

/// `models = [ … ]` of a route: the list of models, told by the gateway itself.
#[derive(Clone, Debug)]
pub struct ModelRoute {
    /// Indices into [`Snapshot::upstreams`], in the order of the file. `None`: all of them.
    pub upstreams: Option<Vec<usize>>,
    /// What is told.
    pub list: Arc<ModelList>,
}

/// `models` of an upstream: who says which models it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ModelSource {
    /// Its servers are asked.
    #[default]
    Ask,
    /// They are asked for this path.
    AskAt(String),
    /// The file.
    Stated(Vec<String>),
    /// It is in no list.
    Off,
}

impl Snapshot {
    /// Every route that tells which models there are.
    pub fn model_routes(&self) -> impl Iterator<Item = &ModelRoute> {
        self.routes.iter().filter_map(|route| match &route.target {
            Target::Models(models) => Some(models),
            Target::Chain(_) | Target::Service(_) => None,
        })
    }

    /// The upstreams whose models a route tells.
    pub fn listed(&self, route: &ModelRoute) -> Vec<usize> {
        let all = || (0..self.upstreams.len()).collect();
        let mut listed = route.upstreams.clone().unwrap_or_else(all);
        listed.retain(|index| self.upstreams[*index].models != ModelSource::Off);
        listed
    }

    /// The upstreams whose servers are asked: those in a list that requests are sent to.
    pub fn asked_for_models(&self) -> Vec<usize> {
        let mut asked: Vec<usize> =
            self.model_routes().flat_map(|route| self.listed(route)).collect();
        asked.sort_unstable();
        asked.dedup();
        let leads_to = |index: usize| {
            let targets = self.routes.iter().map(|route| &route.target);
            let mut chains = targets.filter_map(|target| match target {
                Target::Chain(chain) => Some(chain),
                Target::Service(_) | Target::Models(_) => None,
            });
            chains.any(|chain| chain.leads_to(index))
        };
        let is_asked = |index: usize| {
            matches!(self.upstreams[index].models, ModelSource::Ask | ModelSource::AskAt(_))
        };
        asked.retain(|index| is_asked(*index) && leads_to(*index));
        asked
    }
}
