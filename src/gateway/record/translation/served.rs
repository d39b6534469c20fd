//! In which dialect the server of an exchange is asked, where that is not the client's.

use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::translation::{Translation, pair_of};
use crate::service::Dialect;
use crate::service::translate::Pair;

impl Exchange {
    /// Whether an upstream of its route may be asked in another dialect than the client's.
    pub(crate) fn may_be_translated(&self) -> bool {
        let links = self.chain().map_or(&[][..], |chain| &chain.links);
        links.iter().any(|link| pair_of(self.dialect, link, &self.snapshot).is_some())
    }

    /// The dialects between which the upstream it is at has it translated.
    pub(crate) fn pair_here(&self) -> Option<Pair> {
        pair_of(self.dialect, self.here()?, &self.snapshot)
    }

    /// What is translated of it; `None`: nothing, or nothing yet.
    pub(crate) fn translation(&self) -> Option<&Translation> {
        self.aside.as_ref()?.translation.as_deref()
    }

    /// The dialect in which its server is asked, and most likely answers.
    pub(crate) fn served(&self) -> Dialect {
        let pair = self.translation().and_then(Translation::asked).map(|(pair, _)| pair);
        pair.map_or(self.dialect, Pair::served)
    }

    /// Nobody else is asked.
    pub(crate) fn forget_bodies(&mut self) {
        if let Some(translation) = self.aside.as_mut().and_then(|it| it.translation.as_deref_mut())
        {
            translation.forget_bodies();
        }
    }

    /// Whether its answer is translated on its way to the client.
    pub(crate) fn is_translated(&self) -> bool {
        self.translation().is_some_and(|translation| translation.asked().is_some())
    }
}
